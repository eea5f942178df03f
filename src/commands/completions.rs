//! `completions`: the flags, as a shell wants to read them.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};
use clap::{Arg, ValueHint};
use clap_complete::Shell;

use crate::cli::{self, Completions};

pub(crate) fn run(asked: &Completions) -> Result<()> {
    let mut tree = in_brief(suggest_files_for_paths_alone(cli::tree()));
    // In one piece: what generates it would panic over a pipe that was closed.
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut tree, "leader-demo", &mut script);
    let mut script = mend(&String::from_utf8(script)?);
    if asked.shell == Shell::Fish {
        script += &words_for_fish(&tree);
    }
    match io::stdout().write_all(script.as_bytes()) {
        // A reader that has seen enough, as head(1).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot write to stdout"),
    }
}

/// A flag that says nothing of its value would be offered files: for a duration.
fn suggest_files_for_paths_alone(command: clap::Command) -> clap::Command {
    let hint = |arg: Arg| match arg.get_value_hint() {
        ValueHint::Unknown if arg.get_action().takes_values() => arg.value_hint(ValueHint::Other),
        _ => arg,
    };
    command
        .mut_args(hint)
        .mut_subcommands(suggest_files_for_paths_alone)
}

/// A list has a line for each: the rest is in the help.
fn in_brief(command: clap::Command) -> clap::Command {
    let about = command.get_about().map(ToString::to_string);
    let brief = |arg: Arg| match arg.get_help().map(ToString::to_string) {
        Some(help) => arg.help(first_clause(&help).to_owned()),
        None => arg,
    };
    command
        .about(
            about
                .map(|about| first_clause(&about).to_owned())
                .unwrap_or_default(),
        )
        .mut_args(brief)
        .mut_subcommands(in_brief)
}

/// What a text says up to the first pause.
pub(super) fn first_clause(text: &str) -> &str {
    let pauses = [": ", "; ", ". ", " ["].map(|pause| text.find(pause));
    let end = pauses.into_iter().flatten().min();
    &text[..end.unwrap_or(text.len())]
}

/// What may stand behind a command that is no flag: clap_complete leaves it out.
fn words_for_fish(tree: &clap::Command) -> String {
    let mut lines = String::new();
    for command in tree.get_subcommands() {
        let name = command.get_name();
        for word in command.get_positionals().flat_map(Arg::get_possible_values) {
            let word = word.get_name();
            lines += &format!(
                "complete -c leader-demo -n \"__fish_leader_demo_using_subcommand {name}\" -f -a \"{word}\"\n"
            );
        }
    }
    lines
}

/// What clap_complete 4.6 gets wrong. A text that is not there is none to mend.
fn mend(script: &str) -> String {
    script
        // bash: a name with a hyphen is written in two ways, so that no command's
        // flags are found (its issue 6421).
        .replace("leader__subcmd__demo", "leader__demo")
        // bash: our flags are offered behind `run --`, where the command's stand.
        .replace(
            "            *)\n                ;;\n        esac\n    done",
            "            *,--)\n                return\n                ;;\n        esac\n    done",
        )
        // fish: a flag that waits for its value is taken for a mistake.
        .replace(
            "    or return\n    if set -q",
            "    or return 0\n    if set -q",
        )
}
