//! What strangers can write, damaged at random: no input may break anything.
//!
//! Each test damages the lines of its file in `corpus/` for a moment, or for
//! `FUZZ_DURATION`, and says what must hold whatever comes of that. An input
//! that breaks it is written to a file, and `FUZZ_INPUT` tries that file again.
//! Nothing guides the damage but its [`TOKENS`](damage), so it needs no tools.
#![allow(missing_docs, dead_code, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod fuzz;
#[path = "../../src/cli/values.rs"]
mod values;

mod durations;
mod listings;
mod logs;
mod records;
#[cfg(feature = "http")]
mod requests;
