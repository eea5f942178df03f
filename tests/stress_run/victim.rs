//! Who is hit: the processes of a node, found in `/proc` from the outside.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::MARK;

/// A process, held so that its number can not become another's.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) pid: Pid,
    pub(crate) held: OwnedFd,
    #[allow(dead_code, reason = "shown when it should not be there")]
    args: Vec<String>,
}

impl Victim {
    pub(crate) fn hold(pid: Pid) -> Option<Self> {
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let args = args(pid.as_raw_pid());
        Some(Self { pid, held, args })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // One that has ended meanwhile has escaped.
        let _ = pidfd_send_signal(&self.held, signal);
    }
}

/// What is below one wrapper at present.
#[derive(Default)]
pub(crate) struct Family {
    pub(crate) guard: Option<Victim>,
    pub(crate) starter: Option<Victim>,
    pub(crate) command: Option<Victim>,
    pub(crate) twin: Option<Victim>,
}

impl Family {
    pub(crate) fn of(wrapper: Pid) -> Self {
        let parents = parents();
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, parent) in &parents {
            children.entry(*parent).or_default().push(*pid);
        }
        let below = |pid: i32| children.get(&pid).cloned().unwrap_or_default();
        // Its number may be another's since: looked at again once it is held.
        let hold = |pid: i32| {
            let victim = Victim::hold(Pid::from_raw(pid)?)?;
            (parent(pid) == parents.get(&pid).copied()).then_some(victim)
        };
        let mut family = Self::default();
        let mut children = below(wrapper.as_raw_pid()).into_iter().filter_map(hold);
        family.guard = children.find(|child| child.args.get(1).is_some_and(|arg| arg == "__guard"));
        let Some(guard) = &family.guard else {
            return family;
        };
        let mut next = below(guard.pid.as_raw_pid());
        let firsts = next.clone();
        while let Some(pid) = next.pop() {
            next.extend(below(pid));
            let Some(victim) = hold(pid) else { continue };
            let is = |what: &str| victim.args.last().is_some_and(|arg| arg == what);
            let starts = victim.args.get(1).is_some_and(|arg| arg == "__start");
            if firsts.contains(&pid) && starts {
                family.starter = Some(victim);
            } else if firsts.contains(&pid) && is("main") {
                family.command = Some(victim);
            } else if is("twin") || is("hop") {
                family.twin = Some(victim);
            }
        }
        family
    }
}

/// Every other process of the run in this directory, whoever is its parent.
pub(crate) fn marked(dir: &Path) -> Vec<Victim> {
    let mark = format!("{MARK}={}", dir.display());
    let has = |pid: i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == mark.as_bytes())
    };
    let held = pids().into_iter().filter_map(|pid| {
        let victim = Victim::hold(Pid::from_raw(pid)?)?;
        has(pid).then_some(victim)
    });
    held.collect()
}

/// Everything below this process, to be shown.
pub(crate) fn below_me() -> Vec<Victim> {
    let parents = parents();
    let me = rustix::process::getpid().as_raw_pid();
    let is_below = |mut pid: i32| {
        while let Some(parent) = parents.get(&pid) {
            if *parent == me {
                return true;
            }
            pid = *parent;
        }
        false
    };
    let below = parents.keys().filter(|pid| is_below(**pid));
    below
        .filter_map(|pid| Victim::hold(Pid::from_raw(*pid)?))
        .collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Who lives, and below whom.
fn parents() -> HashMap<i32, i32> {
    let living = pids().into_iter();
    living.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// The parent of a process that has not ended.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let (state, rest) = rest.split_once(' ')?;
    let parent = rest.split(' ').next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

fn args(pid: i32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let args = line.split(|byte| *byte == 0).filter(|arg| !arg.is_empty());
    args.map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect()
}
