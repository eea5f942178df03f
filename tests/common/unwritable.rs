//! A directory that even root may not write to.

use std::fs::File;
use std::path::Path;

use rustix::fs::IFlags;
use rustix::io::Errno;

/// It is, until this is dropped.
pub struct Unwritable {
    directory: File,
    before: IFlags,
}

impl Unwritable {
    /// An error where the filesystem has no such flag, or we may not set it.
    pub fn make(dir: &Path) -> Result<Self, Errno> {
        let directory = File::open(dir).expect("the directory is there");
        let before = rustix::fs::ioctl_getflags(&directory)?;
        rustix::fs::ioctl_setflags(&directory, before | IFlags::IMMUTABLE)?;
        Ok(Self { directory, before })
    }

    /// The same, or a test that says that it is skipped.
    pub fn or_skip(dir: &Path) -> Option<Self> {
        let made = Self::make(dir);
        let why = |e: &Errno| super::skip(&format!("cannot make a directory immutable here: {e}"));
        made.inspect_err(why).ok()
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        let _ = rustix::fs::ioctl_setflags(&self.directory, self.before);
    }
}
