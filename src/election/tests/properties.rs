//! What holds whatever happens, in whatever order, with whatever a store says.

use proptest::prelude::*;

use super::script::{A, B, C, garbled, held, holder, lasting, revision, seen, vacant, vacant_for};
use crate::clock::BootTime;
use crate::election::{Action, Change, Election, Ending, Event, NobodyKnows, Swapped};
use crate::lease::{Record, State, Term};
use crate::store::{Observed, Wake};
use crate::timing::Timing;
use std::time::Duration;

/// What the world does next.
#[derive(Clone, Debug)]
enum Move {
    /// This long after the last one.
    Wait(Duration),
    /// When the node asked to be called.
    UntilDue,
    /// The call under way is answered.
    Read(Result<Option<Observed>, NobodyKnows>),
    Swap(Result<Swapped, NobodyKnows>),
    Other(Event),
}

fn record() -> impl Strategy<Value = Record> {
    let term = prop_oneof![9 => 0..6u64, 1 => Term::MAX.get() - 2..=Term::MAX.get()];
    let who = prop::sample::select(vec![A, B, C, ("A", 9)]);
    (0..3, who, term, 1..30u64).prop_map(|(kind, who, term, lease)| {
        let record = match kind {
            0 => held(who, term),
            1 => vacant(term),
            _ => vacant_for(who, term),
        };
        lasting(lease, record)
    })
}

