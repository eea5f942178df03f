//! `leader-demo simulate`: one seed, one story, and `judge` reads the same in it.
#![cfg(feature = "simulate")]
#![allow(missing_docs)]

mod common;

use std::process::Output;

use common::binary;
use common::page::{assert_fits_a_phone, assert_self_contained, assert_well_formed};
use leader_demo::simulation::Fault;
use serde_json::Value;

fn simulate(flags: &[&str]) -> Output {
    binary().arg("simulate").args(flags).output().unwrap()
}

/// What is printed where all is sound.
#[track_caller]
fn sound(flags: &[&str]) -> String {
    let played = simulate(flags);
    let said = String::from_utf8(played.stdout).unwrap();
    let errors = String::from_utf8_lossy(&played.stderr);
    assert_eq!(errors, "", "{flags:?}");
    assert_eq!(played.status.code(), Some(0), "{flags:?}: {said}");
    said
}

/// The one line on stderr where the flags are wrong.
#[track_caller]
fn refused(flags: &[&str]) -> String {
    let played = simulate(flags);
    let errors = String::from_utf8(played.stderr).unwrap();
    assert_eq!(played.status.code(), Some(2), "{flags:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn one_seed_is_one_story_to_the_last_byte() {
    let dir = tempfile::tempdir().unwrap();
    let told = |seed: &str, name: &str| {
        let path = dir.path().join(name);
        let events = path.to_str().unwrap();
        let said = sound(&["--seed", seed, "--events", events]);
        (said, std::fs::read_to_string(&path).unwrap())
    };
    let first = told("7", "first");
    assert_eq!(first, told("7", "again"));
    assert_ne!(first.1, told("8", "other").1);
}

#[test]
fn faults_are_a_set() {
    let told = |faults: &str| sound(&["--seed=7", "--faults", faults]);
    assert_eq!(told("kill,freeze"), told("freeze,kill,freeze"));
}

#[test]
fn what_it_writes_is_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("both");
    let both = path.to_str().unwrap();
    let said = refused(&["--events", both, "--html", both]);
    assert!(said.contains("one would replace the other"), "{said}");
    assert!(!path.exists());
}

#[test]
fn the_last_line_plays_it_again() {
    let said = sound(&["--lease-duration=3s", "--across-machines", "--faults=none"]);
    let again = said.lines().last().unwrap();
    let again = again.strip_prefix("Again: leader-demo simulate ").unwrap();
    // Also where the environment has other timings.
    let replayed = binary()
        .arg("simulate")
        .args(again.split(' '))
        .env("LEADER_DEMO_RETRY_PERIOD", "100ms")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(replayed.stdout).unwrap(), said);
}

#[test]
fn judge_reads_the_same_in_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let flags = ["--seed=7", "--duration=1h", "--events"];
    let said = sound(&[&flags[..], &[path.to_str().unwrap()]].concat());
    let judged = binary().arg("judge").arg(&path).output().unwrap();
    assert_eq!(judged.status.code(), Some(0));
    let verdict = String::from_utf8(judged.stdout).unwrap();
    assert!(verdict.starts_with("Sound: "), "{verdict}");
    assert!(said.ends_with(&verdict), "{said}\n{verdict}");
    for after in ["kill -9 ", "frozen ", "cut off "] {
        assert!(verdict.contains(&format!("\n{after}")), "{verdict}");
    }
}

#[test]
fn what_make_sim_plays_is_sound_by_the_judge_too() {
    for seed in 0..40 {
        let said = sound(&["--seeded", "--seed", &seed.to_string()]);
        assert!(
            said.contains(&format!("Again: make sim SEED={seed}\n")),
            "{said}"
        );
    }
}

