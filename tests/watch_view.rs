//! `watch` at a terminal, looked at as a person does: a real terminal of many
//! sizes, real nodes that are killed and frozen.
#![cfg(feature = "view")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::shell::{
    Screen, eventually, eventually_some, processes_with, tmux_is_installed,
    without_the_developers_settings,
};
use common::{Cluster, Node};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A lease that a test can wait for.
const SHORT: &[&str] = &["--lease-duration", "2s"];
/// One that nobody may have waited for.
const LONG: &[&str] = &["--lease-duration", "10m"];

const PROMPT: &str = "prompt>";

/// A shell in a terminal, in which `leader-demo` follows an election.
struct Watched {
    screen: Screen,
    nodes: Cluster,
    dir: TempDir,
}

impl Watched {
    /// None where there is no tmux.
    fn open(columns: u16, rows: u16, lease: &[&str]) -> Option<Self> {
        if !tmux_is_installed() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let watched = Self {
            screen: Screen::new(dir.path(), columns, rows),
            nodes: Cluster::at(&dir.path().join("locks"), lease),
            dir,
        };
        watched.screen.type_line(&format!(
            "export IN_THE_TERMINAL={0} LEADER_DEMO_LOCK_DIR={0}/locks PATH={1}:$PATH PS1='{PROMPT} '",
            watched.dir.path().display(),
            program().parent().unwrap().display(),
        ));
        watched.screen.type_line("clear; stty -g; echo before");
        watched.prompts();
        Some(watched)
    }

    fn follow(&self) {
        self.screen.type_line("leader-demo watch");
    }

    fn shows(&self, what: &[&str]) {
        self.screen.until_it_shows(what);
    }

    fn prompts(&self) {
        self.screen
            .until("the prompt", |shown| shown.trim_end().ends_with(PROMPT));
    }

    fn watcher(&self) -> Pid {
        let mark = format!("IN_THE_TERMINAL={}", self.dir.path().display());
        let named = |pid: &Pid| {
            let comm = format!("/proc/{}/comm", pid.as_raw_nonzero());
            std::fs::read_to_string(comm).is_ok_and(|name| name.trim() == "leader-demo")
        };
        eventually_some("it watches", || {
            processes_with(&mark).into_iter().find(named)
        })
    }

    fn end(&self, how: End) {
        match how {
            End::Key(key) => self.screen.press(key),
            End::Signal(signal) => kill_process(self.watcher(), signal).unwrap(),
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen
            .tmux(&format!("resize-window -t screen -x {columns} -y {rows}"));
    }

    fn is_given_back(&self) {
        self.prompts();
        let state = "#{alternate_on} #{cursor_flag}";
        let args = format!("display-message -p -t screen {}", state.replace(' ', "/"));
        assert_eq!(
            self.screen.tmux(&args).trim(),
            "0/1",
            "alternate screen, cursor"
        );
        let shown = self.screen.shows();
        let modes = shown.lines().next().unwrap().to_owned();
        assert!(
            modes.contains(':'),
            "what was there before is there again: {shown}"
        );
        self.screen.type_line("clear; stty -g; echo before");
        self.screen
            .until("the modes", |shown| shown.contains("\nbefore\n"));
        self.prompts();
        assert_eq!(self.screen.shows().lines().next(), Some(&*modes));
    }
}

#[derive(Clone, Copy)]
enum End {
    Key(&'static str),
    Signal(Signal),
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_leader-demo"))
}

/// The line of the timeline about this term.
fn line_of(shown: &str, term: &str) -> String {
    let of_term = |line: &&str| line.split_whitespace().nth(3) == Some(term);
    let line = shown.lines().find(of_term);
    line.unwrap_or_else(|| panic!("no line of term {term}:\n{shown}"))
        .to_owned()
}

#[test]
fn who_leads_and_who_takes_over_with_the_gap() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let Some(watched) = Watched::open(columns, rows, LONG) else {
            return;
        };
        let mut first = watched.nodes.leader("node-1");
        let second = watched.nodes.follower("node-2");
        watched.follow();
        watched.shows(&[
            "term 1",
            &format!("pid {} on", first.pid()),
            "lease ━━",
            "q quit",
        ]);
        watched.shows(&["node-1      1        -  led already"]);

