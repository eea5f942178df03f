//! How long, how many, and which random numbers: all from the environment.

use std::fmt;
use std::time::Duration;

use leader_demo::clock;

use crate::common::settings::variable;

pub(crate) struct Settings {
    pub(crate) duration: Duration,
    pub(crate) nodes: u64,
    pub(crate) seed: u64,
    /// Where the lease is, if not in a directory: a kind of server, or a URL.
    pub(crate) store: Option<String>,
    /// Also what the nodes said in a run that went well.
    pub(crate) keep: bool,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        // Somebody waits for `cargo test`; nobody waits for CI.
        let in_ci = std::env::var_os("CI").is_some();
        let duration = Duration::from_secs(if in_ci { 60 } else { 15 });
        let duration = variable::<humantime::Duration>("STRESS_DURATION")
            .map_or(duration, humantime::Duration::into);
        Self {
            duration,
            nodes: variable("STRESS_NODES").unwrap_or(4),
            seed: variable("STRESS_SEED").unwrap_or(clock::now().as_nanos() % 1_000_000),
            store: variable("STRESS_STORE"),
            keep: std::env::var_os("STRESS_KEEP").is_some(),
        }
    }

    /// How often to say how it goes.
    pub(crate) fn progress(&self) -> Duration {
        (self.duration / 12).max(Duration::from_secs(5))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = humantime::format_duration(self.duration);
        write!(
            f,
            "{} nodes for {duration}, STRESS_SEED={}",
            self.nodes, self.seed
        )
    }
}

/// Whether this one test is among those that `cargo test` was asked for, going
/// by what it passes on.
pub(crate) fn asked_for(args: &[String]) -> bool {
    const NAME: &str = "stress_run";
    const WITH_A_VALUE: [&str; 6] = [
        "--color",
        "--format",
        "--logfile",
        "--shuffle-seed",
        "--test-threads",
        "-Z",
    ];
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match &**arg {
            "--skip" => skipped.extend(args.next()),
            "--ignored" => return false,
            flag if WITH_A_VALUE.contains(&flag) => drop(args.next()),
            flag if flag.starts_with('-') => {}
            _ => wanted.push(arg),
        }
    }
    let named = |part: &&String| NAME.contains(&***part);
    (wanted.is_empty() || wanted.iter().any(named)) && !skipped.iter().any(named)
}
