//! Wrappers and their commands, all real, so that a test reads like sentences.

use std::fs::{self, File};
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use super::{Cluster, Node, PATIENCE, binary, lines_of};

/// So long that whoever waits for it to end has waited in vain.
pub const LONG: &[&str] = &["--lease-duration", "10m"];

/// The lease that tests wait out.
pub const SHORT: &[&str] = &["--lease-duration", "1s"];

/// For commands: appends its term every few milliseconds, and says `ticking`
/// after the first. The order in that file is the order in time, whoever wrote
/// it. Before it does it looks whether a process of an earlier term is there.
const TICK: &str = r#"#!/bin/sh
alive() { read -r _ _ state _ <"/proc/$1/stat" && [ "$state" != Z ]; } 2>/dev/null
: >"$HERE/living/$LEADER_DEMO_TERM.$$"
for other in "$HERE"/living/*; do
    other=${other##*/}
    if [ "${other%.*}" -lt "$LEADER_DEMO_TERM" ] && alive "${other#*.}"; then
        echo "term $LEADER_DEMO_TERM beside $other" >>"$HERE/ticks"
    fi
done
echo "$LEADER_DEMO_TERM" >>"$HERE/ticks"
echo ticking
# Nothing that it was given keeps a hand on anything.
if [ "$1" = closed ]; then
    exec </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
fi
while :; do
    echo "$LEADER_DEMO_TERM" >>"$HERE/ticks"
    sleep 0.005
done
"#;

/// For commands: waits to be allowed on.
const PERMIT: &str = r#"#!/bin/sh
until [ -e "$HERE/go" ]; do sleep 0.01; done
"#;

/// One lock directory, the wrappers that compete in it, and their commands;
/// whatever is left of those at the end of a test is killed.
///
/// Commands are scripts; their environment has `$HERE`, a directory for what
/// they leave, `$demo`, the program itself, and `tick` and `permit` to call.
pub struct Runs {
    cluster: Cluster,
    here: TempDir,
    flags: Vec<String>,
}

impl Runs {
    pub fn new(flags: &[&str]) -> Self {
        Self::within(flags, |here| Cluster::at(&here.join("locks"), &[]))
    }

    /// For a lock on a server.
    pub fn on(store: &str, flags: &[&str]) -> Self {
        Self::within(flags, |_| Cluster::on(store, &[]))
    }

