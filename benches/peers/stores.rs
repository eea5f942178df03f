//! What was measured on the servers that ours can keep its lease on, as tables.

use std::fmt::Write;
use std::time::Duration;

use crate::handover::Trips;
use crate::load::Load;
use crate::report::brief;
use crate::server::Kind;

pub(crate) struct Stores {
    pub(crate) trips: Vec<Trips>,
    pub(crate) loads: Vec<Load>,
}

impl Stores {
    pub(crate) fn trips_of(&self, kind: Kind) -> Option<&Trips> {
        self.trips.iter().find(|trips| trips.kind == kind)
    }

    pub(crate) fn trips_table(&self) -> String {
        let mut table = "| | a read | a write | its notice, after its answer \
             | promised: two writes and a notice | a hand-over | of what is promised |\n\
             |---|---|---|---|---|---|---|\n"
            .to_owned();
        for trips in &self.trips {
            let promised = trips.promised();
            let took = trips.handed.p50();
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | **{}** ({} .. {}, n={}) | {} |",
                trips.kind.name(),
                brief(trips.read.p50()),
                brief(trips.write.p50()),
                brief(trips.told.p50()),
                brief(promised),
                brief(took),
                brief(trips.handed.percentile(0)),
                brief(trips.handed.percentile(100)),
                trips.handed.len(),
                share(took, promised),
            );
        }
        table
    }

    pub(crate) fn load_table(&self) -> String {
        let sizes = [0, 1, 10, 100];
        let mut table = "| requests per second, CPU of the server | nobody waits | 1 waits \
             | 10 wait | 100 wait | each one that waits, in 2 s |\n|---|---|---|---|---|---|\n"
            .to_owned();
        for load in &self.loads {
            let _ = write!(table, "| {} |", load.tool.name());
            for size in sizes {
                let asked = load.asked.iter().find(|(waiting, _)| *waiting == size);
                let _ = match asked {
                    Some((_, asked)) => write!(
                        table,
                        " {:.1}, {:.2} % |",
                        asked.requests_per_second, asked.percent
                    ),
                    None => write!(table, " |"),
                };
            }
            let _ = writeln!(table, " {} |", load.each_in_words());
        }
        table
    }
}

fn share(took: Duration, promised: Duration) -> String {
    let share = took.div_duration_f64(promised);
    let verdict = if share <= 1.0 { "kept" } else { "**not kept**" };
    format!("{share:.2}x, {verdict}")
}
