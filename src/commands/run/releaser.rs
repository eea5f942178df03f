//! The releaser: what a guard becomes once its wrapper is dead and nothing of the
//! command is left. On a server nobody can see a process die; it can say so.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::store::Server;
use leader_demo::{LockName, SessionId, Term, release_for};
use tokio::time::{sleep, timeout};

use super::helper;
use crate::cli::with_its_password;
use crate::commands::runtime;

pub(super) const NAME: &str = "__release";

/// Between two tries.
const RETRY: Duration = Duration::from_millis(100);

/// Whose lease to give back, should it die. Where it is, the environment says.
#[derive(Clone, Debug)]
pub(super) struct Bequest {
    pub(super) lock_name: LockName,
    pub(super) session: SessionId,
    /// After that, nobody waits for it any more.
    pub(super) lease_duration: Duration,
}

impl Bequest {
    /// Becomes the releaser; what this returns is why it cannot.
    pub(super) fn execute(&self, term: u64) -> std::io::Error {
        Command::new(helper::PROGRAM)
            .arg0("leader-demo")
            .arg(NAME)
            .args(self.to_args())
            .arg(term.to_string())
            .exec()
    }

    pub(super) fn to_args(&self) -> [OsString; 3] {
        [
            self.lock_name.to_string(),
            self.session.to_string(),
            self.lease_duration.as_nanos().to_string(),
        ]
        .map(OsString::from)
    }

    pub(super) fn from_args(args: &mut impl Iterator<Item = OsString>) -> Result<Self> {
        let mut text = || args.next()?.into_string().ok();
        let (name, session) = (text().unwrap_or_default(), text().unwrap_or_default());
        Ok(Self {
            lock_name: LockName::new(&name)?,
            session: SessionId::try_from(session).map_err(anyhow::Error::msg)?,
            lease_duration: Duration::from_nanos(helper::number(args)?),
        })
    }
}

pub(super) fn main(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    helper::call_oneself("leader-releaser");
    let Bequest {
        lock_name,
        session,
        lease_duration,
    } = Bequest::from_args(&mut args)?;
    let term = Term::new(helper::number(&mut args)?).context("no term")?;
    let server: Server = std::env::var("LEADER_DEMO_STORE")?.parse()?;
    let server = with_its_password(server);
    runtime()?.block_on(async {
        let store = server.open(&lock_name, lease_duration)?;
        let released = async {
            while release_for(&store, session, term).await.is_err() {
                sleep(RETRY).await;
            }
        };
        // Then its lease is over, and whoever could hear a complaint is dead.
        let _ = timeout(lease_duration, released).await;
        Ok(())
    })
}
