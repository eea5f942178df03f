//! The scripts and the unit of `examples/run/`: run as they are, several at once.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::shell::{eventually, processes_with, without_the_developers_settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leader-demo");

/// A machine, or several: all that the examples share is this directory.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn reads(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn writes(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mark(&self) -> (&'static str, String) {
        ("EXAMPLE_AT", self.dir.path().display().to_string())
    }

    /// Any program, with `leader-demo` on its path.
    fn program(&self, program: impl AsRef<Path>) -> Command {
        let mut command = without_the_developers_settings(program.as_ref().to_str().unwrap());
        let bin = Path::new(PROGRAM).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap();
        let (name, value) = self.mark();
        command
            .env("PATH", format!("{bin}:{path}"))
            .env(name, value)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn example(&self, name: &str, args: &[&str]) -> Command {
        let mut command = self.program(example(name));
        command.args(args);
        command
    }

    /// A leader of this term writes.
    fn writes_in_term(&self, term: u64, args: &[&str], content: &str) -> Output {
        self.writes("content", content);
        self.example("fenced-write.sh", args)
            .env("LEADER_DEMO_TERM", term.to_string())
            .stdin(fs::File::open(self.path("content")).unwrap())
            .output()
            .unwrap()
    }

    fn newest_record(&self, lease: &str) -> String {
        let entries = fs::read_dir(self.path(lease)).unwrap();
        let numbers = entries.map(|entry| entry.unwrap().path());
        let newest = numbers.filter(|path| path.is_file()).max();
        fs::read_to_string(newest.unwrap()).unwrap()
    }

    /// What is here, without what the test made.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "content")
            .collect();
        names.sort();
        names
    }
}

