//! Whether a directory survives a restart of the machine. Where it does not,
//! terms start again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use leader_demo::store::file::Filesystem;
use serde::Serialize;

/// Where tmpfiles.d(5) rules are; of two files with one name, the last counts.
const RULES: [&str; 4] = [
    "/usr/lib/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/run/tmpfiles.d",
    "/etc/tmpfiles.d",
];

/// What a restart leaves of a directory.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(
    rename_all = "snake_case",
    tag = "survives_restart",
    content = "because"
)]
pub(super) enum Survival {
    Yes,
    No(String),
    /// Yes, but not a rest as long as this.
    UnlessUnused(String),
    Unknown(String),
}

/// What a rule of tmpfiles.d(5) does to a path and all below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    path: PathBuf,
    does: Does,
}

#[derive(Debug, PartialEq, Eq)]
enum Does {
    EmptyAtStart,
    /// Remove what was not used for so long; none: leave it alone.
    Age(Option<String>),
}

/// Without `rules`, systemd does not run here.
pub(super) fn survival(path: &Path, filesystem: Filesystem, rules: Option<&[Rule]>) -> Survival {
    let name = filesystem.name().unwrap_or("unknown");
    if filesystem.is_memory() {
        return Survival::No(format!("{name} is memory"));
    }
    if name == "overlayfs" {
        return Survival::Unknown("a container's own layer goes with the container".into());
    }
    match ruled(path, rules) {
        Survival::Yes if filesystem.name().is_none() => {
            Survival::Unknown("its filesystem is not known".into())
        }
        ruled => ruled,
    }
}

/// What is left of what is on a disk.
fn ruled(path: &Path, rules: Option<&[Rule]>) -> Survival {
    let Some(rules) = rules else {
        return match path.starts_with("/tmp") {
            true => Survival::Unknown("many systems empty /tmp at start".into()),
            false => Survival::Yes,
        };
    };
    let concerned = || rules.iter().filter(|rule| path.starts_with(&rule.path));
    if let Some(rule) = concerned().find(|rule| rule.does == Does::EmptyAtStart) {
        let path = rule.path.display();
        return Survival::No(format!("a rule in tmpfiles.d empties {path} at start"));
    }
    // Of those that set an age, the one nearest to the path counts.
    let nearest = concerned().max_by_key(|rule| rule.path.as_os_str().len());
    match nearest {
        Some(Rule {
            path,
            does: Does::Age(Some(age)),
        }) => {
            let path = path.display();
            Survival::UnlessUnused(format!(
                "a rule in tmpfiles.d removes from {path} what was unused for {age}"
            ))
        }
        _ => Survival::Yes,
    }
}

/// The rules of this machine; none where systemd does not run.
pub(super) fn rules() -> Option<Vec<Rule>> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let mut files = BTreeMap::new();
    for entry in RULES
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .flatten()
    {
        if entry.path().extension().is_some_and(|e| e == "conf") {
            files.insert(entry.file_name(), entry.path());
        }
    }
    let texts = files
        .values()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    Some(texts.flat_map(|text| parse(&text)).collect())
}

fn parse(text: &str) -> Vec<Rule> {
    text.lines().filter_map(parse_line).collect()
}

/// `type path mode user group age argument`.
fn parse_line(line: &str) -> Option<Rule> {
    let mut fields = line.split_whitespace();
    let kind = fields.next()?.chars().next()?;
    let path = fields.next()?.trim_matches('"');
    // Patterns and specifiers are for other things than a lock directory.
    if !path.starts_with('/') || path.contains(['*', '?', '[', '%']) {
        return None;
    }
    let age = fields.nth(3).filter(|age| !["-", "0"].contains(age));
    let does = match kind {
        'D' | 'R' => Does::EmptyAtStart,
        'd' | 'e' | 'v' | 'q' | 'Q' | 'C' => Does::Age(age.map(str::to_owned)),
        'x' | 'X' => Does::Age(None),
        _ => return None,
    };
    let path = path.into();
    Some(Rule { path, does })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "
        # a comment
        D /tmp 1777 root root -
        q /var/tmp 1777 root root 30d
        d /var/tmp/locks 0755 root root -
        x /var/tmp/kept-*
        q /scratch 1777 root root 10d
        d \"/quoted\" - - - 1h extra
        R! /stale
        d /run/x 0755 root root 0
        f /var/lib/file 0644 root root 1d
        D
    ";

    #[test]
    fn what_a_restart_leaves_follows_from_the_rules_of_the_system() {
        let rules = parse(RULES);
        for (path, expected) in [
            (
                "/tmp/locks",
                "No(\"a rule in tmpfiles.d empties /tmp at start\")",
            ),
            ("/tmp", "No("),
            ("/tmpx", "Yes"),
            ("/stale/locks", "No("),
            (
                "/var/tmp/mine",
                "UnlessUnused(\"a rule in tmpfiles.d removes from /var/tmp what was unused for 30d\")",
            ),
            ("/var/tmp/locks/mine", "Yes"),
            ("/scratch/a/b", "UnlessUnused("),
            ("/quoted", "UnlessUnused("),
            ("/run/x", "Yes"),
            ("/var/lib/file", "Yes"),
            ("/var/lib/locks", "Yes"),
        ] {
            let said = format!("{:?}", ruled(Path::new(path), Some(&rules)));
            assert!(said.starts_with(expected), "{path}: {said}");
        }
    }

    #[test]
    fn without_rules_only_tmp_is_doubtful() {
        let said = |path| ruled(Path::new(path), None);
        assert!(matches!(said("/tmp/x"), Survival::Unknown(_)));
        assert_eq!(said("/var/lib/x"), Survival::Yes);
    }

    #[test]
    fn memory_does_not_survive_whatever_the_rules_say() {
        let memory = Filesystem::of(Path::new("/dev/shm")).unwrap();
        let said = survival(Path::new("/var/lib/x"), memory, Some(&[]));
        assert_eq!(said, Survival::No("tmpfs is memory".into()));
    }

    #[test]
    fn of_a_filesystem_that_is_not_known_nothing_is_promised() {
        let unknown = Filesystem::of(Path::new("/proc")).unwrap();
        let said = |rules| survival(Path::new("/scratch/x"), unknown, Some(rules));
        assert!(matches!(said(&[]), Survival::Unknown(_)));
        assert!(matches!(said(&parse(RULES)), Survival::UnlessUnused(_)));
    }
}
