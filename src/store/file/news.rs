//! When a number comes or goes in the directory: inotify(7), for who watches.
//!
//! Nodes must not use it. The kernel takes its time to close such a descriptor,
//! 18 ms were seen, and may drop a dead leader's lock only after that.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Made when somebody first listens, and kept.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Option<Arc<Source>>>);

#[derive(Debug)]
pub(super) struct Source(AsyncFd<OwnedFd>);

impl News {
    /// None: there is no such thing to be had, and one has to look now and then.
    ///
    /// # Panics
    /// Outside a tokio runtime with an I/O driver.
    pub(super) fn listen(&self) -> Option<Arc<Source>> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if source.is_none() {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
            // As in clock.rs: an OwnedFd is nobody else's to close.
            #[allow(deprecated)]
            let fd = AsyncFd::with_interest(fd, Interest::READABLE).ok()?;
            *source = Some(Arc::new(Source(fd)));
        }
        source.clone()
    }
}

impl Source {
    /// From now on, what happens in the directory that is at `path` counts too.
    pub(super) fn follow(&self, path: &Path) {
        // Not DELETE_SELF: it comes when nobody has it open any more, and we have.
        let what = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // Where it fails, one has to look now and then.
        let _ = inotify::add_watch(self.0.get_ref(), path, what);
    }

    /// Ends when something has happened since the last time.
    pub(super) async fn next(&self) {
        let _ = self
            .0
            .async_io(Interest::READABLE, |fd| {
                let mut some = [0; 4096];
                rustix::io::read(fd, &mut some)?;
                while rustix::io::read(fd, &mut some).is_ok() {}
                Ok(())
            })
            .await;
    }
}
