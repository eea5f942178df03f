//! A lease that is handed over on purpose, beside the end of a leader by SIGTERM.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock;
use rustix::process::Signal;

use crate::Plan;
use crate::failover::{PAUSE, Syncs, turns};
use crate::process::{Place, Process};
use crate::table::{Bound, Samples, Table, verdict};

/// Short, so that who asks does not wait long for the nodes to look.
const RETRY: Duration = Duration::from_millis(200);
const NODE: [&str; 3] = [
    "--lease-duration=10m",
    "--retry-period=200ms",
    "--heartbeat-period=1h",
];

/// A follower has looked twice and staged its claim.
const READY: Duration = Duration::from_millis(450);

/// How long after the old leader's work has stopped the next may lead.
const TARGET: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq)]
enum How {
    HandedOver,
    Resigned,
    Terminated,
}

/// A leader and the next one, and how the lease goes from one to the other.
struct Pair {
    how: How,
    dir: PathBuf,
    leader: Process,
    next: Option<Process>,
    /// From the old leader's last word to the next one's first.
    gap: Samples,
    /// From the command's start to its end.
    asked: Samples,
}

impl Pair {
    fn new(how: How, place: &Place) -> Result<Self> {
        let dir = place.fresh()?;
        let leader = Process::node(&dir, &NODE)?;
        leader.next("elected")?;
        Ok(Self {
            how,
            dir,
            leader,
            next: None,
            gap: Samples::default(),
            asked: Samples::default(),
        })
    }

    /// A new one for each round, so that all three kinds are alike.
    fn reset(&mut self) -> Result<()> {
        let next = Process::node(&self.dir, &NODE)?;
        next.next("new_leader")?;
        self.next = Some(next);
        Ok(())
    }

    fn round(&mut self) -> Result<()> {
        std::thread::sleep(PAUSE);
        let next = self.next.take().context("reset")?;
        match self.how {
            How::HandedOver => self.asks("hand-over")?,
            How::Resigned => self.asks("resign")?,
            How::Terminated => drop(self.leader.signal(Signal::TERM)?),
        }
        let revoked = self.leader.next("revoked")?.at();
        let elected = next.next("elected")?;
        self.gap.push(elected.at().since(revoked));
        self.leader = next;
        Ok(())
    }

    fn asks(&mut self, what: &str) -> Result<()> {
        let start = clock::now();
        let status = Command::new(env!("CARGO_BIN_EXE_leader-demo"))
            .args([what, "--lock-dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        self.asked.push(clock::now().since(start));
        if !status.success() {
            bail!("{what}: {status}");
        }
        Ok(())
    }
}

pub(crate) fn on_purpose(plan: &Plan, table: &mut Table) -> Result<()> {
    const HOW: [How; 3] = [How::HandedOver, How::Resigned, How::Terminated];
    let mut pairs = Vec::new();
    let mut syncs = Vec::new();
    for place in &plan.places {
        for how in HOW {
            pairs.push(Pair::new(how, place)?);
        }
        if !place.in_memory {
            syncs.push(Syncs::new(place)?);
        }
    }
    let rounds = plan.rounds.div_ceil(2);
    for round in 0..rounds {
        eprint!("\rhand-over: round {} of {rounds}", round + 1);
        for pair in &mut pairs {
            pair.reset()?;
        }
        std::thread::sleep(READY);
        for turn in turns(round, pairs.len()) {
            pairs[turn].round()?;
        }
        for sync in &mut syncs {
            sync.round()?;
        }
    }
    eprintln!();
    for (pairs, place) in pairs.chunks(HOW.len()).zip(&plan.places) {
        report(pairs, place, table);
    }
    for (sync, place) in syncs
        .iter()
        .zip(plan.places.iter().filter(|p| !p.in_memory))
    {
        let what = "link(2) + fsync of the directory";
        table.samples(what, &place.name, &sync.took, "of which one is in each");
    }
    Ok(())
}

fn report(pairs: &[Pair], place: &Place, table: &mut Table) {
    let place = &place.name;
    table.title(&format!("revoked -> next elected, {place}"));
    let Some(terminated) = pairs.iter().find(|p| p.how == How::Terminated) else {
        return;
    };
    let bound = Bound {
        against: "the target",
        baseline: TARGET,
        times: 1.0,
    };
    for pair in pairs {
        let ratio = pair.gap.p50().as_secs_f64() / terminated.gap.p50().as_secs_f64();
        let what = match pair.how {
            How::HandedOver => format!("hand-over ({ratio:.2}x of SIGTERM's)"),
            How::Resigned => format!("resign ({ratio:.2}x of SIGTERM's)"),
            How::Terminated => "SIGTERM".to_owned(),
        };
        table.judged(&what, place, &pair.gap, &bound);
    }
    // Each step waits for a look, so half of one at the mean, and some work.
    for (how, what, steps) in [
        (How::HandedOver, "hand-over, the command", 2),
        (How::Resigned, "resign, the command", 1),
    ] {
        if let Some(pair) = pairs.iter().find(|p| p.how == how) {
            let most = RETRY / 4 * steps + Duration::from_millis(50);
            let remark = format!(
                "start to end; {steps} looks of {:?} at the most: {}",
                RETRY / 4,
                verdict(pair.asked.p50() <= most)
            );
            table.samples(what, place, &pair.asked, remark);
        }
    }
}
