//! Completions, in the shells they are for; man pages, read by what reads them.
#![cfg(feature = "completions")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::binary;
use common::shell::{Screen, is_installed, without_the_developers_settings};
use tempfile::TempDir;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn completions(shell: &str) -> String {
    let output = binary().args(["completions", shell]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(output.stdout)
}

/// What the help lists below `Commands:`, without `help` itself.
fn commands() -> Vec<String> {
    let help = text(binary().arg("--help").output().unwrap().stdout);
    let listed = help.split("Commands:\n").nth(1).expect("commands");
    let listed = listed.split("\n\n").next().unwrap().lines();
    let name = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.map(name).filter(|name| name != "help").collect();
    assert!(names.contains(&"run".to_owned()), "{help}");
    names
}

// --- in each shell ---

/// A place with a directory and a file whose names begin alike.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("locks")).unwrap();
    fs::write(dir.path().join("locked"), "").unwrap();
    for shell in ["bash", "fish", "zsh"] {
        fs::write(dir.path().join(shell), completions(shell)).unwrap();
    }
    dir
}

/// A shell at a terminal, and how it is told of the completions.
struct Shell {
    command: &'static str,
    prepare: &'static str,
    dir: TempDir,
}

impl Shell {
    /// Typed this and a Tab, the line becomes that.
    fn completes(&self, typed: &str, line: &str) {
        self.types(typed, "Tab", &[line]);
    }

    /// Typed this and two Tabs, for bash lists only then, these are listed.
    fn lists(&self, typed: &str, names: &[&str]) -> String {
        self.types(typed, "Tab Tab", names)
    }

    /// In a terminal of its own: to take a line back is not the same everywhere.
    fn types(&self, typed: &str, tabs: &str, shown: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let screen = Screen::new(dir.path(), 110, 40);
        let home = self.dir.path().display();
        screen.type_line(&format!("cd {home}; HOME=$PWD {}", self.command));
        screen.type_line(&format!("{}; PS1='> '; clear", self.prepare));
        screen.until("a prompt", |screen| screen.trim() == ">");
        screen.type_text(typed);
        screen.press(tabs);
        screen.until_it_shows(shown);
        screen.shows()
    }
}

/// What bash and zsh do alike.
fn completes_what_there_is(shell: &Shell) {
    shell.completes("leader-demo ru", "> leader-demo run");
    shell.completes("leader-demo run --stop", "run --stop-grace");
    shell.completes("leader-demo --log-format js", "--log-format json");
    shell.completes("leader-demo run --log-format js", "--log-format json");
    shell.completes("leader-demo completions fi", "completions fish");
    // A directory, and not the file that begins alike.
    shell.completes("leader-demo --lock-dir lo", "--lock-dir locks/");
    let all = commands();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let shown = shell.lists("leader-demo ", &all);
    assert!(!shown.contains("__"), "{shown}");
    // No duration is a file.
    shell.completes("leader-demo --lease-duration lo\tX", "duration loX");
}

#[test]
fn bash_completes_commands_flags_and_values() {
    if !is_installed("bash") || !is_installed("tmux") {
        return;
    }
    let shell = Shell {
        command: "bash --norc",
        prepare: "source ./bash",
        dir: place(),
    };
    completes_what_there_is(&shell);
    // Behind -- stands the command of somebody else.
    let shown = shell.lists("leader-demo run -- cat ", &["locks/", "locked"]);
    assert!(!shown.contains("--lock-dir"), "{shown}");
}

#[test]
fn zsh_completes_commands_flags_and_values() {
    if !is_installed("zsh") || !is_installed("tmux") {
        return;
    }
    let shell = Shell {
        command: "zsh -f",
        prepare: "autoload -U compinit; compinit -u -D; source ./zsh",
        dir: place(),
    };
    completes_what_there_is(&shell);
    shell.lists("leader-demo run -- print", &["printf"]);
}

