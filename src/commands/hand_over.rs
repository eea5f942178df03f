//! `hand-over` and `resign`: asks the leader to step down, and says what comes of it.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use leader_demo::store::{Content, Observed};
use leader_demo::{Answered, AskError, Glance, Leader, Observer, Progress, Seen, ask, glance};
use tokio::time::timeout;

use super::Store;
use crate::cli::HandOver;

/// As of `status`.
const NOBODY_LEADS: u8 = 3;

/// Who is there to lead does so well within this.
const NEXT: Duration = Duration::from_secs(1);

pub(crate) fn run(asked: HandOver) -> Result<u8> {
    let HandOver {
        lock_name,
        place,
        wish,
        timeout: patience,
    } = asked;
    let store = super::existing_store(&place, &lock_name)?;
    let mut shutdown = super::shutdown_signal()?;
    let answered = super::runtime()?.block_on(async {
        let cancel = async {
            // The handler keeps the sender, so this ends only when it is asked to.
            let _ = shutdown.wait_for(|asked| *asked).await;
        };
        let mut leader = None;
        let answered = ask(&store, wish, patience, cancel, |progress| {
            tell(&mut leader, &progress);
        })
        .await;
        if let (Ok(Answered::Resigned), Some(leader)) = (&answered, leader) {
            say(next_after(&leader, &store).await);
        }
        answered
    });
    match answered {
        Ok(Answered::HandedOver { to, gap }) => {
            let (id, term) = (&to.holder.node_id, to.term);
            say(format_args!(
                "{id} leads in term {term}; between the two, nobody led for at most {:.1} ms",
                gap.as_secs_f64() * 1e3
            ));
            Ok(0)
        }
        Ok(_) => Ok(0),
        // What was asked for is so: a deployment may go on.
        Err(done @ AskError::LeadsAlready(_)) => {
            say(done);
            Ok(0)
        }
        Err(AskError::NobodyLeads) => {
            crate::logging::complain(format_args!(
                "error: nobody leads {lock_name}, so there is nobody to ask (looked at {place})"
            ));
            Ok(NOBODY_LEADS)
        }
        Err(e) => Err(e.into()),
    }
}

fn tell(leader: &mut Option<Leader>, progress: &Progress) {
    if let Progress::Asked(asked, _) = progress {
        *leader = Some(asked.clone());
    }
    let Some(Leader { holder, term, .. }) = leader else {
        return;
    };
    let id = &holder.node_id;
    match progress {
        Progress::Asked(_, stands) => {
            let pid = holder.pid.map_or_else(|| "?".into(), |pid| pid.to_string());
            let stands = humantime::format_duration(*stands);
            say(format_args!(
                "asked {id}, which leads in term {term} (pid {pid} on {}); it has {stands} to answer",
                holder.host
            ));
        }
        Progress::Confirmed(Some(next)) => say(format_args!("{next} is there to take over")),
        Progress::Confirmed(None) => say("another node is there to take over"),
        Progress::Accepted => say(format_args!("{id} stops its work")),
        Progress::Released => say(format_args!("{id} has given the lease back")),
        _ => {}
    }
}

/// What there is to say of who leads, now that this one has resigned.
async fn next_after(leader: &Leader, store: &Store) -> String {
    let elected = async {
        let mut observer = Observer::new(store.clone()).ok()?;
        loop {
            if let Seen::Elected { leader, term, .. } = observer.next().await.seen {
                break Some(format!("{} leads in term {term}", leader.node_id));
            }
        }
    };
    if let Ok(Some(next)) = timeout(NEXT, elected).await {
        return next;
    }
    let id = &leader.holder.node_id;
    // The record still says what the last holder promised, and so stays out for.
    match timeout(NEXT, glance(store)).await {
        Ok(Ok(Glance {
            current:
                Some(Observed {
                    content: Content::Record(record),
                    ..
                }),
            ..
        })) => {
            let lease = humantime::format_duration(record.lease_duration);
            format!("nobody leads yet; {id} stays out for {lease}")
        }
        _ => "there is no telling who leads now".into(),
    }
}

/// Whoever no longer reads changes nothing about what was asked.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
