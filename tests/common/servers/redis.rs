//! A Redis, or a Valkey.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, eventually, free_port, is_installed, shared};

pub struct Redis {
    process: Option<Process>,
    pub port: u16,
    pub dir: TempDir,
    program: &'static str,
    flags: Vec<String>,
}

impl Redis {
    pub fn is_here() -> bool {
        is_installed("redis-server", "redis-server")
    }

    /// One for all tests that run at the time.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Redis>> = Mutex::new(Weak::new());
        shared(&SHARED, || Self::start(&[]))
    }

    pub fn start(flags: &[&str]) -> Self {
        Self::start_program("redis-server", flags)
    }

    pub fn start_program(program: &'static str, flags: &[&str]) -> Self {
        let mut server = Self {
            process: None,
            port: free_port(),
            dir: tempfile::tempdir().unwrap(),
            program,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        server.restart();
        server
    }

    /// After a `kill -9`, if it runs.
    pub fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new(self.program);
        command.arg("--port").arg(self.port.to_string());
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
        command.arg("--dir").arg(self.dir.path()).args(&self.flags);
        let process = Process::start(&mut command, &self.dir.path().join("log"));
        self.process = Some(process.until(|| {
            let said = self.try_cli(&["PING"]);
            said.contains("PONG") || said.contains("NOAUTH")
        }));
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().unwrap().signal(signal);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn try_cli(&self, words: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.arg("-p").arg(self.port.to_string()).args(words);
        String::from_utf8(cli.output().unwrap().stdout).unwrap()
    }

    /// What it answers, by a connection of its own.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        let said = self.try_cli(words).trim().to_owned();
        let is_error = said.split(' ').next().is_some_and(|word| {
            word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()) && said != "PONG"
        });
        assert!(!is_error, "{words:?}: {said}");
        said
    }

    /// One number of INFO.
    pub fn info(&self, name: &str) -> String {
        let info = self.cli(&["INFO", "everything"]);
        let mut lines = info.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn until_info(&self, name: &str, value: &str) {
        eventually(&format!("{name} is {value}"), || self.info(name) == value);
    }
}
