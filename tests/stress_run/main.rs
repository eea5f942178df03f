//! The promise of `run`, under fire: several wrappers whose commands write
//! `boottime term pid ..` to one file every few milliseconds, while wrapper,
//! guard and command are killed and frozen at random, one process of a node at
//! a time, and leaders are asked to step down. Ticks of two terms never
//! interleave, and no process is left.
//!
//! ```text
//! make stress-run DURATION=10m SEED=7 NODES=4 STORE=redis
//! ```
//!
//! | file | |
//! |---|---|
//! | `settings.rs` | how long, how many, which random numbers |
//! | `node.rs` | one node: starts wrappers, one after another, and does them harm |
//! | `deck.rs` | the faults, and the cards that they are drawn from |
//! | `victim.rs` | who is hit: the processes of a node, found in `/proc` |
//! | `ticker.rs` | the commands |
//! | `ticks.rs` | the judge: reads the ticks and nothing else |
//! | `tally.rs` | what happened, for people |
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::clock;
use rustix::process::Signal;

#[path = "../common/mod.rs"]
mod common;
mod deck;
mod node;
mod settings;
mod tally;
mod ticker;
mod ticks;
mod victim;

use settings::Settings;
use tally::Tally;
use ticks::{Judge, Tick};

/// The first argument of a process that this binary starts of itself.
const ROLE: &str = "--role";

/// In the environment of every process of a run, with the run's directory.
const MARK: &str = "STRESS_RUN_DIR";

/// Where the lease is, for all of them, if not in that directory.
const STORE: &str = "STRESS_STORE_URL";

/// Far longer than a node needs to recover, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [ROLE, "tick", ref rest @ ..] => ticker::play(rest),
        [ROLE, "node", ref rest @ ..] => node::play(rest),
        // What `cargo test` passes on: this is one test, with one name.
        _ if args.iter().any(|arg| arg == "--list") => {
            println!("stress_run: test");
            Ok(())
        }
        _ if !settings::asked_for(&args) => Ok(()),
        _ => stress(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stress_run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn stress() -> Result<()> {
    let settings = Settings::from_environment();
    println!("stress_run: {settings}");
    let mut dir = tempfile::Builder::new().prefix("stress-run-").tempdir()?;
    dir.disable_cleanup(settings.keep);
    let server = settings.store.as_deref().map(common::servers::start);
    let url = server.as_ref().map(|server| &*server.url);
    let mut run = Run::start(&settings, dir.path(), url)?;
    let ended = run.watch(&settings).and_then(|()| run.stop());
    println!("{}", run.tally.summary(&run.judge));
    let judged = ended.and_then(|()| run.tally.was_worth_it(&run.judge, &settings));
    if let Err(error) = judged {
        kill_all_of(dir.path());
        let seed = settings.seed;
        let kept = dir.keep();
        let kept = kept.display();
        bail!("{error:#}\nWhat the nodes said is in {kept}; STRESS_SEED={seed}");
    }
    if settings.keep {
        println!("What the nodes said is in {}", dir.path().display());
    }
    Ok(())
}

/// All nodes, what they report, and the ticks of their commands.
struct Run {
    nodes: Vec<Child>,
    /// A node whose input ends stops, also when it ends because we do.
    inputs: Vec<ChildStdin>,
    reports: Receiver<String>,
    /// The same, for whoever must find out why.
    kept: File,
    ticks: BufReader<File>,
    /// The beginning of a line that is still being written.
    line: Vec<u8>,
    judge: Judge,
    tally: Tally,
    dir: std::path::PathBuf,
}

impl Run {
    fn start(settings: &Settings, dir: &Path, store: Option<&str>) -> Result<Self> {
        let ticks = dir.join("ticks");
        File::create(&ticks)?;
        let (tell, reports) = mpsc::channel();
        let mut run = Self {
            nodes: Vec::new(),
            inputs: Vec::new(),
            reports,
            kept: File::create(dir.join("reports"))?,
            ticks: BufReader::new(File::open(ticks)?),
            line: Vec::new(),
            judge: Judge::default(),
            tally: Tally::start(),
            dir: dir.to_owned(),
        };
        for number in 0..settings.nodes {
            let mut command = Command::new(std::env::current_exe()?);
            let mut node = command
                .args([ROLE, "node"])
                .args([number.to_string(), settings.nodes.to_string()])
                .arg(settings.seed.to_string())
                .env(MARK, dir)
                .envs(store.map(|url| (STORE, url)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            run.inputs.extend(node.stdin.take());
            let output = node.stdout.take().context("no output")?;
            let tell = tell.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                lines.for_each(|line| drop(tell.send(line)));
            });
            run.nodes.push(node);
        }
        Ok(run)
    }

    fn watch(&mut self, settings: &Settings) -> Result<()> {
        let end = clock::now() + settings.duration;
        let mut next_line = clock::now() + settings.progress();
        while clock::now() < end {
            sleep(Duration::from_millis(100));
            self.look()?;
            for node in &mut self.nodes {
                ensure!(node.try_wait()?.is_none(), "a node has given up, see above");
            }
            let silence = self.judge.silence(clock::now());
            ensure!(silence < PATIENCE, "no tick for {silence:?}: nobody leads");
            if clock::now() >= next_line {
                println!("{}", self.tally.progress(&self.judge));
                next_line = next_line + settings.progress();
            }
        }
        Ok(())
    }

    /// Takes in what has been reported and ticked since the last look.
    fn look(&mut self) -> Result<()> {
        for report in self.reports.try_iter() {
            writeln!(self.kept, "{report}")?;
            self.tally.note(&report)?;
        }
        loop {
            self.ticks.read_until(b'\n', &mut self.line)?;
            if self.line.last() != Some(&b'\n') {
                return Ok(());
            }
            let tick: Tick = std::str::from_utf8(&self.line)?.parse()?;
            self.judge.hear(tick)?;
            self.line.clear();
        }
    }

    /// Ends all nodes, each of which waits until nothing of it is left.
    fn stop(&mut self) -> Result<()> {
        self.inputs.clear();
        let deadline = clock::now() + PATIENCE;
        for node in &mut self.nodes {
            while node.try_wait()?.is_none() {
                ensure!(clock::now() < deadline, "a node does not stop");
                sleep(Duration::from_millis(10));
            }
        }
        self.look()?;
        for node in &mut self.nodes {
            ensure!(node.wait()?.success(), "a node has failed");
        }
        let left = victim::marked(&self.dir);
        ensure!(left.is_empty(), "left at the end: {left:?}");
        nobody_works(&self.dir)
    }
}

/// Work that still looks alive would hold up the next leader.
fn nobody_works(dir: &Path) -> Result<()> {
    let claims = dir.join("leader-election-demo.lock/claims");
    // On a server there are none.
    for claim in std::fs::read_dir(claims).into_iter().flatten() {
        let claim = claim?;
        if claim.file_name().to_string_lossy().starts_with("work-") {
            let lock = fs2::FileExt::try_lock_exclusive(&File::open(claim.path())?);
            ensure!(
                lock.is_ok(),
                "{:?} is locked by nobody we know",
                claim.path()
            );
        }
    }
    Ok(())
}

/// A failed run leaves nothing behind, either.
fn kill_all_of(dir: &Path) {
    let deadline = clock::now() + PATIENCE;
    loop {
        let left = victim::marked(dir);
        if left.is_empty() || clock::now() > deadline {
            return;
        }
        for victim in left {
            victim.signal(Signal::KILL);
        }
        sleep(Duration::from_millis(20));
    }
}
