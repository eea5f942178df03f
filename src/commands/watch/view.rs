//! The live view of a terminal: who leads, in large letters, how much of the
//! lease is left, and who led before.
//!
//! | file | what it is |
//! |---|---|
//! | `timeline.rs` | what is known: a value |
//! | `draw.rs`, `words.rs`, `letters.rs` | what that looks like: functions |
//! | `screen.rs`, `keys.rs`, `signals.rs` | the terminal |

use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use chrono::{DateTime, Local};
use leader_demo::clock::{self, BootTime};
use leader_demo::{Observer, Sighting};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::cli::Watch;
use crate::commands::{Store, existing_store, runtime};

mod draw;
mod keys;
mod letters;
mod screen;
mod signals;
mod timeline;
mod words;

use draw::{Frame, Scroll};
use keys::Key;
use screen::{Keys, Screen};
use signals::{Asked, Signals};
use timeline::{Moment, Timeline};

pub(super) fn run(watch: &Watch) -> Result<u8> {
    let store_name = watch.place.to_string();
    runtime()?.block_on(async {
        // Before there is a store, which has threads: none of them may be sent one.
        let signals = Signals::listen()?;
        let store = existing_store(&watch.place, &watch.lock_name)?;
        let (screen, keys) = screen::take().context("cannot draw on this terminal")?;
        let mut live = Live {
            frame: Frame {
                lock: watch.lock_name.as_str(),
                store: &store_name,
                colours: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
            },
            timeline: Timeline::default(),
            scroll: Scroll::default(),
            screen,
            outdated: true,
        };
        let ended = live.follow(store, signals, keys).await;
        live.screen
            .leave(&(words::summary(&live.timeline, clock::now()) + "\r\n"))
            .await;
        ended.map(|()| 0)
    })
}

struct Live<'a> {
    frame: Frame<'a>,
    timeline: Timeline,
    scroll: Scroll,
    screen: Screen,
    /// What is drawn is not what is known.
    outdated: bool,
}

enum Goes {
    On,
    Away,
}

impl Live<'_> {
    /// Until somebody wants it to end, or the terminal is gone.
    async fn follow(&mut self, store: Store, signals: Signals, keys: Keys) -> Result<()> {
        let (told, mut sightings) = mpsc::unbounded_channel();
        let observed = observe(store, told);
        tokio::pin!(observed);
        loop {
            // A terminal that takes no output is drawn on when it does again.
            if self.outdated && self.screen.is_idle() {
                self.draw();
            }
            let goes = tokio::select! {
                biased;
                asked = signals.next() => self.asked(asked?).await?,
                typed = keys.next() => match typed? {
                    Some(typed) => self.typed(&typed).await?,
                    None => Goes::Away,
                },
                failed = &mut observed => return failed,
                Some(sighting) = sightings.recv() => {
                    self.saw(sighting);
                    Goes::On
                }
                written = self.screen.write(), if !self.screen.is_idle() => match written {
                    Ok(()) => Goes::On,
                    Err(_) => Goes::Away,
                },
                () = tokio::time::sleep(self.timeline.next_tick()), if !self.outdated => {
                    self.outdated = true;
                    Goes::On
                }
            };
            if let Goes::Away = goes {
                return Ok(());
            }
        }
    }

    fn saw(&mut self, sighting: Sighting) {
        let moment = Moment {
            at: sighting.at,
            time: time_of_day(sighting.at),
        };
        self.timeline.saw(moment, sighting.seen);
        self.outdated = true;
    }

    fn draw(&mut self) {
        let now = clock::now();
        self.screen.draw(|buf| {
            draw::draw(&self.frame, &self.timeline, &mut self.scroll, now, buf);
        });
        self.outdated = false;
    }

    async fn asked(&mut self, asked: Asked) -> io::Result<Goes> {
        self.outdated = true;
        match asked {
            Asked::Quit => return Ok(Goes::Away),
            Asked::Suspend => self.suspend().await?,
            Asked::Continue => self.screen.enter()?,
            Asked::Redraw => {}
        }
        Ok(Goes::On)
    }

    async fn typed(&mut self, keys: &[Key]) -> io::Result<Goes> {
        self.outdated = true;
        for key in keys {
            match key {
                Key::Quit => return Ok(Goes::Away),
                Key::Suspend => self.suspend().await?,
                Key::Redraw => self.screen.enter()?,
                Key::Lines(lines) => self.scroll.by_lines(*lines),
                Key::Pages(pages) => self.scroll.by_pages(*pages),
                Key::Newest => self.scroll.newest(),
                Key::Oldest => self.scroll.oldest(),
            }
        }
        Ok(Goes::On)
    }

    /// Gives the terminal back until somebody says `fg`.
    async fn suspend(&mut self) -> io::Result<()> {
        self.screen.leave("").await;
        signals::stop_here();
        self.screen.enter()
    }
}

/// Passes on what is seen, in a future that is never dropped: asked anew, an
/// observer looks anew.
async fn observe(store: Store, told: mpsc::UnboundedSender<Sighting>) -> Result<()> {
    let mut observer = Observer::new(store)?;
    loop {
        let _ = told.send(observer.next().await);
    }
}

/// What the clock on the wall showed then.
fn time_of_day(at: BootTime) -> chrono::NaiveTime {
    let ago = clock::now().since(at);
    DateTime::<Local>::from(clock::wall_time() - ago).time()
}

/// A descriptor that does not block, to be waited for.
fn asynchronous<T: AsRawFd>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // As in clock.rs: what owns its descriptor has nobody else close it.
    #[allow(deprecated)]
    AsyncFd::with_interest(fd, interest)
}
