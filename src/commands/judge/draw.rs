//! The verdict as a picture.

use std::collections::BTreeMap;

use super::failover::{Course, Failover, SEVERAL, keeps_from_leading};
use super::logs::Fault;
use super::rules::{self, Breach};
use super::spans::Span;
use super::verdict::{BREACHES_SHOWN, Verdict, brief};
use crate::commands::picture::{self, Chart, Gap, Lane, Mark, Picture};

impl Verdict<'_> {
    pub(in crate::commands) fn picture(&self) -> Picture {
        let header = self.logs.header.as_ref();
        let what = match header {
            Some(header) if header.simulated => "Simulation",
            Some(_) => "Chaos",
            None => "Who led",
        };
        let seed = header.and_then(|header| header.seed);
        let mut facts = Vec::new();
        let mut fact = |name, value: Option<String>| facts.extend(value.map(|v| (name, v)));
        fact("seed", seed.map(|seed| seed.to_string()));
        fact("started", header.and_then(|h| h.started.clone()));
        fact("nodes", Some(self.nodes().to_string()));
        fact("leaderships", Some(self.spans.len().to_string()));
        fact("faults", Some(self.logs.faults.len().to_string()));
        if let Some(timing) = self.logs.timing() {
            fact("lease duration", Some(brief(timing.lease_duration)));
            fact("retry period", Some(brief(timing.retry_period)));
        }
        let mut breaches: Vec<_> = self
            .breaches
            .iter()
            .take(BREACHES_SHOWN)
            .map(Breach::text)
            .collect();
        if let Some(more @ 1..) = self.breaches.len().checked_sub(BREACHES_SHOWN) {
            breaches.push(format!("and {more} more"));
        }
        Picture {
            title: seed.map_or_else(|| what.into(), |seed| format!("{what}, seed {seed}")),
            sound: self.sound(),
            verdict: self.summary(),
            breaches,
            facts,
            replay: header.and_then(|header| header.replay.clone()),
            remarks: self.remarks(),
            table: self
                .table()
                .into_iter()
                .map(|row| picture::Row {
                    after: match &*row.after {
                        SEVERAL => "several at once".into(),
                        after => after.into(),
                    },
                    count: row.count,
                    p50: brief(row.p50_ns),
                    p99: brief(row.p99_ns),
                    worst: brief(row.worst_ns),
                    at_most: row.at_most_ns.map_or_else(|| "–".into(), brief),
                    spread: picture::Spread {
                        took: row.took,
                        at_most: row.at_most_ns,
                    },
                })
                .collect(),
            charts: rules::by_election(&self.spans)
                .into_iter()
                .map(|spans| self.chart(spans))
                .collect(),
        }
    }

    /// `spans`, one or more, are of one election.
    fn chart(&self, spans: &[Span]) -> Chart {
        let course = Course::of(self.logs, spans);
        let failovers = course.failovers(&mut Vec::new());
        let election = &spans[0].election;
        let mut lanes: BTreeMap<&str, Lane> = BTreeMap::new();
        let mut faults = Lane {
            name: "store and all".into(),
            ..Lane::default()
        };
        for presence in &course.presences {
            let lane = lanes.entry(presence.node).or_default();
            lane.alive.push((presence.first, presence.last));
        }
        let mut gaps = Vec::new();
        for (i, span) in spans.iter().enumerate() {
            let failover = failovers.get(i);
            let until = seen_end(span, failover);
            let lane = lanes.entry(&span.node).or_default();
            lane.spans.push(picture::Span {
                from: span.start,
                until,
                term: span.term,
            });
            gaps.extend(failover.filter(|f| f.to > until).map(|failover| Gap {
                from: until,
                until: failover.to,
                after: failover.after.clone(),
            }));
        }
        for fault in &course.faults {
            let lane = match fault.node.as_deref() {
                Some(node) => lanes.entry(node).or_default(),
                None => &mut faults,
            };
            lane.marks.push(mark(fault));
        }
        let spots = self.breaches.iter().filter_map(|breach| {
            let spot = breach.spot.as_ref()?;
            (spot.election == *election).then_some((spot, breach))
        });
        for (spot, breach) in spots {
            lanes.entry(&spot.node).or_default().marks.push(Mark {
                at: spot.at,
                kind: picture::BREACH.into(),
                text: breach.text(),
            });
        }
        let from = spans[0].start;
        let from = course
            .presences
            .iter()
            .map(|p| p.first)
            .fold(from, u64::min);
        let from = course.faults.iter().map(|f| f.at).fold(from, u64::min);
        let until = course
            .faults
            .iter()
            .map(|f| f.at)
            .fold(course.end, u64::max);
        for trouble in &course.troubles {
            let lane = match trouble.fault.node.as_deref() {
                Some(node) => lanes.get_mut(node),
                None => Some(&mut faults),
            };
            if let Some(lane) = lane.filter(|_| keeps_from_leading(trouble.fault)) {
                let ended = trouble.until.min(until);
                lane.frozen.push((trouble.fault.at, ended));
            }
        }
        for (name, lane) in &mut lanes {
            lane.name = (*name).into();
        }
        let mut lanes: Vec<_> = lanes.into_values().collect();
        if !faults.marks.is_empty() {
            lanes.push(faults);
        }
        let boot = election.boot_id.as_deref().filter(|_| self.boots() > 1);
        Chart {
            name: match boot {
                Some(boot) => format!("{} on the machine of boot {boot}", election.lock_name),
                None => election.lock_name.to_string(),
            },
            from,
            until,
            lanes,
            gaps,
        }
    }
}

/// A killed one led until then, not until it last said so.
fn seen_end(span: &Span, failover: Option<&Failover>) -> u64 {
    match (&span.revoked, failover) {
        (None, Some(failover)) => span.end.max(failover.from),
        _ => span.end,
    }
}

fn mark(fault: &Fault) -> Mark {
    Mark {
        at: fault.at,
        kind: fault.kind.clone(),
        text: fault.message.clone().unwrap_or_default(),
    }
}
