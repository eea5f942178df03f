//! What stands behind a flag: parsed here, refused in words that help.

use std::time::Duration;

use humantime::DurationError;
use leader_demo::{Term, Timing};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// A duration that is some time.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_none(text)?;
    if duration.is_zero() {
        return Err("too short: it must be longer than that, for example 10s".into());
    }
    Ok(duration)
}

/// A duration that may be no time at all.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, String> {
    let too_long = || "too long: use at most 24h".to_owned();
    let duration = sum(text).map_err(|e| match e {
        DurationError::NumberOverflow => too_long(),
        _ => "not a duration: write a number and a unit, like 500ms, 10s or 1m30s".into(),
    })?;
    if duration > Timing::LONGEST {
        return Err(too_long());
    }
    Ok(duration)
}

/// One number at a time: humantime panics where some sums overflow.
fn sum(text: &str) -> Result<Duration, DurationError> {
    let mut sum = Duration::ZERO;
    let mut rest = text;
    loop {
        let unit = rest.find(char::is_alphabetic).unwrap_or(rest.len());
        let next = rest[unit..].find(|c: char| c.is_ascii_digit());
        let (one, others) = rest.split_at(next.map_or(rest.len(), |at| unit + at));
        sum = sum.saturating_add(humantime::parse_duration(one)?);
        if others.is_empty() {
            return Ok(sum);
        }
        rest = others;
    }
}

/// How long a record may stand.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration < Timing::SHORTEST {
        let least = humantime::format_duration(Timing::SHORTEST);
        return Err(format!("too short: use at least {least}"));
    }
    Ok(duration)
}

pub(super) fn level(text: &str) -> Result<Targets, String> {
    // An empty RUST_LOG is one that is not set; a word that is no level would
    // be taken for a target.
    let text = if text.is_empty() { "info" } else { text };
    let known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let levels = text.parse().ok().filter(|_| text.split(',').all(known));
    levels.ok_or_else(|| {
        "not a level: use off, error, warn, info, debug, trace, or target=level,..".to_owned()
    })
}

pub(super) fn term(text: &str) -> Result<Term, String> {
    let number = text.parse().ok().and_then(Term::new);
    number.ok_or_else(|| "not a term: use the number in LEADER_DEMO_TERM, like 7".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("500ms", Some(ms(500))),
            ("10s", Some(ms(10_000))),
            ("1m30s", Some(ms(90_000))),
            ("1.5s", Some(ms(1500))),
            ("0s", None),
            ("-5s", None),
            ("10", None),
            ("", None),
            ("ten", None),
            ("1000000000000000000000s", None),
            ("1m 30s", Some(ms(90_000))),
            ("25h", None),
            ("500ms18446744073709551615.5s", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
    }
}
