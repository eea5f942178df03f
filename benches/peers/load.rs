//! What those who wait ask of the server.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use leader_demo::{Timing, clock};

use crate::common::process::{Figures, Process};
use crate::common::roles::WORK;
use crate::roles;
use crate::server::{Kind, Server};
use crate::tool::{Installed, Tool};

/// A session of PostgreSQL that is woken for notices alone says every 10 s what it
/// has done: what it did at its start has been said by then.
const SAID: Duration = Duration::from_secs(11);

/// How many wait, beside one that leads; not so many where each is a Python.
const OURS: [usize; 4] = [0, 1, 10, 100];
const THEIRS: [usize; 3] = [0, 1, 10];

/// Of one tool on one server.
pub(crate) struct Load {
    pub(crate) tool: Tool,
    /// With so many that wait.
    pub(crate) asked: Vec<(usize, Asked)>,
}

#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) requests_per_second: f64,
    /// Of one core.
    pub(crate) percent: f64,
}

impl Load {
    /// What one more that waits adds, in a retry period of ours: requests.
    pub(crate) fn each(&self) -> Option<f64> {
        let (_, alone) = self.asked.first()?;
        let (most, asked) = self.asked.last()?;
        let more = asked.requests_per_second - alone.requests_per_second;
        Some(more / *most as f64 * Timing::default().retry_period().as_secs_f64())
    }

    pub(crate) fn each_in_words(&self) -> String {
        let each = self.each();
        each.map_or_else(String::new, |each| format!("{each:.2}"))
    }
}

/// On all servers at once, as nothing is timed: first of ours, then of theirs.
pub(crate) fn of(tools: &[Installed], time: Duration) -> Result<Vec<Load>> {
    let ours = |tool: &&Installed| matches!(tool.tool, Tool::OursOn(_));
    let theirs = |tool: &&Installed| {
        tool.server.as_ref().is_some_and(|server| {
            tool.tool == Tool::own_of(server.kind) && Kind::STORES.contains(&server.kind)
        })
    };
    let mut loads = grown(tools.iter().filter(ours), &OURS, time)?;
    loads.extend(grown(tools.iter().filter(theirs), &THEIRS, time)?);
    Ok(loads)
}

/// A tool whose server has it alone, and all that use it.
struct Crowd<'a> {
    tool: &'a Installed,
    server: Rc<Server>,
    processes: Vec<Process>,
    load: Load,
}

fn grown<'a>(
    tools: impl Iterator<Item = &'a Installed>,
    sizes: &[usize],
    time: Duration,
) -> Result<Vec<Load>> {
    let mut crowds: Vec<Crowd<'_>> = tools.filter_map(Crowd::new).collect();
    for crowd in &mut crowds {
        crowd.grow(1)?;
    }
    let mut before = 0;
    for size in sizes {
        eprintln!("load: {size} wait");
        for crowd in &mut crowds {
            crowd.grow(size - before)?;
        }
        before = *size;
        std::thread::sleep(SAID);
        let mut counted = Vec::new();
        for crowd in &crowds {
            counted.push(crowd.count()?);
        }
        std::thread::sleep(time);
        for (crowd, before) in crowds.iter_mut().zip(counted) {
            let asked = crowd.count()?.since(before);
            crowd.load.asked.push((*size, asked));
        }
    }
    Ok(crowds.into_iter().map(|crowd| crowd.load).collect())
}

impl<'a> Crowd<'a> {
    fn new(tool: &'a Installed) -> Option<Self> {
        Some(Self {
            tool,
            server: tool.server.clone()?,
            processes: Vec::new(),
            load: Load {
                tool: tool.tool,
                asked: Vec::new(),
            },
        })
    }

    /// By so many, of whom the very first one leads.
    fn grow(&mut self, by: usize) -> Result<()> {
        let is_first = self.processes.is_empty();
        if self.tool.tool.is_ours() && by > 0 {
            let nodes = roles::nodes(&self.server.url(), by)?;
            nodes.next(roles::STAND)?;
            self.processes.push(nodes);
            return Ok(());
        }
        for _ in 0..by {
            self.processes.push(self.tool.candidate("load", WORK)?);
        }
        if is_first {
            self.processes[0].next("works")?;
        }
        Ok(())
    }

    fn count(&self) -> Result<Count> {
        let tree = self.server.figures().tree()?.into_iter();
        // One that ends meanwhile served somebody else.
        let used = tree.filter_map(|process| Figures::cpu_time(process).ok());
        Ok(Count {
            at: clock::now(),
            requests: self.server.requests()?,
            used: used.sum(),
        })
    }
}

/// So far.
struct Count {
    at: clock::BootTime,
    requests: u64,
    used: Duration,
}

impl Count {
    fn since(&self, before: Self) -> Asked {
        let passed = self.at.since(before.at).as_secs_f64();
        let used = self.used.saturating_sub(before.used).as_secs_f64();
        Asked {
            requests_per_second: self.requests.saturating_sub(before.requests) as f64 / passed,
            percent: 100.0 * used / passed,
        }
    }
}
