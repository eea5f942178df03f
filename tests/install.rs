//! `make install` and `make uninstall`, with a home directory of their own.
#![cfg(feature = "completions")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::shell::{Screen, is_installed, missing, without_the_developers_settings};
use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = without_the_developers_settings(program);
        for name in [
            "CARGO_HOME",
            "CARGO_INSTALL_ROOT",
            "PREFIX",
            "DESTDIR",
            "XDG_DATA_HOME",
        ] {
            command.env_remove(name);
        }
        command
            .args(args)
            .env("HOME", self.0.path())
            .env("LEADER_DEMO_BIN", env!("CARGO_BIN_EXE_leader-demo"));
        command
    }

    fn make(&self, args: &[&str]) -> Output {
        self.command("make", args).output().unwrap()
    }

    /// Everything below this directory that is no directory.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => walk(&entry.path(), found),
                    false => found.push(entry.path()),
                }
            }
        }
        let mut found = Vec::new();
        walk(self.0.path(), &mut found);
        let name = |path: &PathBuf| {
            path.strip_prefix(self.0.path())
                .unwrap()
                .display()
                .to_string()
        };
        let mut names: Vec<_> = found.iter().map(name).collect();
        names.sort();
        names
    }
}

fn said(output: Output) -> String {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

fn assert_has(files: &[String], wanted: &[&str]) {
    for name in wanted {
        assert!(files.iter().any(|file| file == name), "{name}: {files:#?}");
    }
}

#[test]
fn in_the_home_directory_all_is_where_it_is_looked_for_and_uninstall_leaves_nothing() {
    let home = Home::new();
    let others = home.path(".local/share/fish/vendor_completions.d/other.fish");
    fs::create_dir_all(others.parent().unwrap()).unwrap();
    fs::write(&others, "").unwrap();
    let before = home.files();

    let told = said(home.make(&["install"]));
    let files = home.files();
    assert_has(
        &files,
        &[
            ".cargo/bin/leader-demo",
            ".cargo/share/man/man1/leader-demo.1",
            ".cargo/share/man/man1/leader-demo-run.1",
            ".local/share/bash-completion/completions/leader-demo",
            ".local/share/fish/vendor_completions.d/leader-demo.fish",
            ".local/share/zsh/site-functions/_leader-demo",
        ],
    );
    for file in files
        .iter()
        .filter(|file| !file.contains(".1") && !before.contains(*file))
    {
        assert!(told.contains(file), "{file}: {told}");
    }
    let functions = home.path(".local/share/zsh/site-functions");
    assert!(
        told.contains(&format!("fpath+=({})", functions.display())),
        "{told}"
    );

    said(home.make(&["install"]));
    assert_eq!(home.files(), files, "the second time");
    said(home.make(&["uninstall"]));
    assert_eq!(home.files(), before);
    said(home.make(&["uninstall"]));
}

#[test]
fn man_finds_the_pages_of_a_program_that_is_on_the_path() {
    if !is_installed("man") {
        return;
    }
    let home = Home::new();
    said(home.make(&["install"]));
    let bin = home.path(".cargo/bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut man = home.command("man", &["-w", "leader-demo-run"]);
    let page = said(
        man.env("PATH", path)
            .env_remove("MANPATH")
            .output()
            .unwrap(),
    );
    assert_eq!(
        Path::new(page.trim()),
        home.path(".cargo/share/man/man1/leader-demo-run.1")
    );
}

#[test]
fn bash_fish_and_zsh_find_their_completions_by_themselves() {
    let tools = ["tmux", "fish", "zsh"];
    if !tools.iter().all(|tool| is_installed(tool)) {
        return;
    }
    let loader = "/usr/share/bash-completion/bash_completion";
    let home = Home::new();
    said(home.make(&["install"]));
    let zshrc = "fpath+=(~/.local/share/zsh/site-functions); autoload -U compinit; compinit -u -D";
    let finds = |shell: &str, prepare: &str| {
        let dir = tempfile::tempdir().unwrap();
        let screen = Screen::new(dir.path(), 110, 40);
        let home = home.0.path().display();
        screen.type_line(&format!(
            "export HOME={home} PATH={home}/.cargo/bin:$PATH; {shell}"
        ));
        screen.type_line(&format!("{prepare}; clear"));
        screen.type_text("leader-demo run --stop\t");
        screen.until_it_shows(&["leader-demo run --stop-grace"]);
    };
    finds("zsh -f", zshrc);
    finds("fish", "true");
    match Path::new(loader).exists() {
        true => finds("bash --norc", &format!("source {loader}")),
        false => missing("bash-completion"),
    }
}

#[test]
fn with_a_prefix_all_is_below_it_and_below_destdir_where_that_is_given() {
    let home = Home::new();
    let wanted = [
        "bin/leader-demo",
        "share/bash-completion/completions/leader-demo",
        "share/fish/vendor_completions.d/leader-demo.fish",
        "share/man/man1/leader-demo-run.1",
        "share/zsh/site-functions/_leader-demo",
    ];
    let prefix = format!("PREFIX={}", home.path("local").display());
    said(home.make(&["install", &prefix]));
    let below = |dir: &str| wanted.map(|name| format!("{dir}/{name}"));
    assert_has(
        &home.files(),
        &below("local").each_ref().map(String::as_str),
    );
    said(home.make(&["uninstall", &prefix]));
    assert_eq!(home.files(), [""; 0]);

    let destdir = format!("DESTDIR={}", home.path("staged").display());
    let told = said(home.make(&["install", "PREFIX=/usr", &destdir]));
    assert_has(
        &home.files(),
        &below("staged/usr").each_ref().map(String::as_str),
    );
    assert!(
        told.contains("fpath+=(/usr/share/zsh/site-functions)"),
        "{told}"
    );
    said(home.make(&["uninstall", "PREFIX=/usr", &destdir]));
    assert_eq!(home.files(), [""; 0]);

    let refused = home.make(&["install", &destdir]);
    assert!(!refused.status.success());
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("needs a PREFIX")
    );
    assert_eq!(home.files(), [""; 0]);
}
