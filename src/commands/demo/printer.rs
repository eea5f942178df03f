//! What the demo prints on stdout, from a thread of its own: a terminal that
//! takes no output (Ctrl+S) delays lines, never a renewal.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use chrono::{DateTime, Local};
use leader_demo::clock::{self, BootTime};
use leader_demo::{Change, Node, NodeId, Notice, Timing};
use tokio::sync::oneshot;

use crate::cli::{Demo, LogFormat};
use crate::commands::events::{Narrator, Said, asked_by};

/// What there is to say.
pub(super) enum Say {
    Started,
    /// The first answer of the store is in.
    Settled,
    Notice(Notice),
    /// Asked to stop, at this moment.
    Stopping(BootTime),
    Stopped,
}

pub(super) struct Printer {
    node: Node,
    id: NodeId,
    timing: Timing,
    http: Option<SocketAddr>,
    format: LogFormat,
    period: Duration,
    narrator: Narrator,
    next_heartbeat: BootTime,
    stopping: bool,
}

impl Printer {
    pub(super) fn new(node: &Node, demo: &Demo, http: Option<SocketAddr>) -> Self {
        Self {
            node: node.clone(),
            id: demo.node_id.clone(),
            timing: demo.election.timing,
            http,
            format: demo.log_format,
            period: demo.heartbeat_period,
            narrator: Narrator::new(node.me(), &demo.election.lock_name),
            next_heartbeat: BootTime::NEVER,
            stopping: false,
        }
    }

    /// Prints what comes until `Stopped`, or until nobody reads any more; then
    /// the returned channel closes.
    pub(super) fn spawn(self, inbox: Receiver<Say>) -> io::Result<oneshot::Receiver<()>> {
        let (done, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("printer".into())
            .spawn(move || {
                let _done = done;
                self.print_all(&inbox);
            })?;
        Ok(ended)
    }

    fn print_all(mut self, inbox: &Receiver<Say>) {
        let mut complained = false;
        loop {
            let wait = self.next_heartbeat.since(clock::now());
            let printed = match inbox.recv_timeout(wait) {
                Ok(Say::Stopped) => {
                    let text = format!("👋 [{}] Shutdown complete", self.id);
                    let _ = self.say(&Said::now("stopped"), &[text]);
                    return;
                }
                Ok(say) => self.print(say),
                Err(RecvTimeoutError::Timeout) => self.heartbeat(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match printed {
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return,
                Err(e) if !complained => {
                    complained = true;
                    tracing::warn!("cannot write to stdout: {e}");
                }
                _ => {}
            }
        }
    }

    fn print(&mut self, say: Say) -> io::Result<()> {
        let id = self.id.clone();
        match say {
            Say::Started => self.say(
                &Said::started(self.timing, self.http),
                &[
                    format!("Starting leader election demo for node: {id}"),
                    format!("✅ [{id}] Leader election started. Press Ctrl+C to stop"),
                ],
            ),
            // Unless a change of role was quicker to bring one.
            Say::Settled if self.next_heartbeat == BootTime::NEVER => self.heartbeat(),
            Say::Settled => Ok(()),
            Say::Notice(notice) => {
                let before = self.narrator.is_leader();
                let said = self.narrator.notice(&notice);
                self.say(&said, &text_of(&id, notice))?;
                if self.narrator.is_leader() == before || self.stopping {
                    return Ok(());
                }
                self.heartbeat()
            }
            Say::Stopping(at) => {
                let text = format!("🛑 [{id}] Received shutdown signal, stopping...");
                let mut said = Said::now("stopping");
                said.at = at;
                self.say(&said, &[text])?;
                // What is left to say is the end.
                self.stopping = true;
                self.next_heartbeat = BootTime::NEVER;
                Ok(())
            }
            Say::Stopped => Ok(()),
        }
    }

    fn heartbeat(&mut self) -> io::Result<()> {
        let (now, belief) = self.node.belief();
        self.next_heartbeat = now + self.period;
        // Rule 9: asked now. Where that is not what was printed, the election
        // is about to say why; its word comes first, a heartbeat after it.
        if belief.is_some() != self.narrator.is_leader() {
            return Ok(());
        }
        let id = &self.id;
        let local = self.time();
        let time = local
            .map(|t| t.format("%H:%M:%S").to_string())
            .unwrap_or_default();
        let text = match self.narrator.leader() {
            Some((_, term)) if belief.is_some() => {
                format!("👑 [{id}] Status: LEADER - Heartbeat at {time} (term {term})")
            }
            Some((leader, term)) => {
                let leader = &leader.node_id;
                format!(
                    "👥 [{id}] Status: FOLLOWER - Heartbeat at {time} (leader {leader}, term {term})"
                )
            }
            None => format!("👥 [{id}] Status: FOLLOWER - Heartbeat at {time} (no leader)"),
        };
        let mut said = Said::now("heartbeat");
        said.at = now;
        said.more.valid_until_ns = belief.map(|(_, until)| until.as_nanos());
        self.say_at(&said, &[text], local)
    }

    /// Only for people: to find out the local time costs more than the rest.
    fn time(&self) -> Option<DateTime<Local>> {
        let for_people = self.format == LogFormat::Text;
        for_people.then(|| clock::wall_time().into())
    }

    /// One write for each event, so that lines of several nodes never mix.
    fn say(&mut self, said: &Said, text: &[String]) -> io::Result<()> {
        self.say_at(said, text, self.time())
    }

    fn say_at(
        &mut self,
        said: &Said,
        text: &[String],
        local: Option<DateTime<Local>>,
    ) -> io::Result<()> {
        let lines = match local {
            Some(time) => {
                let time = time.format("%Y/%m/%d %H:%M:%S").to_string();
                let line = |text: &String| format!("{time} {text}\n");
                text.iter().map(line).collect()
            }
            None => self.narrator.line(said)? + "\n",
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines.as_bytes())?;
        stdout.flush()
    }
}

fn text_of(id: &NodeId, notice: Notice) -> Vec<String> {
    vec![match notice.change {
        Change::Elected { .. } => {
            return vec![
                format!("[{id}] Successfully acquired leadership"),
                format!("🎉 [{id}] BECAME LEADER - Starting leadership duties"),
            ];
        }
        Change::Asked { asker, wish, .. } => format!("[{id}] Asked {}", asked_by(&asker, &wish)),
        Change::Revoked {
            stays_out_until, ..
        } => {
            let lost = format!("😞 [{id}] LOST LEADERSHIP - Stepping down");
            let out = stays_out_until.map(|until| {
                let time = humantime::format_duration(until.since(notice.at));
                format!("[{id}] Stays out of the election for {time}, as it resigned")
            });
            return [lost].into_iter().chain(out).collect();
        }
        Change::NewLeader { leader, term } => {
            format!("[{id}] New leader: {} (term {term})", leader.node_id)
        }
        Change::NoLeader => format!("[{id}] No leader"),
        Change::Warning(message) => format!("⚠️ [{id}] {message}"),
        Change::StoreFailed(message) => {
            format!("⚠️ [{id}] Store error: {message} - trying again")
        }
        Change::StoreRecovered => format!("✅ [{id}] Store answers again"),
        other => format!("[{id}] {other:?}"),
    }]
}
