//! Runs a check on one damaged input after another, and keeps what breaks it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use leader_demo::clock;

use crate::common::settings::variable;
use crate::damage::Damage;

/// Long enough for thousands of inputs, and nobody waits for it.
const A_MOMENT: Duration = Duration::from_millis(500);

/// Calls `check`, which panics if something does not hold, with each line of
/// `corpus` and then with damaged ones.
pub fn fuzz(target: &str, corpus: &str, mut check: impl FnMut(&[u8])) {
    if let Some(path) = std::env::var_os("FUZZ_INPUT") {
        return check(&std::fs::read(path).expect("FUZZ_INPUT names a file"));
    }
    let seeds: Vec<&[u8]> = corpus.lines().map(str::as_bytes).collect();
    for seed in &seeds {
        try_one(target, seed, &mut check);
    }
    let duration = variable::<humantime::Duration>("FUZZ_DURATION");
    let mut damage = Damage::new(variable("FUZZ_SEED").unwrap_or(clock::now().as_nanos() as u64));
    let until = clock::now() + duration.map_or(A_MOMENT, humantime::Duration::into);
    let mut inputs = seeds.len();
    while clock::now() < until {
        let input = damage.one_of(&seeds);
        try_one(target, &input, &mut check);
        inputs += 1;
    }
    println!("{target}: {inputs} inputs");
}

fn try_one(target: &str, input: &[u8], check: &mut impl FnMut(&[u8])) {
    let outcome = catch_unwind(AssertUnwindSafe(|| check(input)));
    if let Err(panic) = outcome {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
        std::fs::write(&path, input).unwrap();
        eprintln!(
            "{target} is broken by {:?}\nagain: FUZZ_INPUT={} cargo test --test fuzz {target}",
            String::from_utf8_lossy(input),
            path.display()
        );
        resume_unwind(panic);
    }
}
