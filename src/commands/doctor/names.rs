//! What users and groups are called, as far as the machine's own files say.

use std::fs;

/// `alice`, or `user 1000`.
pub(super) fn user(id: u32) -> String {
    named("/etc/passwd", id).unwrap_or_else(|| format!("user {id}"))
}

/// `group staff`, or `group 50`.
pub(super) fn group(id: u32) -> String {
    let name = named("/etc/group", id).unwrap_or_else(|| id.to_string());
    format!("group {name}")
}

/// Both files have lines of `name:password:id:..`.
fn named(file: &str, id: u32) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_has_a_number() {
        assert_eq!(user(0), "root");
        assert_eq!(group(0), "group root");
        assert_eq!(user(4_000_000_001), "user 4000000001");
        assert_eq!(group(4_000_000_001), "group 4000000001");
    }
}
