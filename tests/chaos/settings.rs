//! How long, how many, which random numbers, and where: all from the environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock;

use crate::common::settings::{refuse, variable};

pub(crate) struct Settings {
    pub(crate) duration: Duration,
    /// Beside each other, with as many nodes each.
    pub(crate) elections: usize,
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    /// The lock directory; none: a small filesystem of our own for each election.
    pub(crate) dir: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let duration = variable::<humantime::Duration>("CHAOS_DURATION");
        let nodes = variable("CHAOS_NODES").unwrap_or(5);
        if nodes < 2 {
            refuse("CHAOS_NODES", "it takes 2 to fail over");
        }
        // So many keep two processors busy.
        let elections = variable("CHAOS_ELECTIONS").unwrap_or(24);
        if elections < 1 {
            refuse("CHAOS_ELECTIONS", "it takes one at least");
        }
        let store: Option<String> = variable("CHAOS_STORE");
        let dir = match store.as_deref().map(|store| store.split_once(':')) {
            None => None,
            Some(Some(("file", dir))) if !dir.is_empty() => Some(PathBuf::from(dir)),
            Some(_) => refuse(
                "CHAOS_STORE",
                "use file:DIR, the only store that can be hurt",
            ),
        };
        Self {
            duration: duration.map_or(Duration::from_secs(30), humantime::Duration::into),
            elections,
            nodes,
            seed: variable("CHAOS_SEED").unwrap_or(clock::now().as_nanos() % 1_000_000),
            dir,
        }
    }

    /// As short as it makes sense.
    pub(crate) fn small(seed: u64) -> Self {
        Self {
            duration: Duration::from_secs(1),
            elections: 2,
            nodes: 2,
            seed,
            dir: None,
        }
    }

    /// How to see the same again.
    pub(crate) fn replay(&self) -> String {
        let duration = humantime::format_duration(self.duration).to_string();
        let store = match &self.dir {
            Some(dir) => format!(" STORE=file:{}", dir.display()),
            None => String::new(),
        };
        format!(
            "make chaos SEED={} ELECTIONS={} NODES={} DURATION={}{store}",
            self.seed,
            self.elections,
            self.nodes,
            duration.replace(' ', ""),
        )
    }

    /// Where the picture goes, beside the logs.
    pub(crate) fn page(&self) -> PathBuf {
        self.logs().join("index.html")
    }

    /// Those of the faults and of the nodes of all elections.
    pub(crate) fn all_logs(&self) -> Result<Vec<PathBuf>> {
        let mut logs = Vec::new();
        for election in fs::read_dir(self.logs())? {
            let files = fs::read_dir(election?.path()).into_iter().flatten();
            let files = files.flatten().map(|entry| entry.path());
            logs.extend(files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")));
        }
        logs.sort();
        Ok(logs)
    }

    /// Where the logs of this run go.
    pub(crate) fn logs(&self) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let target = target.expect("it is below target/");
        target.join("chaos").join(self.seed.to_string())
    }
}
