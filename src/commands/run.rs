//! `run -- COMMAND`: a command that runs while this node leads, and never longer.
//!
//! Three processes: this one, the *wrapper*, takes part in the election; the
//! *guard* below it stops the command when the lease ends, whatever has become
//! of the wrapper; the *starter* below that becomes the command.
//!
//! | file | |
//! |---|---|
//! | `run/waiting.rs` | until the command may start |
//! | `run/guarded.rs` | the wrapper's side of guard and command |
//! | `run/guard.rs` | the guard |
//! | `run/starter.rs` | the process that becomes the command |
//! | `run/releaser.rs` | what the guard becomes when all is over, and its wrapper dead |
//! | `run/wire.rs` | what they say to each other |
//! | `run/tree.rs` | a command and all that it started: found, signalled |
//! | `run/signals.rs`, `run/terminal.rs` | what the wrapper is sent, and the terminal it shares |
//! | `run/voice.rs` | what is told of all this |

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use leader_demo::clock::{self, BootTime};
use leader_demo::store::Work;
use leader_demo::{Leadership, Node, NodeId};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use tokio::time::{sleep, timeout};

use super::operate::Operation;
use super::{ECHO, PATIENCE, Store, notify};
use crate::cli::{self, Directory, Patience, Place, Run};
use crate::logging;

mod guard;
mod guarded;
pub(super) mod helper;
mod releaser;
mod signals;
mod starter;
mod terminal;
mod tree;
mod voice;
mod waiting;
mod wire;

use guard::Charge;
use guarded::Guarded;
use releaser::Bequest;
use signals::{Blocked, Signals};
use terminal::Terminal;
use voice::{Tell, Voice};
use wire::Report;

/// The exit codes that are not the command's. 125 to 127 are the shell's too.
mod exit {
    pub(super) const LOST: u8 = 123;
    pub(super) const NOT_ELECTED: u8 = 124;
}

/// Does a helper's work, if this process was started to be one.
pub(crate) fn assist() -> Option<ExitCode> {
    helper::assist()
}

/// Runs the command; what this returns is the exit code.
pub(crate) fn run(run: Run) -> Result<u8> {
    // Before any thread is started, so that none of them takes a signal.
    let blocked = signals::block()?;
    tree::check_proc()?;
    let lines = logging::init(run.log_format, &run.log_level)?;
    let operation = Operation::prepare(&run.operate)?;
    let ended = super::runtime()?.block_on(async {
        let store = super::open_store(&run.election).await?;
        let mut wrapper = Wrapper::new(run, operation, store, &blocked)?;
        let code = wrapper.work().await;
        let interrupted = wrapper.signals.interrupted();
        wrapper.leave().await;
        anyhow::Ok((code?, interrupted))
    });
    lines.flush();
    let (code, interrupted) = ended?;
    if interrupted && code == by_signal(Signal::INT) {
        signals::die_of_interrupt();
    }
    Ok(code)
}

struct Wrapper {
    run: Run,
    blocked: u64,
    store: Store,
    node: Node,
    operation: Operation,
    signals: Signals,
    terminal: Option<Terminal>,
    /// What was below this process before it started anything.
    strangers: Vec<Pid>,
    voice: Voice,
    /// The last command was stopped because this node led no longer.
    lost: bool,
    /// When this campaign has taken long enough.
    give_up_at: BootTime,
}

