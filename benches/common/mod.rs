//! What the benchmarks share: processes, roles, samples.
#![allow(dead_code)]

use std::process::ExitCode;

pub(crate) mod process;
pub(crate) mod roles;
pub(crate) mod samples;

/// Who comes first finds the caches cold, and warms them for the next: each in
/// turn, and every other round backwards.
pub(crate) fn turns(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let turns = (0..count).map(move |turn| (turn + round) % count);
    turns.map(move |turn| match round % 2 {
        0 => turn,
        _ => count - 1 - turn,
    })
}

/// How a benchmark ends.
pub(crate) fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
