//! What is told of what is seen, case by case. Leases are of 10 s.

use super::*;
use crate::name::NodeId;

mod missed;

/// A view, and the numbers that revisions have.
#[derive(Default)]
struct Watcher {
    view: View,
    now: BootTime,
    number: u64,
}

/// What a look finds.
#[derive(Clone, Copy)]
enum Is {
    /// This node has the lease, in this term.
    Held(&'static str, u64),
    Vacant(u64),
    /// Left to a session.
    LeftTo(u128, u64),
    Garbled,
    Gone,
}
use Is::*;

impl Watcher {
    /// The lines told since, after so many milliseconds more.
    fn later(&mut self, ms: u64) -> &mut Self {
        self.now = self.now + Duration::from_millis(ms);
        self
    }

    /// As an observer that looks and finds nothing new.
    fn awake(&mut self, ms: u64) -> &mut Self {
        self.later(ms);
        let current = self.view.current.clone().flatten();
        assert_eq!(self.saw(current, None, true), [""; 0]);
        self
    }

    fn sees(&mut self, is: Is) -> Vec<String> {
        self.finds(Some(&[]), is)
    }

    /// Several changes between two looks; none: they are not known.
    fn finds(&mut self, between: Option<&[Is]>, is: Is) -> Vec<String> {
        let between = between.map(|b| b.iter().filter_map(|is| self.observed(*is)).collect());
        let current = self.observed(is);
        self.saw(current, between, true)
    }

    /// A first look at what is no sign of life.
    fn doubts(&mut self, is: Is) -> Vec<String> {
        let current = self.observed(is);
        self.saw(current, None, false)
    }

    fn saw(
        &mut self,
        current: Option<Observed>,
        between: Option<Vec<Observed>>,
        believable: bool,
    ) -> Vec<String> {
        let mut told = Vec::new();
        let found = Found {
            current,
            between,
            believable,
        };
        self.view.saw(self.now, self.now, found, &mut told);
        words(told)
    }

    fn holder_dies(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        let at = self.view.at().expect("there is a record");
        self.view.died(self.now, at, &mut told);
        words(told)
    }

    fn tick(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        self.view.tick(self.now, &mut told);
        words(told)
    }

