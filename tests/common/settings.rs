//! What a run at random is told by its environment.

use std::str::FromStr;

use anyhow::{Context, Result};

/// `None` where it is not set.
pub fn variable<T>(name: &str) -> Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = std::env::var(name).ok();
    let value = text.map(|text| text.parse().with_context(|| format!("{name}={text}")));
    value.transpose()
}
