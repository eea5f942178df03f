//! The Makefile and the demo's scripts, driven as a person would: a real make,
//! real nodes, a real tmux.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::Cluster;
use common::servers::{self, redis::Redis};
use common::shell::{
    Screen, eventually, eventually_some, processes_with, tmux, tmux_is_installed,
    without_the_developers_settings,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A lease so long that nothing here may have waited for it.
const LONG: &str = "10m";
/// A lease that a test can wait for.
const SHORT: &str = "2s";

/// A demo on a lock directory or a server of its own.
struct Demo {
    dir: TempDir,
    lease_duration: &'static str,
    store: Option<&'static str>,
}

impl Demo {
    fn new(lease_duration: &'static str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            lease_duration,
            store: None,
        }
    }

    /// Of `make demo-STORE`.
    fn on(store: &'static str) -> Self {
        // Less, and a server that others keep busy costs a leadership.
        let mut demo = Self::new("5s");
        demo.store = Some(store);
        // PostgreSQL is started as somebody else, by root.
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(demo.dir.path(), open).unwrap();
        demo
    }

    fn lock_dir(&self) -> PathBuf {
        self.dir.path().join("locks")
    }

    fn lock(&self) -> PathBuf {
        match self.store {
            None => self.lock_dir().join("leader-election-demo.lock"),
            Some(store) => self
                .dir
                .path()
                .join(format!("leader-election-demo.{store}")),
        }
    }

    /// What the scripts take from the environment. Every process of the demo
    /// has it in its own, which is how the tests find them.
    fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("LOCK_DIR", self.lock_dir().display().to_string()),
            ("LEASE_DURATION", self.lease_duration.into()),
            ("LEADER_DEMO_RETRY_PERIOD", "200ms".into()),
            (
                "LEADER_DEMO_BIN",
                env!("CARGO_BIN_EXE_leader-demo").to_owned(),
            ),
            ("TMUX_TMPDIR", self.dir.path().display().to_string()),
            ("TMPDIR", self.dir.path().display().to_string()),
        ]
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = without_the_developers_settings(program);
        command.args(args).envs(self.variables());
        command.stdin(Stdio::null());
        command
    }

    fn make(&self, target: &str) -> Output {
        self.command("make", &[target]).output().unwrap()
    }

    /// Starts the demo without a terminal, and waits until it runs.
    fn start_here(&self) -> Here {
        let output = self.dir.path().join("output");
        let file = std::fs::File::create(&output).unwrap();
        let mut command = self.command("make", &["demo-parallel"]);
        let make = command
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn();
        let here = Here {
            make: make.unwrap(),
            output,
        };
        eventually("three nodes say their status", || {
            let said = here.said();
            ["node-1", "node-2", "node-3"]
                .iter()
                .all(|id| said.contains(&format!("[{id}] Status: ")))
                && said.contains("Status: LEADER")
        });
        here
    }

    fn processes(&self) -> Vec<Pid> {
        let mark = format!("LOCK_DIR={}", self.lock_dir().display());
        [processes_with(&mark), self.servers()].concat()
    }

    /// The processes that work where the servers' data is: some overwrite their
    /// environment.
    fn servers(&self) -> Vec<Pid> {
        let of = |entry: std::fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let works_in = std::fs::read_link(entry.path().join("cwd")).ok()?;
            Pid::from_raw(pid).filter(|_| works_in.starts_with(self.dir.path()))
        };
        let all = std::fs::read_dir("/proc").unwrap();
        all.flatten().filter_map(of).collect()
    }

    fn nodes(&self) -> Vec<Pid> {
        let mark = format!("DEMO_PARALLEL_LOCK={}", self.lock().display());
        processes_with(&mark)
    }

    /// The process that the lease is held by.
    fn leader(&self) -> Option<Pid> {
        let mut revisions: Vec<_> = std::fs::read_dir(self.lock()).ok()?.flatten().collect();
        let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        revisions.retain(|entry| entry.file_name().to_str().is_some_and(is_number));
        let highest = revisions.iter().map(|entry| entry.path()).max()?;
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(highest).ok()?).ok()?;
        Pid::from_raw(record["held"]["pid"].as_i64()?.try_into().ok()?)
    }

    fn another_leader_than(&self, old: Pid) -> Pid {
        eventually_some("another leader", || self.leader().filter(|new| *new != old))
    }

    /// A screen on which `demo TARGET` makes that target.
    fn screen(&self, columns: u16, rows: u16) -> Screen {
        let screen = Screen::new(self.dir.path(), columns, rows);
        let variables = self
            .variables()
            .map(|(name, value)| format!("{name}={value}"));
        screen.type_line(&format!("cd {}", env!("CARGO_MANIFEST_DIR")));
        screen.type_line(&format!(
            "demo() {{ {} make \"$@\"; }}",
            variables.join(" ")
        ));
        screen
    }

    /// The socket of the demo's own tmux.
    fn socket(&self) -> Option<String> {
        let folder = std::fs::read_dir(self.dir.path())
            .unwrap()
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("tmux-"))?;
        std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap())
            .find(|name| name != "screen")
    }

    fn tmux(&self, command: &str) -> String {
        let socket = self.socket().expect("a tmux of its own");
        tmux(self.dir.path(), &socket, command)
    }

    fn panes(&self) -> Vec<String> {
        self.tmux("list-panes -a -F #{pane_title}")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// All that the nodes have printed, also what no longer fits the screen.
    fn nodes_said(&self) -> String {
        let capture = |pane| self.tmux(&format!("capture-pane -p -S - -t demo:0.{pane}"));
        (0..3).map(capture).collect()
    }

    fn assert_nothing_is_left(&self) {
        eventually("no process is left", || self.processes().is_empty());
        // tmux has its sockets here; a file `output` is the test's own.
        let left: Vec<_> = [self.dir.path(), &self.lock_dir()]
            .into_iter()
            .flat_map(std::fs::read_dir)
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("election"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What a failed test leaves behind goes too.
impl Drop for Demo {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A demo without tmux.
struct Here {
    make: Child,
    output: PathBuf,
}

impl Here {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    fn end(mut self) -> String {
        self.make.wait().unwrap();
        self.said()
    }
}

/// A process that has nothing to do with the demo.
struct Bystander(Child);

impl Bystander {
    fn is_alive(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        status.is_ok_and(|status| !status.contains("\nState:\tZ"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

const TARGETS: [&str; 31] = [
    "help",
    "build",
    "demo",
    "run",
    "run-node1",
    "run-node2",
    "run-node3",
    "demo-parallel",
    "demo-etcd",
    "demo-redis",
    "demo-postgres",
    "kill-demo",
    "test",
    "test-coverage",
    "test-stores",
    "test-race",
    "sim",
    "sim-scale",
    "stress-run",
    "chaos",
    "fuzz",
    "mutants",
    "bench",
    "bench-peers",
    "deps-peers",
    "deps-stores",
    "profile",
    "check",
    "install",
    "uninstall",
    "clean",
];

#[test]
fn help_is_the_default_and_says_a_line_about_every_target() {
    let demo = Demo::new(LONG);
    let help = text(&demo.make("help"));
    assert_eq!(text(&demo.command("make", &[]).output().unwrap()), help);
    let mut listed: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .flat_map(|(targets, about)| {
            assert!(!about.trim().is_empty(), "{targets}");
            targets.split(' ')
        })
        .collect();
    let mut targets = TARGETS;
    targets.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, targets);
    // And each is one that make knows.
    let dry = demo
        .command("make", &["-n", "NODE_ID=n"])
        .args(TARGETS)
        .output();
    assert!(dry.unwrap().status.success());
}

#[test]
fn a_missing_node_id_is_asked_for_with_an_example() {
    let output = Demo::new(LONG).make("run");
    assert!(!output.status.success());
    assert!(
        text(&output).contains("make run NODE_ID=node-4"),
        "{output:?}"
    );
}

#[test]
fn a_lock_name_that_leaves_the_lock_dir_is_refused_by_every_script() {
    let demo = Demo::new(LONG);
    for script in [
        "demo-parallel",
        "kill-demo",
        "kill-leader",
        "kill-server",
        "demo-key",
        "demo-view",
    ] {
        for name in ["../x", "a/b", "..", ".x", "a b"] {
            let mut command = demo.command(&format!("scripts/{script}.sh"), &[]);
            let output = command.env("LOCK_NAME", name).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{script} {name}");
            assert!(text(&output).contains("LOCK_NAME"), "{output:?}");
        }
    }
}

#[test]
fn without_a_terminal_three_nodes_run_here_until_they_are_told_to_stop() {
    let demo = Demo::new(LONG);
    let here = demo.start_here();
    let first = demo.leader().unwrap();
    assert_eq!(demo.nodes().len(), 3);
    let again = demo.make("demo-parallel");
    assert!(!again.status.success());
    assert!(text(&again).contains("already runs"), "{again:?}");
    assert_eq!(demo.nodes().len(), 3);

    let killed = demo
        .command("scripts/kill-leader.sh", &[])
        .output()
        .unwrap();
    assert!(killed.status.success(), "{killed:?}");
    demo.another_leader_than(first);
    eventually("the end is told", || {
        here.said().contains("killed by SIGKILL")
    });

    kill_process(Pid::from_child(&here.make), Signal::TERM).unwrap();
    let said = here.end();
    assert!(demo.processes().is_empty());
    assert!(
        !said.contains('\u{1b}'),
        "colours where nobody sees them: {said}"
    );
    let count = |what: &str| said.matches(what).count();
    assert_eq!(count("BECAME LEADER"), 2, "{said}");
    assert_eq!(count("Shutdown complete"), 2, "{said}");
    for id in ["node-1", "node-2", "node-3"] {
        let started = format!("{id} | ");
        let theirs = said
            .lines()
            .filter(|line| line.contains(&format!("[{id}]")));
        assert!(theirs.clone().count() > 1);
        for line in theirs {
            assert!(line.starts_with(&started), "{line}");
        }
    }
    demo.make("kill-demo");
    demo.assert_nothing_is_left();
}

#[test]
fn ctrl_c_stops_each_node_once() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(LONG);
    let screen = demo.screen(80, 24);
    let output = demo.dir.path().join("output");
    screen.type_line(&format!(
        "demo demo-parallel >{}; echo over",
        output.display()
    ));
    let said = || std::fs::read_to_string(&output).unwrap_or_default();
    eventually("it runs", || said().matches("Status: ").count() >= 3);
    screen.press("C-c");
    eventually("no process is left", || demo.processes().is_empty());
    // A node that was told twice ends without these words.
    assert_eq!(said().matches("Shutdown complete").count(), 3, "{}", said());
}

#[test]
fn in_tmux_a_killed_leader_is_replaced_and_started_again() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(LONG);
    let screen = demo.screen(200, 50);
    screen.type_line("demo demo-parallel");
    screen.until_it_shows(&[
        "node-1 ─",
        "node-2 ─",
        "node-3 ─",
        "who leads ─",
        "k kill -9",
        "Status: LEADER",
        "lease ━━",
    ]);
    let panes = ["node-1", "node-2", "node-3", "who leads"];
    assert_eq!(demo.panes(), panes);

    let first = eventually_some("a leader", || demo.leader());
    kill_process(first, Signal::KILL).unwrap();
    let second = demo.another_leader_than(first);
    screen.until_it_shows(&[
        "killed by SIGKILL",
        "Enter starts it again",
        "(term 2)",
        // In the view, with the gap.
        &format!("pid {} on", second.as_raw_nonzero()),
        "ms  leader died",
    ]);
    screen.press("a");
    eventually("three nodes again", || demo.nodes().len() == 3);
    assert_eq!(demo.leader(), Some(second));

    let again = demo.make("demo-parallel");
    assert!(!again.status.success());
    assert!(text(&again).contains("already runs"), "{again:?}");
    screen.press("d");
    screen.until_it_shows(&["The demo goes on"]);
    screen.type_line("clear; demo demo-parallel");
    screen.until_it_shows(&["k kill -9", "Status: LEADER", "term 2"]);
    assert_eq!(demo.panes(), panes);
    assert_eq!(demo.leader(), Some(second));
    assert_eq!(demo.nodes().len(), 3);

    let killed = demo.make("kill-demo");
    assert!(killed.status.success(), "{killed:?}");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
    let nothing = demo.make("kill-demo");
    assert!(nothing.status.success(), "{nothing:?}");
}

#[test]
fn in_tmux_a_stopped_leader_is_replaced_and_steps_down_when_woken() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(SHORT);
    let screen = demo.screen(80, 24);
    screen.type_line("demo demo-parallel");
    screen.until_it_shows(&["q end", "Status: LEADER", "lease ━━"]);
    let first = eventually_some("a leader", || demo.leader());
    screen.press("s");
    screen.until_it_shows(&[&format!("kill -STOP {}", first.as_raw_nonzero())]);
    let second = demo.another_leader_than(first);
    screen.press("c");
    eventually("the old leader steps down", || {
        demo.nodes_said().contains("LOST LEADERSHIP")
    });
    // The one that leads by now was not what was woken, or killed.
    assert_eq!(demo.leader(), Some(second));
    screen.until_it_shows(&["term 2", "s  lease expired"]);

    screen.press("i");
    eventually("a node has ended as asked", || demo.nodes().len() == 2);
    screen.press("q");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
}

#[test]
fn in_tmux_the_leader_is_asked_to_hand_over_and_to_resign() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(LONG);
    let screen = demo.screen(80, 24);
    screen.type_line("demo demo-parallel");
    screen.until_it_shows(&["r resign", "Status: LEADER", "term 1  leads"]);
    let mut leader = eventually_some("a leader", || demo.leader());
    for (key, term, said) in [
        ("h", 2, " leads in term 2; between the two"),
        ("r", 3, " leads in term 3"),
    ] {
        screen.press(key);
        leader = demo.another_leader_than(leader);
        screen.until_it_shows(&[&format!("term {term}  leads"), said]);
        assert_eq!(demo.nodes().len(), 3);
    }
    screen.press("q");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
}

#[test]
fn in_tmux_the_panes_go_on_while_a_key_says_what_it_did() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(SHORT);
    let screen = demo.screen(80, 24);
    screen.type_line("demo demo-parallel");
    screen.until_it_shows(&["q end", "Status: LEADER", "term 1  leads"]);
    let leader = eventually_some("a leader", || demo.leader());
    screen.press("k");
    let said = format!("kill -KILL {}", leader.as_raw_nonzero());
    screen.until_it_shows(&[&said]);
    // What was drawn with it is one change, perhaps two.
    let mut seen = vec![screen.shows()];
    eventually("the panes change", || {
        let shown = screen.shows();
        assert!(
            shown.contains(&said),
            "it is gone after {} changes",
            seen.len()
        );
        assert!(shown.contains("k kill -9"), "the keys are gone: {shown}");
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
        seen.len() > 4
    });
    screen.until("that no more", |shown| !shown.contains(&said));
    screen.until_it_shows(&["who leads ─"]);
    screen.press("q");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
}

#[test]
fn in_tmux_leaving_the_view_ends_the_demo() {
    if !tmux_is_installed() {
        return;
    }
    let demo = Demo::new(LONG);
    let screen = demo.screen(120, 40);
    screen.type_line("demo demo-parallel");
    screen.until_it_shows(&["term 1", "Status: LEADER", "q quit"]);
    screen.press("C-c");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
}

#[test]
fn kill_demo_leaves_other_nodes_and_their_lock_alone() {
    let demo = Demo::new(LONG);
    let here = demo.start_here();
    let mut foreign = Cluster::at(&demo.lock_dir(), &["--retry-period=200ms"]).follower("foreign");
    // A node that was stopped hears no SIGTERM.
    kill_process(demo.leader().unwrap(), Signal::STOP).unwrap();

    let killed = demo.make("kill-demo");
    assert!(killed.status.success(), "{killed:?}");
    let message = text(&killed);
    assert!(message.contains("Stopped 3 nodes"), "{message}");
    assert!(
        message.contains("Kept") && message.contains("--node-id foreign"),
        "{message}"
    );
    let said = here.end();
    assert_eq!(said.matches("Shutdown complete").count(), 3, "{said}");
    assert!(demo.processes().is_empty());
    assert!(demo.lock().is_dir());
    foreign.until("elected");

    foreign.stop();
    demo.make("kill-demo");
    demo.assert_nothing_is_left();
}

#[test]
fn an_open_directory_or_a_locked_claim_is_enough_to_keep_the_lock() {
    let demo = Demo::new(LONG);
    let claims = demo.lock().join("claims");
    std::fs::create_dir_all(&claims).unwrap();
    let claim = std::fs::File::create(claims.join("a")).unwrap();
    fs2::FileExt::lock_exclusive(&claim).unwrap();
    assert!(text(&demo.make("kill-demo")).contains("Kept"));
    drop(claim);
    let directory = std::fs::File::open(demo.lock()).unwrap();
    assert!(text(&demo.make("kill-demo")).contains("Kept"));
    drop(directory);
    assert!(text(&demo.make("kill-demo")).contains("Removed"));
    demo.assert_nothing_is_left();
}

#[test]
fn kill_leader_signals_no_process_that_is_not_a_node_on_this_lock() {
    let demo = Demo::new(LONG);
    let bystander = Bystander(Command::new("sleep").arg("600").spawn().unwrap());
    std::fs::create_dir_all(demo.lock()).unwrap();
    let record = format!(
        r#"{{"version":1,"term":1,"held":{{"node_id":"node-1","pid":{}}}}}"#,
        bystander.0.id()
    ) + "\n";
    std::fs::write(demo.lock().join("00000000000000000001"), record).unwrap();
    let output = demo
        .command("scripts/kill-leader.sh", &["-9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no node here"), "{output:?}");
    assert!(bystander.is_alive());
}

/// False, and the reader is told, where there is no such demo.
fn is_built(with_the_store: bool) -> bool {
    if !with_the_store {
        common::skip("it is built without this store: --features full");
    }
    with_the_store && tmux_is_installed()
}

/// Starts a demo on a server, and waits for all of it.
fn screen_on_a_server(demo: &Demo) -> Screen {
    let screen = demo.screen(200, 50);
    let store = demo.store.unwrap();
    screen.type_line(&format!("demo demo-{store}"));
    screen.until_it_shows(&[
        "node-1 ─",
        "who leads ─",
        &format!("{store}://"),
        "m kill -9",
        "Status: LEADER",
        "lease ━━",
    ]);
    screen
}

/// Kills the leader, then the one server there is, and starts it again.
fn kill_both(demo: &Demo, screen: &Screen) {
    let store = demo.store.unwrap();
    screen.press("k");
    screen.until_it_shows(&["killed by SIGKILL", "(term 2)"]);
    assert_eq!(demo.nodes().len(), 2);
    screen.press("a");
    eventually("three nodes again", || demo.nodes().len() == 3);
    screen.until_it_shows(&["Status: LEADER"]);

    screen.press("m");
    screen.until_it_shows(&[&format!("kill -KILL {store}")]);
    assert_eq!(demo.servers(), []);
    eventually("the leader steps down", || {
        demo.nodes_said().contains("LOST LEADERSHIP")
    });
    screen.press("m");
    screen.until_it_shows(&[&format!("started {store} again"), "(term 3)"]);
    assert_eq!(demo.nodes().len(), 3);
}

#[test]
fn the_demo_on_redis_survives_its_leader_and_its_server() {
    if !is_built(cfg!(feature = "redis")) || !Redis::is_here() {
        return;
    }
    let demo = Demo::on("redis");
    let screen = screen_on_a_server(&demo);
    kill_both(&demo, &screen);
    screen.press("q");
    screen.until_it_shows(&["The demo has ended"]);
    demo.assert_nothing_is_left();
}

#[test]
fn the_demo_on_postgres_survives_its_leader_and_its_server_but_not_its_session() {
    if !is_built(cfg!(feature = "postgres")) || !servers::postgres::is_here() {
        return;
    }
    let demo = Demo::on("postgres");
    let screen = screen_on_a_server(&demo);
    kill_both(&demo, &screen);
    screen.press("d");
    screen.until_it_shows(&["The demo goes on"]);
    demo.tmux("kill-server");
    demo.assert_nothing_is_left();
}

#[test]
fn the_demo_on_etcd_goes_on_without_a_member() {
    if !is_built(cfg!(feature = "etcd")) || !servers::etcd::is_here() {
        return;
    }
    let demo = Demo::on("etcd");
    let screen = screen_on_a_server(&demo);
    assert_eq!(demo.servers().len(), 3);
    screen.press("m");
    screen.until_it_shows(&["kill -KILL m", ", which led the three"]);
    assert_eq!(demo.servers().len(), 2);
    // The members that are left have to elect a leader first: until then nobody can
    // say who leads on them.
    let pressed = std::cell::Cell::new(None);
    screen.until("another leader", |_| {
        let waits = pressed
            .get()
            .is_some_and(|at: Instant| at.elapsed() < Duration::from_secs(15));
        if demo.nodes().len() == 3 && !waits {
            pressed.set(Some(Instant::now()));
            screen.press("k");
        }
        demo.nodes_said().matches("BECAME LEADER").count() >= 2
    });
    screen.press("m");
    screen.until_it_shows(&["started m", " again"]);
    assert_eq!(demo.servers().len(), 3);

    screen.press("d");
    screen.until_it_shows(&["make demo-etcd returns to it"]);
    let killed = demo.make("kill-demo");
    assert!(killed.status.success(), "{killed:?}");
    assert!(text(&killed).contains("Stopped 2 nodes"), "{killed:?}");
    demo.assert_nothing_is_left();
}

#[test]
fn a_demo_whose_server_is_missing_says_what_to_install_and_starts_nothing() {
    // Not PostgreSQL: Debian has it beside the path.
    for (store, package) in [
        ("etcd", "etcd-server etcd-client"),
        ("redis", "redis-server"),
    ] {
        let demo = Demo::on(store);
        let bin = demo.dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for tool in [
            "bash", "cksum", "cut", "dirname", "grep", "realpath", "tmux",
        ] {
            let found = ["/usr/bin", "/bin"].map(|dir| PathBuf::from(dir).join(tool));
            if let Some(path) = found.iter().find(|path| path.is_file()) {
                std::os::unix::fs::symlink(path, bin.join(tool)).unwrap();
            }
        }
        let mut command = demo.command("bash", &["scripts/demo-parallel.sh"]);
        let output = command.env("PATH", &bin).env("DEMO_STORE", store).output();
        let output = output.unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let install = format!("is missing: apt-get install {package} (");
        assert!(said.contains(&install), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        demo.assert_nothing_is_left();
    }
}