fn store() -> impl Strategy<Value = Option<Observed>> {
    prop_oneof![
        1 => Just(None),
        1 => (0..9u64, 0..9u64).prop_map(|(number, floor)| garbled(number, floor)),
        8 => (0..9u64, record()).prop_map(|(number, record)| seen(number, record)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let ending = prop::sample::select(vec![
        Ending::Released,
        Ending::Resigned,
        Ending::Shutdown,
        Ending::HandedOver(holder(B).session),
    ]);
    prop_oneof![
        3 => Just(Event::Wake(Wake::Changed(None))),
        3 => store().prop_map(|seen| Event::Wake(Wake::Changed(seen))),
        3 => store().prop_map(|store| match store {
            Some(seen) => Event::Wake(Wake::HolderDied(seen)),
            None => Event::Wake(Wake::Changed(None)),
        }),
        4 => Just(Event::Campaign(true)),
        1 => Just(Event::Campaign(false)),
        2 => ending.prop_map(Event::End),
        3 => Just(Event::WorkStopped),
        1 => Just(Event::Stop),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let swapped = prop_oneof![
        4 => (0..9u64).prop_map(|number| Swapped::Done(revision(number))),
        1 => store().prop_map(Swapped::Conflict),
    ];
    let one = prop_oneof![
        4 => (0..12_000u64).prop_map(|ms| Move::Wait(Duration::from_millis(ms))),
        4 => Just(Move::UntilDue),
        4 => store().prop_map(|store| Move::Read(Ok(store))),
        8 => swapped.prop_map(|answer| Move::Swap(Ok(answer))),
        1 => Just(Move::Read(Err(NobodyKnows))),
        1 => Just(Move::Swap(Err(NobodyKnows))),
        4 => event().prop_map(Move::Other),
    ];
    prop::collection::vec(one, 0..80)
}

fn timing() -> impl Strategy<Value = Timing> {
    (1..30u64, 2..=90u32, 1..100u32).prop_map(|(lease, renew, retry)| {
        let lease = Duration::from_secs(lease);
        let renew = lease * renew / 100;
        let retry = (renew * retry / 100).max(Timing::SHORTEST_RETRY);
        Timing::new(lease, Some(renew), Some(retry)).unwrap()
    })
}

/// A node, and what is known of it from the outside.
struct Witness {
    node: Election,
    now: BootTime,
    renew_deadline: Duration,
    in_flight: Option<(BootTime, Action)>,
    wants: bool,
    stopped: bool,
    /// The term it was elected in and not revoked from, and its latest end.
    reign: Option<(Term, BootTime)>,
    last_term: Term,
}

impl Witness {
    fn step(&mut self, event: Event) {
        let answered = match &event {
            Event::Read(_) | Event::Swap(_) => self.in_flight.take(),
            _ => None,
        };
        match event {
            Event::Campaign(wants) => self.wants = wants,
            Event::Stop => self.stopped = true,
            _ => {}
        }
        let done = matches!(event, Event::Swap(Ok(Swapped::Done(_))));
        let actions = self.node.step(self.now, event);
        // Rule 2: an answered swap is worth R from when it was asked for.
        if let (true, Some((asked_at, _)), Some((_, end))) = (done, answered, &mut self.reign)
            && self.now < *end
        {
            *end = asked_at + self.renew_deadline;
        }
        for action in actions {
            self.see(action);
        }
        let belief = self.node.belief();
        if let (Some((term, end)), Some((_, latest))) = (belief, self.reign) {
            assert!(end <= latest, "term {term} is believed in until {end:?}");
        }
        // Leading is what was announced, neither more nor less.
        let announced = self.reign.map(|(term, _)| term);
        assert_eq!(self.node.leads(self.now), announced);
        self.look_ahead();
    }

    fn see(&mut self, action: Action) {
        match action {
            Action::Read | Action::Swap { .. } => {
                assert_eq!(self.in_flight, None, "rule 1");
                if let Action::Swap { next, .. } = &action
                    && matches!(next.state, State::Held(_))
                {
                    let may = self.reign.is_some() || self.wants && !self.stopped;
                    assert!(may, "an observer swapped: {next:?}");
                }
                self.in_flight = Some((self.now, action));
            }
            Action::Abandon => {
                let (asked_at, _) = self.in_flight.take().expect("a call to abandon");
                assert!(self.now >= asked_at + self.renew_deadline, "rule 7");
            }
            Action::Announce(Change::Elected {
                term, valid_until, ..
            }) => {
                assert_eq!(self.reign, None, "elected twice");
                assert!(term > self.last_term, "term {term} was used before");
                assert!(self.now < valid_until, "rule 8");
                assert!(!self.stopped, "elected after the stop");
                self.last_term = term;
                self.reign = Some((term, valid_until));
            }
            Action::Announce(Change::Revoked { term, ended, .. }) => {
                let (elected, end) = self.reign.take().expect("nothing to revoke");
                assert_eq!(term, elected);
                assert!(ended <= end && ended <= self.now, "ended at {ended:?}");
            }
            _ => {}
        }
    }

    /// The node's deadline is one: nothing happens before, something then.
    fn look_ahead(&self) {
        let due = self.node.deadline();
        assert!(due > self.now, "due at {due:?}: a busy loop");
        if self.node.finished() {
            assert_eq!(due, BootTime::NEVER);
            return;
        }
        let mut early = self.node.clone();
        let just_before = BootTime::from_nanos(due.as_nanos() - 1);
        assert_eq!(early.step(just_before, Event::Tick), []);
        assert_eq!(early, self.node, "a tick before the deadline changed it");
    }

    fn play(&mut self, next: Move) {
        let reads = matches!(self.in_flight, Some((_, Action::Read)));
        let event = match next {
            Move::Wait(time) => {
                self.now = self.now + time;
                return;
            }
            Move::UntilDue => {
                self.now = self.now.max(self.node.deadline());
                Event::Tick
            }
            // An answer to what was not asked, or was abandoned, is none.
            Move::Read(answer) if reads || self.in_flight.is_none() => Event::Read(answer),
            Move::Swap(answer) if !reads => Event::Swap(answer),
            Move::Read(_) | Move::Swap(_) => return,
            Move::Other(event) => event,
        };
        self.step(event);
    }
}

fn witness(timing: Timing) -> Witness {
    Witness {
        node: Election::new(holder(A), timing),
        now: BootTime::default(),
        renew_deadline: timing.renew_deadline(),
        in_flight: None,
        wants: false,
        stopped: false,
        reign: None,
        last_term: Term::ZERO,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn the_promises_hold_whatever_happens(timing in timing(), moves in moves()) {
        let mut node = witness(timing);
        node.step(Event::Campaign(true));
        for next in moves {
            if node.node.finished() {
                break;
            }
            node.play(next);
        }
        // However it got there, and with a store that says nothing any more, it
        // is gone a renew deadline after it may go.
        node.step(Event::Stop);
        node.step(Event::WorkStopped);
        let latest = node.now + timing.renew_deadline();
        while !node.node.finished() {
            node.play(Move::UntilDue);
        }
        prop_assert!(node.now <= latest, "{:?} is later than {latest:?}", node.now);
        prop_assert_eq!(node.reign, None, "elected and never revoked");
    }
}