/// Why a round ended without the command having ended by itself.
enum Done {
    Exit(u8),
    /// Campaign again.
    Again,
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Done {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Wrapper {
    fn new(run: Run, mut operation: Operation, store: Store, blocked: &Blocked) -> Result<Self> {
        let me = rustix::process::getpid();
        let strangers = tree::below(me, &[]);
        // Should the guard be killed, what it guards is below this process.
        rustix::process::set_child_subreaper(Some(me))?;
        let id = run.node_id.clone().map_or_else(default_node_id, Ok)?;
        let node = Node::builder(id.as_str())
            .timing(run.election.timing)
            .start(store.clone())?;
        operation.begin(&node, &run.election)?;
        Ok(Self {
            voice: Voice::new(&node, &run, operation.http())?,
            blocked: blocked.before,
            signals: Signals::listen(blocked)?,
            terminal: Terminal::here(),
            run,
            store,
            node,
            operation,
            strangers,
            lost: false,
            give_up_at: BootTime::NEVER,
        })
    }

    async fn work(&mut self) -> Result<u8> {
        loop {
            match self.round().await {
                Err(Done::Again) => {}
                Ok(code) | Err(Done::Exit(code)) => return Ok(code),
                Err(Done::Failed(error)) => return Err(error),
            }
        }
    }

    /// Gives back what is held.
    async fn leave(self) {
        self.operation.stopping();
        let _ = timeout(PATIENCE, self.node.stop()).await;
        // A guard that had nothing to guard.
        self.kill_what_is_left().await;
        self.voice.finish().await;
    }

    /// From the campaign to the end of the command.
    async fn round(&mut self) -> Result<u8, Done> {
        if let Patience::Limited(limit) = self.run.patience {
            self.give_up_at = clock::now() + limit;
        }
        let mut guarded = self.prepare().context("cannot start the command's guard")?;
        let leadership = self.elected(&mut guarded).await?;
        let work = self.begin(&leadership, &mut guarded).await?;
        let led = self.lead(&leadership, work, &mut guarded).await;
        if led.is_err() {
            // Rule 10, whatever went wrong: the work stops, then the lease is given back.
            guarded.give_up();
            self.kill_what_is_left().await;
        }
        let ended = led?;
        self.lost = ended.left() && !ended.asked;
        let status = ended.status.unwrap_or_default();
        if let Some(terminal) = &self.terminal
            && (ended.stopped || status > 128)
        {
            terminal.mend();
        }
        if self.lost {
            let _ = timeout(PATIENCE, leadership.release()).await;
            return Err(self.after_loss());
        }
        if status == 0 && !ended.asked {
            self.hold(&leadership).await?;
        }
        // A command that cannot be executed will not be the next time, either.
        if !self.run.keep || ended.asked || matches!(status, 126 | 127) {
            let _ = timeout(PATIENCE, leadership.release()).await;
            return Ok(status);
        }
        // Others first: a command that ends at once would be run again at once.
        let _ = timeout(PATIENCE, leadership.resign()).await;
        Err(Done::Again)
    }

    fn after_loss(&self) -> Done {
        match self.run.exit_on_loss {
            true => Done::Exit(exit::LOST),
            false => Done::Again,
        }
    }

    fn prepare(&self) -> Result<Guarded> {
        let (url, is_shared) = match &self.run.election.place {
            Place::Directory(Directory { dir, shared }) => {
                let mut url = OsString::from("file:");
                url.push(std::path::absolute(dir).context("--lock-dir")?);
                (url, *shared)
            }
            Place::Server(server) => (server.to_string().into(), false),
        };
        let mut env: Vec<(&str, &OsStr)> = vec![
            (
                "LEADER_DEMO_NODE_ID",
                self.node.me().node_id.as_str().as_ref(),
            ),
            (
                "LEADER_DEMO_LOCK_NAME",
                self.run.election.lock_name.as_str().as_ref(),
            ),
            ("LEADER_DEMO_STORE", &url),
            (
                "LEADER_DEMO_SHARED_DIR",
                if is_shared { "true" } else { "false" }.as_ref(),
            ),
        ];
        if let Place::Server(server) = &self.run.election.place
            && let Some(password) = server.password()
        {
            env.push((cli::PASSWORD, password.as_ref()));
        }
        let charge = Charge {
            stop_grace: self.run.stop_grace,
            blocked: self.blocked,
            bequest: self.bequest(),
            group: self.terminal.is_some().then(rustix::process::getpgrp),
            command: self.run.command.clone(),
        };
        // What is told there is told by this process, of itself.
        let hidden: &[_] = match self.run.operate.notify_systemd {
            true => &notify::ENV,
            false => &[],
        };
        Guarded::prepare(charge, &env, hidden)
    }

    /// Where nobody can see this process die.
    fn bequest(&self) -> Option<Bequest> {
        let Place::Server(_) = self.run.election.place else {
            return None;
        };
        Some(Bequest {
            lock_name: self.run.election.lock_name.clone(),
            session: self.node.me().session,
            lease_duration: self.run.election.timing.lease_duration(),
        })
    }

    /// From the start of the command until nothing of it is left.
    async fn lead(
        &self,
        leadership: &Leadership,
        work: Work,
        guarded: &mut Guarded,
    ) -> Result<Ended, Done> {
        // Asked for once the work is announced: only then does every later
        // leader find it.
        let Some(mut until) = leadership
            .renewed(BootTime::default())
            .await
            .filter(|_| leadership.leads())
        else {
            return Err(self.after_loss());
        };
        // In the order in which they are let go of in the end: who is elected
        // because of the second then finds nothing of the first.
        let witnesses = [work.witness.as_ref(), leadership.witness()];
        let witnesses: Vec<_> = witnesses
            .iter()
            .flatten()
            .map(|w| w.file().as_fd())
            .collect();
        guarded.start(leadership.term(), until, &witnesses)?;
        // Otherwise once the guard has said which process that is.
        if let Some(command) = guarded.command() {
            self.voice.tell(Tell::CommandStarted(command));
        }
        // What is left of it now says that the command lives, not that this
        // process does, which may be frozen for days.
        drop(work);

        // All should be over by then, with half of what is left for clocks that drift.
        let overdue_after = self.run.stop_grace + self.run.election.timing.lease_duration() / 20;
        let mut ended = Ended::default();
        let mut sent_before = SentBefore::default();
        let mut lost_at: Option<BootTime> = None;
        loop {
            let may_step_down = ended.status.is_none() && !ended.stepping_down;
            let overdue = async {
                match lost_at {
                    Some(at) => sleep((at + overdue_after).since(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                report = guarded.next() => match report {
                    Some(Report::Ready { .. }) => {
                        if let Some(command) = guarded.command() {
                            self.voice.tell(Tell::CommandStarted(command));
                        }
                    }
                    Some(Report::Stopping) => {
                        ended.stopped = true;
                        self.voice.tell(Tell::Stopping);
                    }
                    Some(Report::Denied { pid }) => self.voice.tell(Tell::Denied(pid)),
                    Some(Report::Ended { status, told }) => {
                        ended.status = Some(status);
                        // What had ended when it was to be told did so by itself.
                        ended.stepping_down &= told;
                        ended.asked = sent_before.explains(status);
                        self.voice.tell(Tell::CommandEnded(status));
                    }
                    Some(Report::Gone) => return Ok(ended),
                    None => {
                        self.voice.tell(Tell::GuardDied);
                        return Err(anyhow!("the command's guard was killed").into());
                    }
                },
                renewed = leadership.renewed(until), if lost_at.is_none() => match renewed {
                    Some(later) => {
                        until = later;
                        guarded.extend(until)?;
                    }
                    None => {
                        let now = clock::now();
                        lost_at = Some(now);
                        guarded.lose(now, until)?;
                    }
                },
                // There is time: the lease is renewed until the command has ended.
                () = leadership.ending(), if may_step_down && leadership.leads() => {
                    ended.stepping_down = true;
                    self.voice.tell(Tell::SteppingDown);
                    guarded.signal(Signal::TERM, true);
                }
                sent = self.signals.next() => {
                    let sent = sent?;
                    let again = sent_before.note(sent.signal);
                    if sent.signal == Signal::TERM {
                        self.operation.stopping();
                    }
                    // What the command left behind is being stopped.
                    ended.asked |= ended.status.is_some() && sent.asks_to_end();
                    // The terminal's keys have reached the command already.
                    let reached = sent.by_terminal && self.terminal.is_some();
                    match sent.signal {
                        Signal::CHILD => reap(),
                        Signal::TERM if again => guarded.kill(),
                        _ if reached => {}
                        Signal::TERM | Signal::INT | Signal::QUIT => guarded.signal(sent.signal, true),
                        signal => guarded.signal(signal, false),
                    }
                }
                // The guard itself may have been frozen again.
                () = overdue => {
                    lost_at = Some(clock::now());
                    guarded.thaw();
                }
            }
        }
    }

    async fn kill_what_is_left(&self) {
        let me = rustix::process::getpid();
        let mut pause = Duration::from_millis(1);
        // All below this process is below a child of its: it is a subreaper.
        while children_left() {
            tree::kill(me, &self.strangers);
            if tree::below(me, &self.strangers).is_empty() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Keeps the lease after a successful end, so that no other repeats the job.
    async fn hold(&self, leadership: &Leadership) -> Result<(), Done> {
        if self.run.hold_for.is_zero() {
            return Ok(());
        }
        self.voice.tell(Tell::Holding(self.run.hold_for));
        tokio::select! {
            () = sleep(self.run.hold_for) => Ok(()),
            () = leadership.ending() => Ok(()),
            // The job is done: that it was cut short is no failure.
            sent = self.signals.asked_to_end() => match sent {
                Ok(_) => Err(Done::Exit(0)),
                Err(e) => Err(e.into()),
            },
        }
    }
}

/// How a command ended.
#[derive(Default)]
struct Ended {
    /// None while it runs.
    status: Option<u8>,
    /// The guard stopped it, because its lease was over.
    stopped: bool,
    /// It was stopped because another node is to lead.
    stepping_down: bool,
    /// We had been asked to end.
    asked: bool,
}

impl Ended {
    /// It did not end by itself, but because this node leads no longer.
    fn left(&self) -> bool {
        self.stopped || self.stepping_down
    }
}

/// The signals there were, each with its last time.
#[derive(Default)]
struct SentBefore(Vec<(Signal, BootTime)>);

impl SentBefore {
    /// Whether this is the second of its kind, and no echo of the first.
    fn note(&mut self, signal: Signal) -> bool {
        let now = clock::now();
        match self.0.iter().find(|(before, _)| *before == signal) {
            Some((_, at)) => now.since(*at) > ECHO,
            None => {
                self.0.push((signal, now));
                false
            }
        }
    }

    /// SIGTERM always asks for the end; a command may do with others what it
    /// likes, so they count if it ended as they make one end.
    fn explains(&self, status: u8) -> bool {
        let asked = |signal: Signal| signal == Signal::TERM || status == by_signal(signal);
        self.0.iter().any(|(signal, _)| asked(*signal))
    }
}

fn by_signal(signal: Signal) -> u8 {
    128 + signal.as_raw() as u8
}

/// Takes note of children that have ended: the guard, and as process 1 of a
/// container anybody's.
fn reap() {
    children_left();
}

/// Takes note of those that have ended. Whether there are others.
fn children_left() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Err(Errno::CHILD) => return false,
            _ => return true,
        }
    }
}

/// The machine's name and this process's number.
fn default_node_id() -> Result<NodeId> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let host = host.trim_start_matches('.');
    let fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let host: String = host.chars().filter(|c| fit(*c)).take(100).collect();
    NodeId::new(&format!("{host}-{}", std::process::id())).context("--node-id")
}
