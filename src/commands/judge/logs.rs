//! What is in the logs: statements of nodes, and faults done to them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

/// A line of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    file: usize,
    line: usize,
}

/// What one election is known by. Readings of the clock of different boots
/// are not compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Election {
    pub(super) lock_name: Rc<str>,
    pub(super) boot_id: Option<Rc<str>>,
}

/// What a node said.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) place: Place,
    pub(super) election: Election,
    pub(super) session: Rc<str>,
    pub(super) node: Rc<str>,
    pub(super) at: u64,
    pub(super) line: Line,
}

/// What was done to one node, or to all.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) at: u64,
    pub(super) kind: String,
    pub(super) node: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) lock_name: Option<String>,
    pub(super) message: Option<String>,
}

/// The first line of a file of faults.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) simulated: bool,
    /// A process that dies is known to be dead.
    pub(super) one_machine: bool,
    /// Who waits is told when the lease is given back.
    pub(super) releases_told: bool,
    /// What a failover may take on top of what the rules say.
    pub(super) slack: Option<u64>,
    /// And on top of that, where faults met calls to the store.
    pub(super) hangs: Option<u64>,
    pub(super) seed: Option<u64>,
    pub(super) replay: Option<String>,
    pub(super) started: Option<String>,
    pub(super) timing: Option<Timing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timing {
    pub(super) lease_duration: u64,
    pub(super) retry_period: u64,
    pub(super) renew_deadline: u64,
}

/// The fields that matter here. All can be missing.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) event: Option<String>,
    boottime_ns: Option<u64>,
    node_id: Option<String>,
    session: Option<String>,
    boot_id: Option<String>,
    lock_name: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) seq: Option<u64>,
    pub(super) role: Option<String>,
    pub(super) term: Option<u64>,
    pub(super) valid_until_ns: Option<u64>,
    pub(super) ended_ns: Option<u64>,
    pub(super) stays_out_until_ns: Option<u64>,
    pub(super) reason: Option<String>,
    fault: Option<String>,
    message: Option<String>,
    started: Option<String>,
    seed: Option<u64>,
    replay: Option<String>,
    one_machine: Option<bool>,
    releases_told: Option<bool>,
    slack_ns: Option<u64>,
    hangs_ns: Option<u64>,
    pub(super) lease_duration_ns: Option<u64>,
    pub(super) renew_deadline_ns: Option<u64>,
    retry_period_ns: Option<u64>,
}

/// All that was read.
#[derive(Default)]
pub(in crate::commands) struct Logs {
    files: Vec<String>,
    pub(super) statements: Vec<Statement>,
    pub(super) faults: Vec<Fault>,
    pub(super) header: Option<Header>,
    pub(super) lines: usize,
    /// Lines of others: of `watch`, say, or diagnostics.
    pub(super) unknown: usize,
    /// What a killed process did not finish.
    pub(super) torn_ends: usize,
    /// Evidence that is missing.
    pub(super) torn: Vec<Place>,
}

impl Logs {
    pub(super) fn read(&mut self, path: &Path) -> io::Result<()> {
        self.read_from(path, BufReader::new(File::open(path)?))
    }

    /// As if it were in the file of that name.
    pub(in crate::commands) fn read_from(
        &mut self,
        path: &Path,
        mut file: impl BufRead,
    ) -> io::Result<()> {
        self.files.push(path.display().to_string());
        let mut line = Vec::new();
        let mut number = 0;
        while file.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            let place = Place {
                file: self.files.len() - 1,
                line: number,
            };
            self.take(&line, place);
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8], place: Place) {
        self.lines += 1;
        let text = line.trim_ascii();
        let Ok(value) = serde_json::from_slice::<Value>(text) else {
            let whole = line.ends_with(b"\n");
            match text.contains(&b'{') {
                true if whole => self.torn.push(place),
                true => self.torn_ends += 1,
                false => self.unknown += 1,
            }
            return;
        };
        if !serde_json::from_value(value).is_ok_and(|line| self.sort(line, place)) {
            self.unknown += 1;
        }
    }

    /// Where a line belongs; false if it is none of ours.
    fn sort(&mut self, mut line: Line, place: Place) -> bool {
        let (Some(event), Some(at)) = (line.event.as_deref(), line.boottime_ns) else {
            return false;
        };
        match event {
            "chaos" | "simulation" => {
                let timing = line.timing();
                let one_machine = line.one_machine.unwrap_or(true);
                self.header.get_or_insert(Header {
                    simulated: event == "simulation",
                    one_machine,
                    releases_told: line.releases_told.unwrap_or(one_machine),
                    slack: line.slack_ns,
                    hangs: line.hangs_ns,
                    seed: line.seed,
                    replay: line.replay,
                    started: line.started,
                    timing,
                });
            }
            "fault" => {
                let Some(kind) = line.fault else { return false };
                self.faults.push(Fault {
                    place,
                    at,
                    kind,
                    node: line.node_id,
                    pid: line.pid,
                    lock_name: line.lock_name,
                    message: line.message,
                });
            }
            _ => {
                // What `watch` says has no sequence: it is about others.
                let (Some(session), Some(node), Some(lock_name), Some(_)) = (
                    line.session.take(),
                    line.node_id.take(),
                    line.lock_name.take(),
                    line.seq,
                ) else {
                    return false;
                };
                self.statements.push(Statement {
                    place,
                    election: Election {
                        lock_name: lock_name.into(),
                        boot_id: line.boot_id.take().map(Into::into),
                    },
                    session: session.into(),
                    node: node.into(),
                    at,
                    line,
                });
            }
        }
        true
    }

    /// `FILE:LINE`, for people and editors.
    pub(super) fn name(&self, place: Place) -> String {
        format!("{}:{}", self.files[place.file], place.line)
    }

    /// The longest durations that anybody had.
    pub(super) fn timing(&self) -> Option<Timing> {
        let header = self.header.as_ref().and_then(|header| header.timing);
        header.or_else(|| self.statements.iter().filter_map(|s| s.line.timing()).max())
    }
}

impl Line {
    fn timing(&self) -> Option<Timing> {
        Some(Timing {
            lease_duration: self.lease_duration_ns?,
            retry_period: self.retry_period_ns?,
            renew_deadline: self.renew_deadline_ns.unwrap_or_default(),
        })
    }

    /// It says that it leads, and until when.
    pub(super) fn claims(&self) -> bool {
        match self.event.as_deref() {
            Some("elected") => true,
            Some("heartbeat") => {
                self.valid_until_ns.is_some() || self.role.as_deref() == Some("leader")
            }
            _ => false,
        }
    }
}

impl Fault {
    /// Whether it was done to this process.
    pub(super) fn hits(&self, node: &str, pid: Option<u32>) -> bool {
        match (self.pid, pid) {
            (Some(this), Some(that)) => this == that,
            _ => self.node.as_deref() == Some(node),
        }
    }

    pub(super) fn concerns(&self, election: &Election) -> bool {
        self.lock_name
            .as_deref()
            .is_none_or(|name| name == &*election.lock_name)
    }
}
