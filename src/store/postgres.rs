//! stub
use super::StoreError;
use super::remote::{Backend, Key, Put, Stored, Told};
use super::server::{Server, ServerError};
use crate::name::LockName;

pub(super) struct Postgres;

impl Postgres {
    pub(super) fn new(_server: &Server, _lock_name: &LockName) -> Result<Self, ServerError> {
        Ok(Self)
    }
}

impl Backend for Postgres {
    type Connection = ();
    type Listener = ();
    fn address(&self, _attempt: usize) -> String {
        "postgres".into()
    }
    fn name(&self, _key: Key) -> String {
        "a key".into()
    }
    async fn connect(&self, _attempt: usize) -> Result<(), StoreError> {
        Err(StoreError::new("not yet"))
    }
    async fn ask(&self, _on: &mut (), _put: Option<&Put>) -> Result<Told, StoreError> {
        Err(StoreError::new("not yet"))
    }
    async fn listen(&self, _attempt: usize) -> Result<(), StoreError> {
        Err(StoreError::new("not yet"))
    }
    async fn hear(&self, _on: &mut ()) -> Result<(Key, Option<Stored>), StoreError> {
        Err(StoreError::new("not yet"))
    }
}
