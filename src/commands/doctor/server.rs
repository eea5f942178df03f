//! A server: how it is set up, what it does to a lease of our own, who leads on it.
//!
//! | file | |
//! |---|---|
//! | `server/findings.rs` | what there is to say of any |
//! | `server/etcd.rs`, `server/redis.rs`, `server/postgres.rs` | what the settings of each mean |

use std::collections::BTreeMap;
use std::time::Duration;

use leader_demo::clock;
use leader_demo::store::{self, Host, Kind, LeaseStore, Life, StoreError, Trial};
use serde::Serialize;

use super::calls::{self, Calls, Left};
use super::interrupt::Interrupt;
use super::lease::{self, Lease};
use super::measured::{Measured, Trips};
use super::probe::{self, Probe};
use super::report::Finding;
use super::rival::Rival;
use super::timing::Tells;
use super::{Examined, Facts};
use crate::cli::Election;
use crate::commands::ANSWER;

mod etcd;
mod findings;
mod postgres;
mod redis;

/// What a killed doctor has left is used again after that.
const FORSAKEN: Duration = Duration::from_secs(60);

/// More doctors than would be at work at once.
const AT_ONCE: u32 = 100;

/// How many connections are timed, and how long they may take together.
const CONNECTIONS: usize = 20;
const TIME: Duration = Duration::from_millis(400);

#[derive(Debug, Serialize)]
pub(super) struct Server {
    url: String,
    hosts: Vec<Answer>,
    lease: Option<Lease>,
    /// None: it could not be tried.
    probe: Option<Probe>,
}

/// What one host says of itself.
#[derive(Debug, Serialize)]
struct Answer {
    address: String,
    error: Option<String>,
    settings: Settings,
}

type Settings = BTreeMap<&'static str, Option<String>>;

/// What a setting says; none if it may not be seen, or is not there.
fn said<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.get(name)?.as_deref()
}

fn count(settings: &Settings, name: &str) -> Option<u64> {
    said(settings, name)?.parse().ok()
}

/// A note of what this user may not see, if there is anything.
fn unseen(settings: &Settings, names: &[&str], remedy: &str) -> Option<Finding> {
    let unseen = names.iter().filter(|name| said(settings, name).is_none());
    let unseen: Vec<_> = unseen.copied().collect();
    let says = || format!("this user may not see {}", unseen.join(", "));
    (!unseen.is_empty()).then(|| Finding::note(says(), remedy))
}

pub(super) async fn examine(
    election: &Election<&store::Server>,
    interrupt: &Interrupt,
) -> Examined {
    let mut examination = Examination {
        facts: Server {
            url: election.place.to_string(),
            hosts: Vec::new(),
            lease: None,
            probe: None,
        },
        findings: Vec::new(),
        measured: None,
    };
    if let Err(finding) = examination.go(election, interrupt).await {
        examination.findings.push(finding);
    }
    let Examination {
        facts,
        findings,
        measured,
    } = examination;
    Examined {
        tells: match facts.probe.as_ref().is_some_and(Probe::tells) {
            true => Tells::Changes,
            false => Tells::Late,
        },
        here_alone: false,
        facts: Facts::of_server(facts),
        findings,
        measured,
    }
}

/// What has been found out until now.
struct Examination {
    facts: Server,
    findings: Vec<Finding>,
    measured: Option<Measured>,
}

impl Examination {
    /// What it ends with early keeps all nodes from it.
    async fn go(
        &mut self,
        election: &Election<&store::Server>,
        interrupt: &Interrupt,
    ) -> Result<(), Finding> {
        let server = election.place;
        let trial = opened(server.trial(0, ANSWER))?;
        self.hosts(server.kind(), trial.hosts().await)?;
        let said = |e| Finding::said_by_store(&e);
        let store = opened(server.open(&election.lock_name, ANSWER))?;
        let seen = store.read().await.map_err(said)?;
        match seen {
            None => self.says(Finding::ok("there is no such election yet")),
            seen => {
                let (lease, findings) = lease::describe(seen, Life::Unknown, &election.timing);
                self.facts.lease = Some(lease);
                self.findings.extend(findings);
            }
        }
        let mut measured = Measured {
            connection: Some(connections(election, interrupt).await.map_err(said)?),
            ..Measured::default()
        };
        let (number, trial, left) = free_trial(server).await.map_err(said)?;
        let tried = self.try_out(server, number, &trial, left, interrupt).await;
        if let Err(e) = trial.delete().await {
            self.says(Finding::note(
                format!("what it was tried with could not be deleted: {e}"),
                format!(
                    "delete {} by hand, or leave it: a later doctor uses it again",
                    Trial::lock_name(number)
                ),
            ));
        }
        let calls = tried.map_err(said)?;
        measured.read = calls.read;
        measured.renewal = calls.renewal;
        measured.acquisition = calls.acquisition;
        measured.release = calls.release;
        self.findings.extend(measured.findings("an acquisition"));
        if let Some(probe) = &self.facts.probe {
            measured.hand_off = probe.notice.max;
        }
        self.measured = Some(measured);
        Ok(())
    }

