//! `leader-demo simulate`: what happens, with these timings?

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Parser, ValueHint};
use leader_demo::clock;
use leader_demo::simulation::{Fault, Plan};

use super::election::TimingFlags;
use super::{refuse, values};

pub(super) const NAME: &str = "simulate";

/// As many lines as that are soon read and judged.
const MOST_HEARTBEATS: u32 = 250_000;

/// An election to play, and where to write it down.
#[derive(Debug)]
pub(crate) struct Simulate {
    pub(crate) plan: Plan,
    pub(crate) events: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    /// As `make sim` plays it.
    pub(crate) seeded: bool,
}

/// Show how your timings fail over: the election itself, on virtual time, under
/// faults that one seed decides. Draws who led when, and says how long nobody did.
#[derive(Debug, Parser)]
#[command(name = NAME, after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// How many nodes compete
    #[arg(
        long, value_name = "N", default_value = "5",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    nodes: u32,

    #[command(flatten)]
    timing: TimingFlags,

    /// What goes wrong: kill, term, freeze, sleep, partition, unreachable,
    /// lost-replies, late-writes, conflicts, errors, slow, resign, hand-over; all or none
    #[arg(long, value_name = "FAULT,..", default_value = "kill,freeze,partition", value_parser = faults)]
    faults: Faults,

    /// Decides all the rest; the same seed plays the same again [default: a new one]
    #[arg(long, value_name = "N", value_parser = seed, allow_hyphen_values = true)]
    seed: Option<u64>,

    /// How long it lasts, in virtual time [default: 30 lease durations]
    #[arg(
        long, value_name = "DURATION",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    duration: Option<Duration>,

    /// From asking the store to its answer
    #[arg(
        long, value_name = "DURATION", default_value = "1ms",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    round_trip: Duration,

    /// Each node has a machine of its own: that one was killed is known by its
    /// silence alone, as if its machine had died
    #[arg(long)]
    across_machines: bool,

    /// Play the seed as `make sim` does, whatever the other flags say
    #[arg(long, hide = true)]
    seeded: bool,

    /// Write down what nodes said and what was done to them, as JSON lines for `judge`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    events: Option<PathBuf>,

    /// Draw all of it: one page for a browser, with all it needs
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
No node is started, and no lock directory is touched. Each run is judged as `judge` would.

Exit codes: 0 sound, 1 a rule was broken, 2 usage, or it cannot be written.";

#[derive(Clone, Debug)]
struct Faults(Vec<Fault>);

impl Simulate {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        let seed = flags.seed.unwrap_or_else(fresh_seed);
        if flags.seeded {
            let plan = Plan::seeded(seed);
            let heartbeat = Some(plan.timing.retry_period());
            return Ok(Self {
                plan: Plan { heartbeat, ..plan },
                events: flags.events,
                html: flags.html,
                seeded: true,
            });
        }
        let timing = flags.timing.resolve()?;
        let invalid = |message| refuse(ErrorKind::ValueValidation, message);
        let lease = timing.lease_duration();
        let long = |d| humantime::format_duration(d).to_string().replace(' ', "");
        // Two calls, a look and a renewal, that both take longer than usual.
        let slowest = timing.renew_deadline() / 4;
        if flags.round_trip > slowest {
            return Err(invalid(format!(
                "--round-trip {} is too long for a renew deadline of {}: use at most {}, \
                 or a longer --lease-duration",
                long(flags.round_trip),
                long(timing.renew_deadline()),
                long(slowest)
            )));
        }
        let duration = flags.duration.unwrap_or(lease * 30);
        let most = timing.retry_period() * (MOST_HEARTBEATS / flags.nodes);
        if duration > most {
            return Err(invalid(format!(
                "--duration {} is too long for {} nodes that look every {}: use at most {}",
                long(duration),
                flags.nodes,
                long(timing.retry_period()),
                long(Duration::from_secs(most.as_secs()).max(lease.min(most)))
            )));
        }
        Ok(Self {
            plan: Plan {
                seed,
                nodes: flags.nodes as usize,
                timing,
                duration,
                faults: flags.faults.0,
                pause: lease * 2,
                round_trip: flags.round_trip,
                // More than clocks that are worth the name differ by.
                clock_ratio: if flags.across_machines { 1.001 } else { 1.0 },
                one_machine: !flags.across_machines,
                requests: true,
                heartbeat: Some(timing.retry_period()),
            },
            events: flags.events,
            html: flags.html,
            seeded: false,
        })
    }
}

/// Short enough to be typed.
fn fresh_seed() -> u64 {
    clock::now().as_nanos() % 1_000_000
}

fn seed(text: &str) -> Result<u64, String> {
    let number = text.parse();
    number.map_err(|_| "not a seed: use a whole number, like 7".into())
}

fn faults(text: &str) -> Result<Faults, String> {
    let each = |word: &str| match word {
        "" => Err("one is missing: write them like kill,freeze, or all, or none".into()),
        "all" | "none" => Err(format!("{word} stands alone")),
        word => word
            .parse()
            .map_err(|e| format!("{word:?}: {e}; or all, or none")),
    };
    match text {
        "all" => Ok(Faults(Fault::ALL.to_vec())),
        "none" => Ok(Faults(Vec::new())),
        some => {
            // Named twice is named, in whatever order.
            let named: BTreeSet<Fault> = some.split(',').map(each).collect::<Result<_, _>>()?;
            Ok(Faults(named.into_iter().collect()))
        }
    }
}
