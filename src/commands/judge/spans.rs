//! Leaderships, put together from what each session said, and what is wrong
//! with what it said.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::logs::{Election, Logs, Place, Statement};
use super::rules::{Breach, Rule, Spot, exactly, moment};

/// One leadership: from `start` up to, not including, `end`.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) election: Election,
    pub(super) node: Rc<str>,
    pub(super) pid: Option<u32>,
    pub(super) term: u64,
    pub(super) start: u64,
    /// Of one that was not revoked, just after it was last said.
    pub(super) end: u64,
    /// `None` for a process that was killed, or leads still.
    pub(super) revoked: Option<String>,
    pub(super) first: Place,
    pub(super) last: Place,
    /// By the last claim.
    valid_until: u64,
    /// It was about to give the lease back.
    leaves: bool,
}

/// The leaderships in order of time, per election.
pub(super) fn all(logs: &Logs, breaches: &mut Vec<Breach>) -> Vec<Span> {
    let mut sessions: BTreeMap<&str, Vec<&Statement>> = BTreeMap::new();
    for statement in &logs.statements {
        let of = sessions.entry(&statement.session).or_default();
        of.push(statement);
    }
    let mut spans = Vec::new();
    for said in sessions.values_mut() {
        said.sort_by_key(|statement| statement.line.seq);
        nothing_is_missing(logs, said, breaches);
        of_one_session(logs, said, &mut spans, breaches);
    }
    spans.sort_by(|a, b| {
        let key = |span: &Span| (span.election.clone(), span.start, span.term);
        key(a).cmp(&key(b))
    });
    spans
}

/// The lines of a session are numbered from 1, and are of one node in one election:
/// what it led elsewhere would be held against nobody here.
fn nothing_is_missing(logs: &Logs, said: &[&Statement], breaches: &mut Vec<Breach>) {
    let mut before: Option<&Statement> = None;
    for after in said {
        let last = before.and_then(|before| before.line.seq).unwrap_or(0);
        let next = after.line.seq.unwrap_or(0);
        let mut wrong = |what: String| {
            let place = before.map_or_else(String::new, |b| logs.name(b.place) + ", ");
            breaches.push(Breach::new(
                Rule::Evidence,
                after.spot(),
                format!("{} {what}: {place}{}", after.node, logs.name(after.place)),
            ));
        };
        if next != last.saturating_add(1) {
            wrong(match before {
                Some(_) => format!("says line {next} of its session after line {last}"),
                None => format!("says line {next} of its session first"),
            });
        }
        if before.is_some_and(|b| (&b.election, &b.node) != (&after.election, &after.node)) {
            let what = "was another node, of another boot, or in another election, \
                        earlier in this session";
            wrong(what.into());
        }
        before = Some(after);
    }
}

fn of_one_session(
    logs: &Logs,
    said: &[&Statement],
    spans: &mut Vec<Span>,
    breaches: &mut Vec<Breach>,
) {
    let mut open: Option<Span> = None;
    // By what it said when it started: the longest that it may believe.
    let mut longest = u64::MAX;
    for statement in said {
        let (at, line) = (statement.at, &statement.line);
        let mut claims_wrongly = |what: String| {
            breaches.push(Breach::new(
                Rule::Claim,
                statement.spot(),
                format!(
                    "{} {what}, at {}: {}",
                    statement.node,
                    moment(at),
                    logs.name(statement.place)
                ),
            ));
        };
        if let (Some("started"), Some(renew_deadline)) =
            (line.event.as_deref(), line.renew_deadline_ns)
        {
            longest = renew_deadline;
            if line
                .lease_duration_ns
                .is_some_and(|lease| lease <= renew_deadline)
            {
                claims_wrongly("may believe for longer than its lease protects it".into());
            }
        }
        if line.claims() {
            match line.valid_until_ns {
                Some(until) if at < until && until - at <= longest => {}
                Some(until) if at < until => claims_wrongly(format!(
                    "says that it leads for {} more, and may for {} at most",
                    exactly(until - at),
                    exactly(longest)
                )),
                Some(until) => claims_wrongly(format!(
                    "says that it leads {} after the end of what it may, {}",
                    exactly(at - until),
                    moment(until)
                )),
                None => claims_wrongly("says that it leads, but not until when".into()),
            }
        }
        match (line.event.as_deref(), &mut open) {
            (Some("elected"), _) => {
                spans.extend(open.take());
                match line.term {
                    Some(term) => open = Some(elected(statement, term)),
                    None => claims_wrongly("says that it was elected, but not its term".into()),
                }
            }
            (Some("revoked"), Some(span)) => {
                // What was said is more than what is said of it afterwards.
                span.end = span.end.max(line.ended_ns.unwrap_or(at));
                span.revoked = Some(line.reason.clone().unwrap_or_else(|| "unknown".into()));
                span.last = statement.place;
                spans.extend(open.take());
            }
            (_, Some(span)) if line.claims() && line.term != Some(span.term) => {
                claims_wrongly(format!("claims another term than its own, {}", span.term));
            }
            (_, Some(span)) if line.claims() => {
                span.stretch(statement);
                span.valid_until = line.valid_until_ns.unwrap_or(at);
            }
            (Some("asked" | "stopping"), Some(span)) => span.leaves = true,
            (_, None) if line.claims() => {
                claims_wrongly("says that it leads after its leadership was over".into());
            }
            (_, Some(span)) if line.role.as_deref() == Some("leader") && at < span.valid_until => {
                span.stretch(statement);
            }
            _ => {}
        }
    }
    spans.extend(open);
}

fn elected(statement: &Statement, term: u64) -> Span {
    Span {
        election: statement.election.clone(),
        node: statement.node.clone(),
        pid: statement.line.pid,
        term,
        start: statement.at,
        end: statement.at.saturating_add(1),
        revoked: None,
        first: statement.place,
        last: statement.place,
        valid_until: statement.line.valid_until_ns.unwrap_or(statement.at),
        leaves: false,
    }
}

impl Statement {
    fn spot(&self) -> Option<Spot> {
        Some(Spot {
            election: self.election.clone(),
            node: self.node.clone(),
            at: self.at,
        })
    }
}

impl Span {
    pub(super) fn spot(&self, at: u64) -> Option<Spot> {
        Some(Spot {
            election: self.election.clone(),
            node: self.node.clone(),
            at,
        })
    }

    /// Until when it kept all others from leading. Where nobody sees a death, that of
    /// one that was killed is its lease's: who comes before that did not wait.
    pub(super) fn kept_until(&self, logs: &Logs) -> u64 {
        let is_seen = logs.header.as_ref().is_none_or(|h| h.one_machine);
        match self.revoked.is_some() || self.leaves || is_seen {
            true => self.end,
            false => self.end.max(self.valid_until),
        }
    }

    pub(super) fn start_spot(&self) -> Option<Spot> {
        self.spot(self.start)
    }

    fn stretch(&mut self, statement: &Statement) {
        self.end = self.end.max(statement.at.saturating_add(1));
        self.last = statement.place;
    }
}
