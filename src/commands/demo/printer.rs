//! What the demo prints on stdout, from a thread of its own: a terminal that
//! takes no output (Ctrl+S) delays lines, never a renewal.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use leader_demo::clock::{self, BootTime};
use leader_demo::{Change, Holder, LockName, Node, Notice, Timing};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::cli::{Demo, LogFormat};

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
    me: Holder,
    timing: Timing,
    lock_name: LockName,
    format: LogFormat,
    period: Duration,
    /// Who leads, by the notices printed so far.
    leader: Option<(Holder, u64)>,
    next_heartbeat: BootTime,
    stopping: bool,
    seq: u64,
}

/// One line of JSON. The README documents it; fields are only ever added.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    event: &'static str,
    node_id: &'a str,
    session: String,
    pid: u32,
    host: &'a str,
    boot_id: Option<&'a str>,
    seq: u64,
    lock_name: &'a str,
    role: &'static str,
    term: Option<u64>,
    leader: Option<&'a str>,
    boottime_ns: u64,
    #[serde(flatten)]
    more: &'a More,
}

/// What only some events have.
#[derive(Default, Serialize)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquired: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_deadline_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_period_ns: Option<u64>,
}

/// An event, in both formats.
struct Said {
    at: BootTime,
    level: &'static str,
    event: &'static str,
    /// If not the current leader's.
    term: Option<u64>,
    more: More,
    text: Vec<String>,
}

