//! Which directories the file store takes and how it leaves them, and what it
//! says where it cannot.
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use leader_demo::store::{LeaseStore, StoreError};
use leader_demo::{FileStore, LockName, Record, State, Term};
use rustix::process::geteuid;

mod common;
use common::mounts::Mounted;
use common::{Node, binary, skip};

const NOBODY: u32 = 65534;

fn open(lock_dir: &Path) -> Result<FileStore, StoreError> {
    FileStore::open(lock_dir, &LockName::new("x").unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn refused(lock_dir: &Path, says: &str) {
    let error = open(lock_dir).unwrap_err().to_string();
    assert!(error.contains(says), "does not say {says}: {error}");
}

#[test]
fn a_private_directory_that_is_opened_again_stays_private() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = open(dir.path()).unwrap();
        assert_eq!(mode(store.path()), 0o700);
        assert_eq!(mode(&store.path().join("claims")), 0o700);
    }
}

#[test]
fn a_shared_directory_keeps_what_its_owner_allowed_beyond_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let lease = dir.path().join("x.lock");
    let open = || FileStore::open_shared(dir.path(), &LockName::new("x").unwrap()).unwrap();
    drop(open());
    chmod(&lease, 0o2775);
    drop(open());
    assert_eq!(mode(&lease), 0o2775, "others may look");

    if !geteuid().is_root() {
        return skip("only root could change another user's directory");
    }
    chown(&lease, Some(NOBODY), None).unwrap();
    chmod(&lease, 0o2750);
    drop(open());
    assert_eq!(mode(&lease), 0o2750, "it is that user's to share");
}

#[test]
fn a_link_of_ones_own_to_the_lock_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    open(&link).unwrap();
    assert!(real.join("x.lock").is_dir());
}

#[test]
fn who_is_not_root_leads_in_a_directory_of_their_own() {
    if !geteuid().is_root() {
        return skip("the other tests are this one, where they do not run as root");
    }
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut node = binary();
    node.args(["--node-id=n", "--log-format=json", "--lock-dir"])
        .arg(dir.path())
        .uid(NOBODY)
        .gid(NOBODY);
    Node::spawn("n", node).until("elected");
}

#[test]
fn a_directory_that_cannot_be_made_is_told_with_what_would_help() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "").unwrap();
    refused(&at("file/below"), "a file is in the way");
    refused(&at(&"x".repeat(300)), "choose a shorter one");
    refused(Path::new("/proc/nowhere"), "it cannot be made there");
}

#[test]
fn a_filesystem_that_is_read_only_is_refused() {
    let Some(disk) = Mounted::tmpfs("mode=0700") else {
        return;
    };
    // Whether or not the lease was made while it could be.
    drop(open(disk.path()).unwrap());
    disk.read_only();
    refused(disk.path(), "the filesystem is read-only");
    refused(&disk.path().join("below"), "the filesystem is read-only");
}

#[tokio::test]
async fn a_disk_that_is_full_is_waited_for_and_told() {
    let Some(disk) = Mounted::tmpfs("size=256k,nr_inodes=100,mode=0700") else {
        return;
    };
    disk.fill();
    let store = open(disk.path()).unwrap();
    let vacant = Record {
        term: Term::new(1).unwrap(),
        lease_duration: Duration::from_secs(10),
        state: State::Vacant { successor: None },
    };
    let error = store.swap(None, vacant.clone()).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("free some space or inodes"), "{error}");
    disk.make_room();
    store.swap(None, vacant).await.unwrap();
}
