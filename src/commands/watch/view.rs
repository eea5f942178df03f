//! The live view of a terminal.

use anyhow::Result;
use leader_demo::FileStore;

use super::lines;
use crate::cli::Watch;

pub(super) fn run(watch: &Watch, store: FileStore) -> Result<u8> {
    lines::run(watch, store)
}
