//! The table and its rows, in SQL: what is asked, and how to read what is answered.

use std::time::Duration;

use crate::name::LockName;
use crate::store::Revision;
use crate::store::remote::{Key, Put, Stored, keys};

/// What is asked of a server's own, besides those of the connection.
pub(super) const SETTINGS: [&str; 7] = [
    "server_version",
    "fsync",
    "full_page_writes",
    "synchronous_standby_names",
    "standbys",
    "table",
    "ssl",
];

pub(super) struct Table {
    /// As SQL has it.
    pub(super) name: String,
    /// Of the rows, as in [`Key::BOTH`].
    pub(super) rows: [String; 2],
    /// Where changes of both are told; the schema follows.
    channel: String,
    /// For one answer.
    patience: Duration,
}

impl Table {
    pub(super) fn new(name: String, lock_name: &LockName, patience: Duration) -> Self {
        let hash = fnv1a(&format!("{name} {lock_name}"));
        Self {
            rows: keys(lock_name.to_string()),
            channel: format!("leader_demo_{hash:016x}_"),
            name,
            patience,
        }
    }

    /// One transaction that makes this change if it still can be made, under a number
    /// that nobody else draws; its last answer is what the rows hold then.
    pub(super) fn request(&self, put: Option<(&Put, i64)>) -> String {
        let change = put.map(|(put, nonce)| self.change(put, nonce));
        format!(
            "{begin} {change} \
             SELECT name, revision, nonce, record FROM {table} WHERE name IN ({lease}, {requests})",
            begin = self.begin(),
            change = change.as_deref().unwrap_or_default(),
            table = self.name,
            lease = literal(&self.rows[0]),
            requests = literal(&self.rows[1]),
        )
    }

    /// How each transaction begins, whatever the settings of the role.
    ///
    /// Each statement of READ COMMITTED sees what was committed when it began. A
    /// standby refuses READ WRITE, so not even a read is answered by one. A lease that
    /// was taken survives a crash. And who waits for a lock gives up before we do:
    /// nothing that was given up takes effect later.
    fn begin(&self) -> String {
        let patience = self.patience.as_millis().max(2);
        format!(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
             SET LOCAL synchronous_commit = on; \
             SET LOCAL lock_timeout = {}; \
             SET LOCAL statement_timeout = {patience};",
            patience / 2
        )
    }

    fn change(&self, put: &Put, nonce: i64) -> String {
        let table = &self.name;
        let name = literal(&self.rows[put.key as usize]);
        let record = literal(&String::from_utf8_lossy(&put.value));
        let change = match put.expected.map(Revision::parts) {
            None => format!(
                "INSERT INTO {table} (name, revision, nonce, record) \
                 VALUES ({name}, 1, {nonce}, {record}) ON CONFLICT (name) DO NOTHING"
            ),
            Some([revision, expected, ..]) => format!(
                "UPDATE {table} SET revision = revision + 1, nonce = {nonce}, \
                 record = {record}, written_at = now() \
                 WHERE name = {name} AND revision = {} AND nonce = {}",
                revision as i64, expected as i64
            ),
        };
        // Told when it is committed. Tables of one name in several schemas have a
        // channel each.
        format!(
            "WITH changed AS ({change} RETURNING tableoid, *) SELECT pg_catalog.pg_notify(\
             '{}' || (SELECT relnamespace FROM pg_catalog.pg_class \
             WHERE oid = changed.tableoid), \
             pg_catalog.concat_ws(' ', name, revision, nonce, record)) FROM changed;",
            self.channel
        )
    }

