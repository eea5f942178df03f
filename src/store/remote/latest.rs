//! What a server said last of one key, for who waits for more.

use tokio::sync::watch;

use super::Stored;
use crate::store::Revision;

#[derive(Debug, Default)]
pub(super) struct Latest(watch::Sender<Said>);

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
        self.0.send_if_modified(|said| {
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

    /// What it said last is there.
    pub(super) fn said(&self) -> Option<Stored> {
        match &*self.0.borrow() {
            Said::Holds(now) => now.clone(),
            Said::Nothing | Said::Older => None,
        }
    }

    /// What is there instead, if the server has said that.
    pub(super) async fn other_than(&self, seen: Option<Revision>) -> Option<Stored> {
        let mut said = self.0.subscribe();
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

    #[tokio::test]
    async fn before_anything_was_said_there_is_nothing_to_hear() {
        let latest = Latest::default();
        let wait = latest.other_than(None);
        assert!(timeout(Duration::from_millis(5), wait).await.is_err());
    }
}
