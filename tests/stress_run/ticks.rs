//! The judge: reads the ticks, in the order of the file, and nothing else.
//!
//! A tick is stamped first and written after that, and its process may be
//! frozen between the two. So there are two orders, and both must hold:
//!
//!  - **the file's**: the writes are the effects. A command that was stamped in
//!    its term, froze, and wrote when the next one had begun has acted late,
//!    though its stamp is fine.
//!  - **the stamps'**: a stamp proves that its process lived then. One older
//!    than the last of an earlier term means that two commands lived at once,
//!    even if the writes happened to come in order.
//!
//! Within a term neither is asked for: a command and its twin are two.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use leader_demo::clock::BootTime;

/// One line of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at: BootTime,
    pub(crate) term: u64,
    pub(crate) pid: u32,
    /// The wrapper's node id, which no other wrapper has had.
    pub(crate) node: String,
    pub(crate) kind: String,
    /// The command itself, not what it has started.
    pub(crate) main: bool,
}

impl FromStr for Tick {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let whole = || format!("no tick: {line:?}");
        let mut words = line.strip_suffix('\n').with_context(whole)?.split(' ');
        let mut word = || words.next().with_context(whole);
        let tick = Self {
            at: BootTime::from_nanos(word()?.parse().with_context(whole)?),
            term: word()?.parse().with_context(whole)?,
            pid: word()?.parse().with_context(whole)?,
            node: word()?.to_owned(),
            kind: word()?.to_owned(),
            main: word()? == "main",
        };
        match words.next() {
            None => Ok(tick),
            Some(_) => bail!(whole()),
        }
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.main { "main" } else { "twin" };
        write!(
            f,
            "{} {} {} {} {} {role}",
            self.at.as_nanos(),
            self.term,
            self.pid,
            self.node,
            self.kind
        )
    }
}

/// A term whose command has ticked.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) number: u64,
    pub(crate) node: String,
    pub(crate) first: BootTime,
    pub(crate) last: BootTime,
    /// The command's own number.
    main: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) terms: Vec<Term>,
    pub(crate) ticks: u64,
    /// Who has ticked: a kind of command, itself or what it started.
    pub(crate) ticked: HashSet<(String, bool)>,
    /// The latest stamp of all terms before the last one.
    before: BootTime,
    /// What came last, for whoever must find out why.
    recent: VecDeque<Tick>,
}

impl Judge {
    /// The next tick in the file.
    ///
    /// # Errors
    /// It should not have happened.
    pub(crate) fn hear(&mut self, tick: Tick) -> Result<()> {
        self.ticks += 1;
        self.ticked.insert((tick.kind.clone(), tick.main));
        let wrong = self.judge(&tick);
        self.recent.push_back(tick);
        if let Some(wrong) = wrong {
            let recent: String = self.recent.iter().map(|t| format!("  {t}\n")).collect();
            bail!("{wrong}:\n{recent}");
        }
        if self.recent.len() > 20 {
            self.recent.pop_front();
        }
        Ok(())
    }

    fn judge(&mut self, tick: &Tick) -> Option<&'static str> {
        match self.terms.last() {
            Some(term) if tick.term < term.number => {
                return Some("a term has written after the next one's first tick");
            }
            Some(term) if tick.term == term.number => {}
            ended => {
                self.before = ended.map_or(self.before, |term| self.before.max(term.last));
                self.terms.push(Term {
                    number: tick.term,
                    node: tick.node.clone(),
                    first: tick.at,
                    last: tick.at,
                    main: None,
                });
            }
        }
        if tick.at <= self.before {
            return Some("a command lived before the last tick of an earlier term");
        }
        let term = self.terms.last_mut()?;
        if tick.node != term.node {
            return Some("two nodes had one term");
        }
        if tick.main && *term.main.get_or_insert(tick.pid) != tick.pid {
            return Some("two commands ran in one term");
        }
        term.first = term.first.min(tick.at);
        term.last = term.last.max(tick.at);
        None
    }

    /// How long nobody has ticked.
    pub(crate) fn silence(&self, now: BootTime) -> Duration {
        self.terms
            .last()
            .map_or(Duration::ZERO, |term| now.since(term.last))
    }
}
