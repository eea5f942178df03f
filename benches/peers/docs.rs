//! Figures in pages that somebody wrote: a row of a table is found by its first
//! cell, and what follows is what was measured.

use std::path::Path;

use anyhow::{Result, ensure};

pub(crate) struct Figures(Vec<(&'static str, Vec<String>)>);

impl Figures {
    pub(crate) fn new(rows: Vec<(&'static str, Vec<String>)>) -> Self {
        Self(rows)
    }

    /// The first so many of them.
    pub(crate) fn first(mut self, count: usize) -> Self {
        self.0.truncate(count);
        self
    }

    /// The page with these in it, and every one of them somewhere.
    pub(crate) fn put_into(&self, page: &Path) -> Result<String> {
        let mut text = std::fs::read_to_string(page)?;
        for (first, figures) in &self.0 {
            let begins = format!("| {first} |");
            let lines = text.lines().map(|line| match line.starts_with(&begins) {
                true => format!("{begins} {} |\n", figures.join(" | ")),
                false => format!("{line}\n"),
            });
            let found = text.lines().any(|line| line.starts_with(&begins));
            ensure!(found, "{} has no row {first:?}", page.display());
            text = lines.collect();
        }
        Ok(text)
    }
}
