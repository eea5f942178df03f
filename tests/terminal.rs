//! `run` at a terminal, used as a person does: a real shell in a real tmux,
//! with Ctrl+C, Ctrl+Z and fg, an editor, and a window that is closed.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Cluster;
use common::shell::{Screen, eventually, eventually_some, processes_with, tmux_is_installed};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A lease so long that nobody loses it here.
const LONG: &str = "10m";
/// A lease that a test can wait for; its renew deadline is 2.4 seconds.
const SHORT: &str = "4s";

/// The prompts of the shell in the terminal, and of one that runs in that.
const OUTER: &str = "outer>";
const INNER: &str = "inner>";

const SLEEP: &[&str] = &["sleep", "100"];

/// An interactive shell in a terminal, where `leader-demo` is on the path.
struct Terminal {
    screen: Screen,
    locks: Cluster,
    dir: TempDir,
}

impl Terminal {
    /// None where there is no tmux.
    fn open(lease_duration: &str) -> Option<Self> {
        if !tmux_is_installed() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_leader-demo"));
        let terminal = Self {
            screen: Screen::new(dir.path(), 110, 30),
            locks: Cluster::at(&dir.path().join("locks"), &["--lease-duration", LONG]),
            dir,
        };
        terminal.types(&format!("cd {}", terminal.dir.path().display()));
        terminal.types(&format!(
            "export HOME=$PWD {} LEADER_DEMO_LOCK_DIR=$PWD/locks PATH={}:$PATH",
            terminal.mark(),
            program.parent().unwrap().display(),
        ));
        terminal.types(&format!(
            "export LEADER_DEMO_LEASE_DURATION={lease_duration} LEADER_DEMO_RETRY_PERIOD=200ms"
        ));
        terminal.types(&format!("PS1='{OUTER} '; clear"));
        terminal.prompts(OUTER);
        Some(terminal)
    }

    /// What was started in the terminal has this in its environment; the
    /// terminal itself and its shell have not.
    fn mark(&self) -> String {
        format!("IN_THE_TERMINAL={}", self.dir.path().display())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn reads(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn types(&self, line: &str) {
        self.screen.type_line(line);
    }

    fn presses(&self, key: &str) {
        self.screen.press(key);
    }

    fn shows(&self, what: &str) {
        self.screen.until_it_shows(&[what]);
    }

    /// The shell with this prompt waits for the next line.
    fn prompts(&self, prompt: &str) {
        self.screen.until(&format!("the prompt {prompt}"), |shown| {
            shown.trim_end().ends_with(prompt)
        });
    }

    /// The shell has its prompt, and what it ran has ended with this.
    fn ended_with(&self, code: u8) {
        self.prompts(OUTER);
        self.types("code=$?; clear; echo code=$code");
        self.screen
            .until("an exit code", |shown| shown.starts_with("code="));
        let shown = self.screen.shows();
        assert_eq!(shown.lines().next(), Some(&*format!("code={code}")));
    }

    fn processes(&self) -> Vec<Pid> {
        processes_with(&self.mark())
    }

    /// The process that is this command.
    fn running(&self, command: &[&str]) -> Option<Pid> {
        let is_it = |pid: &Pid| arguments(*pid) == command;
        self.processes().into_iter().find(is_it)
    }

    fn runs(&self, command: &[&str]) -> Pid {
        eventually_some(&format!("{command:?} runs"), || self.running(command))
    }

    fn no_longer_runs(&self, command: &[&str]) {
        eventually(&format!("{command:?} has ended"), || {
            self.running(command).is_none()
        });
    }

    fn wrapper(&self) -> Pid {
        let is_it = |pid: &Pid| arguments(*pid).get(1).is_some_and(|arg| arg == "run");
        self.processes().into_iter().find(is_it).expect("a wrapper")
    }

    /// Nobody leads, and by intention: the record says that it was given back.
    fn gave_the_lease_back(&self) {
        assert!(self.record()["vacant"].is_object(), "{}", self.record());
    }

    fn record(&self) -> serde_json::Value {
        let newest = self.locks.revisions().pop().expect("a record");
        serde_json::from_slice(&fs::read(newest).unwrap()).unwrap()
    }

    /// The lease is lost, whatever its holder does.
    fn loses_the_lease(&self) {
        // A renewal may put something into what is being emptied.
        eventually("the lease is removed", || {
            fs::remove_dir_all(self.locks.lease()).is_ok()
        });
    }

    fn has_a_sane_terminal(&self) {
        self.types("clear; stty -a; echo sa''ne");
        self.shows("sane");
        let shown = self.screen.shows();
        let modes: Vec<_> = shown.split_whitespace().collect();
        for mode in ["icanon", "echo", "isig", "opost", "icrnl"] {
            assert!(modes.contains(&mode), "not {mode}");
        }
    }
}

/// What a failed test leaves behind goes too.
impl Drop for Terminal {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn arguments(pid: Pid) -> Vec<String> {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let arguments = line.strip_suffix('\0').unwrap_or(&line).split('\0');
    arguments.map(str::to_owned).collect()
}

fn is_suspended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('T'))
}

#[test]
fn an_interactive_shell_has_its_job_control() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    terminal.types("leader-demo run -- bash --norc -i");
    terminal.runs(&["bash", "--norc", "-i"]);
    terminal.types(&format!("PS1='{INNER} '; clear"));
    terminal.prompts(INNER);

