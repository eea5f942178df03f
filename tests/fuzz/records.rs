//! A record that is accepted, of a lease or of a request, is one that can be
//! written again, with a lease duration and a host that harm nobody.

use leader_demo::{Record, State, Timing};

use crate::fuzz::fuzz;

#[test]
fn records() {
    fuzz("records", include_str!("corpus/records.txt"), |input| {
        let Ok(record) = Record::decode(input) else {
            return;
        };
        assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(&record));
        assert!((Timing::SHORTEST..=Timing::LONGEST).contains(&record.lease_duration));
        let host = match &record.state {
            State::Held(holder) => &holder.host,
            State::Asked(request) => &request.asker.host,
            State::Vacant { .. } => return,
        };
        assert!(host.chars().all(|c| c.is_ascii_graphic()), "{host:?}");
    });
}

#[test]
fn the_corpus_is_of_records() {
    for line in include_str!("corpus/records.txt").lines() {
        assert!(Record::decode(line.as_bytes()).is_ok(), "{line}");
    }
}
