//! A wall clock that jumps: libfaketime, where it is installed. It is told of
//! CLOCK_REALTIME only. The boot-time clock is not a library's to fake: the
//! program asks the kernel for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

pub(crate) struct WallClock {
    library: PathBuf,
    /// How far it is off.
    offset: PathBuf,
}

impl WallClock {
    pub(crate) fn new(id: &str, dir: &Path) -> Result<Option<Self>> {
        let Some(library) = library() else {
            return Ok(None);
        };
        let offset = dir.join(format!("{id}.clock"));
        fs::write(&offset, "+0s\n")?;
        Ok(Some(Self { library, offset }))
    }

    pub(crate) fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }

    pub(crate) fn jump(&self, seconds: i64) -> Result<()> {
        // Nobody reads half of it.
        let next = self.offset.with_extension("next");
        fs::write(&next, format!("{seconds:+}s\n"))?;
        Ok(fs::rename(next, &self.offset)?)
    }

    /// What the library leaves behind of a process that was killed.
    pub(crate) fn forget(pid: u32) {
        for name in ["faketime_shm", "sem.faketime_sem"] {
            let _ = fs::remove_file(format!("/dev/shm/{name}_{pid}"));
        }
    }
}

pub(crate) fn is_installed() -> bool {
    library().is_some()
}

/// Where Debian and its like put it.
fn library() -> Option<PathBuf> {
    let places = ["/usr/lib", "/usr/lib64"].map(Path::new);
    let mut roots: Vec<PathBuf> = places.iter().map(|dir| dir.to_path_buf()).collect();
    let below = fs::read_dir(places[0]).ok()?.flatten();
    roots.extend(below.map(|entry| entry.path()));
    let mut found = roots
        .iter()
        .map(|root| root.join("faketime/libfaketimeMT.so.1"));
    found.find(|library| library.is_file())
}
