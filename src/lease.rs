//! The nouns: who takes part in an election, and the record they share.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::name::NodeId;
use crate::request::Request;
use crate::timing::Timing;

/// One run of one node: a random number made when it starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(u128);

impl SessionId {
    /// A session id from the kernel's random numbers.
    ///
    /// # Errors
    /// What `getrandom(2)` said, on a kernel that refuses it.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        // Up to 256 bytes come whole, says getrandom(2).
        assert_eq!(got, bytes.len(), "getrandom(2) gave too few bytes");
        Ok(Self(u128::from_ne_bytes(bytes)))
    }

    /// The session with this number; for tests that want to know it beforehand.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:x}", self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err("a session id is 32 hexadecimal digits"),
        }
    }
}

impl From<SessionId> for String {
    fn from(session: SessionId) -> Self {
        session.to_string()
    }
}

/// The number of a leadership: one more at every acquisition, never reused.
///
/// It is the **fencing token**: a resource that remembers the highest term it
/// has seen can refuse a leader that does not know yet that it was replaced
/// ([Kleppmann 2016]).
///
/// [Kleppmann 2016]: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Term(u64);

impl Term {
    /// The term before the first.
    pub const ZERO: Self = Self(0);
    /// The highest term: the largest integer every JSON reader keeps exactly
    /// (2^53 - 1, RFC 8259 section 6).
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The term with this number, or none beyond [`MAX`](Self::MAX).
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The term `by` later, or none beyond [`MAX`](Self::MAX).
    pub const fn plus(self, by: u64) -> Option<Self> {
        match self.0.checked_add(by) {
            Some(number) => Self::new(number),
            None => None,
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for Term {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("a term is at most 2^53 - 1")
    }
}

impl From<Term> for u64 {
    fn from(term: Term) -> Self {
        term.0
    }
}

/// One run of one node, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The node's name.
    pub node_id: NodeId,
    /// Who it is: two nodes that were given one name are still two sessions.
    pub session: SessionId,
    /// The machine's name. For people.
    #[serde(deserialize_with = "host_name")]
    pub host: Arc<str>,
    /// The process. For people: life is never inferred from it.
    pub pid: Option<NonZeroU32>,
    /// The kernel's [boot id], by which a store knows its own machine.
    ///
    /// [boot id]: https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html
    pub boot_id: Option<Arc<str>>,
}

impl Holder {
    /// This process, with a new session.
    ///
    /// # Errors
    /// As [`SessionId::random`].
    pub fn here(node_id: NodeId) -> std::io::Result<Self> {
        let host = rustix::system::uname();
        Ok(Self {
            node_id,
            session: SessionId::random()?,
            host: printable(&host.nodename().to_string_lossy()),
            pid: NonZeroU32::new(std::process::id()),
            boot_id: boot_id(),
        })
    }
}

/// Whoever may write the record may write into it what he likes: no terminal is
/// to obey it.
fn printable(host: &str) -> Arc<str> {
    let seen = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    host.chars().map(seen).collect::<String>().into()
}

pub(crate) fn host_name<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    Ok(printable(&String::deserialize(from)?))
}

/// This machine's boot id; none where it cannot be read, and none matches none.
pub(crate) fn boot_id() -> Option<Arc<str>> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

/// What the store keeps: who leads, or that nobody does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The number of this leadership; of the last one if the record is vacant.
    pub term: Term,
    /// The holder's promise: how long others must see this record unchanged
    /// before they may take it. It counts for everybody, whatever their own
    /// flags say.
    #[serde(rename = "lease_duration_ns", with = "nanos")]
    pub lease_duration: Duration,
    /// Whose it is.
    #[serde(flatten)]
    pub state: State,
}

/// Whose a [`Record`] is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody's.
    Held(Holder),
    /// Nobody's: given back.
    Vacant {
        /// Who alone may take it, until the lease duration has passed.
        successor: Option<SessionId>,
    },
    /// No lease at all: what a register beside it holds.
    Asked(Request),
}

impl Record {
    /// Who holds it, if anybody does.
    pub fn holder(&self) -> Option<&Holder> {
        match &self.state {
            State::Held(holder) => Some(holder),
            State::Vacant { .. } | State::Asked(_) => None,
        }
    }

    /// The record as a store keeps it: one line of JSON.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; it never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

/// Why bytes are no [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A record all the same, of a version that this one cannot judge: nobody
    /// knows what it says.
    #[error("written by a newer version of leader-demo (record version {0})")]
    Newer(u64),
    /// A stranger's hand.
    #[error("not a lease record")]
    Garbled,
}

const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    body: T,
}

/// Encodes `body`, a record or what a store wraps around one.
pub(crate) fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let versioned = Versioned {
        version: VERSION,
        body,
    };
    let mut line = serde_json::to_vec(&versioned).expect("a record is plain data");
    line.push(b'\n');
    line
}