    fn observed(&mut self, is: Is) -> Option<Observed> {
        self.number += 1;
        let record = |term, state| {
            Content::Record(Record {
                term: Term::new(term).unwrap(),
                lease_duration: Duration::from_secs(10),
                state,
            })
        };
        let content = match is {
            Gone => return None,
            Garbled => Content::Garbled {
                floor: Term::ZERO,
                lease_duration: None,
            },
            Held(name, term) => record(term, State::Held(holder(name))),
            Vacant(term) => record(term, State::Vacant { successor: None }),
            LeftTo(session, term) => {
                let successor = Some(SessionId::from_u128(session));
                record(term, State::Vacant { successor })
            }
        };
        Some(Observed {
            revision: Revision::new([self.number, 0, 0, 0]),
            content,
        })
    }
}

/// A new session for each name: `a2` is another run of node `a`.
fn holder(name: &str) -> Holder {
    let session = name
        .bytes()
        .fold(0, |all, byte| all * 256 + u128::from(byte));
    Holder {
        node_id: NodeId::new(&name[..1]).unwrap(),
        session: SessionId::from_u128(session),
        host: "vm".into(),
        pid: None,
        boot_id: None,
    }
}

fn words(told: Vec<Seen>) -> Vec<String> {
    let word = |seen| match seen {
        Seen::Elected {
            leader,
            term,
            acquired,
            gap,
            ..
        } => {
            let how = acquired.map_or("somehow", Acquired::as_str);
            let gap = gap.map_or(String::new(), |gap| format!(" after {gap:?}"));
            format!("{} elected {term}, {how}{gap}", leader.node_id)
        }
        Seen::Renewed {
            leader,
            term,
            after,
        } => format!("{} renewed {term} after {after:?}", leader.node_id),
        Seen::HandedOver { term, to } => format!("{term} handed over to {}", to.as_u128()),
        Seen::Released { term } => format!("{term} released"),
        Seen::Expired { term } => format!("{term} expired"),
        Seen::Died { term } => format!("{term} died"),
        Seen::NoLeader => "no leader".into(),
        Seen::Warning(text) => text,
        other => panic!("a view cannot see {other:?}"),
    };
    told.into_iter().map(word).collect()
}

/// One that has seen `a` elected in term 1.
fn watching_a() -> Watcher {
    let mut watcher = Watcher::default();
    watcher.later(1000);
    assert_eq!(watcher.sees(Held("a", 1)), ["a elected 1, somehow"]);
    watcher
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_look_tells_who_leads_or_that_nobody_does() {
    let look = |is| Watcher::default().sees(is);
    assert_eq!(look(Held("a", 7)), ["a elected 7, somehow"]);
    assert_eq!(look(Vacant(7)), ["no leader"]);
    assert_eq!(look(LeftTo(5, 7)), ["no leader"]);
    assert_eq!(look(Gone), ["no leader"]);
    let unreadable = ["no leader", "the lease record is unreadable"];
    assert_eq!(look(Garbled), unreadable);
}

#[test]
fn the_first_leader_after_a_vacancy_took_it() {
    let after = |first, is| {
        let mut watcher = Watcher::default();
        watcher.sees(first);
        watcher.awake(100).later(50).sees(is)
    };
    assert_eq!(after(Gone, Held("a", 1)), ["a elected 1, vacant"]);
    assert_eq!(after(Vacant(7), Held("a", 8)), ["a elected 8, vacant"]);
    assert_eq!(
        after(LeftTo(5, 7), Held("a", 8)),
        ["a elected 8, handed_over"]
    );
    // A directory that was moved here.
    assert_eq!(after(Gone, Held("a", 8)), ["a elected 8, somehow"]);
    let mut watcher = Watcher::default();
    watcher.sees(Vacant(7));
    assert_eq!(
        watcher.later(5000).sees(Held("c", 9)),
        ["c elected 9, somehow"]
    );
}

#[test]
fn a_first_look_at_a_dead_or_silent_leader_believes_nothing() {
    let mut watcher = Watcher::default();
    assert_eq!(watcher.doubts(Held("a", 1)), ["no leader"]);
    // It was dead.
    assert_eq!(watcher.holder_dies(), NOTHING);
    assert_eq!(watcher.sees(Held("b", 2)), ["b elected 2, somehow"]);

    let mut watcher = Watcher::default();
    assert_eq!(watcher.doubts(Held("a", 1)), ["no leader"]);
    assert_eq!(watcher.view.deadline(), BootTime::NEVER);
    // It was silent, and is back.
    assert_eq!(watcher.sees(Held("a", 1)), ["a elected 1, somehow"]);
}

#[test]
fn a_renewal_is_told_with_the_time_since_the_one_before() {
    let mut watcher = watching_a();
    assert_eq!(
        watcher.later(2000).sees(Held("a", 1)),
        ["a renewed 1 after 2s"]
    );
    assert_eq!(
        watcher.later(500).sees(Held("a", 1)),
        ["a renewed 1 after 500ms"]
    );
    // Each refills the lease.
    assert_eq!(watcher.later(9999).tick(), NOTHING);
    assert_eq!(watcher.later(1).tick(), ["1 expired"]);
}

#[test]
fn every_renewal_between_two_looks_is_told() {
    let mut watcher = watching_a();
    let two = [Held("a", 1), Held("a", 1)];
    assert_eq!(
        watcher.later(100).finds(Some(&two[..1]), two[1]),
        ["a renewed 1 after 100ms", "a renewed 1 after 0ns"]
    );
}

#[test]
fn nothing_new_is_no_news() {
    let mut watcher = watching_a();
    watcher.awake(100).awake(100);
}

#[test]
fn a_gap_is_measured_from_what_ended_the_last_leadership() {
    // A release.
    let mut watcher = watching_a();
    watcher.awake(200);
    assert_eq!(watcher.later(50).sees(Vacant(1)), ["1 released"]);
    assert_eq!(
        watcher.later(3).sees(Held("b", 2)),
        ["b elected 2, vacant after 3ms"]
    );
    // A hand-over.
    watcher.awake(200);
    assert_eq!(watcher.later(50).sees(LeftTo(7, 2)), ["2 handed over to 7"]);
    assert_eq!(
        watcher.later(4).sees(Held("c", 3)),
        ["c elected 3, handed_over after 4ms"]
    );
    // A death.
    assert_eq!(watcher.later(50).holder_dies(), ["3 died"]);
    assert_eq!(watcher.holder_dies(), NOTHING);
    assert_eq!(
        watcher.later(5).sees(Held("d", 4)),
        ["d elected 4, holder_died after 5ms"]
    );
    // Silence, from the last sign.
    watcher.awake(1000).sees(Held("d", 4));
    assert_eq!(watcher.awake(10_000).tick(), ["4 expired"]);
    watcher.awake(100);
    assert_eq!(
        watcher.later(100).sees(Held("e", 5)),
        ["e elected 5, expired after 10.2s"]
    );
}

#[test]
fn a_vacancy_of_a_second_is_told_once_and_its_end_measured() {
    let mut watcher = watching_a();
    watcher.awake(200);
    assert_eq!(watcher.sees(Vacant(1)), ["1 released"]);
    assert_eq!(watcher.later(999).tick(), NOTHING);
    assert_eq!(watcher.later(1).tick(), ["no leader"]);
    assert_eq!(watcher.awake(60_000).tick(), NOTHING);
    assert_eq!(
        watcher.sees(Held("b", 2)),
        ["b elected 2, vacant after 61s"]
    );
}

#[test]
fn an_expiry_leaves_the_next_leader_a_second_before_nobody_leads() {
    let mut watcher = watching_a();
    assert_eq!(watcher.later(10_000).tick(), ["1 expired"]);
    assert_eq!(watcher.tick(), NOTHING);
    assert_eq!(watcher.later(1000).tick(), ["no leader"]);
}

#[test]
fn a_leader_that_comes_back_after_silence_took_nothing_over() {
    let mut watcher = watching_a();
    watcher.awake(10_000).tick();
    assert_eq!(
        watcher.later(100).sees(Held("a", 1)),
        ["a elected 1, somehow after 10.1s"]
    );
    // In a new term, it did.
    watcher.awake(10_000).tick();
    assert_eq!(
        watcher.later(100).sees(Held("a", 2)),
        ["a elected 2, expired after 10.1s"]
    );
}

#[test]
fn another_session_of_the_same_node_is_another_leader() {
    let mut watcher = watching_a();
    watcher.awake(100);
    assert_eq!(watcher.later(10).holder_dies(), ["1 died"]);
    assert_eq!(
        watcher.later(10).sees(Held("a2", 2)),
        ["a elected 2, holder_died after 10ms"]
    );
}

#[test]
fn a_leader_that_another_replaced_before_anybody_said_so_had_died() {
    let mut watcher = watching_a();
    watcher.awake(100);
    let told = ["1 died", "b elected 2, holder_died after 0ns"];
    assert_eq!(watcher.later(10).sees(Held("b", 2)), told);
}

#[test]
fn a_leader_that_another_replaced_a_moment_before_its_lease_was_over_was_silent() {
    let mut watcher = watching_a();
    // The other saw the last renewal a moment earlier than we did.
    let told = ["1 expired", "b elected 2, expired after 9.999s"];
    assert_eq!(watcher.awake(9900).later(99).sees(Held("b", 2)), told);
}

#[test]
fn two_leaders_between_two_looks_are_both_told() {
    let mut watcher = watching_a();
    watcher.awake(100);
    let between = [Vacant(1), Held("b", 2), Vacant(2)];
    assert_eq!(
        watcher.later(10).finds(Some(&between), Held("c", 3)),
        [
            "1 released",
            "b elected 2, vacant after 0ns",
            "2 released",
            "c elected 3, vacant after 0ns",
        ]
    );
}

#[test]
fn a_record_that_is_back_is_believed_no_more_than_one_seen_first() {
    let mut watcher = watching_a();
    watcher.awake(100);
    watcher.sees(Gone);
    assert_eq!(watcher.later(50).doubts(Held("a", 1)), NOTHING);
    assert_eq!(watcher.awake(20_000).tick(), NOTHING);
    assert_eq!(
        watcher.later(50).sees(Held("b", 2)),
        ["b elected 2, somehow after 20.1s"]
    );
}

#[test]
fn garbage_is_somebody_s_until_the_lease_is_over() {
    let mut watcher = watching_a();
    watcher.awake(100);
    let warning = ["the lease record is unreadable"];
    assert_eq!(watcher.later(10).finds(None, Garbled), warning);
    assert_eq!(watcher.awake(9000).tick(), NOTHING);
    assert_eq!(watcher.awake(890).tick(), ["1 expired"]);
    assert_eq!(watcher.awake(1000).tick(), ["no leader"]);
    assert_eq!(
        watcher.later(10).finds(None, Held("b", 9)),
        ["b elected 9, expired after 11.01s"]
    );
}

#[test]
fn a_record_that_vanished_is_said_to_have() {
    let mut watcher = watching_a();
    watcher.awake(100);
    let told = ["the lease record has vanished", "no leader"];
    assert_eq!(watcher.later(10).sees(Gone), told);
    assert_eq!(watcher.later(5000).tick(), NOTHING);
    // Made again, and gone again before anybody led.
    assert_eq!(watcher.sees(Vacant(1)), NOTHING);
    assert_eq!(watcher.sees(Gone), told[..1]);
    assert_eq!(
        watcher.sees(Held("a", 2)),
        ["a elected 2, somehow after 5s"]
    );
    // After a release, that nobody leads is still to be said.
    watcher.awake(100);
    assert_eq!(watcher.sees(Vacant(2)), ["2 released"]);
    assert_eq!(watcher.sees(Gone), told);
}

#[test]
fn a_death_of_an_earlier_revision_says_nothing_about_this_one() {
    let mut watcher = watching_a();
    let earlier = watcher.view.at().unwrap();
    watcher.later(10).sees(Held("b", 2));
    let mut told = Vec::new();
    watcher.view.died(watcher.now, earlier, &mut told);
    assert_eq!(told, []);
}
