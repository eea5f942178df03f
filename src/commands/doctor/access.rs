//! Who may write to the lock directory, and so take the lease away.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::names;
use super::report::Finding;

/// What there is to say of who owns a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owned {
    user: u32,
    group: u32,
    mode: u32,
}

impl From<&Metadata> for Owned {
    fn from(metadata: &Metadata) -> Self {
        Self {
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        }
    }
}

impl Owned {
    fn everybody(self) -> bool {
        self.mode & 0o002 != 0
    }

    /// Each may remove only what is its own.
    fn sticky(self) -> bool {
        self.mode & 0o1000 != 0
    }
}

/// Who may write to the lock directory; none where the store itself refuses it.
pub(super) fn writers(dir: Owned, me: u32, shared: bool) -> Option<Finding> {
    let Owned { user, group, mode } = dir;
    let may_share = "give it to the user that runs the nodes, or choose another directory";
    if dir.everybody() && !dir.sticky() {
        return None;
    }
    let owner = names::user(user);
    Some(if user != 0 && user != me {
        let says = format!(
            "it belongs to {owner} (mode {mode:o}), who may remove the lease under its nodes"
        );
        match shared {
            true => Finding::note(says, "share a directory only with whom you trust"),
            false => Finding::refused(says, may_share),
        }
    } else if dir.everybody() {
        Finding::note(
            format!("everybody may make files in it (mode {mode:o}), but remove only their own"),
            "to keep strangers from taking its name first choose a directory of your own",
        )
    } else if mode & 0o020 != 0 && !dir.sticky() && !shared {
        let group = names::group(group);
        Finding::warning(
            format!("{group} may write to it (mode {mode:o}), so its members may remove the lease"),
            "chmod g-w it, or say --shared-dir if that is meant",
        )
    } else {
        let others = match mode & 0o020 != 0 {
            true => format!(" and {}", names::group(group)),
            false => String::new(),
        };
        Finding::ok(format!("{owner}{others} may write to it (mode {mode:o})"))
    })
}

/// What keeps this user from the lock directory.
pub(super) fn barred(dir: Owned, me: u32) -> Finding {
    let Owned { user, mode, .. } = dir;
    let whose = match user == me {
        true => "yours".into(),
        false => format!("{}'s", names::user(user)),
    };
    let me = names::user(me);
    Finding::refused(
        format!("you ({me}) may not write to it: it is {whose}, mode {mode:o}"),
        "run this as the user that runs the nodes, or choose a directory that it may write to",
    )
}

/// A directory above, in which everybody may put another one in its place.
pub(super) fn open_above(dir: &Path) -> Option<Finding> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().skip(1).find_map(|above| {
        let owned = Owned::from(&std::fs::metadata(above).ok()?);
        (owned.everybody() && !owned.sticky()).then(|| {
            let (path, mode) = (above.display(), owned.mode);
            Finding::refused(
                format!(
                    "everybody may write to {path} above it (mode {mode:o}), and so move it away"
                ),
                format!("chmod o-w {path}, or choose a directory elsewhere"),
            )
        })
    })
}

/// Whether this process may make and remove files in a directory.
pub(super) fn may_write(dir: &Path) -> io::Result<()> {
    let how = Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(CWD, dir, how, AtFlags::EACCESS)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark::{self, *};

    #[test]
    fn whoever_could_remove_the_lease_is_named() {
        let me = 1000;
        let cases: [(u32, u32, bool, Option<Mark>); 10] = [
            (1000, 0o755, false, Some(Ok)),
            (0, 0o755, false, Some(Ok)),
            (0, 0o1777, false, Some(Note)),
            (0, 0o777, false, None),
            (1001, 0o755, false, Some(Refused)),
            (1001, 0o2775, true, Some(Note)),
            (1000, 0o775, false, Some(Warning)),
            (1000, 0o1775, false, Some(Ok)),
            (1000, 0o2775, true, Some(Ok)),
            (1001, 0o1777, false, Some(Refused)),
        ];
        for (user, mode, shared, mark) in cases {
            let dir = Owned {
                user,
                group: 7,
                mode,
            };
            let found = writers(dir, me, shared);
            assert_eq!(found.map(|f| f.mark), mark, "{user} {mode:o} {shared}");
        }
    }
}