    terminal.types("sleep 100");
    terminal.runs(SLEEP);
    terminal.presses("C-c");
    terminal.prompts(INNER);
    assert_eq!(terminal.running(SLEEP), None);

    terminal.types("sleep 100");
    let sleep = terminal.runs(SLEEP);
    terminal.presses("C-z");
    terminal.prompts(INNER);
    assert!(is_suspended(sleep));
    assert!(!is_suspended(terminal.wrapper()));
    terminal.types("clear; fg");
    eventually("it goes on", || !is_suspended(sleep));
    terminal.presses("C-c");
    terminal.prompts(INNER);
    assert_eq!(terminal.running(SLEEP), None);

    terminal.types("exit 3");
    terminal.ended_with(3);
    terminal.gave_the_lease_back();
    terminal.has_a_sane_terminal();
}

#[test]
fn ctrl_c_ends_the_command_and_gives_the_lease_back() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    terminal.types("leader-demo run -- sleep 100");
    terminal.runs(SLEEP);
    terminal.presses("C-c");
    terminal.ended_with(130);
    terminal.gave_the_lease_back();
    assert_eq!(terminal.processes(), []);
}

#[test]
fn ctrl_c_ends_a_loop_around_it() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    // A shell goes on after a command that exits with 130; not after one that
    // dies of the signal.
    terminal.types("sh -c 'for i in 1 2 3; do leader-demo run -- sleep 100; done'");
    terminal.runs(SLEEP);
    terminal.presses("C-c");
    terminal.ended_with(130);
    assert_eq!(terminal.processes(), []);
}

#[test]
fn ctrl_c_ends_the_waiting() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    let mut other = terminal.locks.leader("other");
    terminal.types("leader-demo run --log-level info -- touch started");
    terminal.shows("waiting: other leads in term 1");
    terminal.presses("C-c");
    terminal.ended_with(130);
    assert_eq!(terminal.processes(), []);
    assert!(!terminal.file("started").exists());
    other.stop();
}

#[test]
fn ctrl_z_suspends_and_fg_resumes_and_nothing_is_lost() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    terminal.types("leader-demo run -- tee written");
    let command = terminal.runs(&["tee", "written"]);
    terminal.types("one");
    eventually("a line is written", || terminal.reads("written") == "one\n");

    terminal.presses("C-z");
    terminal.prompts(OUTER);
    assert!(is_suspended(terminal.wrapper()));
    eventually("the command is too", || is_suspended(command));
    let before = terminal.locks.revisions().pop();
    terminal.types("fg");
    eventually("it renews again", || {
        terminal.locks.revisions().pop() > before
    });

    terminal.types("two");
    eventually("the next line too", || {
        terminal.reads("written") == "one\ntwo\n"
    });
    terminal.presses("C-d");
    terminal.ended_with(0);
    assert_eq!(terminal.record()["term"], 1);
    terminal.gave_the_lease_back();
}

#[test]
fn suspended_past_the_renew_deadline_it_is_killed_and_fg_says_why_and_starts_anew() {
    let Some(terminal) = Terminal::open(SHORT) else {
        return;
    };
    terminal.types("leader-demo run -- sh -c 'echo in term $LEADER_DEMO_TERM; exec sleep 100'");
    terminal.shows("in term 1");
    let first = terminal.runs(SLEEP);
    terminal.presses("C-z");
    terminal.prompts(OUTER);
    eventually("it is suspended", || is_suspended(first));

    terminal.no_longer_runs(SLEEP);
    assert!(is_suspended(terminal.wrapper()));

    terminal.types("clear; fg");
    terminal.screen.until_it_shows(&[
        "lost the lease of term 1: not renewed for 2s 400ms",
        "stopping the command: its lease is over",
        "in term 2",
    ]);
    terminal.runs(SLEEP);
    terminal.presses("C-c");
    terminal.ended_with(130);
    terminal.gave_the_lease_back();
}

#[test]
fn suspended_past_the_renew_deadline_with_exit_on_loss_fg_says_why_and_ends() {
    let Some(terminal) = Terminal::open(SHORT) else {
        return;
    };
    // It has to be killed the hard way.
    terminal.types("leader-demo run --exit-on-loss -- sh -c 'trap \"\" TERM; exec sleep 100'");
    terminal.runs(SLEEP);
    terminal.presses("C-z");
    terminal.prompts(OUTER);
    terminal.no_longer_runs(SLEEP);
    assert!(is_suspended(terminal.wrapper()));

    terminal.types("clear; fg");
    terminal.shows("lost the lease of term 1");
    terminal.ended_with(123);
    terminal.has_a_sane_terminal();
}