pub(crate) fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, DecodeError> {
    #[derive(Deserialize)]
    struct JustVersion {
        version: u64,
    }
    let JustVersion { version } =
        serde_json::from_slice(bytes).map_err(|_| DecodeError::Garbled)?;
    if version > VERSION {
        return Err(DecodeError::Newer(version));
    }
    let Versioned { body, .. } = serde_json::from_slice(bytes).map_err(|_| DecodeError::Garbled)?;
    Ok(body)
}

/// Durations as whole nanoseconds, refused outside what [`Timing`] allows: an
/// absurd number in a record must not stop an election for ever.
mod nanos {
    use super::{Duration, Timing};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(d: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let lease = Duration::from_nanos(u64::deserialize(from)?);
        if (Timing::SHORTEST..=Timing::LONGEST).contains(&lease) {
            Ok(lease)
        } else {
            Err(D::Error::custom("lease duration out of range"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            term: Term(7),
            lease_duration: Duration::from_secs(10),
            state: State::Held(Holder {
                node_id: NodeId::new("node-1").unwrap(),
                session: SessionId(0xfeed),
                host: "host".into(),
                pid: NonZeroU32::new(42),
                boot_id: Some("b".into()),
            }),
        }
    }

    #[test]
    fn the_wire_format_is_what_the_documentation_shows() {
        let text = String::from_utf8(record().encode()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"version":1,"term":7,"lease_duration_ns":10000000000,"held":{"node_id":"node-1","#,
                r#""session":"0000000000000000000000000000feed","host":"host","pid":42,"boot_id":"b"}}"#,
                "\n"
            )
        );
        let vacant = Record {
            state: State::Vacant { successor: None },
            ..record()
        };
        assert_eq!(Record::decode(&vacant.encode()), Ok(vacant));
    }

    #[test]
    fn what_is_no_record_is_told_apart_from_a_newer_one() {
        let good = String::from_utf8(record().encode()).unwrap();
        let cases = [
            ("", DecodeError::Garbled),
            ("{}", DecodeError::Garbled),
            ("\0\0\0\0", DecodeError::Garbled),
            (&good[..good.len() / 2], DecodeError::Garbled),
            (r#"{"version":2}"#, DecodeError::Newer(2)),
            (r#"{"version":-1}"#, DecodeError::Garbled),
            (
                &good.replace(":7,", ":9007199254740992,"),
                DecodeError::Garbled,
            ),
            (&good.replace(":10000000000,", ":0,"), DecodeError::Garbled),
            (
                &good.replace(":10000000000,", ":18446744073709551615,"),
                DecodeError::Garbled,
            ),
            (&good.replace("feed", "fee"), DecodeError::Garbled),
            (&good.replace("feed", "+eed"), DecodeError::Garbled),
            (&good.replace("node-1", "../x"), DecodeError::Garbled),
        ];
        for (text, expected) in cases {
            assert_eq!(Record::decode(text.as_bytes()), Err(expected), "{text}");
        }
        // Fields are only ever added: an unknown one is no reason to refuse.
        let more = good.replace("\"version\":1,", "\"version\":1,\"new\":[1],");
        assert_eq!(Record::decode(more.as_bytes()), Ok(record()));
    }

    #[test]
    fn no_host_writes_on_terminals() {
        let good = String::from_utf8(record().encode()).unwrap();
        let evil = good.replace("\"host\":\"host\"", r#""host":"a\u001b[2J\nb ü""#);
        let read = Record::decode(evil.as_bytes()).unwrap();
        assert_eq!(&*read.holder().unwrap().host, "a?[2J?b??");
    }

    #[test]
    fn terms_end_where_json_numbers_do() {
        assert_eq!(Term::MAX.plus(1), None);
        assert_eq!(Term(1).plus(u64::MAX), None);
        assert_eq!(Term::ZERO.plus(1), Term::new(1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::decode(&bytes);
        }

        #[test]
        fn any_damage_to_a_record_is_survived(at in 0usize..200, byte: u8) {
            let mut bytes = record().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(read) = Record::decode(&bytes) {
                prop_assert_eq!(Record::decode(&read.encode()), Ok(read));
            }
        }

        #[test]
        fn every_record_comes_back_as_it_was(
            term in 0..=Term::MAX.get(), ns in 100_000_000u64..86_400_000_000_000, session: u128,
            name in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", host in "[!-~]*", held: bool, pid: u32,
            named in any::<Option<u128>>(),
        ) {
            let state = if held {
                State::Held(Holder {
                    node_id: NodeId::new(&name).unwrap(),
                    session: SessionId(session),
                    host: host.into(),
                    pid: NonZeroU32::new(pid),
                    boot_id: None,
                })
            } else {
                State::Vacant { successor: named.map(SessionId) }
            };
            let record = Record { term: Term(term), lease_duration: Duration::from_nanos(ns), state };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }
}
