//! docs/DESIGN.md points at tests: each of them is there.
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All of `src` and `tests`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let inside = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    entries.flat_map(inside).collect()
}

/// What the tables put between backticks.
fn named(design: &str) -> Vec<&str> {
    let rows = design.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn each_test_that_the_design_names_is_there() {
    let design = fs::read_to_string(Path::new(ROOT).join("docs/DESIGN.md")).unwrap();
    let mut paths = sources(&Path::new(ROOT).join("src"));
    paths.extend(sources(&Path::new(ROOT).join("tests")));
    let code = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "rs");
    let all: Vec<_> = paths
        .iter()
        .filter(code)
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let is_in_the_code = |text: &str| all.iter().any(|code| code.contains(text));

    let mut tests = 0;
    for name in named(&design) {
        let is_there = if name.ends_with(".rs") {
            paths.iter().any(|path| path.ends_with(name))
        } else if name.matches('_').count() > 2 {
            tests += 1;
            match name.strip_suffix("..") {
                Some(begins) => is_in_the_code(&format!("fn {begins}")),
                None => is_in_the_code(&format!("fn {name}(")),
            }
        } else if name.starts_with(char::is_uppercase) && !name.contains(' ') {
            is_in_the_code(&format!("    {name},"))
        } else {
            continue;
        };
        assert!(is_there, "docs/DESIGN.md names {name}, which is nowhere");
    }
    assert!(tests > 20, "its tables name tests: {tests}");
}
