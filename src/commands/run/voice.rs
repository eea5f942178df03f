//! What a run tells: lines for people on stderr, and events as JSON lines.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock::{self, BootTime};
use leader_demo::store::Remains;
use leader_demo::{Change, Changes, Node, Notice, Reason, Timing};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::{EventsTo, Run};
use crate::commands::PATIENCE;
use crate::commands::events::{Narrator, Said, asked_by, nanos};
use crate::logging::Lines;

/// What happens to the command; the rest is the election's to tell.
pub(super) enum Tell {
    WaitsFor(Remains),
    NotStarted(String),
    StartsAnyway,
    CommandStarted(Pid),
    Stopping,
    SteppingDown,
    Denied(i32),
    CommandEnded(u8),
    Holding(Duration),
    GuardDied,
    Stopped,
}

pub(super) struct Voice {
    tell: mpsc::UnboundedSender<(BootTime, Tell)>,
    told: JoinHandle<()>,
    events: Option<Lines>,
}

struct Teller {
    timing: Timing,
    stop_grace: Duration,
    http: Option<SocketAddr>,
    narrator: Narrator,
    events: Option<Lines>,
}

impl Voice {
    pub(super) fn new(node: &Node, run: &Run, http: Option<SocketAddr>) -> Result<Self> {
        let events = run.events.as_ref().map(open).transpose()?;
        let teller = Teller {
            timing: run.election.timing,
            stop_grace: run.stop_grace,
            http,
            narrator: Narrator::new(node.me(), &run.election.lock_name),
            events: events.clone(),
        };
        let (tell, inbox) = mpsc::unbounded_channel();
        let told = tokio::spawn(teller.tell_all(node.watch(), inbox));
        Ok(Self { tell, told, events })
    }

    pub(super) fn tell(&self, tell: Tell) {
        let _ = self.tell.send((clock::now(), tell));
    }

    /// After the node has ended: until all has been told.
    pub(super) async fn finish(self) {
        self.tell(Tell::Stopped);
        drop(self.tell);
        let _ = tokio::time::timeout(PATIENCE, self.told).await;
        if let Some(events) = self.events {
            events.flush();
        }
    }
}

fn open(to: &EventsTo) -> Result<Lines> {
    let (path, name) = match to {
        EventsTo::File(path) => (path.clone(), path.display().to_string()),
        EventsTo::Descriptor(n) => (
            PathBuf::from(format!("/proc/self/fd/{n}")),
            format!("fd:{n}"),
        ),
    };
    let mut options = File::options();
    options.append(true).create(true);
    let wait_for_no_one = OFlags::NONBLOCK.bits() as i32;
    let lines = match options.clone().custom_flags(wait_for_no_one).open(&path) {
        Ok(file) => {
            let blocking = rustix::io::ioctl_fionbio(&file, false);
            blocking
                .map_err(io::Error::from)
                .and_then(|()| Lines::to(|| Ok(file), "events"))
        }
        // A FIFO that nobody reads yet holds up its own thread only.
        Err(e) if Errno::from_io_error(&e) == Some(Errno::NXIO) && is_fifo(&path) => {
            Lines::to(move || options.open(path), "events")
        }
        Err(e) => Err(e),
    };
    lines.with_context(|| format!("--events {name}: cannot write there"))
}

fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