#[test]
fn an_editor_edits() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    let exists = |editor: &&str| {
        let found = Command::new("sh")
            .args(["-c", "command -v \"$0\"", editor])
            .output();
        found.unwrap().status.success()
    };
    let Some(editor) = ["vi", "vim.tiny", "nano"].into_iter().find(exists) else {
        return common::skip("there is no editor: neither vi nor vim.tiny nor nano");
    };
    fs::write(terminal.file("text"), "first\n").unwrap();
    terminal.types(&format!("clear; leader-demo run -- {editor} text"));
    terminal.shows("first");
    if editor == "nano" {
        terminal.screen.type_text("second, ");
        terminal.shows("second, first");
        terminal.presses("C-x");
        terminal.screen.type_text("y");
        terminal.presses("Enter");
    } else {
        // The editor suspends its whole group, which is the wrapper's.
        terminal.presses("C-z");
        terminal.prompts(OUTER);
        assert!(is_suspended(terminal.wrapper()));
        terminal.types("clear; fg");
        terminal.shows("first");
        terminal.types(":s/^/second, /");
        terminal.shows("second, first");
        terminal.types(":wq");
    }
    terminal.ended_with(0);
    assert_eq!(terminal.reads("text"), "second, first\n");
    terminal.has_a_sane_terminal();
}

#[test]
fn what_is_killed_in_raw_mode_leaves_a_usable_terminal() {
    let Some(terminal) = Terminal::open(SHORT) else {
        return;
    };
    let draw = r#"trap "" TERM; stty raw -echo; printf "\033[?1049hd%s" rawn; exec sleep 100"#;
    terminal.types(&format!("leader-demo run --exit-on-loss -- sh -c '{draw}'"));
    terminal.shows("drawn");
    terminal.runs(SLEEP);
    terminal.loses_the_lease();
    terminal.shows("lost the lease of term 1");
    terminal.ended_with(123);
    terminal.has_a_sane_terminal();
}

#[test]
fn after_a_shell_that_was_killed_the_next_one_has_the_terminal() {
    let Some(terminal) = Terminal::open(SHORT) else {
        return;
    };
    terminal.types("leader-demo run -- bash --norc -i");
    let first = terminal.runs(&["bash", "--norc", "-i"]);
    terminal.types(&format!("PS1='{INNER} '; clear"));
    terminal.prompts(INNER);
    terminal.loses_the_lease();
    eventually("another shell runs", || {
        let running = terminal.running(&["bash", "--norc", "-i"]);
        running.is_some_and(|pid| pid != first)
    });
    terminal.types("clear; echo in term $LEADER_DEMO_TERM");
    // The lease was lost with its directory: a thousand terms on.
    terminal.shows("in term 1002");
    terminal.types("exit 4");
    terminal.ended_with(4);
    terminal.has_a_sane_terminal();
}

#[test]
fn it_is_a_part_of_a_pipeline() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    terminal.types("leader-demo run -- printf 'pip%s\\n' ed | cat");
    terminal.shows("\npiped\n");
    terminal.ended_with(0);
    terminal.types("echo flown | leader-demo run -- sed s/fl/bl/ | cat");
    terminal.shows("\nblown\n");
    terminal.ended_with(0);
    assert_eq!(terminal.processes(), []);
}

#[test]
fn a_job_in_the_background_comes_to_the_front() {
    let Some(terminal) = Terminal::open(LONG) else {
        return;
    };
    terminal.types("leader-demo run -- sleep 100 &");
    terminal.runs(SLEEP);
    terminal.types("clear; fg");
    terminal.shows("leader-demo run -- sleep 100");
    terminal.presses("C-c");
    terminal.ended_with(130);

    // One that reads is suspended until then.
    terminal.types("leader-demo run -- tee written &");
    let reader = terminal.runs(&["tee", "written"]);
    eventually("it is suspended", || is_suspended(reader));
    terminal.types("clear; fg");
    terminal.shows("leader-demo run -- tee written");
    terminal.types("a line");
    eventually("it has read", || terminal.reads("written") == "a line\n");
    terminal.presses("C-d");
    terminal.ended_with(0);
    terminal.gave_the_lease_back();
}

#[test]
fn a_closed_terminal_ends_it_all() {
    for command in [SLEEP, &["bash", "--norc", "-i"]] {
        let Some(terminal) = Terminal::open(LONG) else {
            return;
        };
        terminal.types(&format!("leader-demo run -- {}", command.join(" ")));
        terminal.runs(command);
        assert_eq!(terminal.processes().len(), 3);
        terminal.screen.tmux("kill-window -t screen");
        eventually("nothing is left", || terminal.processes().is_empty());
        terminal.gave_the_lease_back();
    }
}
