//! What a renewal costs, alone and in company.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock;
use leader_demo::store::{LeaseStore, Revision, Swap, Witness};
use leader_demo::{FileStore, Holder, LockName, NodeId, Record, State, Term, Timing};

use crate::Plan;
use crate::idle::shares;
use crate::process::{Place, Process};
use crate::roles;
use crate::table::{Samples, Table};

/// A leader reduced to its renewals.
pub(crate) struct Renewer {
    runtime: tokio::runtime::Runtime,
    store: FileStore,
    record: Record,
    revision: Revision,
    _witness: Option<Witness>,
}

impl Renewer {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = FileStore::open(dir, &LockName::new("lock")?)?;
        let record = Record {
            term: Term::new(1).context("a term")?,
            // Nobody renews it while the others get ready.
            lease_duration: Timing::LONGEST,
            state: State::Held(Holder::here(NodeId::new("leader")?)?),
        };
        let swapped = runtime.block_on(store.swap(None, record.clone()))?;
        let Swap::Swapped { revision, witness } = swapped else {
            bail!("the lock is taken: {swapped:?}");
        };
        Ok(Self {
            runtime,
            store,
            record,
            revision,
            _witness: witness,
        })
    }

    pub(crate) fn renew(&mut self) -> Result<Duration> {
        let next = self.record.clone();
        let start = clock::now();
        let swap = self.store.swap(Some(self.revision), next);
        let swapped = self.runtime.block_on(swap)?;
        let took = clock::now().since(start);
        let Swap::Swapped { revision, .. } = swapped else {
            bail!("somebody else took the lock: {swapped:?}");
        };
        self.revision = revision;
        Ok(took)
    }

    fn renew_often(&mut self, times: usize, pause: Duration) -> Result<Samples> {
        let mut took = Samples::default();
        for _ in 0..times {
            std::thread::sleep(pause);
            took.push(self.renew()?);
        }
        Ok(took)
    }
}

/// Long enough that every thread has gone to sleep, as it has in real life.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn cost(plan: &Plan, table: &mut Table) -> Result<()> {
    table.title("a renewal");
    for place in &plan.places {
        eprintln!("renewal, {}", place.name);
        let times = plan.rounds * 10;
        let mut renewer = Renewer::new(&place.fresh()?)?;
        let hot = renewer.renew_often(times, Duration::ZERO)?;
        let cold = renewer.renew_often(plan.rounds * 5, PAUSE)?;
        let links = links(place, times)?;
        let base = links.p50();
        let ratio = |samples: &Samples| {
            let ratio = samples.p50().as_secs_f64() / base.as_secs_f64();
            format!("{ratio:.1}x of the two system calls")
        };
        let name = &place.name;
        table.samples("link(2) + unlink(2)", name, &links, "the baseline");
        table.samples("one after another", name, &hot, ratio(&hot));
        table.samples("after a rest", name, &cold, ratio(&cold));
    }
    Ok(())
}

/// What no renewal can do without.
fn links(place: &Place, times: usize) -> Result<Samples> {
    let dir = place.fresh()?;
    let (claim, number) = (dir.join("claim"), dir.join("1"));
    File::create(&claim)?;
    let mut took = Samples::default();
    for _ in 0..times {
        let start = clock::now();
        std::fs::hard_link(&claim, &number)?;
        std::fs::remove_file(&number)?;
        took.push(clock::now().since(start));
    }
    Ok(took)
}

pub(crate) fn growth(plan: &Plan, table: &mut Table) -> Result<()> {
    let place = &plan.places[0];
    let seconds = plan.seconds.div_ceil(3);
    table.title("a renewal after a rest, with so many candidates on its lock");
    for count in [1, 10, 100, 1000] {
        let dir = place.fresh()?;
        let mut renewer = Renewer::new(&dir)?;
        let what = format!("{count} candidates");
        let Some((candidates, share)) =
            crowd(roles::CANDIDATES, count, &dir, &what, seconds, table)?
        else {
            continue;
        };
        let took = renewer.renew_often(plan.rounds * 5, PAUSE)?;
        let remark = format!(
            "the candidates: {:.4} % of a core and {:.2} MB each",
            share / count as f64,
            candidates.figures().status("VmRSS")? as f64 / 1000.0 / count as f64
        );
        table.samples(&what, &place.name, &took, remark);
    }
    table.title("so many elections in one process, each led by it");
    for count in [1, 100, 1000] {
        let dir = place.fresh()?;
        let what = format!("{count} elections");
        if let Some((leaders, share)) = crowd(roles::LEADERS, count, &dir, &what, seconds, table)? {
            let remark = format!(
                "of a core for each; all: {share:.3} %, {:.1} MB, {} threads",
                leaders.figures().status("VmRSS")? as f64 / 1000.0,
                leaders.figures().status("Threads")?
            );
            let each = format!("{:.4} %", share / count as f64);
            table.figure(&what, &place.name, each, remark);
        }
    }
    Ok(())
}

/// A process with many nodes, once it has come to rest, and its share of a core.
fn crowd(
    role: &str,
    count: usize,
    dir: &Path,
    what: &str,
    seconds: u64,
    table: &mut Table,
) -> Result<Option<(Process, f64)>> {
    eprintln!("growth: {what}, getting ready");
    let count = count.to_string();
    let crowd = Process::role(role, &[count.as_ref(), dir.as_os_str()])?;
    if let Err(e) = crowd.next("settled") {
        table.note(format!("{what}: not measured: {e:#}; see above"));
        return Ok(None);
    }
    // Two looks, after which claims have been staged.
    std::thread::sleep(Timing::default().retry_period() * 5 / 2);
    let share = shares(&[crowd.figures()], what, seconds)?[0];
    Ok(Some((crowd, share)))
}
