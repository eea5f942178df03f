//! For who judges a server: what it says of itself, and no trace of who asked.

use tokio::time::timeout;

use super::{Backend, Hub, Register, Setting, no_answer};
use crate::store::trial::{self, Host};
use crate::store::{Answer, StoreError};

impl<B: Backend> trial::Register for Register<B> {
    fn hosts(&self) -> Answer<'_, Vec<Host>> {
        Box::pin(async {
            let hub = &self.shared.hub;
            let mut hosts = Vec::new();
            for attempt in 0..hub.backend.endpoints() {
                hosts.push(Host {
                    address: hub.backend.address(attempt),
                    settings: hub.settings(attempt).await,
                });
            }
            hosts
        })
    }

    fn delete(&self) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(async {
            let hub = &self.shared.hub;
            let attempt = hub.attempt();
            let deleted = timeout(hub.patience, async {
                let mut on = hub.backend.connect(attempt).await?;
                hub.backend.delete(&mut on).await
            });
            let deleted = deleted
                .await
                .unwrap_or_else(|_| Err(no_answer(hub.patience)));
            deleted.map_err(|e| e.at(&hub.backend.address(attempt)))
        })
    }
}

impl<B: Backend> Hub<B> {
    async fn settings(&self, attempt: usize) -> Result<Vec<Setting>, StoreError> {
        let asked = timeout(self.patience, async {
            let mut on = self.backend.connect(attempt).await?;
            self.backend.settings(&mut on, attempt).await
        });
        let answer = asked
            .await
            .unwrap_or_else(|_| Err(no_answer(self.patience)));
        answer.map_err(|e| e.at(&self.backend.address(attempt)))
    }
}

/// What a server will not tell this user is no failure: other troubles may be.
#[cfg(any(feature = "etcd", feature = "redis"))]
pub(in crate::store) fn if_allowed<T>(
    answer: Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(told) => Ok(Some(told)),
        Err(e) if e.is_lasting() => Ok(None),
        Err(e) => Err(e),
    }
}

/// How what is said to a host travels, password and all: as it is, encrypted, or
/// never leaving this machine.
pub(in crate::store) fn travels(host: &str, encrypted: bool) -> Setting {
    let address = host.parse::<std::net::IpAddr>();
    let is_here =
        host == "localhost" || host.starts_with('/') || address.is_ok_and(|a| a.is_loopback());
    let how = match (encrypted, is_here) {
        (true, _) => "encrypted",
        (false, true) => "here",
        (false, false) => "readable",
    };
    ("travels", Some(how.into()))
}

pub(in crate::store) fn yes_or_no(name: &'static str, yes: bool) -> Setting {
    (name, Some(if yes { "yes" } else { "no" }.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_leave_this_machine_is_not_read_on_its_way() {
        for (host, encrypted, how) in [
            ("127.0.0.1", false, "here"),
            ("::1", false, "here"),
            ("localhost", false, "here"),
            ("/run/postgresql", false, "here"),
            ("10.0.0.1", false, "readable"),
            ("db.example", false, "readable"),
            ("db.example", true, "encrypted"),
        ] {
            assert_eq!(travels(host, encrypted).1.as_deref(), Some(how), "{host}");
        }
    }
}
