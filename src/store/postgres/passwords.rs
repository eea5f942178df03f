//! The password file of libpq: `HOST:PORT:DATABASE:USER:PASSWORD` in each line.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The password of the first line that is about these: host, port, database and user.
pub(super) fn find(file: &Path, wanted: [&str; 4]) -> Option<String> {
    let mut text = String::new();
    let mut open = File::open(file).ok()?;
    if open.metadata().ok()?.mode() & 0o077 != 0 {
        tracing::warn!(
            "{} is open to others: not read. chmod 600 it",
            file.display()
        );
        return None;
    }
    open.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| password(line, wanted))
}

fn password(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in wanted {
        let (is, after) = field(rest);
        if rest.len() == after.len() || (is != "*" && is != wanted) {
            return None;
        }
        rest = after;
    }
    Some(field(rest).0)
}

/// Up to the next colon, and what comes after it. A backslash takes the next as it is.
fn field(text: &str) -> (String, &str) {
    let mut field = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => break,
            '\\' => field.extend(chars.next()),
            c => field.push(c),
        }
    }
    (field, chars.as_str())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pgpass");
        let lines = "# h:1:db:me:no\nh:1:db\nh:1:other:me:no\n\
                     \\:\\:1:*:*:me:six\n*:*:db:me:a\\:b\\\\c\nh:1:db:me:late\n";
        std::fs::write(&file, lines).unwrap();
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o600);
        let found = |host| find(&file, [host, "1", "db", "me"]);
        assert_eq!(found("h").as_deref(), Some("a:b\\c"));
        let any = find(&file, ["::1", "5", "x", "me"]);
        assert_eq!(any.as_deref(), Some("six"));
        assert_eq!(find(&file, ["h", "1", "db", "you"]), None);
        mode(0o640);
        assert_eq!(found("h"), None);
        assert_eq!(find(Path::new("/nowhere"), ["h", "1", "db", "me"]), None);
    }
}