impl Teller {
    async fn tell_all(
        mut self,
        mut changes: Changes,
        mut inbox: mpsc::UnboundedReceiver<(BootTime, Tell)>,
    ) {
        let mut started = Said::started(self.timing, self.http);
        started.more.stop_grace_ns = nanos(self.stop_grace);
        self.write(&started);
        let (mut node, mut run) = (true, true);
        while node || run {
            tokio::select! {
                biased;
                notice = changes.next(), if node => match notice {
                    Some(notice) => self.notice(&notice),
                    None => node = false,
                },
                tell = inbox.recv(), if run => match tell {
                    Some((at, tell)) => self.tell(at, tell),
                    None => run = false,
                },
            }
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match &notice.change {
            Change::Elected { term, .. } => tracing::info!("leading in term {term}"),
            Change::Asked { asker, wish, .. } => {
                tracing::info!("asked {}", asked_by(asker, wish));
            }
            Change::Revoked {
                term,
                reason,
                stays_out_until,
                ..
            } => match reason {
                Reason::RenewDeadline => {
                    let deadline = humantime::format_duration(self.timing.renew_deadline());
                    tracing::warn!("lost the lease of term {term}: not renewed for {deadline}");
                }
                Reason::Lost => {
                    tracing::warn!("lost the lease of term {term}: it was taken or removed");
                }
                _ => {
                    let out = stays_out_until.map_or(String::new(), |until| {
                        let time = humantime::format_duration(until.since(notice.at));
                        format!(": staying out of the election for {time}, as it resigned")
                    });
                    tracing::info!("gave back the lease of term {term}{out}");
                }
            },
            Change::NewLeader { leader, term } => {
                let pid = leader.pid.map_or_else(|| "?".into(), |pid| pid.to_string());
                let (id, host) = (&leader.node_id, &leader.host);
                tracing::info!("waiting: {id} leads in term {term} (pid {pid} on {host})");
            }
            Change::NoLeader => tracing::info!("nobody leads"),
            Change::Warning(message) => tracing::warn!("{message}"),
            Change::StoreFailed(why) => tracing::error!("store error: {why} - trying again"),
            Change::StoreRecovered => tracing::info!("the store answers again"),
            other => tracing::info!("{other:?}"),
        }
        let said = self.narrator.notice(notice);
        self.write(&said);
    }

    fn tell(&mut self, at: BootTime, tell: Tell) {
        let said = match tell {
            Tell::WaitsFor(remains) => {
                let pids: Vec<_> = remains.pids.iter().map(u32::to_string).collect();
                let pids = match &pids[..] {
                    [] => "its processes could not be seen".to_owned(),
                    pids => format!("pid {}", pids.join(", ")),
                };
                let (id, term) = (&remains.holder.node_id, remains.term);
                tracing::warn!(
                    "not starting yet: the command of {id}, term {term}, still runs ({pids})"
                );
                let mut said = Said::now("waiting_for_command");
                said.more.waits_for = Some(remains.pids);
                said
            }
            Tell::NotStarted(why) => {
                tracing::error!("not starting yet: {why} - trying again");
                failed("store_error", why)
            }
            Tell::StartsAnyway => {
                tracing::warn!("starting although that command still runs: --start-anyway-after");
                Said::now("starting_anyway")
            }
            Tell::CommandStarted(pid) => {
                let mut said = Said::now("command_started");
                said.more.command_pid = Some(pid.as_raw_pid());
                said
            }
            Tell::Stopping => {
                tracing::warn!("stopping the command: its lease is over");
                Said::now("command_stopping")
            }
            Tell::SteppingDown => {
                tracing::warn!("stopping the command: asked to step down");
                Said::now("stepping_down")
            }
            Tell::Denied(pid) => {
                let why = format!(
                    "may not signal process {pid}, which the command started as another user: \
                     it must end by itself"
                );
                tracing::error!("{why}");
                failed("warning", why)
            }
            Tell::CommandEnded(code) => {
                tracing::info!("the command has ended: {code}");
                let mut said = Said::now("command_ended");
                said.more.exit_code = Some(code);
                said
            }
            Tell::Holding(time) => {
                let time = humantime::format_duration(time);
                tracing::info!("keeping the lease for another {time}");
                Said::now("holding")
            }
            Tell::GuardDied => {
                tracing::error!("the command's guard was killed: killing the command");
                Said::now("guard_died")
            }
            Tell::Stopped => Said::now("stopped"),
        };
        self.write(&Said { at, ..said });
    }

    fn write(&mut self, said: &Said) {
        if let Some(events) = &self.events
            && let Ok(line) = self.narrator.line(said)
        {
            events.send((line + "\n").into_bytes());
        }
    }
}

fn failed(event: &'static str, why: String) -> Said {
    let mut said = Said::now(event);
    said.level = "error";
    said.more.message = Some(why);
    said
}