#[test]
fn what_is_sound_stays_below_its_limit_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let path = path.to_str().unwrap();
    for (seed, faults) in [("1", "unreachable"), ("7", "unreachable"), ("3", "all")] {
        let of = ["--seed", seed, "--faults", faults, "--duration=10m"];
        sound(&[&of[..], &["--events", path]].concat());
        let judged = binary().args(["judge", "--json", path]).output().unwrap();
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        for row in verdict["failovers"].as_array().unwrap() {
            let most = row["at_most_ns"].as_u64().unwrap_or(u64::MAX);
            assert!(row["worst_ns"].as_u64().unwrap() <= most, "{row}");
        }
    }
}

#[test]
fn each_line_is_one_of_the_json_interface() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    sound(&["--seed=7", "--events", path.to_str().unwrap()]);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "simulation");
    assert_eq!(lines[0]["seed"], 7);
    assert_eq!(lines[0]["lease_duration_ns"], 10_000_000_000_u64);
    assert_eq!(lines[0]["hangs_ns"], 6_000_000_000_u64);
    let pids = |event: &str| {
        let of = lines.iter().filter(|line| line["event"] == event);
        of.map(|line| line["pid"].clone()).collect::<Vec<_>>()
    };
    // Whoever is killed is started again, as another process.
    let started = pids("started");
    assert!(started.len() > 5, "{started:?}");
    assert!((1..started.len()).all(|n| !started[..n].contains(&started[n])));
    assert!(pids("elected").iter().all(|pid| started.contains(pid)));
}

#[test]
fn every_fault_is_played_judged_and_drawn() {
    for fault in Fault::ALL {
        for across in [&["--across-machines"][..], &[]] {
            let flags = ["--faults", fault.as_str(), "--seed=3", "--duration=10m"];
            let said = sound(&[&flags[..], across].concat());
            let signs = said.split("━ leads, with its term").nth(1).unwrap();
            let (signs, _) = signs.split_once("The store: ").unwrap();
            let (begins, ends) = match fault {
                Fault::Kill => ("✗ kill -9", "△ started"),
                Fault::Term => ("▽ SIGTERM", "△ started"),
                Fault::Freeze => ("‖ frozen", "▷ goes on"),
                Fault::Sleep => ("( the machine sleeps", ") it wakes"),
                Fault::Partition => ("≠ cut off", "= connected again"),
                Fault::Unreachable => ("{ the store cut off", "} the store is back"),
                Fault::LostReplies => ("? answers are lost", "· over"),
                Fault::LateWrites => ("@ writes are late", "* a late write lands"),
                Fault::Conflicts => ("% false conflicts", "· over"),
                Fault::Errors => ("! the store fails at times", "· over"),
                Fault::Slow => ("~ the store is slow", "· over"),
                Fault::Resign => ("↓ asked to resign", "━ leads"),
                Fault::HandOver => ("» asked to hand over", "━ leads"),
                other => panic!("{other} is new: draw it"),
            };
            assert!(signs.contains(begins), "{fault}: {said}");
            assert!(said.contains(ends), "{fault}: {said}");
        }
    }
    sound(&["--faults=all", "--seed=3"]);
    assert!(!sound(&["--faults=none"]).contains('✗'));
}

#[test]
fn where_a_node_runs_decides_what_its_death_costs() {
    let worst = |flags: &[&str]| {
        let said = sound(&[&["--faults=kill", "--seed=3", "--duration=1h"], flags].concat());
        let row = said.lines().find(|l| l.starts_with("kill -9 ")).unwrap();
        row.to_owned()
    };
    let here = worst(&[]);
    assert!(!here.contains(" s"), "{here}");
    let elsewhere = worst(&["--across-machines"]);
    assert!(!elsewhere.contains(" ms"), "{elsewhere}");
}

