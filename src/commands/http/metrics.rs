//! `/metrics`, in Prometheus' text format.

use std::fmt::Display;

use leader_demo::Histogram;

use super::desk::Desk;

pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn text(desk: &Desk) -> String {
    let tally = desk.node.tally();
    let (now, leading) = desk.leading();
    let remaining = leading
        .as_ref()
        .map(|leading| leading.valid_until.since(now));

    let mut page = Page::new(desk);
    page.family("build_info", "gauge", "Which version this is.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge(
        "is_leader",
        "Whether this node leads, asked at the moment of the scrape.",
        u8::from(leading.is_some()),
    );
    page.gauge(
        "term",
        "The newest term seen, this node's own included; 0 before any.",
        tally.term,
    );
    page.gauge(
        "lease_remaining_seconds",
        "How long this node still leads if it cannot renew; 0 while it does not lead.",
        remaining.unwrap_or_default().as_secs_f64(),
    );
    page.counter(
        "transitions_total",
        "How often one leadership was seen to follow another.",
        tally.transitions,
    );
    page.family(
        "losses_total",
        "counter",
        "Leaderships of this node that ended, by reason.",
    );
    for (reason, times) in tally.losses() {
        page.sample("losses_total", &[("reason", reason.as_str())], times);
    }
    page.counter(
        "store_errors_total",
        "Calls to the store that failed, or got no answer within the renew deadline.",
        tally.store_errors,
    );
    page.histogram(
        "renewal_duration_seconds",
        "How long the store took for renewals that it carried out.",
        &tally.renewals,
    );
    page.histogram(
        "failover_gap_seconds",
        "How long nobody led before this node did, from the last sign of the leader before it.",
        &tally.failover_gaps,
    );
    page.text
}

struct Page {
    text: String,
    /// Of every sample. Names are of letters that need no escape.
    labels: String,
}

impl Page {
    fn new(desk: &Desk) -> Self {
        let (lock_name, node_id) = (&desk.lock_name, &desk.node.me().node_id);
        Self {
            text: String::new(),
            labels: format!("lock_name=\"{lock_name}\",node_id=\"{node_id}\""),
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            let bound = bound.as_secs_f64().to_string();
            self.sample(&bucket, &[("le", &bound)], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        let sum = histogram.sum().as_secs_f64();
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.text += &format!("# HELP leader_demo_{name} {help}\n");
        self.text += &format!("# TYPE leader_demo_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, more: &[(&str, &str)], value: impl Display) {
        let mut labels = self.labels.clone();
        for (label, value) in more {
            labels += &format!(",{label}=\"{value}\"");
        }
        self.text += &format!("leader_demo_{name}{{{labels}}} {value}\n");
    }
}
