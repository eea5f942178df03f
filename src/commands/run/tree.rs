//! A command and everything it started: found and signalled.
//!
//! The processes below one that is a subreaper ([`PR_SET_CHILD_SUBREAPER`]):
//! those that left their group, session or parent are still below it.
//!
//! [`PR_SET_CHILD_SUBREAPER`]: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// What `/proc/PID/stat` says of a process; see [proc_pid_stat(5)].
///
/// [proc_pid_stat(5)]: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    group: i32,
    /// When, in ticks since the machine was started: tells it from another
    /// that has its number later.
    started: u64,
}

/// How often to look for what was started since the last look. Whoever is never
/// done with starting processes must not keep us from what comes next.
const LOOKS: usize = 4;

/// Refuses a `/proc` that numbers processes as another pid namespace does:
/// those of the command would not be found in it, or others in their place.
pub(super) fn check_proc() -> Result<()> {
    let me = std::fs::read_link("/proc/self").context("/proc/self")?;
    if me.to_str() != Some(&std::process::id().to_string()) {
        bail!("/proc is of another pid namespace: mount this one's, as unshare --mount-proc does");
    }
    Ok(())
}

/// The processes below `root`, without `except` and what is below those.
///
/// Also those that have ended: a process that has not been waited for may have
/// started another after this has looked who there is. So none is left only if
/// this finds none, and if `root` did not wait for one meanwhile. (And one of
/// several threads may have ended, the first, which looks the same.)
pub(super) fn below(root: Pid, except: &[Pid]) -> Vec<Pid> {
    let found = found_below(root, except).into_iter();
    found.map(|(pid, _)| pid).collect()
}

fn found_below(root: Pid, except: &[Pid]) -> Vec<(Pid, Stat)> {
    let all = all();
    let tree = reach(root, except, &all).into_iter();
    tree.filter_map(|pid| Some((Pid::from_raw(pid)?, *all.get(&pid)?)))
        .collect()
}

/// Signals everything below `root` but for one that has been signalled, and what
/// that has started meanwhile, unless there is no end to it, or something more
/// urgent: where many processes start others this may take seconds. Returns those
/// that it may not signal.
pub(super) fn signal(
    root: Pid,
    signalled: Option<Pid>,
    signals: &[Signal],
    is_urgent: impl Fn() -> bool,
) -> Vec<Pid> {
    let mut reached: HashSet<_> = signalled.into_iter().collect();
    let mut denied = Vec::new();
    for _ in 0..LOOKS {
        let mut new = found_below(root, &[]);
        new.retain(|(pid, _)| reached.insert(*pid));
        if new.is_empty() {
            break;
        }
        for (pid, stat) in new {
            if is_urgent() {
                return denied;
            }
            if send(pid, stat, signals) == Err(Errno::PERM) {
                denied.push(pid);
            }
        }
    }
    denied
}

/// Kills what is below `root` now. What forks faster than that is found by the
/// next call. Returns those that it may not kill.
pub(super) fn kill(root: Pid, except: &[Pid]) -> Vec<Pid> {
    // A group is signalled in one step, so that nothing in it can fork away.
    // Its number is its first process's: if that one is ours, so is the group.
    let all = all();
    let tree: HashSet<_> = reach(root, except, &all).into_iter().collect();
    let groups: HashSet<_> = tree
        .iter()
        .filter_map(|p| Some(all.get(p)?.group))
        .collect();
    for group in groups
        .intersection(&tree)
        .copied()
        .filter_map(Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let mut denied = found_below(root, except);
    denied.retain(|(pid, stat)| send(*pid, *stat, &[Signal::KILL]) == Err(Errno::PERM));
    denied.into_iter().map(|(pid, _)| pid).collect()
}

/// A pid may have become another process's since it was found: it is held by a
/// descriptor first, and then looked at again. What was below us still is.
fn send(pid: Pid, found: Stat, signals: &[Signal]) -> Result<(), Errno> {
    let held = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(held) => Some(held),
        Err(Errno::SRCH) => return Ok(()),
        // Before Linux 5.3, or in a sandbox that does not know the call: nothing
        // better than the number itself.
        Err(_) => None,
    };
    if stat(pid.as_raw_pid()).is_none_or(|stat| stat.started != found.started) {
        return Ok(());
    }
    for signal in signals {
        match &held {
            Some(held) => rustix::process::pidfd_send_signal(held, *signal)?,
            None => rustix::process::kill_process(pid, *signal)?,
        }
    }
    Ok(())
}

fn reach(root: Pid, except: &[Pid], all: &HashMap<i32, Stat>) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root.as_raw_pid()];
    while let Some(at) = next.pop() {
        for child in children.remove(&at).unwrap_or_default() {
            if !except.iter().any(|pid| pid.as_raw_pid() == child) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

fn all() -> HashMap<i32, Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    // More than what is looked at, in one read: there are many to look at.
    let mut line = [0; 1024];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let length = file.read(&mut line).ok()?;
    parse(&line[..length])
}

/// The name in parentheses may be anything, parentheses included.
fn parse(line: &[u8]) -> Option<Stat> {
    let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&line[after_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let _state = fields.next()?;
    Some(Stat {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        // The 22nd field.
        started: fields.nth(16)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let expected = Some(Stat {
            parent: 3,
            group: 4,
            started: 99,
        });
        let rest = b" S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0";
        for name in [&b"(sleep)"[..], b"(a) Z 9 (b)", b"(\xff\xfe)"] {
            assert_eq!(parse(&[b"7 ", name, rest].concat()), expected, "{name:?}");
        }
        for line in ["7 (sleep) S 3", "7 (sleep) S 3 4 5", "7 sleep S 3 4", ""] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_urgent_does_not_wait_until_all_are_signalled() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]);
        let mut shell = command.spawn().unwrap();
        let root = Pid::from_child(&shell);
        while below(root, &[]).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        signal(root, None, &[Signal::TERM], || true);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(shell.try_wait().unwrap().is_none(), "it was signalled");
        signal(root, None, &[Signal::TERM], || false);
        assert!(shell.wait().unwrap().success());
    }

    #[test]
    fn what_is_below_is_found_without_the_exceptions() {
        let stat = |parent| Stat {
            parent,
            group: 1,
            started: 0,
        };
        let all = HashMap::from([
            (2, stat(1)),
            (3, stat(2)),
            (4, stat(2)),
            (5, stat(4)),
            (6, stat(1)),
        ]);
        let pid = |raw| Pid::from_raw(raw).unwrap();
        let reach = |root, except: &[Pid]| {
            let mut found = reach(pid(root), except, &all);
            found.sort_unstable();
            found
        };
        assert_eq!(reach(2, &[]), [3, 4, 5]);
        assert_eq!(reach(2, &[pid(4)]), [3]);
        assert!(reach(6, &[]).is_empty());
    }
}
