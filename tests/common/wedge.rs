//! A process whose main thread, where the election is, stands still while its
//! other threads go on: as if something blocked the runtime.

use nix::sys::ptrace;
use rustix::process::{Pid, WaitOptions};

use super::skip;

/// Until it is dropped, by the thread that made it.
pub struct Wedged(nix::unistd::Pid);

impl Wedged {
    /// None where no process may hold another's thread.
    pub fn main_thread(pid: u32) -> Option<Self> {
        let wedged = Self(nix::unistd::Pid::from_raw(pid as i32));
        if let Err(e) = ptrace::attach(wedged.0) {
            std::mem::forget(wedged);
            skip(&format!("cannot stop a single thread (ptrace): {e}"));
            return None;
        }
        let stopped = rustix::process::waitpid(Pid::from_raw(pid as i32), WaitOptions::UNTRACED);
        assert!(stopped.unwrap().unwrap().1.stopped());
        Some(wedged)
    }
}

impl Drop for Wedged {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}
