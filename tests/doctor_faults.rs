//! `doctor` where the machine lies, is slow, or lacks something; and Ctrl+C.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::Node;
use common::doctor::{ask, doctor, files_in, is_root, private};
use common::shell::is_installed;
use common::skip;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Has the C library do something else in `name`, for the whole process tree.
fn with_lie(lie: &str, command: &mut Command) -> Option<TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let (source, lib) = (dir.path().join("lie.c"), dir.path().join("lie.so"));
    fs::write(&source, lie).unwrap();
    if !is_installed("cc") {
        return None;
    }
    let mut cc = Command::new("cc");
    let cc = cc.args(["-shared", "-fPIC", "-o"]).args([&lib, &source]);
    assert!(cc.status().unwrap().success(), "{lie}");
    command.env("LD_PRELOAD", &lib);
    Some(dir)
}

#[test]
fn a_lock_that_lies_is_found_out() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut command = doctor(dir.path());
    let lie = "int flock(int fd, int how) { return 0; }";
    let Some(_lib) = with_lie(lie, &mut command) else {
        return;
    };
    let report = ask(dir.path(), &mut command).refused("two processes had one lock");
    assert_eq!(report.directory("lock_counts"), false);
    assert!(report.at_most("leader_killed") > Duration::from_secs(12));

    // One that is never handed on, or not after a death, costs time only. Only
    // the other process tries no more than once before it waits.
    for who in ["tries < 2", "tries > 1"] {
        let mut command = doctor(dir.path());
        let _lib = with_lie(&never_handed_on(who), &mut command).unwrap();
        let report = ask(dir.path(), &mut command).fit();
        report.says("warning", "did not let go");
        assert_eq!(report.directory("lock_counts"), false);
    }
}

fn never_handed_on(who: &str) -> String {
    let flock = "
        #include <sys/file.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        static int tries;
        int flock(int fd, int how) {
            tries += how == (LOCK_EX | LOCK_NB);
            while (how == LOCK_EX && WHO) pause();
            return syscall(SYS_flock, fd, how);
        }";
    flock.replace("WHO", who)
}

#[test]
fn a_lease_too_short_for_a_slow_disk_is_refused() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let slow = |lease: &str| {
        let mut command = doctor(dir.path());
        command.args(["--lease-duration", lease]);
        let lie = "#include <unistd.h>\nint fdatasync(int fd) { usleep(60000); return 0; }";
        let lib = with_lie(lie, &mut command)?;
        let report = ask(dir.path(), &mut command);
        drop(lib);
        Some(report)
    };
    let Some(report) = slow("100ms") else { return };
    let report = report.refused("leaders lose their leases as it is");
    let smallest = report.json["smallest"]["lease_duration_ns"]
        .as_u64()
        .unwrap();
    // Ten times 60 ms, and what it takes to wake up.
    assert!(smallest > 600_000_000, "{smallest}");
    slow("550ms")
        .unwrap()
        .fit()
        .says("warning", "when the machine is busier");
    let slow = slow("10m").unwrap().fit();
    assert!(
        slow.findings()
            .all(|f| !f["says"].as_str().unwrap().contains("busier"))
    );
}

#[test]
fn without_a_boot_id_no_death_is_noticed() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut command = Command::new("unshare");
    let hide = r#"mount --bind /dev/null /proc/sys/kernel/random/boot_id && exec "$@""#;
    command.args(["-m", "sh", "-c", hide, "sh"]);
    let plain = doctor(dir.path());
    command.arg(plain.get_program()).args(plain.get_args());
    if !is_root()
        || !command
            .output()
            .is_ok_and(|output| !output.stdout.is_empty())
    {
        return skip("cannot hide the boot id here");
    }
    let report = ask(dir.path(), &mut command).fit();
    report.says("warning", "boot id cannot be read");
    assert_eq!(report.directory("lock_counts"), false);
    assert!(report.at_most("leader_killed") > Duration::from_secs(12));
}

#[test]
fn few_descriptors_are_a_warning() {
    let dir = private();
    let mut command = Command::new("sh");
    let plain = doctor(dir.path());
    command.args(["-c", r#"ulimit -n 40; exec "$@""#, "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    ask(dir.path(), &mut command)
        .fit()
        .says("warning", "40 descriptors");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    for (missing, stuck) in [(false, false), (true, false), (false, true)] {
        let root = private();
        let dir = root.path().join(if missing { "a/b" } else { "" });
        let mut command = doctor(&dir);
        let _lib = stuck.then(|| with_lie(&never_handed_on("1"), &mut command));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + common::PATIENCE;
        while files_in(root.path()).is_empty() {
            assert!(Instant::now() < deadline, "it tries nothing");
        }
        rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(files_in(root.path()), Vec::<PathBuf>::new());
        while concerns_a_process(root.path()) {
            assert!(Instant::now() < deadline, "the other process lives on");
        }
    }
}

#[test]
fn what_a_killed_doctor_left_the_next_one_removes() {
    for missing in [false, true] {
        let root = private();
        let dir = root.path().join(if missing { "a/b" } else { "" });
        let mut killed = begun(&dir, root.path());
        let left = files_in(root.path());
        killed.signal(Signal::KILL);
        killed.exit();
        // It could be one that has just begun.
        assert_eq!(ask(root.path(), &mut doctor(&dir)).code, 0);
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let age = |path: &Path| {
            fs::File::open(path)
                .unwrap()
                .set_modified(hour_ago)
                .unwrap()
        };
        age(&left[0]);

        // Of one that lives, nothing is.
        let frozen = begun(&dir, root.path());
        frozen.signal(Signal::STOP);
        let its = files_in(root.path())
            .into_iter()
            .find(|path| *path != left[0])
            .unwrap();
        age(&its);
        assert!(doctor(&dir).output().unwrap().status.success());
        assert_eq!(files_in(root.path()), [its]);
    }
}

/// A doctor that has written a record, somewhere below `root`.
fn begun(dir: &Path, root: &Path) -> Node {
    let before = files_in(root);
    let node = Node::spawn("doctor", doctor(dir));
    let deadline = Instant::now() + common::PATIENCE;
    let is_record = |path: &PathBuf| path.file_name().unwrap().as_bytes().starts_with(b"0");
    let written = |dir: &PathBuf| {
        let inside = files_in(dir);
        let deeper = inside.iter().flat_map(|dir| files_in(dir));
        deeper.chain(inside.clone()).any(|path| is_record(&path))
    };
    while !files_in(root)
        .iter()
        .any(|new| !before.contains(new) && written(new))
    {
        assert!(Instant::now() < deadline, "it tries nothing");
    }
    node
}

/// Whether a path is in any process's command line.
fn concerns_a_process(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let mut lines = fs::read_dir("/proc").unwrap().flatten();
    lines.any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.windows(path.len()).any(|part| part == path)
    })
}
