//! Every order in which a leader, two candidates and two askers can take their
//! steps, each a read and then a compare-and-swap, with any pause in between.

use std::collections::HashSet;

use super::*;

/// What is kept. No request is in the same stage twice, so it is its own revision.
type Register = Option<Request>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    now: BootTime,
    register: Register,
    /// The leader and two candidates; what each has read and is about to act on.
    nodes: [(Desk, Option<Register>); 3],
    askers: [Asking; 2],
    stepped_down: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asking {
    request: Request,
    begun: bool,
    withdrawn: bool,
}

const LEADER: usize = 0;
/// That lapses are tried, too.
const STANDS: u64 = 10;

impl World {
    fn new(wishes: [Wish; 2]) -> Self {
        let mut number = 100;
        let askers = wishes.map(|wish| {
            number += 1;
            let record = by(number, wish, Stage::Open);
            let State::Asked(request) = record.state else {
                unreachable!("it asks")
            };
            Asking {
                request,
                begun: false,
                withdrawn: false,
            }
        });
        let desk = |number| Desk {
            node_id: NodeId::new(&format!("n{number}")).unwrap(),
            session: session(number),
            seen: None,
        };
        Self {
            now: at(0),
            register: None,
            nodes: [1, 2, 3].map(|number| (desk(number), None)),
            askers,
            stepped_down: false,
        }
    }

    /// Whether it was swapped.
    fn swap(&mut self, expected: &Register, next: Request) -> bool {
        let swapped = *expected == self.register;
        if swapped {
            self.register = Some(next);
        }
        swapped
    }

    /// Every world that can come next.
    fn next(&self, obeys: &impl Fn(&Self, Step, &Request)) -> Vec<Self> {
        let mut next = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        for i in 0..self.nodes.len() {
            if self.nodes[i].1.is_none() {
                add(&|world| world.nodes[i].1 = Some(world.register.clone()));
            } else {
                add(&|world| world.act(i, obeys));
            }
        }
        for i in 0..self.askers.len() {
            let asking = &self.askers[i];
            if !asking.begun {
                // An asker tries until it has put its request, so only that counts.
                add(&|world| {
                    let request = world.askers[i].request.clone();
                    let before = world.register.clone();
                    let agreed = matches!(
                        before,
                        Some(Request {
                            stage: Stage::Accepted { .. },
                            ..
                        })
                    );
                    world.askers[i].begun = agreed || world.swap(&before, request);
                });
            } else if !asking.withdrawn {
                // It tries until that succeeds or is refused, too.
                add(&|world| world.withdraw(i));
            }
        }
        if self.now == at(0) {
            add(&|world| world.now = at(STANDS));
        }
        next
    }

    fn act(&mut self, node: usize, obeys: &impl Fn(&Self, Step, &Request)) {
        let read = self.nodes[node].1.take().unwrap_or_default();
        let Some(request) = read.clone() else {
            return;
        };
        let part = match node {
            LEADER if self.stepped_down => Part::default(),
            LEADER => leader(),
            _ => candidate(),
        };
        let record = request.clone().record(term(7), STANDS as u32 * SECOND);
        match self.nodes[node].0.consider(self.now, &record, part) {
            Some(Step::Say(next)) => drop(self.swap(&read, next)),
            Some(step) => {
                obeys(self, step, &request);
                self.stepped_down = true;
            }
            None => {}
        }
    }

    /// As the asker does that has waited long enough: of its own request, and
    /// not once that has been accepted.
    fn withdraw(&mut self, asker: usize) {
        let read = self.register.clone();
        if let Some(request) = read.clone()
            && request.asker == self.askers[asker].request.asker
            && matches!(request.stage, Stage::Open | Stage::Confirmed { .. })
        {
            let stage = Stage::Withdrawn;
            self.askers[asker].withdrawn = self.swap(&read, Request { stage, ..request });
        }
    }
}

/// How many worlds there are, and in how many of them the leader stepped down.
fn search(wishes: [Wish; 2], obeys: impl Fn(&World, Step, &Request)) -> (usize, usize) {
    let mut seen = HashSet::new();
    let mut open = vec![World::new(wishes)];
    let mut stepped_down = 0;
    while let Some(world) = open.pop() {
        // Nodes read again and again: the world is the same, whatever was read.
        if seen.insert(world.clone()) {
            stepped_down += usize::from(world.stepped_down);
            open.extend(world.next(&obeys));
        }
    }
    (seen.len(), stepped_down)
}

/// What may never be, at the moment at which the leader steps down.
fn rules(world: &World, step: Step, request: &Request) {
    let Step::StepDown(ending, _) = step else {
        unreachable!("it steps down")
    };
    let asking = world
        .askers
        .iter()
        .find(|a| a.request.asker == request.asker);
    let asking = asking.expect("somebody asked");
    assert!(!asking.withdrawn, "it was withdrawn: {world:?}");
    match (&asking.request.wish, ending) {
        (Wish::Resign, Ending::Resigned) => {}
        (Wish::HandOver { to: None }, Ending::HandedOver(to)) => {
            assert!([session(2), session(3)].contains(&to), "{world:?}");
        }
        (Wish::HandOver { to: Some(node) }, Ending::HandedOver(to)) => {
            assert_eq!((node.as_str(), to), ("n2", session(2)), "{world:?}");
        }
        other => panic!("{other:?} was not asked for: {world:?}"),
    }
}

fn pairs() -> [[Wish; 2]; 4] {
    [
        [Wish::Resign, to("n2")],
        [to("n2"), TO_ANYONE],
        [TO_ANYONE, Wish::Resign],
        [to("nobody"), to("n2")],
    ]
}

#[test]
fn whatever_the_order_a_leader_does_what_was_asked_and_confirmed_and_not_withdrawn() {
    for wishes in pairs() {
        let (worlds, stepped_down) = search(wishes.clone(), rules);
        println!("{wishes:?}: {worlds} worlds, in {stepped_down} of them it has stepped down");
        assert!(stepped_down > 100, "{wishes:?}: {stepped_down} of {worlds}");
    }
}
