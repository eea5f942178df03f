//! Reads the nodes' logs and nothing else: did two lead, was a term led twice?

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One session's leadership in one term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) term: u64,
    pub(crate) node: String,
}

/// The spans in order, if all is well.
pub(crate) fn judge(log: &str) -> Result<Vec<Span>> {
    let mut open: HashMap<String, Span> = HashMap::new();
    let mut spans = Vec::new();
    // A killed process may leave a torn line.
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    for line in lines {
        let line: Value = line;
        let at = line["boottime_ns"].as_u64().context("no time")?;
        let session = line["session"].as_str().unwrap_or_default().to_owned();
        match line["event"].as_str().unwrap_or_default() {
            "elected" => {
                let span = Span {
                    from: at,
                    to: at,
                    term: line["term"].as_u64().context("no term")?,
                    node: line["node_id"].to_string(),
                };
                let before = open.insert(session, span);
                ensure!(before.is_none(), "elected twice: {line}");
            }
            "heartbeat" if line["role"] == "leader" => {
                let until = line["valid_until_ns"].as_u64().context("no end")?;
                ensure!(at < until, "outside its lease: {line}");
                open.get_mut(&session).context("never elected")?.to = at;
            }
            "revoked" => {
                let mut span = open.remove(&session).context("never elected")?;
                let end = line["ended_ns"].as_u64().context("no end")?;
                ensure!(span.to <= end, "led after its end: {line}");
                span.to = end;
                spans.push(span);
            }
            _ => {}
        }
    }
    spans.extend(open.into_values());
    spans.sort();
    for pair in spans.windows(2) {
        let [before, after] = pair else { continue };
        ensure!(before.to <= after.from, "two leaders: {before:?} {after:?}");
        ensure!(before.term < after.term, "terms: {before:?} {after:?}");
    }
    Ok(spans)
}
