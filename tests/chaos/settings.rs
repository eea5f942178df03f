//! How long, how many, which random numbers, and where: all from the environment.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::clock;

pub(crate) struct Settings {
    pub(crate) duration: Duration,
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    /// The lock directory; none: a small filesystem of our own.
    pub(crate) dir: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self> {
        let duration = variable::<humantime::Duration>("CHAOS_DURATION")?;
        let nodes = variable("CHAOS_NODES")?.unwrap_or(5);
        ensure!(nodes >= 2, "CHAOS_NODES={nodes}: it takes 2 to fail over");
        let store: Option<String> = variable("CHAOS_STORE")?;
        let dir = match store.as_deref().map(|store| store.split_once(':')) {
            None => None,
            Some(Some(("file", dir))) if !dir.is_empty() => Some(PathBuf::from(dir)),
            Some(_) => bail!("CHAOS_STORE must be file:DIR, the only store that can be hurt"),
        };
        Ok(Self {
            duration: duration.map_or(Duration::from_secs(30), humantime::Duration::into),
            nodes,
            seed: variable("CHAOS_SEED")?.unwrap_or(clock::now().as_nanos() % 1_000_000),
            dir,
        })
    }

    /// How to see the same again.
    pub(crate) fn replay(&self) -> String {
        let duration = humantime::format_duration(self.duration).to_string();
        let store = match &self.dir {
            Some(dir) => format!(" STORE=file:{}", dir.display()),
            None => String::new(),
        };
        format!(
            "make chaos SEED={} NODES={} DURATION={}{store}",
            self.seed,
            self.nodes,
            duration.replace(' ', ""),
        )
    }

    /// Where the picture goes, beside the logs.
    pub(crate) fn page(&self) -> PathBuf {
        self.logs().join("index.html")
    }

    /// Where the logs of this run go.
    pub(crate) fn logs(&self) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let target = target.expect("it is below target/");
        target.join("chaos").join(self.seed.to_string())
    }
}

fn variable<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
) -> Result<Option<T>> {
    let text = std::env::var(name).ok();
    let value = text.map(|text| text.parse().with_context(|| format!("{name}={text}")));
    value.transpose()
}
