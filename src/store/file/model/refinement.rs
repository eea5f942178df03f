//! The real store and the model, through every short history: the same calls,
//! each to its end, must have the same answers and leave the same files.

use std::sync::Arc;
use std::time::Duration;

use super::process::{Asks, Step, Turn};
use super::transition::Setup;
use super::world::World;
use crate::lease::{Holder, Record, State, Term};
use crate::name::{LockName, NodeId};
use crate::search::Model;
use crate::store::file::directory::{Directory, Place};
use crate::store::file::register::Register;
use crate::store::{Content, Life, Observed, Revision, Swap, Witness};

/// How many moves make a history.
const LENGTH: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Move {
    Asks(usize, Asks),
    Tidies(usize),
    StepsDown(usize),
}

/// A process of the model, played by the store's own code.
struct Real {
    register: Register,
    me: Holder,
    seen: Option<Revision>,
    highest: u64,
    leading: Option<(Record, Option<Witness>)>,
}

/// What is compared after each move.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    /// The number and the term that it knows of, and whether it leads.
    process: (u64, u64, bool),
    highest: Option<u64>,
    claims: usize,
    /// Whether one look says that the holder of the current record is dead.
    dead: bool,
}

#[test]
fn the_real_store_answers_as_the_model_does() {
    let setup = super::setup(&[(0, 4), (0, 4)], &[]);
    let mut histories = Vec::new();
    extend(&setup.start(), &mut Vec::new(), &mut histories);
    eprintln!("{} histories of {LENGTH} moves", histories.len());
    assert!(histories.len() > 100);
    for history in histories {
        play(&setup, &history);
    }
}

fn extend(world: &World, so_far: &mut Vec<Move>, histories: &mut Vec<Vec<Move>>) {
    if so_far.len() == LENGTH {
        return histories.push(so_far.clone());
    }
    for next in moves(world) {
        let mut world = world.clone();
        imagine(&mut world, next);
        so_far.push(next);
        extend(&world, so_far, histories);
        so_far.pop();
    }
}

fn moves(world: &World) -> Vec<Move> {
    let mut possible = Vec::new();
    for (p, process) in world.processes.iter().enumerate() {
        let asks = [Asks::Read, Asks::Acquire, Asks::Renew, Asks::Release];
        let asks = asks.into_iter().filter(|asks| process.may_ask(*asks));
        possible.extend(asks.map(|asks| Move::Asks(p, asks)));
        if process.chores.is_some() {
            possible.push(Move::Tidies(p));
        }
        if process.leading.is_some() {
            possible.push(Move::StepsDown(p));
        }
    }
    possible
}

fn imagine(world: &mut World, next: Move) -> usize {
    let p = match next {
        Move::Asks(p, asks) => {
            world.ask(Turn::of(p), asks);
            p
        }
        Move::Tidies(p) => {
            world.tidy(p);
            p
        }
        Move::StepsDown(p) => {
            world.processes[p].leading = None;
            p
        }
    };
    while world.processes[p].step != Step::Idle {
        world.run(Turn::of(p));
        world.observe();
    }
    p
}

fn play(setup: &Setup, history: &[Move]) {
    let dir = tempfile::tempdir().expect("a directory");
    let name = LockName::new("x").expect("a name");
    let place = Arc::new(Place::new(dir.path(), &name, false));
    place.check().expect("it is fit");
    let mut world = setup.start();
    let mut real: Vec<Real> = world.processes.iter().map(|_| Real::new(&place)).collect();
    for (i, next) in history.iter().enumerate() {
        let p = imagine(&mut world, *next);
        real[p].does(*next);
        let directory = place.open().expect("it opens").expect("it is there");
        let looked = real[p].look(&directory);
        assert_eq!(looked, imagined(&world, p), "{:?}", &history[..=i]);
    }
}

fn imagined(world: &World, p: usize) -> Look {
    let directory = &world.directories[0];
    let process = &world.processes[p];
    let top = directory.numbers.last_key_value();
    let seen = process.seen.flatten().map_or(0, |seen| seen.number.into());
    let dead = |file: u8| !world.file(file).vacant && !world.is_locked(file, 0);
    Look {
        process: (seen, process.highest.into(), process.leading.is_some()),
        highest: top.map(|(number, _)| u64::from(*number)),
        claims: directory.claims.len(),
        dead: top.is_some_and(|(_, file)| dead(*file)),
    }
}

impl Real {
    fn new(place: &Arc<Place>) -> Self {
        let node = NodeId::new("n").expect("a name");
        Self {
            register: Register::new(place.clone()),
            me: Holder::here(node).expect("a session"),
            seen: None,
            highest: 0,
            leading: None,
        }
    }

    fn does(&mut self, next: Move) {
        match next {
            Move::Asks(_, asks) => self.asks(asks),
            Move::Tidies(_) => self.register.tidy(),
            Move::StepsDown(_) => self.leading = None,
        }
    }

    fn asks(&mut self, asks: Asks) {
        let next = match (asks, &self.leading) {
            (Asks::Read, _) => {
                let current = self.register.read().expect("it reads");
                return self.saw(current);
            }
            (Asks::Renew, Some((record, _))) => record.clone(),
            (Asks::Release, _) => self.record(0, State::Vacant { successor: None }),
            _ => self.record(1, State::Held(self.me.clone())),
        };
        match self.register.swap(self.seen, next.clone()) {
            Ok(Swap::Swapped { revision, witness }) => {
                self.seen = Some(revision);
                self.highest = next.term.get();
                self.leading = (asks != Asks::Release).then_some((next, witness));
            }
            Ok(Swap::Conflict(current)) => self.saw(current),
            Err(e) => panic!("{e}"),
        }
    }

    fn record(&self, later: u64, state: State) -> Record {
        Record {
            term: Term::new(self.highest + later).expect("a low term"),
            lease_duration: Duration::from_secs(10),
            state,
        }
    }

    fn saw(&mut self, current: Option<Observed>) {
        self.leading = None;
        self.seen = current.as_ref().map(|seen| seen.revision);
        if let Some(Content::Record(record)) = current.map(|seen| seen.content) {
            self.highest = self.highest.max(record.term.get());
        }
    }

    fn look(&mut self, directory: &Directory) -> Look {
        let number = self.seen.map_or(0, |seen| seen.parts()[0]);
        let current = self.register.read().expect("it reads");
        let life = current.map(|at| self.register.life(at.revision.into()));
        Look {
            process: (number, self.highest, self.leading.is_some()),
            highest: directory.numbers().expect("it lists").last().copied(),
            claims: directory.claims().expect("it lists").len(),
            dead: life.is_some_and(|life| life.expect("it looks") == Life::Dead),
        }
    }
}
