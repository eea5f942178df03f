//! The real election and the real driver on virtual time, with a faulty store.
//!
//! A [`Plan`] says who takes part and what may go wrong; its seed decides when
//! and to whom. [`run`] plays it and returns a [`Report`]: what happened, who
//! led when, and which promise was broken. One plan always gives one report.
//!
//! ```
//! use leader_demo::simulation::{Plan, run};
//!
//! let report = run(&Plan::seeded(7));
//! assert_eq!(report.violations, []);
//! ```
//!
//! Nothing of the election is rebuilt here: each node is the future that also
//! runs in production, with a clock and a store of ours. Time jumps from one
//! event to the next, so a minute takes about a millisecond.
//!
//! At every step: at most one node for which "leads now" holds, each asked by
//! its own clock; what it leads by is what the store has; each term is higher
//! than all before it. And once the faults are over, somebody leads within a
//! lease duration and two retry periods.

mod agenda;
mod asker;
mod check;
mod desk;
mod faults;
mod machine;
mod plan;
mod random;
mod register;
mod report;
pub mod scale;
mod seat;
mod statements;
#[cfg(test)]
mod tests;
mod turn;
mod way;
mod world;

pub use plan::{Fault, Plan};
pub use report::{Calls, Happening, Moment, Report, Span, Violation};

/// Plays `plan` to its end.
pub fn run(plan: &Plan) -> Report {
    world::World::new(plan).run()
}