    fn says(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// What the hosts say of themselves; an error if none says anything.
    fn hosts(&mut self, kind: Kind, hosts: Vec<Host>) -> Result<(), Finding> {
        let mut troubles = Vec::new();
        for Host { address, settings } in hosts {
            let (error, settings) = match settings {
                Ok(settings) => (None, settings),
                Err(e) => {
                    let said = e.to_string();
                    troubles.push(e);
                    (Some(said), Vec::new())
                }
            };
            self.facts.hosts.push(Answer {
                address,
                error,
                settings: settings.into_iter().collect::<Settings>(),
            });
        }
        let answers: Vec<_> = self
            .facts
            .hosts
            .iter()
            .filter(|h| h.error.is_none())
            .collect();
        let settings: Vec<_> = answers.iter().map(|host| &host.settings).collect();
        if settings.is_empty() {
            // What does not pass by itself is what has to be put right.
            let lasting = troubles.iter().find(|e| e.is_lasting());
            let trouble = lasting.or(troubles.first()).cloned();
            let trouble = trouble.unwrap_or_else(|| StoreError::new("it names no server"));
            return Err(Finding::said_by_store(&trouble));
        }
        let mut findings = Vec::new();
        for trouble in troubles {
            findings.push(findings::absent(kind, &trouble));
        }
        findings.extend(match kind {
            Kind::Etcd => etcd::judge(&settings, self.facts.hosts.len()),
            Kind::Redis => settings.iter().flat_map(|s| redis::judge(s)).collect(),
            Kind::Postgres => settings.iter().flat_map(|s| postgres::judge(s)).collect(),
        });
        for host in answers {
            findings.extend(findings::on_its_way(kind, host));
        }
        self.findings.extend(findings);
        Ok(())
    }

    async fn try_out(
        &mut self,
        server: &store::Server,
        number: u32,
        trial: &Trial,
        left: Left,
        interrupt: &Interrupt,
    ) -> Result<Calls, StoreError> {
        let store = trial.store();
        let calls = calls::time(&*store, left, interrupt).await?;
        let probe = match Rival::start(server, number) {
            Ok(rival) => probe::run(&*store, &calls.left, rival, interrupt).await,
            Err(e) => Err(StoreError::new(format!("the other process: {e}"))),
        };
        match probe {
            Ok(probe) => {
                self.findings
                    .extend(findings::promises(server.kind(), &probe));
                self.facts.probe = Some(probe);
            }
            Err(e) => self.says(Finding::warning(
                format!("its promises could not be tried by two processes: {e}"),
                "see that this program may start itself, and try again",
            )),
        }
        Ok(calls)
    }
}

fn opened<T>(opened: Result<T, store::ServerError>) -> Result<T, Finding> {
    opened.map_err(|e| Finding::said_by_store(&StoreError::lasting(format!("--store: {e}"))))
}

/// What it takes to begin: each with a connection of its own.
async fn connections(
    election: &Election<&store::Server>,
    interrupt: &Interrupt,
) -> Result<Trips, StoreError> {
    let mut took = Vec::new();
    let end = clock::now() + TIME;
    while took.is_empty() || took.len() < CONNECTIONS && clock::now() < end && !interrupt.asked() {
        let store = election.place.open(&election.lock_name, ANSWER);
        let store = store.map_err(|e| StoreError::lasting(e.to_string()))?;
        let asked = clock::now();
        store.read().await?;
        took.push(clock::now().since(asked));
    }
    Ok(took.into())
}

/// The first that is not there, or that nobody has written for long. Of two doctors
/// that want one, one gets it.
async fn free_trial(server: &store::Server) -> Result<(u32, Trial, Left), StoreError> {
    for number in 0..AT_ONCE {
        let trial = server.trial(number, ANSWER);
        let trial = trial.map_err(|e| StoreError::lasting(e.to_string()))?;
        let store = trial.store();
        let seen = store.read().await?;
        if let Some(seen) = &seen
            && store
                .age(seen.revision)
                .await?
                .is_some_and(|age| age < FORSAKEN)
        {
            continue;
        }
        if let Some(left) = calls::take(&*store, seen.as_ref()).await? {
            return Ok((number, trial, left));
        }
    }
    Err(StoreError::new(format!(
        "{AT_ONCE} doctors have been at work in the last minute: try again"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A setting, and what it says.
    pub(super) type Changed = (&'static str, Option<&'static str>);

    pub(super) fn settings(usual: &[Changed], changed: &[Changed]) -> Settings {
        let all = usual.iter().chain(changed);
        all.map(|(name, value)| (*name, value.map(str::to_owned)))
            .collect()
    }
}
