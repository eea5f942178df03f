//! `watch`: follows an election, for people at a terminal or line by line.

use anyhow::Result;

use crate::cli::Watch;

mod lines;
#[cfg(feature = "view")]
mod view;

pub(crate) fn run(watch: &Watch) -> Result<u8> {
    #[cfg(feature = "view")]
    if !watch.json && can_be_drawn_on() {
        return view::run(watch);
    }
    let store = super::existing_store(&watch.place, &watch.lock_name)?;
    lines::run(watch, store)
}

/// Whether stdout is a terminal that can do more than lines.
#[cfg(feature = "view")]
fn can_be_drawn_on() -> bool {
    use std::io::IsTerminal;
    let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    able && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
