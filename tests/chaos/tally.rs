//! What was done, in all elections together, and what never was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};

use crate::common;
use crate::plan::Fault;

/// How often each fault was played, of those that can be played here.
pub(crate) struct Tally {
    played: Mutex<BTreeMap<Fault, usize>>,
    /// What did not fit when its turn came.
    left_out: AtomicUsize,
    /// One of the elections has failed: the others need not go on.
    pub(crate) failed: AtomicBool,
}

impl Tally {
    pub(crate) fn expecting(faults: impl Iterator<Item = Fault>) -> Self {
        Self {
            played: Mutex::new(faults.map(|fault| (fault, 0)).collect()),
            left_out: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Said once, however many find out.
    pub(crate) fn cannot(&self, fault: Fault, why: &str) {
        if self.played().remove(&fault).is_some() {
            common::skip(&format!("{fault}: {why}"));
        }
    }

    pub(crate) fn was_played(&self, fault: Fault) {
        *self.played().entry(fault).or_default() += 1;
    }

    pub(crate) fn was_left_out(&self) {
        self.left_out.fetch_add(1, Relaxed);
    }

    /// A long run in which something never happened proves nothing about it.
    pub(crate) fn is_complete(&self, was_long: bool) -> Result<()> {
        let played = self.played();
        let never = played.iter().filter(|(_, times)| **times == 0);
        let never: Vec<_> = never.map(|(fault, _)| fault.to_string()).collect();
        ensure!(
            !was_long || never.is_empty(),
            "nothing of this kind ever happened: {}",
            never.join(", ")
        );
        Ok(())
    }

    fn played(&self) -> MutexGuard<'_, BTreeMap<Fault, usize>> {
        self.played.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, times) in &*self.played() {
            write!(f, "{times} {fault}, ")?;
        }
        write!(f, "{} did not fit", self.left_out.load(Relaxed))
    }
}

#[test]
fn a_long_run_without_one_of_the_faults_is_no_proof() {
    let tally = Tally::expecting([Fault::Kill, Fault::DiskFull].into_iter());
    tally.was_played(Fault::Kill);
    tally.is_complete(false).unwrap();
    let error = tally.is_complete(true).unwrap_err().to_string();
    assert_eq!(error, "nothing of this kind ever happened: full disk");
    tally.was_played(Fault::DiskFull);
    tally.is_complete(true).unwrap();
}