    /// What creates the table: for somebody who may, where we may not.
    pub(super) fn migration(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, revision bigint NOT NULL, \
             nonce bigint NOT NULL, record text NOT NULL, \
             written_at timestamptz NOT NULL DEFAULT now())",
            self.name
        )
    }

    pub(super) fn create(&self) -> String {
        format!("{} {}", self.begin(), self.migration())
    }

    /// The schema that the table is in, or would be created in.
    pub(super) fn schema(&self) -> String {
        format!(
            "SELECT coalesce((SELECT relnamespace FROM pg_catalog.pg_class \
             WHERE oid = to_regclass({})), current_schema()::regnamespace::oid)",
            literal(&self.name)
        )
    }

    /// Of the server, of the table (`p` is logged, `u` is not), and of this session.
    pub(super) fn settings(&self) -> String {
        format!(
            "{begin} SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN \
             ('server_version', 'fsync', 'full_page_writes', 'synchronous_standby_names') \
             UNION ALL SELECT 'standbys', count(*)::text FROM pg_catalog.pg_stat_replication r \
             LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid \
             WHERE s.slot_type IS DISTINCT FROM 'logical' AND r.state IS DISTINCT FROM 'backup' \
             UNION ALL SELECT 'table', relpersistence::text FROM pg_catalog.pg_class \
             WHERE oid = pg_catalog.to_regclass({table}) \
             UNION ALL SELECT 'ssl', ssl::text FROM pg_catalog.pg_stat_ssl \
             WHERE pid = pg_catalog.pg_backend_pid()",
            begin = self.begin(),
            table = literal(&self.name),
        )
    }

    /// Both rows; and the table, if we made it and nobody else has put a row there.
    pub(super) fn delete(&self, made_it: bool) -> String {
        let table = &self.name;
        let drop = format!(
            "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; \
             DO $$ BEGIN IF NOT EXISTS (SELECT FROM {table}) THEN DROP TABLE {table}; \
             END IF; END $$;"
        );
        format!(
            "{begin} DELETE FROM {table} WHERE name IN ({lease}, {requests}); {drop}",
            begin = self.begin(),
            lease = literal(&self.rows[0]),
            requests = literal(&self.rows[1]),
            drop = if made_it { &*drop } else { "" },
        )
    }

    pub(super) fn listen(&self, schema: &str) -> String {
        format!("LISTEN {}{schema}", self.channel)
    }

    /// What a notice told.
    pub(super) fn notice(&self, text: &str) -> Option<(Key, Stored)> {
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next();
        self.row([next()?, next()?, next()?, next()?])
    }

    /// Name, revision, nonce and record. None if it is not one of ours.
    pub(super) fn row(&self, [name, revision, nonce, record]: [&str; 4]) -> Option<(Key, Stored)> {
        let is_it = |key: &Key| self.rows[*key as usize] == name;
        let key = Key::BOTH.into_iter().find(is_it)?;
        let number = |text: &str| text.parse::<i64>().ok().map(|number| number as u64);
        let stored = Stored {
            revision: Revision::new([number(revision)?, number(nonce)?, 0, 0]),
            value: record.into(),
        };
        Some((key, stored))
    }
}

/// A string, whatever `standard_conforming_strings` is set to.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The same in every build of every version, as nodes of several must meet.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let lock_name = LockName::new("name").unwrap();
        Table::new("t".into(), &lock_name, Duration::from_secs(1))
    }

    #[test]
    fn what_is_quoted_is_a_string_and_nothing_else() {
        assert_eq!(literal(r"a'; DROP \"), r"E'a''; DROP \\'");
    }

    #[test]
    fn a_notice_is_read_as_it_was_told_and_others_are_not() {
        let table = table();
        let (key, stored) = table.notice("name:request 3 -7 {\"a\": 1}\n").unwrap();
        assert_eq!(key, Key::Requests);
        assert_eq!(stored.revision.parts(), [3, -7_i64 as u64, 0, 0]);
        assert_eq!(stored.value, b"{\"a\": 1}\n");
        for foreign in ["", "name", "name 1 2", "other 1 2 3", "name a 2 3"] {
            assert!(table.notice(foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_channel_is_what_versions_agree_on() {
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        // It would be cut off silently.
        let longest = table().listen(&u32::MAX.to_string());
        assert!(longest.len() < "LISTEN ".len() + 64, "{longest}");
    }
}
