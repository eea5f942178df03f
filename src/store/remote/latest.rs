//! What a server said last of one key, for who waits for more; and what it said
//! shortly before, for who wants to know what happened.

use std::collections::BTreeMap;
use std::ops::Bound::Excluded;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::Stored;
use crate::store::Revision;

/// More happens between two looks only where nobody looks.
const KEPT: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Latest {
    said: watch::Sender<Said>,
    /// Since the key was made, by the first part of the revision.
    kept: Mutex<BTreeMap<u64, Stored>>,
}

#[derive(Debug, Default, PartialEq)]
enum Said {
    #[default]
    Nothing,
    Holds(Option<Stored>),
    /// Something older than what it had said before: said late, or the key was
    /// deleted and made again. Who asks will know.
    Older,
}

impl Latest {
    /// The server says that this is there now.
    pub(super) fn note(&self, now: Option<Stored>) {
        self.keep(now.as_ref());
        self.said.send_if_modified(|said| {
            let next = match (&*said, &now) {
                (Said::Holds(Some(before)), Some(now))
                    if now.revision.parts()[0] < before.revision.parts()[0] =>
                {
                    Said::Older
                }
                _ => Said::Holds(now),
            };
            let is_new = *said != next;
            *said = next;
            is_new
        });
    }

    fn keep(&self, now: Option<&Stored>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = now else {
            return kept.clear();
        };
        let before = kept.insert(now.revision.parts()[0], now.clone());
        // Made anew, and counted from one again.
        if before.is_some_and(|before| before.revision != now.revision) {
            kept.clear();
            kept.insert(now.revision.parts()[0], now.clone());
        }
        while kept.len() > KEPT {
            kept.pop_first();
        }
    }

    /// What was there between two revisions, oldest first, where nothing of it is
    /// missing: each is the next one by its `count`.
    pub(super) fn between(
        &self,
        older: Revision,
        newer: Revision,
        count: impl Fn(Revision) -> u64,
    ) -> Option<Vec<Stored>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let [after, before] = [older, newer].map(|revision| revision.parts()[0]);
        if after >= before {
            return None;
        }
        let between = kept.range((Excluded(after), Excluded(before)));
        let between: Vec<_> = between.map(|(_, stored)| stored.clone()).collect();
        let mut last = count(older);
        let revisions = between.iter().map(|stored| stored.revision);
        let is_next = revisions.chain([newer]).all(|revision| {
            last += 1;
            count(revision) == last
        });
        is_next.then_some(between)
    }

    /// What it said last is there.
    pub(super) fn said(&self) -> Option<Stored> {
        match &*self.said.borrow() {
            Said::Holds(now) => now.clone(),
            Said::Nothing | Said::Older => None,
        }
    }

    /// What is there instead, if the server has said that.
    pub(super) async fn other_than(&self, seen: Option<Revision>) -> Option<Stored> {
        let mut said = self.said.subscribe();
        let is_other = |said: &Said| match said {
            Said::Nothing => false,
            Said::Holds(now) => now.as_ref().map(|now| now.revision) != seen,
            Said::Older => true,
        };
        // The sender lives as long as `self`.
        let said = said.wait_for(is_other).await.ok()?;
        match &*said {
            Said::Holds(now) => now.clone(),
            Said::Nothing | Said::Older => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::time::timeout;

    fn stored(number: u64, nonce: u64) -> Option<Stored> {
        Some(Stored {
            revision: Revision::new([number, nonce, 0, 0]),
            value: vec![],
        })
    }

    fn revision(stored: &Option<Stored>) -> Option<Revision> {
        stored.as_ref().map(|stored| stored.revision)
    }

    #[tokio::test]
    async fn who_waits_hears_of_all_but_what_was_seen() {
        let latest = Latest::default();
        let (first, second, remade) = (stored(1, 7), stored(2, 8), stored(1, 9));
        let mut cases = vec![(None, first.clone(), None)];
        cases.push((first.clone(), second.clone(), Some(second.clone())));
        cases.push((second.clone(), second.clone(), None));
        // Said late: there is no telling that what is there now is the older one.
        cases.push((second.clone(), first.clone(), Some(None)));
        cases.push((second.clone(), remade.clone(), Some(remade.clone())));
        cases.push((remade.clone(), first.clone(), Some(first.clone())));
        cases.push((first.clone(), None, Some(None)));
        cases.push((None, None, None));
        cases.remove(0);
        latest.note(first);
        for (seen, said, expected) in cases {
            latest.note(said.clone());
            let wait = latest.other_than(revision(&seen));
            let heard = timeout(Duration::from_millis(5), wait).await.ok();
            assert_eq!(heard, expected, "{seen:?}, then {said:?}");
        }
    }

    #[test]
    fn what_was_between_is_told_if_nothing_is_missing() {
        let latest = Latest::default();
        let at = |number| Revision::new([number, number, 0, 0]);
        let note = |number| latest.note(stored(number, number));
        let between = |older, newer| {
            let told = latest.between(at(older), at(newer), |revision| revision.parts()[0]);
            told.map(|all| {
                all.iter()
                    .map(|one| one.revision.parts()[0])
                    .collect::<Vec<_>>()
            })
        };
        // In whatever order they are said.
        [1, 2, 4, 3, 5, 5].into_iter().for_each(note);
        assert_eq!(between(1, 2), Some(vec![]));
        assert_eq!(between(2, 5), Some(vec![3, 4]));
        assert_eq!(between(5, 2), None);
        note(8);
        assert_eq!(between(5, 8), None, "6 and 7 were not said");
        assert_eq!(between(2, 4), Some(vec![3]));
        (9..100).for_each(note);
        assert_eq!(between(2, 5), None, "that was long ago");
        assert_eq!(between(97, 99), Some(vec![98]));
        // Of a key that is deleted or made anew, nothing is known from before.
        latest.note(None);
        note(100);
        assert_eq!(between(97, 99), None);
        note(101);
        assert_eq!(between(99, 102), Some(vec![100, 101]));
        latest.note(stored(100, 7));
        assert_eq!(between(99, 102), None);
    }

    #[tokio::test]
    async fn before_anything_was_said_there_is_nothing_to_hear() {
        let latest = Latest::default();
        let wait = latest.other_than(None);
        assert!(timeout(Duration::from_millis(5), wait).await.is_err());
    }
}