#[test]
fn fish_completes_commands_flags_and_values() {
    if !is_installed("fish") {
        return;
    }
    let dir = place();
    let offers = |line: &str| {
        let output = Command::new("fish")
            .args(["--no-config", "-c"])
            .arg(format!("source ./fish; complete -C '{line}'"))
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let lines = text(output.stdout);
        let words = lines
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned());
        words.collect::<Vec<_>>()
    };
    assert_eq!(offers("leader-demo ru"), ["run"]);
    assert_eq!(offers("leader-demo run --stop"), ["--stop-grace"]);
    assert_eq!(offers("leader-demo --log-format "), ["json", "text"]);
    assert_eq!(offers("leader-demo run --log-format "), ["json", "text"]);
    assert_eq!(offers("leader-demo --lock-dir lo"), ["locks/"]);
    assert_eq!(offers("leader-demo run --lease-duration lo"), [""; 0]);
    assert_eq!(offers("leader-demo completions "), SHELLS);
    assert_eq!(offers("leader-demo run --events lo"), ["locked", "locks/"]);
    let offered = offers("leader-demo ");
    for command in commands() {
        assert!(offered.contains(&command), "{command}: {offered:?}");
    }
}

// --- the scripts as such ---

#[test]
fn the_helpers_of_run_are_nobody_s_business() {
    for shell in SHELLS {
        let script = completions(shell);
        assert!(script.contains("stop-grace"), "{shell}");
        assert!(!script.contains("__guard"), "{shell}");
        assert!(!script.contains("__start"), "{shell}");
    }
}

#[test]
fn a_command_or_flag_is_described_in_one_clause() {
    // bash shows no descriptions.
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        let script = completions(shell);
        for (clause, more) in [
            ("Ask the leader to step down for another node", "That node"),
            ("Where the lease is kept", "create it"),
            ("What to print on stderr", "target=level"),
            ("How often a leader renews and the others look", "default"),
        ] {
            let described = script.lines().filter(|line| line.contains(clause));
            let described: Vec<_> = described.collect();
            assert!(!described.is_empty(), "{shell}: {clause}");
            assert!(
                !described.iter().any(|line| line.contains(more)),
                "{shell}: {described:?}"
            );
        }
    }
}

#[test]
fn nothing_of_the_environment_gets_into_them() {
    let dir = tempfile::tempdir().unwrap();
    let plain = completions("zsh");
    let set = |command: &mut Command| {
        let output = command.env("LEADER_DEMO_LOCK_DIR", "/my/secret").output();
        assert!(output.as_ref().unwrap().status.success(), "{output:?}");
        text(output.unwrap().stdout)
    };
    assert_eq!(set(binary().args(["completions", "zsh"])), plain);
    set(binary().arg("man-pages").arg(dir.path()));
    let page = fs::read_to_string(dir.path().join("leader-demo.1")).unwrap();
    assert!(!page.contains("secret"), "{page}");
}