    fn within(flags: &[&str], cluster: impl FnOnce(&Path) -> Cluster) -> Self {
        let here = tempfile::tempdir().unwrap();
        let path = |name| here.path().join(name);
        fs::create_dir(path("bin")).unwrap();
        fs::create_dir(path("living")).unwrap();
        for (name, script) in [("tick", TICK), ("permit", PERMIT)] {
            let file = path("bin").join(name);
            fs::write(&file, script).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        }
        Self {
            cluster: cluster(here.path()),
            here,
            flags: flags.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    /// Where the commands leave what they leave.
    pub fn here(&self) -> &Path {
        self.here.path()
    }

    /// The lock directory.
    pub fn locks(&self) -> &Path {
        self.cluster.dir()
    }

    /// The directory of the lease itself.
    pub fn lease(&self) -> PathBuf {
        self.cluster.lease()
    }

    /// Any program in the commands' environment. It has no terminal, wherever
    /// these tests were started.
    pub fn program(&self, program: &str) -> Command {
        let demo = binary();
        let mut command = Command::new("setsid");
        for (name, value) in demo.get_envs() {
            assert!(value.is_none(), "only what is not to be there");
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.here().join("bin");
        command
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HERE", self.here())
            .env("demo", demo.get_program())
            .stdin(Stdio::null())
            .arg(program);
        command
    }

    /// `leader-demo run` with these flags.
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut run = self.program(binary().get_program().to_str().unwrap());
        run.arg("run")
            .args(self.cluster.place())
            .args(&self.flags)
            .args(flags)
            .arg("--")
            .args(command);
        run
    }

    pub fn start(&self, id: &str, script: &str) -> Run {
        self.start_with(id, &[], script)
    }

    pub fn start_with(&self, id: &str, flags: &[&str], script: &str) -> Run {
        let flags = [flags, &["--node-id", id]].concat();
        self.spawn(id, |events| {
            let flags = [&flags[..], &["--events", events]].concat();
            let mut run = self.run(&flags, &["sh", "-c", script]);
            // What shells say of their children's ends.
            run.stderr(Stdio::null());
            run
        })
    }

    /// What is made of the name of its events.
    pub fn spawn(&self, id: &str, make: impl FnOnce(&str) -> Command) -> Run {
        // A pipe with a name, so that events are heard of when they are told.
        let events = self.here().join(format!("{id}.events"));
        rustix::fs::mknodat(CWD, &events, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let mut child = make(events.to_str().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Run {
            node: Node::hear(id, child, || File::open(events).unwrap()),
            lines,
        }
    }

    /// One whose command runs and says `ready`, where none runs.
    pub fn leader(&self, id: &str, script: &str) -> Run {
        let mut run = self.start(id, script);
        run.says("ready");
        run
    }

    /// One that waits.
    pub fn follower(&self, id: &str, script: &str) -> Run {
        let mut run = self.start(id, script);
        run.until("new_leader");
        run
    }

    /// Commands that called `permit` go on.
    pub fn permit(&self) {
        fs::write(self.here().join("go"), "").unwrap();
    }

    /// The processes of all the commands here that have not ended.
    pub fn commands(&self) -> Vec<Pid> {
        let helper = |arg: &[u8]| arg == b"__guard" || arg == b"__start";
        self.processes(|args| !args.split(|b| *b == 0).any(helper))
    }

    fn processes(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Pid> {
        let store = format!("LEADER_DEMO_STORE=file:{}", self.locks().display());
        let ours = |pid: &i32| {
            let read = |what| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            read("environ")
                .split(|b| *b == 0)
                .any(|var| var == store.as_bytes())
                && wanted(&read("cmdline"))
        };
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter(ours)
            .filter_map(Pid::from_raw)
            .collect()
    }

    /// Asserts that no term's ticks are among, or after, a later one's, and
    /// that nobody saw another term's process alive. Returns the terms.
    pub fn terms_in_order(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.here().join("ticks")).unwrap();
        let terms = text.lines().map(|line| line.parse().expect(line));
        let mut terms: Vec<u64> = terms.collect();
        terms.dedup();
        assert!(terms.is_sorted_by(|a, b| a < b), "interleaved: {terms:?}");
        terms
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        for pid in self.processes(|_| true) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// A wrapper, what it tells, and what its command says, line by line.
pub struct Run {
    node: Node,
    lines: Receiver<String>,
}

impl Deref for Run {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Run {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

impl Run {
    /// The next line of the command.
    pub fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|e| panic!("{}: {e}: {:#?}", self.id, self.all()))
    }

    /// Waits until the command has said this next.
    #[track_caller]
    pub fn says(&mut self, line: &str) {
        assert_eq!(self.line(), line, "{}", self.id);
    }

    /// What the command said besides, after its end.
    pub fn rest(&mut self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Its stderr, if that was piped, to the end.
    pub fn stderr(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.node.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for its end, for the exit code.
    pub fn code(&mut self) -> i32 {
        let status = self.exit();
        let code = status.code();
        code.unwrap_or_else(|| panic!("{} was killed: {:?}", self.id, status.signal()))
    }

    pub fn wrapper(&self) -> Pid {
        Pid::from_raw(self.pid() as i32).unwrap()
    }

    /// The process of the latest command, which is told of a moment after it
    /// may have said something.
    pub fn command(&self) -> Pid {
        let started = || self.events("command_started").pop();
        eventually("a command is told of", || started().is_some());
        pid(&started().unwrap()["command_pid"])
    }

    /// What the wrapper started, and nothing else.
    pub fn guard(&self) -> Pid {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().expect(&children)).unwrap()
    }
}

pub fn pid(number: &Value) -> Pid {
    Pid::from_raw(number.as_i64().unwrap() as i32).unwrap()
}

pub fn send(pid: Pid, signal: Signal) {
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for what nobody tells.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// As proc_pid_stat(5) has it; none if there is no such process.
pub fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

pub fn is_alive(pid: Pid) -> bool {
    state(pid).is_some_and(|state| !"ZX".contains(state))
}
