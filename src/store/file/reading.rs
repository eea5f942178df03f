//! Which record is the current one, and what an unreadable one may hide.

use super::claim::Written;
use super::directory::{Directory, Inode, Named};
use super::refuse;
use super::register::ATTEMPTS;
use crate::lease::{DecodeError, Record, decode};
use crate::store::{Content, Observed, StoreError};

/// No writer leaves so many numbers out: at a thousand a second, they are used
/// up in 34 years.
const FARTHEST: u64 = 1 << 40;

/// The number by which a file is the current record, if it is.
pub(super) fn number_of(directory: &Directory, file: Inode) -> Result<Option<u64>, StoreError> {
    let Some(&top) = directory.numbers()?.last() else {
        return Ok(None);
    };
    Ok((directory.inode_of(top)? == Some(file)).then_some(top))
}

/// The record that the highest number names.
pub(super) fn read_in(directory: &Directory) -> Result<Option<Observed>, StoreError> {
    for _ in 0..ATTEMPTS {
        let numbers = directory.numbers()?;
        let Some(&top) = numbers.last() else {
            return Ok(None);
        };
        let (inode, content) = match directory.load(top)? {
            // It was cleaned up since: there is a higher one now.
            Named::Gone => continue,
            Named::Stray(inode) => (inode, None),
            Named::File { inode, content, .. } => {
                let path = directory.path_of(top);
                (
                    inode,
                    record_in(&content).map_err(|e| refuse(&path, &e.to_string()))?,
                )
            }
        };
        let content = match content {
            Some(record) => Content::Record(record),
            None => hidden_by(directory, &numbers)?,
        };
        return Ok(Some(Observed {
            revision: directory.numbered(top, inode).into(),
            content,
        }));
    }
    Err(refuse(
        directory.path(),
        "changes faster than it can be read",
    ))
}

/// The record that a number names, if it is still there and can be read.
pub(super) fn record_at(
    directory: &Directory,
    number: u64,
) -> Result<Option<Observed>, StoreError> {
    let Named::File { inode, content, .. } = directory.load(number)? else {
        return Ok(None);
    };
    let record = record_in(&content).ok().flatten();
    Ok(record.map(|record| Observed {
        revision: directory.numbered(number, inode).into(),
        content: Content::Record(record),
    }))
}

/// A record; none where a stranger wrote something else.
pub(super) fn record_in(content: &[u8]) -> Result<Option<Record>, DecodeError> {
    match decode::<Written>(content) {
        Ok(written) => Ok(Some(written.record)),
        Err(DecodeError::Garbled) => Ok(None),
        Err(newer) => Err(newer),
    }
}

/// What the unreadable top may have hidden: every revision since the newest
/// readable one could have been a leadership, with a promise like that one's.
fn hidden_by(directory: &Directory, numbers: &[u64]) -> Result<Content, StoreError> {
    let (top, below) = numbers.split_last().expect("the top is one of them");
    for number in below.iter().rev() {
        if let Named::File { content, .. } = directory.load(*number)?
            && let Ok(Some(record)) = record_in(&content)
        {
            let floor = match top - number {
                above @ ..FARTHEST => record.term.plus(above),
                _ => None,
            };
            let Some(floor) = floor else {
                let why = "is numbered too far above the others to be a revision: remove it";
                return Err(refuse(&directory.path_of(*top), why));
            };
            return Ok(Content::Garbled {
                floor,
                lease_duration: Some(record.lease_duration),
            });
        }
    }
    Err(refuse(
        directory.path(),
        "nothing in it can be read, so no term is known to be unused: look what is there, and \
         remove the directory once no node runs",
    ))
}
