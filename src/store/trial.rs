//! For who judges a server before it is relied on: a lease to try it with, and what it
//! says of itself.

use std::sync::Arc;

use crate::name::LockName;
use crate::store::{Answer, LeaseStore, StoreError};

/// A lease of nobody's, on a server.
pub struct Trial(pub(super) Arc<dyn Register>);

/// One of the servers that a URL names.
#[derive(Debug)]
pub struct Host {
    /// What it is and where, for people: "etcd at 10.0.0.1:2379".
    pub address: String,
    /// How it is set up, or why nobody knows.
    pub settings: Result<Vec<Setting>, StoreError>,
}

/// Something that a server says of itself: a name of its own, and in its own words
/// what that is set to; none if this user may not see it.
pub type Setting = (&'static str, Option<String>);

/// A store on a server.
pub(super) trait Register: LeaseStore {
    fn hosts(&self) -> Answer<'_, Vec<Host>>;
    fn delete(&self) -> Answer<'_, Result<(), StoreError>>;
}

impl Trial {
    /// What the lease is called: no election is, by whoever is in his right mind.
    pub fn lock_name(number: u32) -> LockName {
        let name = format!("leader-demo-doctor-{number}");
        LockName::new(&name).unwrap_or_else(|e| unreachable!("{name}: {e}"))
    }

    /// The lease.
    pub fn store(&self) -> Arc<dyn LeaseStore> {
        self.0.clone()
    }

    /// Asks each server of the URL how it is set up.
    pub async fn hosts(&self) -> Vec<Host> {
        self.0.hosts().await
    }

    /// Deletes the lease, and what had to be made for it.
    ///
    /// # Errors
    /// Why it may still be there.
    pub async fn delete(&self) -> Result<(), StoreError> {
        self.0.delete().await
    }
}
