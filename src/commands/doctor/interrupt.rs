//! Ctrl+C: what is under way ends early and tidies up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::commands::PATIENCE;

/// As the shell reports SIGINT.
pub(super) const CODE: u8 = 130;

#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
    litter: Arc<Mutex<Option<PathBuf>>>,
}

impl Interrupt {
    /// Listens from now on, once in a process.
    pub(super) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        ctrlc::set_handler(move || {
            heard.asked.store(true, Ordering::Relaxed);
            // Whoever is stuck, on a disk that stalls say, is not waited for.
            std::thread::sleep(PATIENCE);
            heard.tidy();
            std::process::exit(CODE.into());
        })
        .context("cannot listen for signals")?;
        Ok(interrupt)
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Says what is to be removed at the end.
    pub(super) fn leaves(&self, litter: PathBuf) {
        *self.litter.lock().unwrap_or_else(PoisonError::into_inner) = Some(litter);
    }

    /// Removes it.
    pub(super) fn tidy(&self) {
        let litter = self
            .litter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The store's thread may be removing files in there, too.
        for path in litter.iter().cycle().take(8) {
            if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
                break;
            }
        }
    }
}
