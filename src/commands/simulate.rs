//! `simulate`: plays an election with somebody's own timings, and shows it.
//!
//! What the simulated nodes say is written down as real ones would say it
//! ([`story`]), and read by `judge`, as if it had come from files: so the table
//! and the picture are its own, and it checks what the simulation checks, too.
//! [`timeline`] is that picture for a terminal.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leader_demo::simulation::{self, Calls, Plan, Report};

use super::judge::{Logs, Verdict};
use super::{brief, colours, is_same};
use crate::cli::Simulate;

mod story;
mod timeline;

/// 0 if it is sound, 1 if a rule was broken.
pub(crate) fn run(asked: &Simulate) -> Result<u8> {
    let (text, code) = play(asked)?;
    super::print(&text)?;
    Ok(code)
}

/// What there is to say of it, and the exit code.
fn play(asked: &Simulate) -> Result<(String, u8)> {
    let plan = &asked.plan;
    if let (Some(events), Some(page)) = (&asked.events, &asked.html) {
        ensure!(
            !is_same(events, page),
            "--events and --html both name {}: one would replace the other",
            page.display()
        );
    }
    let report = simulation::run(plan);
    let lines = story::tell(&report, &replay(asked))?;
    if let Some(path) = &asked.events {
        let written = std::fs::write(path, &lines);
        written.with_context(|| format!("--events {}", path.display()))?;
    }
    let mut logs = Logs::default();
    let name = asked.events.as_deref().unwrap_or(Path::new("events"));
    logs.read_from(name, lines.as_bytes())?;
    let verdict = Verdict::on(&logs);
    let mut picture = verdict.picture();
    picture.facts.extend([
        ("renew deadline", exact(plan.timing.renew_deadline())),
        ("round trip", exact(plan.round_trip)),
        ("the store", calls(&report)),
    ]);
    if let Some(path) = &asked.html {
        let written = std::fs::write(path, picture.page());
        written.with_context(|| format!("--html {}", path.display()))?;
    }
    let mut text = heading(plan);
    for chart in &picture.charts {
        text += &timeline::draw(chart, plan.timing.lease_duration(), colours());
    }
    let _ = writeln!(text, "The store: {}.\n", calls(&report));
    text += &verdict.text();
    for (at, broken) in &report.violations {
        let _ = writeln!(text, "BROKEN, says the simulation, at {at:?}: {broken}");
    }
    let sound = verdict.sound() && report.violations.is_empty();
    Ok((text, u8::from(!sound)))
}

/// What is played, and what to expect of it.
fn heading(plan: &Plan) -> String {
    let timing = &plan.timing;
    let (l, r, p) = (
        timing.lease_duration(),
        timing.renew_deadline(),
        timing.retry_period(),
    );
    let nodes = match plan.nodes {
        1 => "1 node".into(),
        n => format!("{n} nodes"),
    };
    let faults = match &plan.faults[..] {
        [] => "Nothing goes wrong".into(),
        _ => format!("Every {} or so something goes wrong", exact(plan.pause)),
    };
    let (place, killed) = match plan.one_machine {
        true => (
            "one machine",
            "One that is killed there is replaced at once.",
        ),
        false => (
            "machines of their own",
            "One that is killed is no more than silent, too.",
        ),
    };
    format!(
        "{nodes} on {place}, seed {}. {faults}.\n\
         Lease duration {}, renew deadline {}, retry period {}, round trip {}.\n\n\
         With these timings a leader that falls silent, frozen or cut off, leads for\n\
         {} at most; another one leads {} at most after it fell silent.\n{killed}\n",
        plan.seed,
        exact(l),
        exact(r),
        exact(p),
        exact(plan.round_trip),
        exact(r),
        about(l + p * 2 + story::calls(plan)),
    )
}

fn calls(report: &Report) -> String {
    let a_second = |calls: u64| calls as f64 / report.ended.as_secs_f64();
    let Calls {
        reads,
        swaps,
        requests,
        ..
    } = report.calls;
    format!(
        "{:.2} calls a second, {:.2} writes, {:.2} for requests",
        a_second(reads + swaps + requests),
        a_second(swaps),
        a_second(requests)
    )
}

/// The command that plays the same again, whatever the environment says.
fn replay(asked: &Simulate) -> String {
    let plan = &asked.plan;
    if asked.seeded {
        return format!("make sim SEED={}", plan.seed);
    }
    let faults: Vec<_> = plan.faults.iter().map(|fault| fault.as_str()).collect();
    let faults = match plan.faults.len() {
        0 => "none".into(),
        _ => faults.join(","),
    };
    let across = if plan.one_machine {
        ""
    } else {
        " --across-machines"
    };
    format!(
        "leader-demo simulate --nodes {} --lease-duration {} --renew-deadline {} --retry-period {} \
         --faults {faults} --duration {} --round-trip {}{across} --seed {}",
        plan.nodes,
        exact(plan.timing.lease_duration()),
        exact(plan.timing.renew_deadline()),
        exact(plan.timing.retry_period()),
        exact(plan.duration),
        exact(plan.round_trip),
        plan.seed
    )
}

/// As a flag takes it.
fn exact(duration: Duration) -> String {
    let words = humantime::format_duration(duration).to_string();
    words.replace(' ', "")
}

/// For people.
fn about(duration: Duration) -> String {
    match duration.as_secs() {
        ..60 => brief(duration),
        whole => exact(Duration::from_secs(whole + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which no flags ask for: clocks that run apart by more than is promised.
    #[test]
    fn a_broken_rule_is_said_drawn_and_no_success() {
        let played = |seed| {
            let plan = Plan {
                clock_ratio: 3.0,
                heartbeat: Some(Duration::from_secs(2)),
                ..Plan::seeded(seed)
            };
            let (events, html) = (None, None);
            play(&Simulate {
                plan,
                events,
                html,
                seeded: false,
            })
            .unwrap()
        };
        let with = |words: [&str; 2]| {
            let mut all = (0..100).map(played);
            let found = all.find(|(text, _)| words.iter().all(|word| text.contains(word)));
            found.unwrap_or_else(|| panic!("no seed for {words:?}"))
        };
        let simulation = "\nBROKEN, says the simulation, at ";
        let (text, code) = with(["\nBROKEN: ", "# a rule broken"]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(simulation), "{text}");
        // What was never said `judge` cannot know.
        let (text, code) = with(["\nSound: ", simulation]);
        assert_eq!(code, 1, "{text}");
    }
}
