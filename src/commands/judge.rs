//! `judge`: was there one leader at a time? It reads what nodes said and shares
//! no code with the rules of the election, so a mistake there is not made here.
//!
//! [`logs`] are read into statements and faults; [`spans`] are leaderships, put
//! together from what one session said; [`rules`] are what must hold of them;
//! [`failover`] says what each change of leader cost, and how long it may take;
//! [`verdict`] is what is said in the end, and [`draw`] makes a picture of it.

use anyhow::{Context, Result, ensure};

use super::is_same;
use crate::cli::Judge;

mod draw;
mod failover;
mod logs;
mod rules;
mod spans;
mod verdict;

#[cfg(feature = "simulate")]
pub(super) use failover::undone_by;
pub(super) use logs::Logs;
pub(super) use verdict::Verdict;

/// 0 if it is sound, 1 if a rule was broken.
pub(crate) fn run(judge: &Judge) -> Result<u8> {
    let mut logs = Logs::default();
    for (n, path) in judge.logs.iter().enumerate() {
        ensure!(
            !judge.logs[..n].iter().any(|other| is_same(other, path)),
            "{} is given twice: what it says would contradict itself",
            path.display()
        );
        logs.read(path)
            .with_context(|| path.display().to_string())?;
    }
    let verdict = Verdict::on(&logs);
    ensure!(
        !verdict.spans.is_empty(),
        "nothing to judge: nobody says there that it was elected; \
         give the JSON lines of nodes (--log-format json, run --events)"
    );
    if let Some(path) = &judge.html {
        ensure!(
            !judge.logs.iter().any(|log| is_same(log, path)),
            "--html {} is one of the logs: name another file",
            path.display()
        );
        std::fs::write(path, verdict.picture().page())
            .with_context(|| format!("--html {}", path.display()))?;
    }
    let text = if judge.json {
        verdict.json()?
    } else {
        verdict.text()
    };
    super::print(&text)?;
    Ok(u8::from(!verdict.sound()))
}
