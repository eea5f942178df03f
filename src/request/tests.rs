use super::*;
use crate::{LockName, MemoryStore};

mod model;

const SECOND: Duration = Duration::from_secs(1);

fn session(number: u128) -> SessionId {
    SessionId::from_u128(number)
}

fn me() -> Holder {
    Holder {
        node_id: NodeId::new("me").unwrap(),
        session: session(1),
        host: "h".into(),
        pid: None,
        boot_id: None,
    }
}

fn at(seconds: u64) -> BootTime {
    BootTime::default() + SECOND * u32::try_from(seconds).unwrap()
}

fn term(number: u64) -> Term {
    Term::new(number).unwrap()
}

/// Of asker 100, about term 7, for ten seconds.
fn record(wish: Wish, stage: Stage) -> Record {
    by(100, wish, stage)
}

fn by(asker: u128, wish: Wish, stage: Stage) -> Record {
    let asker = Asker {
        session: session(asker),
        host: "h".into(),
        pid: None,
    };
    Request { asker, wish, stage }.record(term(7), 10 * SECOND)
}

fn to(node: &str) -> Wish {
    Wish::HandOver {
        to: Some(NodeId::new(node).unwrap()),
    }
}

const TO_ANYONE: Wish = Wish::HandOver { to: None };

fn leader() -> Part {
    Part {
        leads: Some(term(7)),
        ..Part::default()
    }
}

fn candidate() -> Part {
    Part {
        follows: Some(term(7)),
        candidate_from: Some(at(0)),
        ..Part::default()
    }
}

/// What a node that sees this for the first time does, five seconds in.
fn step(record: &Record, part: Part) -> Option<Step> {
    Desk::new(&me()).consider(at(5), record, part)
}

/// The stage that it says.
fn says(record: &Record, part: Part) -> Option<Stage> {
    match step(record, part) {
        Some(Step::Say(request)) => Some(request.stage),
        Some(Step::StepDown(..)) => panic!("nothing was accepted yet"),
        None => None,
    }
}

const OTHER: u128 = 2;

fn confirmed() -> Stage {
    Stage::Confirmed { by: session(OTHER) }
}

fn accepted(successor: Option<u128>) -> Stage {
    Stage::Accepted {
        successor: successor.map(session),
    }
}

#[test]
fn a_leader_accepts_what_needs_no_other_and_what_another_has_confirmed() {
    for (wish, stage, expected) in [
        (Wish::Resign, Stage::Open, Some(accepted(None))),
        (to("other"), Stage::Open, None),
        (TO_ANYONE, Stage::Open, None),
        (to("other"), confirmed(), Some(accepted(Some(OTHER)))),
        (TO_ANYONE, confirmed(), Some(accepted(Some(OTHER)))),
        (to("other"), Stage::Withdrawn, None),
        (Wish::Resign, Stage::Withdrawn, None),
    ] {
        let record = record(wish, stage);
        assert_eq!(says(&record, leader()), expected, "{record:?}");
    }
}

#[test]
fn no_asker_writes_on_terminals() {
    let good = String::from_utf8(record(Wish::Resign, Stage::Open).encode()).unwrap();
    let evil = good.replace("\"host\":\"h\"", "\"host\":\"a\\u001b[2J\"");
    let read = Record::decode(evil.as_bytes()).unwrap();
    let State::Asked(request) = read.state else {
        unreachable!("it asks")
    };
    assert_eq!(&*request.asker.host, "a?[2J");
}

#[test]
fn a_leader_hands_over_to_no_session_of_its_own() {
    let mine = Stage::Confirmed { by: session(1) };
    assert_eq!(says(&record(TO_ANYONE, mine), leader()), None);
}

#[test]
fn what_is_accepted_is_done_also_when_the_answer_was_lost() {
    for (successor, ending) in [
        (None, Ending::Resigned),
        (Some(OTHER), Ending::HandedOver(session(OTHER))),
    ] {
        let record = record(TO_ANYONE, accepted(successor));
        let State::Asked(request) = record.state.clone() else {
            unreachable!("it asks")
        };
        let expected = Step::StepDown(ending, request);
        assert_eq!(step(&record, leader()), Some(expected));
    }
}

#[test]
fn a_candidate_confirms_what_is_asked_of_it_by_name_or_of_anyone() {
    let mine = Some(Stage::Confirmed { by: session(1) });
    for (wish, stage, expected) in [
        (to("me"), Stage::Open, mine),
        (TO_ANYONE, Stage::Open, mine),
        (to("other"), Stage::Open, None),
        (Wish::Resign, Stage::Open, None),
        (to("me"), confirmed(), None),
        (to("me"), accepted(Some(1)), None),
        (to("me"), Stage::Withdrawn, None),
    ] {
        let record = record(wish, stage);
        assert_eq!(says(&record, candidate()), expected, "{record:?}");
    }
}