#[test]
fn a_reader_that_leaves_is_no_failure_and_a_full_disk_is() {
    let mut leaves = binary();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let left = leaves.args(["completions", "bash"]).stdout(writer);
    let left = left.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(
        (left.status.code(), text(left.stderr)),
        (Some(0), String::new())
    );

    let full = File::options().write(true).open("/dev/full").unwrap();
    let full = binary()
        .args(["completions", "bash"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    let full = full.unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(text(full.stderr).contains("cannot write to stdout"));
}

#[test]
fn a_shell_that_is_not_known_is_answered_with_those_that_are() {
    let output = binary().args(["completions", "csh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(output.stderr);
    assert!(SHELLS.iter().all(|shell| said.contains(shell)), "{said}");
}

// --- man pages ---

fn man_pages(dir: &Path) -> Output {
    binary().arg("man-pages").arg(dir).output().unwrap()
}

/// The page as a person reads it; `man` warned of nothing.
fn rendered(page: &Path) -> String {
    let output = without_the_developers_settings("man")
        .args([
            "--warnings",
            "-E",
            "UTF-8",
            "--nh",
            "--nj",
            "-P",
            "cat",
            "-l",
        ])
        .arg(page)
        .env("MANWIDTH", "80")
        .env("MAN_KEEP_FORMATTING", "")
        .env("GROFF_NO_SGR", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(output.stderr), "", "{}", page.display());
    text(output.stdout)
}

/// The lines below a heading.
fn section<'a>(page: &'a str, heading: &str) -> Option<Vec<&'a str>> {
    let mut lines = page.lines().skip_while(|line| *line != heading);
    lines.next()?;
    let below = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    Some(
        below
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect(),
    )
}

#[test]
fn each_command_has_a_man_page_with_all_its_sections() {
    if !is_installed("man") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not/yet/there");
    let output = man_pages(&dir);
    assert!(output.status.success(), "{output:?}");
    let mut names: Vec<_> = commands()
        .iter()
        .map(|name| format!("leader-demo-{name}"))
        .collect();
    names.push("leader-demo".into());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), names.len());
    for name in &names {
        let page = rendered(&dir.join(format!("{name}.1")));
        let of = |heading| section(&page, heading).unwrap_or_else(|| panic!("{heading}: {page}"));
        let about = of("NAME");
        let begin = format!("{name} - ");
        assert!(
            about.len() == 1 && about[0].starts_with(&begin),
            "{about:?}"
        );
        assert!(about[0].len() > begin.len(), "{about:?}");
        of("SYNOPSIS");
        of("OPTIONS");
        assert!(
            of("EXIT STATUS")[0].contains(char::is_numeric) || name.ends_with("run"),
            "{page}"
        );
        let see_also = of("SEE ALSO").join(" ");
        for other in &names {
            assert_eq!(
                see_also.contains(&format!("{other}(1)")),
                other != name,
                "{see_also}"
            );
        }
        let footer = page.trim_end().lines().last().unwrap();
        assert!(
            footer.starts_with(concat!("leader-demo ", env!("CARGO_PKG_VERSION"))),
            "{footer}"
        );
    }
}

#[test]
fn the_page_of_run_says_what_its_help_says() {
    if !is_installed("man") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    man_pages(dir.path());
    let page = rendered(&dir.path().join("leader-demo-run.1"));
    let of = |heading| section(&page, heading).unwrap_or_else(|| panic!("{heading}: {page}"));
    assert_eq!(
        of("NAME"),
        ["leader-demo-run - run a command while this node leads"]
    );
    assert_eq!(
        of("SYNOPSIS"),
        ["leader-demo run [OPTIONS] -- COMMAND [ARGS]..."]
    );
    let root = rendered(&dir.path().join("leader-demo.1"));
    let synopsis = [
        "leader-demo [OPTIONS] --node-id <NAME>",
        "leader-demo <COMMAND>",
    ];
    assert_eq!(section(&root, "SYNOPSIS").unwrap(), synopsis);
    assert!(of("OPTIONS").contains(&"--stop-grace <DURATION>"), "{page}");
    assert!(
        of("EXIT STATUS").join(" ").contains("123 lost the lease"),
        "{page}"
    );
    let environment = of("ENVIRONMENT");
    let at = environment
        .iter()
        .position(|line| *line == "LEADER_DEMO_LOCK_DIR");
    assert_eq!(environment[at.unwrap() + 1], "--lock-dir");
    assert!(of("NOTES").join(" ").contains("LEADER_DEMO_TERM"), "{page}");
}

#[test]
fn where_no_page_can_be_written_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    fs::create_dir(dir.path().join("leader-demo-run.1")).unwrap();
    for (wanted, named) in [(file.as_path(), "file"), (dir.path(), "leader-demo-run.1")] {
        let output = man_pages(wanted);
        assert_eq!(output.status.code(), Some(1));
        let said = text(output.stderr);
        assert!(
            said.starts_with("error: cannot ") && said.contains(named),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }
}
