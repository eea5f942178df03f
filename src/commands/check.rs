//! `check`: is a term still the current one?

use anyhow::Result;
use leader_demo::store::{Content, LeaseStore, Life};

use crate::cli::Check;

/// 0 if it is, 1 if it is not.
pub(crate) fn run(check: &Check) -> Result<u8> {
    let Check {
        lock_name,
        place,
        term,
    } = check;
    let store = super::existing_store(place, lock_name)?;
    let current = super::runtime()?.block_on(async {
        let seen = store.read().await?;
        let held = match &seen {
            Some(seen) => matches!(&seen.content, Content::Record(record)
                if record.holder().is_some() && record.term == *term),
            None => false,
        };
        anyhow::Ok(match seen {
            Some(seen) if held => store.life(seen.revision).await? != Life::Dead,
            _ => false,
        })
    })?;
    Ok(u8::from(!current))
}