#[test]
fn who_stays_out_confirms_only_what_is_asked_of_it_by_name() {
    let out = Part {
        candidate_from: Some(at(6)),
        ..candidate()
    };
    assert_eq!(says(&record(TO_ANYONE, Stage::Open), out), None);
    assert!(says(&record(to("me"), Stage::Open), out).is_some());
}

#[test]
fn who_does_not_want_to_lead_confirms_nothing() {
    let observer = Part {
        candidate_from: None,
        ..candidate()
    };
    assert_eq!(says(&record(to("me"), Stage::Open), observer), None);
}

#[test]
fn a_request_is_about_one_term_only() {
    let later = Part {
        leads: Some(term(8)),
        ..Part::default()
    };
    let follows_later = Part {
        follows: Some(term(8)),
        ..candidate()
    };
    let follows_nobody = Part {
        follows: None,
        ..candidate()
    };
    for stage in [Stage::Open, confirmed(), accepted(Some(OTHER))] {
        assert_eq!(step(&record(Wish::Resign, stage), later), None);
        for part in [follows_later, follows_nobody] {
            assert_eq!(step(&record(to("me"), stage), part), None, "{stage:?}");
        }
    }
}

#[test]
fn a_request_that_was_seen_for_as_long_as_it_stands_is_taken_for_abandoned() {
    let mut desk = Desk::new(&me());
    let open = record(to("other"), Stage::Open);
    assert_eq!(desk.consider(at(100), &open, leader()), None);
    // It is one and the same, however far it has come.
    let confirmed = record(to("other"), confirmed());
    assert!(desk.consider(at(109), &confirmed, leader()).is_some());
    assert_eq!(desk.consider(at(110), &confirmed, leader()), None);
    // Another one stands for as long again.
    let again = by(101, to("other"), self::confirmed());
    assert!(desk.consider(at(110), &again, leader()).is_some());
    // What was accepted holds.
    let accepted = by(101, to("other"), accepted(Some(OTHER)));
    assert!(desk.consider(at(200), &accepted, leader()).is_some());
}

#[test]
fn a_lease_in_the_register_for_requests_asks_for_nothing() {
    let lease = Record {
        term: term(7),
        lease_duration: SECOND,
        state: State::Held(me()),
    };
    assert_eq!(step(&lease, leader()), None);
    assert_eq!(step(&lease, candidate()), None);
}

#[test]
fn the_wire_format_is_what_the_documentation_shows() {
    let encoded = String::from_utf8(record(to("node-2"), Stage::Open).encode()).unwrap();
    assert_eq!(
        encoded,
        concat!(
            r#"{"version":1,"term":7,"lease_duration_ns":10000000000,"asked":{"#,
            r#""asker":{"session":"00000000000000000000000000000064","host":"h","pid":null},"#,
            r#""wish":{"hand_over":{"to":"node-2"}},"stage":"open"}}"#,
            "\n"
        )
    );
    for stage in [
        Stage::Withdrawn,
        confirmed(),
        accepted(None),
        accepted(Some(OTHER)),
    ] {
        for wish in [Wish::Resign, TO_ANYONE, to("x")] {
            let record = record(wish, stage);
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }
}

#[test]
fn an_asker_is_its_process_and_its_host() {
    let mut asker = Asker::here().unwrap();
    asker.host = "h".into();
    let words = |pid: &str| (pid.to_owned(), "h".to_owned());
    assert_eq!(asker.in_words(), words(&std::process::id().to_string()));
    asker.pid = None;
    assert_eq!(asker.in_words(), words("?"));
}

#[tokio::test]
async fn a_successor_has_the_name_that_the_request_of_its_term_says() {
    let store = MemoryStore::new().register(&LockName::new("x").unwrap());
    let successor = Some(session(2));
    let accepted = record(to("next"), Stage::Accepted { successor });
    let requests = store.requests().unwrap();
    requests.swap(None, accepted).await.unwrap();
    let named = |of, session| successor_node(&store, of, session);
    let next = NodeId::new("next").ok();
    assert_eq!(named(term(7), session(2)).await, next);
    assert_eq!(named(term(8), session(2)).await, None);
    assert_eq!(named(term(7), session(3)).await, None);
}

#[test]
fn only_a_leader_and_who_would_follow_it_have_a_say() {
    assert!(leader().has_a_say());
    assert!(candidate().has_a_say());
    let observer = Part {
        candidate_from: None,
        ..candidate()
    };
    let alone = Part {
        follows: None,
        ..candidate()
    };
    for silent in [observer, alone, Part::default()] {
        assert!(!silent.has_a_say(), "{silent:?}");
    }
}

#[test]
fn who_confirms_what_was_asked_of_anyone_puts_its_own_name_there() {
    let Some(Step::Say(said)) = step(&record(TO_ANYONE, Stage::Open), candidate()) else {
        panic!("it says nothing");
    };
    assert_eq!(said.wish, to("me"));
}