#[test]
fn what_it_foretells_is_what_judge_holds_it_to() {
    let said = sound(&["--seed=7", "--duration=1h"]);
    assert!(
        said.contains("14.0 s at most after it fell silent"),
        "{said}"
    );
    let at_most = |after: &str| {
        let row = said.lines().find(|line| line.starts_with(after)).unwrap();
        let words: Vec<_> = row.split_whitespace().rev().take(2).collect();
        format!("{} {}", words[1], words[0])
    };
    assert!(said.contains(" more such pieces of time: --html PAGE draws all."));
    assert_eq!(at_most("frozen "), "14.0 s");
    assert_eq!(at_most("cut off "), "14.0 s");
    // Eight round trips, and late wake-ups.
    assert_eq!(at_most("kill -9 "), "13.0 ms");
}

#[test]
fn it_counts_what_the_store_is_asked() {
    let said = sound(&["--seed=7", "--faults=none"]);
    let line = said.lines().find(|l| l.starts_with("The store: ")).unwrap();
    let numbers: Vec<f64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [all, writes, requests] = numbers[..] else {
        panic!("{line}")
    };
    assert!(all > writes + requests + 1.0, "{line}");
    assert!((0.4..1.0).contains(&writes), "{line}");
    assert!(requests > 5.0, "{line}");
    assert!(said.contains(" --duration 5m "), "{said}");
}

#[test]
fn who_resigned_or_was_stopped_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let flags = ["--seed=3", "--faults=resign,term", "--duration=10m"];
    sound(&[&flags[..], &["--events", path.to_str().unwrap()]].concat());
    let text = std::fs::read_to_string(&path).unwrap();
    let said = |words: &[&str]| {
        let lines = text.lines();
        lines
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .count()
    };
    let resigned = "\"reason\":\"resigned\"";
    assert!(said(&[resigned]) > 0, "{text}");
    assert_eq!(
        said(&[resigned, "\"stays_out_until_ns\":null"]),
        0,
        "{text}"
    );
    let stopped = said(&["\"event\":\"stopped\""]);
    assert!(
        stopped > 0 && stopped == said(&["\"fault\":\"term\""]),
        "{text}"
    );
}

#[test]
fn it_fits_eighty_columns_and_has_no_colours_in_a_pipe() {
    for flags in [
        &["--seed=7", "--faults=all", "--nodes=12"][..],
        &["--seed=7", "--lease-duration=100ms", "--duration=1m"],
        &["--seed=7", "--lease-duration=24h", "--round-trip=1s"],
    ] {
        let said = sound(flags);
        assert!(!said.contains('\x1b'), "{said}");
        for line in said.lines().filter(|line| !line.starts_with("Again: ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_the_way_out() {
    for (flags, words) in [
        (&["--faults=kill,frost"][..], "--faults"),
        (
            &["--faults=kill,frost"],
            "\"frost\": no such fault; there are kill, term, freeze",
        ),
        (&["--faults=kill,"], "all, or none"),
        (&["--faults="], "--faults"),
        (&["--nodes=0"], "--nodes"),
        (&["--nodes=1000"], "--nodes"),
        (&["--seed", "-1"], "not a seed"),
        (&["--seed=x"], "not a seed: use a whole number"),
        (
            &["--duration=24h", "--nodes=100"],
            "--duration 1day is too long for 100 nodes",
        ),
        (&["--round-trip=5s"], "use at most 1s500ms"),
        (&["--lease-duration=10"], "--lease-duration"),
        (&["--renew-deadline=9.5s"], "9s"),
        (&["--events=/nowhere/else"], "--events /nowhere/else"),
        (&["--html=/nowhere/else"], "--html /nowhere/else"),
    ] {
        let said = refused(flags);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}

#[test]
fn the_page_is_whole_and_fits_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    let page = path.to_str().unwrap();
    sound(&["--seed=7", "--faults=all", "--duration=20m", "--html", page]);
    let page = std::fs::read_to_string(&path).unwrap();
    assert_well_formed(&page);
    assert_self_contained(&page);
    for wanted in [
        "<title>Simulation, seed 7</title>",
        "Sound: ",
        "leader-demo simulate --nodes 5 --lease-duration 10s",
        "calls a second",
        ">node-5<title>",
        "the machine sleeps",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert_fits_a_phone(dir.path(), &page);
}
