//! The judge of the stress test, shown logs that it must not let pass.
#![allow(missing_docs, dead_code)]

#[path = "stress_run/ticks.rs"]
mod ticks;

use ticks::Judge;

/// What the judge says of these ticks.
fn verdict(log: &[&str]) -> Result<Judge, String> {
    let mut judge = Judge::default();
    for line in log {
        let tick = format!("{line}\n").parse().unwrap();
        judge.hear(tick).map_err(|e| e.to_string())?;
    }
    Ok(judge)
}

#[track_caller]
fn assert_found(what: &str, log: &[&str]) {
    let error = verdict(log).expect_err("it let this pass");
    assert!(error.contains(what), "{error}");
    // With the offender and what came before it.
    assert!(log.iter().all(|line| error.contains(line)), "{error}");
}

#[test]
fn terms_one_after_another_pass_whatever_happens_within_one() {
    let judge = verdict(&[
        "100 1 10 n0.1 twin main",
        // The twin was frozen between its stamp and its line.
        "103 1 10 n0.1 twin main",
        "102 1 11 n0.1 twin twin",
        "110 3 12 n1.1 plain main",
        "111 3 12 n1.1 plain main",
    ]);
    let judge = judge.unwrap();
    assert_eq!(judge.ticks, 5);
    let terms: Vec<_> = judge.terms.iter().map(|term| term.number).collect();
    assert_eq!(terms, [1, 3]);
}

#[test]
fn ticks_of_two_terms_that_interleave_are_found() {
    assert_found(
        "written after the next",
        &[
            "100 1 10 n0.1 plain main",
            "101 2 11 n1.1 plain main",
            "102 1 10 n0.1 plain main",
        ],
    );
}

#[test]
fn a_late_write_is_found_whatever_its_stamp() {
    assert_found(
        "written after the next",
        &[
            "100 1 10 n0.1 plain main",
            "110 2 11 n1.1 plain main",
            "101 1 10 n0.1 plain main",
        ],
    );
}

#[test]
fn a_command_that_lived_too_early_is_found_though_it_wrote_in_order() {
    let log = [
        "100 1 10 n0.1 plain main",
        "105 1 10 n0.1 plain main",
        "104 2 11 n1.1 plain main",
    ];
    assert_found("lived before the last tick", &log);
    // Also when it is not its first tick, nor that of the term right before.
    let log = [
        "100 1 10 n0.1 plain main",
        "105 1 10 n0.1 plain main",
        "106 2 11 n1.1 plain main",
        "107 3 12 n2.1 twin main",
        "105 3 13 n2.1 twin twin",
    ];
    assert_found("lived before the last tick", &log);
}

#[test]
fn one_term_of_two_nodes_is_found() {
    assert_found(
        "two nodes had one term",
        &["100 1 10 n0.1 plain main", "101 1 11 n0.2 plain main"],
    );
}

#[test]
fn two_commands_in_one_term_are_found() {
    assert_found(
        "two commands ran in one term",
        &["100 1 10 n0.1 plain main", "101 1 11 n0.1 plain main"],
    );
}

#[test]
fn a_torn_or_foreign_line_is_no_tick() {
    for line in [
        "",
        "100",
        "100 1 10 n0.1 plain",
        "100 1 10 n0.1 plain main more",
        "x 1 10 n0.1 plain main",
    ] {
        assert!(
            format!("{line}\n").parse::<ticks::Tick>().is_err(),
            "{line}"
        );
    }
    let unfinished = "100 1 10 n0.1 plain main";
    assert!(unfinished.parse::<ticks::Tick>().is_err());
}
