//! `man-pages`: the help of each command, as a page for `man`.

use std::{fs, io};

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::completions::first_clause;
use crate::cli::{self, ManPages};

pub(crate) fn run(asked: &ManPages) -> Result<()> {
    let dir = &asked.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut tree = cli::tree().disable_help_subcommand(true);
    tree.build();
    let tree = as_manuals_say_it(tree).mut_subcommands(as_manuals_say_it);
    let all: Vec<_> = std::iter::once(&tree)
        .chain(tree.get_subcommands())
        .collect();
    for command in &all {
        let file = dir.join(format!("{}.1", title(command)));
        page(command, &all)
            .and_then(|page| fs::write(&file, page))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// The usage of the help, instead of every flag there is; and on the line that
/// `apropos` shows, what the command does up to the first pause.
fn as_manuals_say_it(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let about = command.get_about().map(ToString::to_string);
    let about = about.unwrap_or_default();
    let mut summary = first_clause(&about).to_owned();
    if let Some(first) = summary.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let long = command.get_long_about().map(ToString::to_string);
    command
        .override_usage(usage)
        .about(summary)
        .long_about(long.unwrap_or(about))
}

fn page(command: &Command, all: &[&Command]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .source(concat!("leader-demo ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands")
        // None; but with no word in its place, the next two would move up.
        .date(" ");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }

    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let paragraphs = help.split("\n\n").filter(|text| !text.is_empty());
    let paragraphs = paragraphs.map(|text| text.replace('\n', " "));
    let (exit_codes, notes): (Vec<_>, Vec<_>) =
        paragraphs.partition(|text| text.starts_with(EXIT_CODES));
    let mut rest = Roff::new();
    for codes in exit_codes {
        let codes = roman(&codes[EXIT_CODES.len()..]);
        rest.control("SH", ["EXIT STATUS"]).text([codes]);
    }
    environment(&mut rest, command);
    for (at, note) in notes.iter().enumerate() {
        match at {
            0 => rest.control("SH", ["NOTES"]),
            _ => rest.control("PP", []),
        };
        rest.text([roman(note)]);
    }
    see_also(&mut rest, command, all);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// How the help's paragraph on them begins.
const EXIT_CODES: &str = "Exit codes: ";

fn environment(roff: &mut Roff, command: &Command) {
    let named = |arg: &clap::Arg| Some((arg.get_env()?.to_owned(), arg.get_long()?.to_owned()));
    let variables: Vec<_> = command.get_arguments().filter_map(named).collect();
    if variables.is_empty() {
        return;
    }
    let rule = "Each of these stands for a flag; given both, the flag counts.";
    roff.control("SH", ["ENVIRONMENT"]).text([roman(rule)]);
    for (variable, flag) in variables {
        roff.control("TP", [])
            .text([bold(variable.to_string_lossy())])
            .text([bold(format!("--{flag}"))]);
    }
}

fn see_also(roff: &mut Roff, command: &Command, all: &[&Command]) {
    let mut line = Vec::new();
    for other in all.iter().filter(|other| title(other) != title(command)) {
        let before = if line.is_empty() { "" } else { ", " };
        line.extend([roman(before), bold(title(other)), roman("(1)")]);
    }
    roff.control("SH", ["SEE ALSO"]).text(line);
}