/// What a failed test leaves behind goes too.
impl Drop for Place {
    fn drop(&mut self) {
        let (name, value) = self.mark();
        for pid in processes_with(&format!("{name}={value}")) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/run")
        .join(name)
}

fn four<T>(one: impl FnMut(usize) -> T) -> Vec<T> {
    (0..4).map(one).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

const BEFORE: &str = "term 0\nversion 1\nalice\nbob\n";
const AFTER: &str = "version 2\nalice,active\nbob,active\n";
/// Done twice, it would be seen.
const WORK: &str = "echo >>begun; sleep 0.2; sed 's/$/,active/'";

#[test]
fn a_migration_is_done_once_however_many_start_it() {
    let place = Place::new();
    place.writes("accounts", BEFORE);
    let migrate = ["accounts", "2", "sh", "-c", WORK];
    let all = four(|_| place.example("migrate.sh", &migrate).spawn().unwrap());
    let said: Vec<_> = all
        .into_iter()
        .map(|one| {
            let output = one.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            text(&output)
        })
        .collect();
    let count = |what: &str| said.iter().filter(|said| said.contains(what)).count();
    assert_eq!(count("at version 2 now"), 1, "{said:?}");
    assert_eq!(count("at version 2 already"), 3, "{said:?}");

    let again = place.example("migrate.sh", &migrate).output().unwrap();
    assert!(again.status.success(), "{again:?}");
    assert_eq!(place.reads("begun").lines().count(), 1);
    assert_eq!(place.reads("accounts").split_once('\n').unwrap().1, AFTER);
}

#[test]
fn a_migration_that_was_killed_in_the_middle_is_done_by_the_next() {
    let place = Place::new();
    place.writes("accounts", BEFORE);
    let stuck = ["accounts", "2", "sh", "-c", "echo >>begun; sleep 1000"];
    let mut first = place.example("migrate.sh", &stuck).spawn().unwrap();
    eventually("the first has begun", || place.path("begun").exists());
    let next = ["accounts", "2", "sh", "-c", WORK];
    let next = place.example("migrate.sh", &next).spawn().unwrap();
    send(&first, Signal::KILL);
    first.wait().unwrap();
    let next = next.wait_with_output().unwrap();
    assert!(
        text(&next).contains("at version 2 now, migrated in term 2"),
        "{next:?}"
    );
    assert_eq!(place.reads("accounts"), format!("term 2\n{AFTER}"));
}

#[test]
fn a_migration_that_fails_changes_nothing_and_says_so() {
    let place = Place::new();
    place.writes("accounts", BEFORE);
    for (args, code) in [
        (["accounts", "2", "sh", "-c", "echo half; exit 7"], 7),
        (["accounts", "9", "sh", "-c", "cat"], 1),
    ] {
        let failed = place.example("migrate.sh", &args).output().unwrap();
        assert_eq!(failed.status.code(), Some(code), "{failed:?}");
        let content = place.reads("accounts");
        assert!(content.ends_with("version 1\nalice\nbob\n"), "{content}");
    }
}

#[test]
fn a_migration_of_no_file_says_so_and_makes_none() {
    let place = Place::new();
    for script in ["migrate.sh", "migrate-step.sh"] {
        let missing = place
            .example(script, &["nofile", "2", "cat"])
            .env("LEADER_DEMO_TERM", "1")
            .output()
            .unwrap();
        assert_eq!(missing.status.code(), Some(1), "{missing:?}");
        assert_eq!(text(&missing), "error: there is no file nofile\n");
        assert_eq!(place.files(), Vec::<String>::new());
    }
    place.writes("accounts", BEFORE);
    let word = place
        .example("migrate.sh", &["accounts", "two", "cat"])
        .output()
        .unwrap();
    assert_eq!(word.status.code(), Some(2), "{word:?}");
    assert!(text(&word).contains("usage"), "{word:?}");
    assert_eq!(place.files(), ["accounts"]);
}

#[test]
fn a_migration_of_a_file_without_a_version_says_so_and_changes_nothing() {
    let place = Place::new();
    for rest in [
        "foo\n",
        "",
        "\n",
        "version\n",
        "version x\n",
        "version 08\n",
    ] {
        place.writes("accounts", &format!("term 0\n{rest}"));
        let migrate = ["accounts", "2", "sh", "-c", "echo >>begun"];
        let failed = place.example("migrate.sh", &migrate).output().unwrap();
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        assert!(
            text(&failed).contains("accounts has no version line"),
            "{failed:?}"
        );
        let content = place.reads("accounts");
        assert_eq!(content.split_once('\n').unwrap().1, rest);
        assert!(!place.path("begun").exists());
    }
    // The last line may end with the file.
    place.writes("accounts", "term 0\nversion 1");
    let migrate = ["accounts", "2", "echo", "carol"];
    let migrated = place.example("migrate.sh", &migrate).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    assert!(place.reads("accounts").ends_with("\nversion 2\ncarol\n"));
}

#[test]
fn a_file_keeps_its_mode_and_is_not_open_to_others_meanwhile() {
    let place = Place::new();
    for mode in [0o640, 0o600, 0o664] {
        place.writes("accounts", BEFORE);
        place.chmod("accounts", mode);
        let migrate = ["accounts", "2", "sed", "s/$/,active/"];
        let migrated = place.example("migrate.sh", &migrate).output().unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        assert!(place.reads("accounts").ends_with(AFTER));
        assert_eq!(place.mode("accounts"), mode);
    }
    // A new file is as the umask has it.
    for (umask, mode) in [("022", 0o644), ("027", 0o640)] {
        let write = format!("umask {umask}; echo hello | \"$0\" new-{umask}");
        let written = place
            .program("sh")
            .args(["-c", &write])
            .arg(example("fenced-write.sh"))
            .env("LEADER_DEMO_TERM", "1")
            .output()
            .unwrap();
        assert!(written.status.success(), "{written:?}");
        assert_eq!(place.mode(&format!("new-{umask}")), mode);
    }

    // Its content has not come yet.
    let mut slow = place
        .example("fenced-write.sh", &["accounts"])
        .env("LEADER_DEMO_TERM", "77")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let new = format!("accounts.77.{}", slow.id());
    eventually("it has begun", || !place.reads(&new).is_empty());
    assert_eq!(place.mode(&new), 0o600);
    drop(slow.stdin.take());
    assert!(slow.wait().unwrap().success());
    assert_eq!(place.mode("accounts"), 0o664);
}

#[test]
fn a_file_keeps_its_owner_where_that_is_permitted() {
    use std::os::unix::fs::{MetadataExt, chown};
    let place = Place::new();
    place.writes("report", "term 0\n");
    if chown(place.path("report"), Some(12345), Some(23456)).is_err() {
        return common::skip("only root may give a file away");
    }
    place.chmod("report", 0o640);
    assert!(
        place
            .writes_in_term(1, &["report"], "one\n")
            .status
            .success()
    );
    let meta = fs::metadata(place.path("report")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (12345, 23456));
    assert_eq!(place.mode("report"), 0o640);
    assert_eq!(place.reads("report"), "term 1\none\n");
}

#[test]
fn a_link_and_its_target_are_one_file_with_one_lock() {
    let place = Place::new();
    fs::create_dir(place.path("data")).unwrap();
    place.writes("data/accounts", BEFORE);
    std::os::unix::fs::symlink("data/accounts", place.path("link")).unwrap();
    let ways = ["link", "data/accounts", "./data/../link", "data/accounts"];
    let all = four(|i| {
        let migrate = [ways[i], "2", "sh", "-c", WORK];
        place.example("migrate.sh", &migrate).spawn().unwrap()
    });
    for one in all {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(place.reads("begun").lines().count(), 1);
    let content = place.reads("data/accounts");
    assert_eq!(content.split_once('\n').unwrap().1, AFTER);
    assert!(place.path("data/accounts.lock").is_dir());

    let written = place.writes_in_term(9, &["link"], "nine\n");
    assert!(written.status.success(), "{written:?}");
    assert_eq!(place.reads("data/accounts"), "term 9\nnine\n");
    assert!(place.path("link").is_symlink());
    assert_eq!(place.files(), ["begun", "data", "link"]);
}

#[test]
fn a_file_of_any_name_can_be_migrated() {
    let place = Place::new();
    let long = "long".repeat(50);
    for name in ["acc ounts", ".hidden", "-n", "a'b\"$c*\n\u{e9}", &long] {
        place.writes(name, BEFORE);
        let migrate = [name, "2", "sh", "-c", WORK];
        let all = four(|_| place.example("migrate.sh", &migrate).spawn().unwrap());
        for one in all {
            let output = one.wait_with_output().unwrap();
            assert!(output.status.success(), "{name:?}: {output:?}");
        }
        assert_eq!(place.reads("begun").lines().count(), 1, "{name:?}");
        fs::remove_file(place.path("begun")).unwrap();
        let content = place.reads(name);
        assert_eq!(content.split_once('\n').unwrap().1, AFTER, "{name:?}");
    }
    // Where the directory is mounted does not count.
    let locks = |place: &Place| -> Vec<_> {
        let names = place.files().into_iter();
        names.filter(|name| name.ends_with(".lock")).collect()
    };
    assert_eq!(locks(&place).len(), 5);
    let elsewhere = Place::new();
    elsewhere.writes("acc ounts", BEFORE);
    let migrate = ["acc ounts", "2", "cat"];
    let migrated = elsewhere.example("migrate.sh", &migrate).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    assert_eq!(locks(&elsewhere).len(), 1);
    assert!(locks(&place).contains(&locks(&elsewhere)[0]));
}

#[test]
fn an_old_leader_that_wakes_during_the_migration_is_refused() {
    let place = Place::new();
    place.writes("accounts", BEFORE);
    let old = "LEADER_DEMO_TERM=1 \"$0\" accounts 2 sed s/^/late-/ 2>old; sed 's/$/,active/'";
    let step = example("migrate-step.sh");
    let migrated = place
        .example("migrate-step.sh", &["accounts", "2", "sh", "-c", old])
        .arg(step)
        .env("LEADER_DEMO_TERM", "2")
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let refused = "refused: term 1 is over, accounts has seen term 2";
    assert!(
        place.reads("old").contains(refused),
        "{}",
        place.reads("old")
    );
    assert_eq!(place.reads("accounts"), format!("term 2\n{AFTER}"));
}

#[test]
fn a_fenced_write_refuses_every_term_below_the_highest() {
    let place = Place::new();
    let written = |term, content: &str| {
        let output = place.writes_in_term(term, &["report"], content);
        assert_eq!(output.status.success(), !text(&output).contains("refused"));
        output.status.success()
    };
    assert!(written(5, "five\n"));
    assert!(!written(4, "four\n"));
    assert!(written(5, "five again\n"));
    assert_eq!(place.reads("report"), "term 5\nfive again\n");

    let fence = ["--fence", "report"];
    assert!(!place.writes_in_term(4, &fence, "").status.success());
    assert!(place.writes_in_term(10, &fence, "").status.success());
    assert_eq!(place.reads("report"), "term 10\nfive again\n");
    assert!(!written(9, "nine\n"));
    assert!(written(10, ""));
    assert_eq!(place.reads("report"), "term 10\n");
    assert_eq!(place.files(), ["report", "report.fence"]);
}

#[test]
fn a_fenced_write_replaces_no_file_of_another_kind_and_needs_a_term() {
    let place = Place::new();
    for other in ["hello\n", "", "term x[$(touch\u{a0}pwned)]\n", "term\n"] {
        place.writes("report", other);
        let output = place.writes_in_term(5, &["report"], "five\n");
        assert!(text(&output).contains("is no term"), "{output:?}");
        assert_eq!(place.reads("report"), other);
    }
    let outside = place
        .example("fenced-write.sh", &["report"])
        .output()
        .unwrap();
    assert!(text(&outside).contains("leader-demo run"), "{outside:?}");
    assert_eq!(place.files(), ["report", "report.fence"]);
}

#[test]
fn of_many_fenced_writes_at_once_the_highest_term_stays() {
    let place = Place::new();
    place.writes("content", "of its term\n");
    for round in 0..5 {
        let highest = round * 100 + 20;
        let writers: Vec<_> = (highest - 19..=highest)
            .map(|term| {
                let mut writer = place.example("fenced-write.sh", &["report"]);
                writer
                    .env("LEADER_DEMO_TERM", term.to_string())
                    .stdin(fs::File::open(place.path("content")).unwrap());
                (term, writer.spawn().unwrap())
            })
            .collect();
        for (term, writer) in writers {
            let output = writer.wait_with_output().unwrap();
            assert!(term < highest || output.status.success(), "{output:?}");
        }
        assert_eq!(
            place.reads("report"),
            format!("term {highest}\nof its term\n")
        );
    }
    assert_eq!(place.files(), ["report", "report.fence"]);
}

#[test]
fn the_frozen_leader_is_refused() {
    let place = Place::new();
    let shown = place
        .example("frozen-leader.sh", &[])
        .env("TMPDIR", place.dir.path())
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let shown = text(&shown);
    for step in [
        "term 1\nwritten by the old",
        "term 2\nwritten by the new",
        "refused: term 1 is over, report has seen term 2",
    ] {
        assert!(shown.contains(step), "{step}: {shown}");
    }
    assert!(!shown.contains("LATE"), "{shown}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn of_one_cron_job_on_many_machines_one_does_it_each_time() {
    let place = Place::new();
    let job = ["locks", "report", "sh", "-c", "echo >>done"];
    let start = || {
        let mut job = place.example("cron-job.sh", &job);
        job.env("HOLD_FOR", "10m").spawn().unwrap()
    };
    let done = || place.reads("done").lines().count();
    for time in 1..=2 {
        let mut machines = four(|_| start());
        eventually("all but one have ended", || {
            machines.retain_mut(|machine| match machine.try_wait().unwrap() {
                Some(status) => {
                    let mut said = String::new();
                    machine
                        .stderr
                        .take()
                        .unwrap()
                        .read_to_string(&mut said)
                        .unwrap();
                    assert!(status.success(), "{status}: {said}");
                    false
                }
                None => true,
            });
            machines.len() == 1
        });
        eventually("it is done", || done() == time);
        // A clock that is late.
        assert!(start().wait().unwrap().success());
        assert_eq!(done(), time);
        // Nobody waits ten minutes for the next time.
        let mut holder = machines.pop().unwrap();
        send(&holder, Signal::TERM);
        assert!(holder.wait().unwrap().success());
    }
}

#[test]
fn a_cron_job_that_fails_says_so_and_holds_nothing() {
    let place = Place::new();
    for _ in 0..2 {
        let job = ["locks", "report", "sh", "-c", "echo >>begun; exit 7"];
        let failed = place.example("cron-job.sh", &job).output().unwrap();
        assert_eq!(failed.status.code(), Some(7), "{failed:?}");
    }
    assert_eq!(place.reads("begun").lines().count(), 2);
}

/// The unit, for a machine where everything is in this place.
fn unit(place: &Place) -> String {
    let unit = fs::read_to_string(example("leader-demo@.service")).unwrap();
    let here = place.dir.path().to_str().unwrap();
    unit.replace("/usr/local/bin/leader-demo", PROGRAM)
        .replace("/usr/local/bin", here)
        .replace("/var/lib", here)
}

#[test]
fn systemd_understands_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return common::skip("systemd-analyze is not installed");
    }
    let place = Place::new();
    std::os::unix::fs::symlink("/bin/true", place.path("job")).unwrap();
    place.writes("leader-demo@job.service", &unit(&place));
    let verified = place
        .program("systemd-analyze")
        .args(["verify", "./leader-demo@job.service"])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(text(&verified), "");
}

/// All that it was told by now, line by line.
fn heard_by(manager: &UnixDatagram) -> String {
    manager.set_nonblocking(true).unwrap();
    let (mut heard, mut message) = (String::new(), [0; 4096]);
    while let Ok(length) = manager.recv(&mut message) {
        heard += str::from_utf8(&message[..length]).unwrap();
        heard += "\n";
    }
    heard
}

#[test]
fn stopped_as_systemd_does_it_the_service_is_told_once_and_ends_as_the_unit_expects() {
    let place = Place::new();
    place.writes("job", "#!/bin/sh\ntrap 'echo told >>log; kill %1; exit 143' TERM\nsleep 1000 & echo begun >log; wait\n");
    let made = Command::new("chmod")
        .arg("+x")
        .arg(place.path("job"))
        .status();
    assert!(made.unwrap().success());
    let unit = unit(&place);
    let says = |name: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("no {name}"))
            .replace("%i", "job")
    };
    // What the rest of this stands in for.
    assert_eq!(says("KillMode"), "mixed");
    assert_eq!(says("Type"), "notify");
    assert_eq!(says("WatchdogSec"), "10s");
    let manager = UnixDatagram::bind(place.path("manager")).unwrap();

    let start = says("ExecStart");
    let mut words = start.split(' ');
    let mut service = place
        .program(words.next().unwrap())
        .args(words)
        .env("NOTIFY_SOCKET", place.path("manager"))
        .env("WATCHDOG_USEC", "10000000")
        .spawn()
        .unwrap();
    eventually("it has begun", || place.reads("log") == "begun\n");
    send(&service, Signal::TERM);
    let code = service.wait().unwrap().code().unwrap();
    assert_eq!(code.to_string(), says("SuccessExitStatus"));
    assert_eq!(place.reads("log"), "begun\ntold\n");
    let heard = heard_by(&manager);
    for told in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
        assert!(heard.lines().any(|line| line == told), "{told}: {heard}");
    }
    let record = place.newest_record("leader-demo/job.lock");
    assert!(record.contains("vacant"), "not given back: {record}");
}