impl Printer {
    pub(super) fn new(node: &Node, demo: &Demo) -> Self {
        Self {
            node: node.clone(),
            me: node.me().clone(),
            timing: demo.timing,
            lock_name: demo.lock_name.clone(),
            format: demo.log_format,
            period: demo.heartbeat_period,
            leader: None,
            next_heartbeat: BootTime::NEVER,
            stopping: false,
            seq: 0,
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
                    let _ = self.say(&plain(
                        "stopped",
                        &format!("👋 [{}] Shutdown complete", self.me.node_id),
                    ));
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
        let id = self.me.node_id.clone();
        match say {
            Say::Started => {
                let mut said = plain(
                    "started",
                    &format!("Starting leader election demo for node: {id}"),
                );
                said.text.push(format!(
                    "✅ [{id}] Leader election started. Press Ctrl+C to stop"
                ));
                said.more = More {
                    lease_duration_ns: nanos(self.timing.lease_duration()),
                    renew_deadline_ns: nanos(self.timing.renew_deadline()),
                    retry_period_ns: nanos(self.timing.retry_period()),
                    ..More::default()
                };
                self.say(&said)
            }
            // Unless a change of role was quicker to bring one.
            Say::Settled if self.next_heartbeat == BootTime::NEVER => self.heartbeat(),
            Say::Settled => Ok(()),
            Say::Notice(notice) => {
                let before = self.is_leader();
                let said = self.notice(notice);
                self.say(&said)?;
                if self.is_leader() == before || self.stopping {
                    return Ok(());
                }
                self.heartbeat()
            }
            Say::Stopping(at) => {
                let text = format!("🛑 [{id}] Received shutdown signal, stopping...");
                let said = plain("stopping", &text);
                self.say(&Said { at, ..said })?;
                // What is left to say is the end.
                self.stopping = true;
                self.next_heartbeat = BootTime::NEVER;
                Ok(())
            }
            Say::Stopped => Ok(()),
        }
    }

    fn is_leader(&self) -> bool {
        matches!(&self.leader, Some((holder, _)) if holder.session == self.me.session)
    }

    fn notice(&mut self, Notice { at, change, .. }: Notice) -> Said {
        let id = &self.me.node_id;
        let mut said = plain("warning", "");
        said.at = at;
        said.text = match change {
            Change::Elected {
                term,
                acquired: how,
                valid_until,
            } => {
                self.leader = Some((self.me.clone(), term.get()));
                said.event = "elected";
                said.more.valid_until_ns = Some(valid_until.as_nanos());
                said.more.acquired = Some(how.as_str());
                vec![
                    format!("[{id}] Successfully acquired leadership"),
                    format!("🎉 [{id}] BECAME LEADER - Starting leadership duties"),
                ]
            }
            Change::Revoked {
                term,
                reason: why,
                ended,
            } => {
                self.leader = None;
                said.event = "revoked";
                said.term = Some(term.get());
                said.more.reason = Some(why.as_str());
                said.more.ended_ns = Some(ended.as_nanos());
                vec![format!("😞 [{id}] LOST LEADERSHIP - Stepping down")]
            }
            Change::NewLeader { leader, term } => {
                let text = format!("[{id}] New leader: {} (term {term})", leader.node_id);
                self.leader = Some((leader, term.get()));
                said.event = "new_leader";
                vec![text]
            }
            Change::NoLeader => {
                self.leader = None;
                said.event = "no_leader";
                vec![format!("[{id}] No leader")]
            }
            Change::Warning(message) => {
                said.level = "warn";
                let text = format!("⚠️ [{id}] {message}");
                said.more.message = Some(message);
                vec![text]
            }
            Change::StoreFailed(message) => {
                (said.level, said.event) = ("error", "store_error");
                let text = format!("⚠️ [{id}] Store error: {message} - trying again");
                said.more.message = Some(message);
                vec![text]
            }
            Change::StoreRecovered => {
                said.event = "store_recovered";
                vec![format!("✅ [{id}] Store answers again")]
            }
            other => vec![format!("[{id}] {other:?}")],
        };
        said
    }

    fn heartbeat(&mut self) -> io::Result<()> {
        let now = clock::now();
        self.next_heartbeat = now + self.period;
        let belief = self.node.belief_at(now);
        // Rule 9: asked now. Where that is not what was printed, the election
        // is about to say why; its word comes first, a heartbeat after it.
        if belief.is_some() != self.is_leader() {
            return Ok(());
        }
        let id = &self.me.node_id;
        let local = self.time();
        let time = local
            .map(|t| t.format("%H:%M:%S").to_string())
            .unwrap_or_default();
        let text = match &self.leader {
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
        let mut said = plain("heartbeat", &text);
        said.at = now;
        said.more.valid_until_ns = belief.map(|(_, until)| until.as_nanos());
        self.say_at(&said, local)
    }

    /// Only for people: to find out the local time costs more than the rest.
    fn time(&self) -> Option<DateTime<Local>> {
        let for_people = self.format == LogFormat::Text;
        for_people.then(|| clock::wall_time().into())
    }

    /// One write for each line, so that lines of several nodes never mix.
    fn say(&mut self, said: &Said) -> io::Result<()> {
        self.say_at(said, self.time())
    }

    fn say_at(&mut self, said: &Said, local: Option<DateTime<Local>>) -> io::Result<()> {
        self.seq += 1;
        let lines = match local {
            Some(time) => {
                let time = time.format("%Y/%m/%d %H:%M:%S").to_string();
                let line = |text: &String| format!("{time} {text}\n");
                said.text.iter().map(line).collect()
            }
            None => self.json(said)? + "\n",
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines.as_bytes())?;
        stdout.flush()
    }

    fn json(&self, said: &Said) -> io::Result<String> {
        let leader = self.leader.as_ref();
        let line = Line {
            timestamp: DateTime::<Utc>::from(clock::wall_time())
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            level: said.level,
            event: said.event,
            node_id: self.me.node_id.as_str(),
            session: self.me.session.to_string(),
            pid: std::process::id(),
            host: &self.me.host,
            boot_id: self.me.boot_id.as_deref(),
            seq: self.seq,
            lock_name: self.lock_name.as_str(),
            role: if self.is_leader() {
                "leader"
            } else {
                "follower"
            },
            term: said.term.or(leader.map(|(_, term)| *term)),
            leader: leader.map(|(holder, _)| holder.node_id.as_str()),
            boottime_ns: said.at.as_nanos(),
            more: &said.more,
        };
        Ok(serde_json::to_string(&line)?)
    }
}

fn plain(event: &'static str, text: &str) -> Said {
    Said {
        at: clock::now(),
        level: "info",
        event,
        term: None,
        more: More::default(),
        text: vec![text.to_owned()],
    }
}

fn nanos(duration: Duration) -> Option<u64> {
    duration.as_nanos().try_into().ok()
}
