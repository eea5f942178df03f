//! The terminal that the command shares with us, if there is one.

use std::fs::File;

use rustix::process::Pid;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

/// The controlling terminal. The command stays in our group there, so that the
/// keys and the shell's job control mean both.
pub(super) struct Terminal {
    tty: File,
    modes: Termios,
}

impl Terminal {
    /// The terminal, and how it is set at present.
    pub(super) fn here() -> Option<Self> {
        let mut options = File::options();
        let tty = options.read(true).write(true).open("/dev/tty").ok()?;
        let modes = tcgetattr(&tty).ok()?;
        Some(Self { tty, modes })
    }

    /// Mends what a command that was killed could not: an editor leaves the
    /// terminal raw, a shell leaves it to a group that is gone.
    pub(super) fn mend(&self) {
        let ours = rustix::process::getpgrp();
        let in_front = tcgetpgrp(&self.tty);
        let gone = |group: Pid| rustix::process::test_kill_process_group(group).is_err();
        match in_front {
            Ok(group) if group == ours => {}
            Ok(group) if gone(group) => {
                let _ = tcsetpgrp(&self.tty, ours);
            }
            // Somebody works there: the shell that we were stopped from.
            _ => return,
        }
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.modes);
    }
}
