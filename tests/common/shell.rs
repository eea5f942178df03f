//! What the tests of scripts and terminals share: a clean environment,
//! processes that are found by a mark in it, and a terminal.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::PATIENCE;

/// False, and the reader is told, where there is no tmux.
pub fn tmux_is_installed() -> bool {
    is_installed("tmux")
}

/// False, and the reader is told, where there is no such program.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !installed {
        missing(program);
    }
    installed
}

/// Tells the reader that this is not tested here. Where the gate runs, it must be.
pub fn missing(what: &str) {
    let gate = std::env::var("CI").as_deref() == Ok("true");
    assert!(!gate, "{what} is missing");
    super::skip(&format!("{what} is not installed"));
}

/// What is typed into it runs in a shell.
pub struct Screen {
    dir: PathBuf,
}

impl Screen {
    /// Its socket is in `dir`.
    pub fn new(dir: &Path, columns: u16, rows: u16) -> Self {
        let screen = Self {
            dir: dir.to_owned(),
        };
        let size = format!("-x{columns} -y{rows}");
        screen.tmux(&format!("new-session -d {size} -s screen bash --norc"));
        screen.tmux("set-option status off");
        screen
    }

    pub fn tmux(&self, command: &str) -> String {
        tmux(&self.dir, "screen", command)
    }

    pub fn press(&self, keys: &str) {
        self.tmux(&format!("send-keys -t screen {keys}"));
    }

    pub fn type_text(&self, text: &str) {
        let args = ["send-keys", "-t", "screen", "-l", text];
        let typed = tmux_command(&self.dir, "screen").args(args).status();
        assert!(typed.unwrap().success());
    }

    pub fn type_line(&self, line: &str) {
        self.type_text(line);
        self.press("Enter");
    }

    pub fn shows(&self) -> String {
        self.tmux("capture-pane -p -t screen")
    }

    pub fn until_it_shows(&self, what: &[&str]) {
        self.until(&format!("{what:?}"), |shown| {
            what.iter().all(|text| shown.contains(text))
        });
    }

    pub fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        eventually(&format!("the screen shows {what}"), || is_it(&self.shows()));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let command = |args: &str| {
            let mut command = tmux_command(&self.dir, "screen");
            command.args(args.split(' ')).output()
        };
        if std::thread::panicking()
            && let Ok(shown) = command("capture-pane -p -t screen")
        {
            eprintln!("the screen:\n{}", String::from_utf8_lossy(&shown.stdout));
        }
        let _ = command("kill-server");
    }
}

fn tmux_command(dir: &Path, socket: &str) -> Command {
    let mut command = without_the_developers_settings("tmux");
    command.env("TMUX_TMPDIR", dir);
    command.args(["-u", "-f", "/dev/null", "-L", socket]);
    command
}

pub fn tmux(dir: &Path, socket: &str, command: &str) -> String {
    let output = tmux_command(dir, socket)
        .args(command.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs at the root of the project.
pub fn without_the_developers_settings(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars() {
        let set = ["TMUX", "NO_COLOR", "NODE_ID", "ARGS", "RUST_LOG"].contains(&&*name);
        let prefixed = ["LEADER_DEMO_", "DEMO_", "LOCK_", "LEASE_", "MAKE"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if set || prefixed {
            command.env_remove(name);
        }
    }
    command
}

/// The processes with this variable, as `NAME=value`, in their environment.
pub fn processes_with(mark: &str) -> Vec<Pid> {
    let of = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let mut environment = Vec::new();
        std::fs::File::open(entry.path().join("environ"))
            .ok()?
            .read_to_end(&mut environment)
            .ok()?;
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        Pid::from_raw(pid).filter(|_| marked)
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(of)
        .collect()
}

pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_some(what, || holds().then_some(()));
}
