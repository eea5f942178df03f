//! Where the lease is kept, and what can be done to that.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock::BootTime;

use crate::directory::Directory;
use crate::plan::Fault;
use crate::server::Server;
use crate::settings::{Settings, Store};

pub(crate) trait Place {
    /// What a node is told of it; or who asks, and stands beside the nodes.
    fn flags(&self, node: Option<usize>) -> Vec<OsString>;

    /// Does this to it, or to this node's way to it.
    fn play(&mut self, blow: &Blow, news: &mut Vec<News>) -> Result<Played>;

    /// Ends what is due, and says what has happened.
    fn look(&mut self, now: BootTime) -> Result<Vec<News>>;

    /// Ends everything. It may take until later looks.
    fn heal(&mut self);

    /// Nothing is wrong with it.
    fn is_sound(&self) -> bool;

    /// Who starts now may begin.
    fn admits(&self) -> bool {
        true
    }

    /// The lease is not there any more.
    fn remove(&mut self) -> Result<()>;
}

/// Something that is done to a place.
pub(crate) struct Blow {
    pub(crate) fault: Fault,
    pub(crate) node: usize,
    pub(crate) at: BootTime,
    pub(crate) lasts: Duration,
    /// For faults of several kinds.
    pub(crate) kind: u64,
}

pub(crate) enum Played {
    Yes,
    /// It does not fit at present.
    NotNow,
    /// It cannot be done here, and why.
    Never(&'static str),
}

/// What to tell of it.
pub(crate) struct News {
    /// That moment at the earliest.
    pub(crate) at: BootTime,
    pub(crate) word: &'static str,
    /// None: all of them.
    pub(crate) node: Option<usize>,
    pub(crate) message: String,
}

impl News {
    pub(crate) fn of_all(at: BootTime, word: &'static str, message: &str) -> Self {
        Self {
            at,
            word,
            node: None,
            message: message.into(),
        }
    }
}

pub(crate) fn open(settings: &Settings, lock_name: &str) -> Result<Box<dyn Place>> {
    Ok(match &settings.store {
        Store::Small => Box::new(Directory::new(None, lock_name)?),
        Store::Directory(dir) => Box::new(Directory::new(Some(dir), lock_name)?),
        Store::Own(kind) => Box::new(Server::start(*kind, settings.nodes, lock_name)?),
        Store::Given(url) => Box::new(Given {
            url: url.clone(),
            lock_name: lock_name.into(),
        }),
    })
}

/// Another's server: nothing is done to it.
struct Given {
    url: String,
    lock_name: String,
}

impl Place for Given {
    fn flags(&self, _: Option<usize>) -> Vec<OsString> {
        let flags = ["--store", &self.url, "--lock-name", &self.lock_name];
        flags.map(OsString::from).into()
    }

    fn play(&mut self, _: &Blow, _: &mut Vec<News>) -> Result<Played> {
        Ok(Played::Never("the server is another's"))
    }

    fn look(&mut self, _: BootTime) -> Result<Vec<News>> {
        Ok(Vec::new())
    }

    fn heal(&mut self) {}

    fn is_sound(&self) -> bool {
        true
    }

    fn remove(&mut self) -> Result<()> {
        anyhow::bail!("the server is another's")
    }
}
