//! The second look, which decides whether a link was a swap.

use super::*;
use crate::name::LockName;

/// A directory with these numbers, each a file of its own.
fn directory(lock_dir: &tempfile::TempDir, numbers: &[u64]) -> Directory {
    let place = Place::new(lock_dir.path(), &LockName::new("x").unwrap(), false);
    let Ok(directory) = place.create() else {
        panic!("it can be made")
    };
    numbers.iter().for_each(|n| put(&directory, *n));
    directory
}

fn put(directory: &Directory, number: u64) {
    std::fs::write(directory.path_of(number), "").unwrap();
}

fn at(directory: &Directory, number: u64) -> Numbered {
    let file = directory.inode_of(number).unwrap().unwrap();
    directory.numbered(number, file)
}

#[test]
fn a_link_counts_if_it_is_the_highest_the_next_and_where_everybody_looks() {
    type Deed = fn(&Directory);
    let cases: [(&str, bool, Deed); 5] = [
        ("nothing", true, |_| {}),
        ("another is higher", false, |d| put(d, 3)),
        ("what it follows is gone", false, |d| d.unlink(1)),
        ("its number is another's", false, |d| {
            let from = d.path_of(1).with_file_name("other");
            std::fs::write(&from, "").unwrap();
            std::fs::rename(from, d.path_of(2)).unwrap();
        }),
        ("its directory was moved away", false, |d| {
            std::fs::rename(d.path(), d.path().with_extension("moved")).unwrap();
        }),
    ];
    for (what, counts, deed) in cases {
        let lock_dir = tempfile::tempdir().unwrap();
        let directory = directory(&lock_dir, &[1, 2]);
        let (before, new) = (at(&directory, 1), at(&directory, 2));
        deed(&directory);
        let old = look_again(&directory, Some(before), new).unwrap();
        assert_eq!(old, counts.then(Vec::new), "{what}");
    }
}

#[test]
fn sixteen_below_the_new_one_are_kept() {
    let lock_dir = tempfile::tempdir().unwrap();
    let directory = directory(&lock_dir, &(1..=20).collect::<Vec<_>>());
    let (before, new) = (at(&directory, 19), at(&directory, 20));
    let old = look_again(&directory, Some(before), new).unwrap();
    assert_eq!(old, Some(vec![1, 2, 3]));
}
