//! What was found, for people and as JSON.

use std::fmt::Write;
use std::time::Duration;

use leader_demo::store::StoreError;
use serde::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Ok,
    /// Good to know.
    Note,
    /// It costs something, but not safety.
    Warning,
    /// Not to be trusted.
    Refused,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    pub(super) says: String,
    /// None: all is well, or the store's own words have it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(says: impl Into<String>) -> Self {
        Self {
            mark: Mark::Ok,
            says: says.into(),
            remedy: None,
        }
    }

    pub(super) fn note(says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with(Mark::Note, says, remedy)
    }

    pub(super) fn warning(says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with(Mark::Warning, says, remedy)
    }

    pub(super) fn refused(says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with(Mark::Refused, says, remedy)
    }

    /// What a node would be told when it starts.
    pub(super) fn said_by_store(error: &StoreError) -> Self {
        Self {
            mark: Mark::Refused,
            ..Self::ok(error.to_string())
        }
    }

    fn with(mark: Mark, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            mark,
            says: says.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// What belongs together.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// How many findings there are of a mark.
pub(super) fn count(sections: &[Section], mark: Mark) -> usize {
    let findings = sections.iter().flat_map(|section| &section.findings);
    findings.filter(|finding| finding.mark == mark).count()
}

/// The report for people. The verdict stands at the end, where a terminal is.
pub(super) fn text(heading: &str, sections: &[Section], colours: bool) -> String {
    let mut text = format!("{heading}\n");
    for Section { title, findings } in sections.iter().filter(|s| !s.findings.is_empty()) {
        let _ = writeln!(text, "\n{title}");
        for finding in findings {
            let (word, colour) = match finding.mark {
                Mark::Ok => ("ok", "32"),
                Mark::Note => ("note", "36"),
                Mark::Warning => ("warning", "33"),
                Mark::Refused => ("refused", "31"),
            };
            let word = format!("{word:<7}");
            let word = match colours {
                true => format!("\x1b[{colour}m{word}\x1b[0m"),
                false => word,
            };
            let _ = writeln!(text, "  {word}  {}", finding.says);
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(text, "           -> {remedy}");
            }
        }
    }
    let _ = writeln!(text, "\n{}", verdict(sections));
    text
}

fn verdict(sections: &[Section]) -> String {
    let findings = sections.iter().flat_map(|section| &section.findings);
    let why: Vec<_> = findings
        .filter(|finding| finding.mark == Mark::Refused)
        .map(|finding| format!("\n - {}", finding.says))
        .collect();
    match (&why[..], count(sections, Mark::Warning)) {
        ([], 0) => "Fit.".into(),
        ([], 1) => "Fit, with 1 warning.".into(),
        ([], warnings) => format!("Fit, with {warnings} warnings."),
        (why, _) => format!("Not to be trusted:{}", why.concat()),
    }
}

/// As it was configured, without spaces, so that it can be pasted.
pub(super) fn long(d: Duration) -> String {
    let rounded = match d {
        d if d >= Duration::from_secs(60) => Duration::from_secs(d.as_secs()),
        d => d,
    };
    humantime::format_duration(rounded)
        .to_string()
        .replace(' ', "")
}

/// As it was measured: three digits or so.
pub(super) fn short(d: Duration) -> String {
    match d.as_nanos() {
        nanos if nanos < 10_000 => format!("{:.1}us", d.as_secs_f64() * 1e6),
        nanos if nanos < 1_000_000 => format!("{:.0}us", d.as_secs_f64() * 1e6),
        nanos if nanos < 100_000_000 => format!("{:.1}ms", d.as_secs_f64() * 1e3),
        nanos if nanos < 1_000_000_000 => format!("{:.0}ms", d.as_secs_f64() * 1e3),
        nanos if nanos < 100_000_000_000 => format!("{:.1}s", d.as_secs_f64()),
        _ => long(d),
    }
}

pub(super) fn nanos<S: Serializer>(d: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> [Section; 2] {
        [
            Section {
                title: "Empty",
                findings: Vec::new(),
            },
            Section {
                title: "Full",
                findings: vec![Finding::ok("fine"), Finding::warning("dear", "pay")],
            },
        ]
    }

    #[test]
    fn a_report_reads_like_one() {
        let plain = "Head\n\nFull\n  ok       fine\n  warning  dear\n           -> pay\n\nFit, with 1 warning.\n";
        assert_eq!(text("Head", &sections(), false), plain);
        let colourful = text("Head", &sections(), true);
        assert!(
            colourful.contains("\x1b[33mwarning\x1b[0m  dear"),
            "{colourful:?}"
        );
    }

    #[test]
    fn what_is_refused_decides() {
        let mut sections = sections();
        sections[0]
            .findings
            .push(Finding::refused("broken", "mend"));
        assert_eq!(verdict(&sections), "Not to be trusted:\n - broken");
        assert_eq!(verdict(&[]), "Fit.");
    }

    #[test]
    fn times_are_short() {
        for (nanos, said) in [
            (0, "0.0us"),
            (9_340, "9.3us"),
            (29_400, "29us"),
            (1_340_000, "1.3ms"),
            (250_000_000, "250ms"),
            (12_004_000_000, "12.0s"),
            (7_200_400_000_000, "2h"),
        ] {
            assert_eq!(short(Duration::from_nanos(nanos)), said);
        }
    }
}
