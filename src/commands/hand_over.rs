//! `hand-over` and `resign`: asks the leader to step down, and says what comes of it.

use std::io::{self, Write};

use anyhow::Result;
use leader_demo::{Answered, AskError, Leader, Progress, ask};

use crate::cli::HandOver;

/// As of `status`.
const NOBODY_LEADS: u8 = 3;

pub(crate) fn run(asked: HandOver) -> Result<u8> {
    let HandOver {
        lock_name,
        place,
        wish,
        timeout,
    } = asked;
    let store = super::existing_store(&place, &lock_name)?;
    let mut shutdown = super::shutdown_signal()?;
    let answered = super::runtime()?.block_on(async {
        let cancel = async {
            // The handler keeps the sender, so this ends only when it is asked to.
            let _ = shutdown.wait_for(|asked| *asked).await;
        };
        let mut leader = None;
        ask(&store, wish, timeout, cancel, |progress| {
            tell(&mut leader, &progress);
        })
        .await
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
            let (name, path) = (&lock_name, store.path().display());
            crate::logging::complain(format_args!(
                "error: nobody leads {name}, so there is nobody to ask (looked at {path})"
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
        Progress::Confirmed => say("another node is there to take over"),
        Progress::Accepted => say(format_args!("{id} stops its work")),
        Progress::Released => say(format_args!("{id} has given the lease back")),
        _ => {}
    }
}

/// Whoever no longer reads changes nothing about what was asked.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