        first.kill();
        watched.shows(&["term 2", &format!("pid {} on", second.pid()), "leader died"]);
        let line = line_of(&watched.screen.shows(), "2");
        assert!(
            line.contains("node-2") && line.contains(" ms  leader died"),
            "{line}"
        );
        let line = line_of(&watched.screen.shows(), "1");
        assert!(line.trim_end().ends_with("died"), "{line}");
    }
}

#[test]
fn a_frozen_leader_is_seen_to_expire() {
    let Some(watched) = Watched::open(80, 24, SHORT) else {
        return;
    };
    let first = watched.nodes.leader("node-1");
    watched.follow();
    watched.shows(&["term 1"]);
    first.signal(Signal::STOP);
    watched.shows(&["since ", "node-1 led in term 1", "expired"]);
    let second = watched.nodes.leader("node-2");
    watched.shows(&["term 2", "lease expired"]);
    let line = line_of(&watched.screen.shows(), "2");
    let gap = line
        .split_whitespace()
        .nth(4)
        .unwrap()
        .parse::<f64>()
        .unwrap();
    assert!(gap >= 2.0 && line.contains(" s  lease expired"), "{line}");
    first.signal(Signal::CONT);
    drop(second);
}

#[test]
fn the_election_may_begin_after_the_watch() {
    let Some(watched) = Watched::open(80, 24, LONG) else {
        return;
    };
    watched.follow();
    watched.shows(&["since before this watch"]);
    let mut node = watched.nodes.leader("node-1");
    watched.shows(&["term 1"]);
    node.stop();
    watched.shows(&["node-1 led in term 1", "released"]);
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was_and_the_state_is_said() {
    let Some(watched) = Watched::open(80, 24, LONG) else {
        return;
    };
    let _leader = watched.nodes.leader("node-1");
    let ends = [
        End::Key("q"),
        End::Key("C-c"),
        End::Signal(Signal::TERM),
        End::Signal(Signal::HUP),
        End::Signal(Signal::INT),
        End::Signal(Signal::QUIT),
    ];
    for end in ends {
        watched.follow();
        watched.shows(&["led already"]);
        watched.end(end);
        watched.shows(&["before", "node-1 leads in term 1, for at least"]);
        watched.is_given_back();
        watched
            .screen
            .type_line("clear; leader-demo watch; echo code=$?");
        watched.shows(&["led already"]);
        watched.end(end);
        watched.shows(&["code=0"]);
        watched.screen.type_line("clear; stty -g; echo before");
        watched
            .screen
            .until("the modes", |shown| shown.contains("\nbefore\n"));
    }
}

#[test]
fn the_most_important_is_shown_at_any_size() {
    let Some(watched) = Watched::open(120, 40, LONG) else {
        return;
    };
    let _leader = watched.nodes.leader("node-1");
    watched.follow();
    watched.shows(&["led already"]);
    let begins = |text: &'static str| move |shown: &str| shown.trim_start().starts_with(text);
    for (columns, rows, first) in [
        (80, 6, "node-1  term 1  leads for"),
        (10, 3, "node-1\nterm 1\n━"),
        (200, 60, "leader-election-demo"),
        (1, 1, "n"),
        (40, 1, "node-1  term 1"),
        (13, 1, "node-1 term 1"),
        (12, 1, "node-1\n"),
        (5, 40, "node-"),
        (80, 24, "leader-election-demo"),
    ] {
        watched.resize(columns, rows);
        let what = format!("{first:?} at {columns} x {rows}");
        watched.screen.until(&what, begins(first));
    }
    watched.screen.press("q");
    watched.shows(&["node-1 leads in term 1"]);
}

#[test]
fn the_past_is_scrolled_through() {
    let Some(watched) = Watched::open(80, 8, LONG) else {
        return;
    };
    watched.follow();
    watched.shows(&["since before"]);
    for term in 1..=9 {
        let mut node = watched.nodes.leader("node");
        watched.shows(&[&format!("term {term}  leads")]);
        node.stop();
    }
    let first_line = |watched: &Watched| watched.screen.shows();
    watched.screen.press("End");
    watched.screen.until("the oldest", |shown| {
        shown.contains("↑") && !shown.contains("↓")
    });
    assert!(line_of(&first_line(&watched), "1").contains("node"));
    watched.screen.press("Up");
    watched.shows(&["↓1"]);
    watched.screen.press("PPage");
    watched.screen.press("Home");
    watched.screen.until("the newest", |shown| {
        shown.contains("↓") && !shown.contains("↑")
    });
    assert!(line_of(&first_line(&watched), "9").contains("released"));
}

#[test]
fn it_is_stopped_and_goes_on_in_front() {
    let Some(watched) = Watched::open(80, 24, LONG) else {
        return;
    };
    let _leader = watched.nodes.leader("node-1");
    watched.follow();
    watched.shows(&["led already"]);
    let stops: [Box<dyn Fn()>; 3] = [
        Box::new(|| watched.screen.press("C-z")),
        Box::new(|| kill_process(watched.watcher(), Signal::TSTP).unwrap()),
        Box::new(|| kill_process(watched.watcher(), Signal::STOP).unwrap()),
    ];
    for stop in stops {
        stop();
        watched.shows(&["Stopped"]);
        watched.screen.type_line("clear; echo here");
        watched.shows(&["here"]);
        watched.screen.type_line("fg");
        watched.shows(&["led already", "q quit"]);
    }
    watched.screen.press("q");
    watched.shows(&["node-1 leads"]);
    watched.prompts();
}

#[test]
fn colours_are_for_those_who_want_them() {
    let Some(watched) = Watched::open(80, 24, LONG) else {
        return;
    };
    let _leader = watched.nodes.leader("node-1");
    let coloured = || {
        watched.shows(&["led already"]);
        let shown = watched.screen.tmux("capture-pane -p -e -t screen");
        watched.screen.press("q");
        watched.prompts();
        (31..=37).any(|colour| {
            shown.contains(&format!("\u{1b}[{colour}m")) || shown.contains(&format!(";{colour}m"))
        })
    };
    watched.follow();
    assert!(coloured());
    watched
        .screen
        .type_line("clear; NO_COLOR=1 leader-demo watch");
    assert!(!coloured());
}

#[test]
fn what_cannot_be_drawn_on_gets_lines() {
    let Some(watched) = Watched::open(100, 24, LONG) else {
        return;
    };
    let _leader = watched.nodes.leader("node-1");
    for how in [
        "TERM=dumb leader-demo watch",
        "TERM= leader-demo watch",
        "leader-demo watch | cat",
    ] {
        watched.screen.type_line(&format!("clear; {how}"));
        watched.shows(&["node-1", "term 1"]);
        assert!(!watched.screen.shows().contains("q quit"), "{how}");
        watched.screen.press("C-c");
        watched.prompts();
    }
}

/// Whoever reads the terminal's output has stopped to: a window that hangs.
#[test]
fn a_terminal_that_takes_no_output_costs_nothing_and_holds_up_no_end() {
    let nodes = Cluster::new(SHORT);
    let _leader: Node = nodes.leader("node-1");
    let mark = format!("STALLED={}", nodes.dir().display());
    let mut terminal = without_the_developers_settings("script");
    terminal
        .args([
            "-qec",
            &format!("{} watch", program().display()),
            "/dev/null",
        ])
        .env("LEADER_DEMO_LOCK_DIR", nodes.dir())
        .env("TERM", "xterm")
        .env("STALLED", nodes.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let watcher = eventually_some("it watches", || {
        let is_it = |pid: &Pid| {
            let cmdline = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
            std::fs::read(cmdline)
                .is_ok_and(|args| args.starts_with(program().as_os_str().as_encoded_bytes()))
        };
        processes_with(&mark).into_iter().find(is_it)
    });
    // All of the screen, again and again, until it takes no more.
    let mut keys = terminal.stdin.take().unwrap();
    eventually("the terminal is full", || {
        let before = written(watcher);
        for _ in 0..20 {
            keys.write_all(b"\x0c").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        // What remains are the eight bytes by which a thread wakes another.
        written(watcher) < before + 500
    });
    let before = ticks(watcher);
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(watcher) - before;
    assert!(used < 20, "{used} hundredths of a second in two seconds");

    kill_process(watcher, Signal::TERM).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", watcher.as_raw_nonzero()));
    eventually("it has ended", || {
        state().is_err() || state().unwrap().contains(") Z")
    });
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}

/// How many bytes this process has written so far.
fn written(pid: Pid) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", pid.as_raw_nonzero())).unwrap();
    let number = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    number.unwrap().parse().unwrap()
}

/// The processor time of this process, in hundredths of a second.
fn ticks(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let number = |n: usize| fields.split(' ').nth(n).unwrap().parse::<u64>().unwrap();
    number(11) + number(12)
}
