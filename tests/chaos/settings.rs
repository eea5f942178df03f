//! How long, how many, which random numbers, and where: all from the environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use leader_demo::store::Server;
use leader_demo::{LockName, clock};

use crate::common::settings::{refuse, variable};

pub(crate) struct Settings {
    pub(crate) duration: Duration,
    /// Beside each other, with as many nodes each.
    pub(crate) elections: usize,
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    pub(crate) store: Store,
}

/// Where the leases are kept.
#[derive(Clone)]
pub(crate) enum Store {
    /// Each election has a small filesystem of its own.
    Small,
    Directory(PathBuf),
    /// Each election has servers of its own.
    Own(Kind),
    /// Somebody's server.
    Given(String),
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Etcd,
    Redis,
    Postgres,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let there_is = "use file:DIR, etcd, redis, postgres, or a server's URL";
        let kinds = [Kind::Etcd, Kind::Redis, Kind::Postgres];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == text);
        let (store, url) = match (kind, text.split_once(':')) {
            (Some(kind), _) => (Self::Own(kind), format!("{text}://localhost")),
            (_, Some(("file", dir))) if !dir.is_empty() => {
                return Ok(Self::Directory(dir.into()));
            }
            (_, Some((_, rest))) if rest.starts_with("//") => {
                (Self::Given(text.to_owned()), text.to_owned())
            }
            _ => return Err(there_is.into()),
        };
        let server: Server = url.parse().map_err(|e| format!("{e}; {there_is}"))?;
        let lock_name = LockName::new("any").expect("it is a name");
        let opened = server.open(&lock_name, Duration::from_secs(1));
        opened.map_err(|e| e.to_string()).map(|_| store)
    }
}

impl Store {
    /// Who dies is seen to have died.
    pub(crate) fn is_on_one_machine(&self) -> bool {
        matches!(self, Self::Small | Self::Directory(_))
    }

    /// Short, so that a run is full of faults and not of waiting. A server that is busy
    /// with many at once takes longer than a directory.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(if self.is_on_one_machine() { 1 } else { 2 })
    }

    /// Between two faults, at most: where a death costs the lease they come more
    /// seldom, so that somebody leads at times.
    pub(crate) fn pause(&self) -> Duration {
        match self.is_on_one_machine() {
            true => self.lease() / 4,
            false => self.lease() / 2,
        }
    }

    /// So many elections keep two processors busy: of those, servers take most.
    fn elections(&self) -> usize {
        match self {
            Self::Small | Self::Directory(_) => 24,
            Self::Own(_) | Self::Given(_) => 4,
        }
    }
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let duration = variable::<humantime::Duration>("CHAOS_DURATION");
        let nodes = variable("CHAOS_NODES").unwrap_or(5);
        if nodes < 2 {
            refuse("CHAOS_NODES", "it takes 2 to fail over");
        }
        let store = variable("CHAOS_STORE").unwrap_or(Store::Small);
        let elections = variable("CHAOS_ELECTIONS").unwrap_or_else(|| store.elections());
        if elections < 1 {
            refuse("CHAOS_ELECTIONS", "it takes one at least");
        }
        Self {
            duration: duration.map_or(Duration::from_secs(30), humantime::Duration::into),
            elections,
            nodes,
            seed: variable("CHAOS_SEED").unwrap_or(clock::now().as_nanos() % 1_000_000),
            store,
        }
    }

    /// As short as it makes sense.
    pub(crate) fn small(seed: u64) -> Self {
        Self {
            duration: Duration::from_secs(1),
            elections: 2,
            nodes: 2,
            seed,
            store: Store::Small,
        }
    }

    /// Everything must have had its turn by then, also what seldom fits.
    pub(crate) fn is_long(&self) -> bool {
        let cards: usize = self.store.cards().iter().map(|(_, times)| times).sum();
        let round = self.store.pause() / 2 * cards as u32 / self.elections as u32;
        self.duration >= Duration::from_secs(60).max(round * 4)
    }

    /// How to see the same again.
    pub(crate) fn replay(&self) -> String {
        let duration = humantime::format_duration(self.duration).to_string();
        let store = match &self.store {
            Store::Small => String::new(),
            Store::Directory(dir) => format!(" STORE=file:{}", dir.display()),
            Store::Own(kind) => format!(" STORE={}", kind.as_str()),
            // Without the password.
            Store::Given(url) => url
                .parse()
                .map_or_else(|_| String::new(), |url: Server| format!(" STORE={url}")),
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
        let run = match self.store {
            Store::Own(kind) => format!("{}-{}", kind.as_str(), self.seed),
            _ => self.seed.to_string(),
        };
        target.join("chaos").join(run)
    }
}
