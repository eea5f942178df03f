//! Whatever lies in a lease's directory, a store reads it or says why not, and
//! what it read it can swap for a record of its own, which is then read.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, StoreError, Swap};
use leader_demo::{FileStore, LockName, Record, State, Term};

use crate::common::PATIENCE;
use crate::fuzz::fuzz;

const FIRST: &str = r#"00000000000000000001 {"version":1,"term":7,"lease_duration_ns":10000000000,"vacant":{"successor":null},"device":1,"inode":1}"#;

/// Each line is `NAME CONTENT`, put beside a record of term 7.
#[test]
fn listings() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    fuzz("listings", include_str!("corpus/listings.txt"), |input| {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), &LockName::new("x").unwrap()).unwrap();
        put(store.path(), FIRST.as_bytes());
        for line in input.split(|byte| *byte == b'\n') {
            put(store.path(), line);
        }
        let answer = runtime.block_on(async {
            let look = tokio::time::timeout(PATIENCE, read_and_swap(&store));
            look.await.expect("it answers")
        });
        if let Err(refusal) = answer {
            let helps = ["remove", "run out of numbers", "newer version", "mode"];
            let refusal = refusal.to_string();
            assert!(helps.iter().any(|help| refusal.contains(help)), "{refusal}");
        }
    });
}

async fn read_and_swap(store: &FileStore) -> Result<(), StoreError> {
    let seen = store.read().await?.expect("the first record is there");
    if let Content::Garbled { floor, .. } = seen.content {
        assert!(Some(floor) >= Term::new(7), "{floor} has been used");
    }
    let mine = Record {
        term: Term::MAX,
        lease_duration: Duration::from_secs(1),
        state: State::Vacant { successor: None },
    };
    match store.swap(Some(seen.revision), mine.clone()).await? {
        Swap::Swapped { revision, .. } => {
            let read = store.read().await?.expect("it was swapped in");
            assert_eq!(read.revision, revision);
            assert_eq!(read.content, Content::Record(mine));
        }
        Swap::Conflict(current) => panic!("nobody else is here: {current:?}"),
    }
    Ok(())
}

/// A file, or a directory or symbolic link if its content says so. What is there
/// stays, and what the filesystem does not take as a name is left out.
fn put(into: &Path, line: &[u8]) {
    let at = line.iter().position(|byte| *byte == b' ');
    let (name, content) = line.split_at(at.unwrap_or(line.len()));
    if name.contains(&b'/') || name == b"." || name == b".." || name.is_empty() {
        return;
    }
    let path = into.join(OsStr::from_bytes(name));
    let _ = match content.trim_ascii_start() {
        b"directory" => fs::create_dir(path),
        [b'@', target @ ..] => std::os::unix::fs::symlink(OsStr::from_bytes(target), path),
        content => fs::File::create_new(path).and_then(|mut file| file.write_all(content)),
    };
}
