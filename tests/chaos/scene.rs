//! Something that is done to all servers at once, from beginning to end, in a thread
//! of its own: the nodes are not spared meanwhile.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leader_demo::{LockName, Record, State, Term, clock, store};

use crate::common;
use crate::place::News;

/// As long as a busy server may take for one answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the thread has in hand.
pub(crate) struct Scene {
    pub(crate) lasts: Duration,
    pub(crate) kind: u64,
    /// The servers, for who sees whether they answer.
    pub(crate) url: String,
    news: Sender<News>,
    hurry: Receiver<()>,
}

/// The other end of it.
pub(crate) struct Stage {
    pub(crate) news: Receiver<News>,
    /// Dropped, it is not waited any more.
    hurry: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scene {
    pub(crate) fn begin(
        (lasts, kind): (Duration, u64),
        url: String,
        play: impl FnOnce(&Self) + Send + 'static,
    ) -> Stage {
        let (tell, news) = channel();
        let (hurry, hurried) = channel();
        let scene = Self {
            lasts,
            kind,
            url,
            news: tell,
            hurry: hurried,
        };
        Stage {
            news,
            hurry: Some(hurry),
            thread: Some(thread::spawn(move || play(&scene))),
        }
    }

    /// From now on nobody can count on the servers.
    pub(crate) fn they_fail(&self, why: &str) {
        self.tell("unreachable", why);
    }

    /// For as long as it is to last.
    pub(crate) fn lasts(&self) {
        let _ = self.hurry.recv_timeout(self.lasts);
    }

    /// Waits until they take what is written, beside the lease.
    pub(crate) fn they_are_back(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let servers: store::Server = self.url.parse().expect("the nodes have it, too");
        let beside = LockName::new("probe").expect("it is a name");
        let record = Record {
            term: Term::new(1).expect("it is a term"),
            lease_duration: PATIENCE,
            state: State::Vacant { successor: None },
        };
        runtime.block_on(async {
            let store = servers.open(&beside, PATIENCE).expect("this build has it");
            let write = async || {
                let there = store.read().await?.map(|there| there.revision);
                store.swap(there, record.clone()).await
            };
            let deadline = clock::now() + common::PATIENCE;
            while let Err(e) = write().await {
                assert!(clock::now() < deadline, "the servers are not back: {e}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        self.tell("reachable", "");
    }

    fn tell(&self, word: &'static str, message: &str) {
        // Nobody hears it at the end of a run that failed.
        let _ = self.news.send(News::of_all(clock::now(), word, message));
    }
}

impl Stage {
    pub(crate) fn hurry(&mut self) {
        self.hurry = None;
    }

    /// Also if it went wrong.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its end, and fails as it did.
    pub(crate) fn end(&mut self) {
        self.hurry();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.hurry();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
