//! A process: the functions of `register.rs`, `collector.rs` and `waiter.rs`,
//! one system call after another. Anything may happen between two of them.

use super::sabotage::Sabotage as S;
use super::world::{Directory, File, Name, Revision, Violation as V, World};

/// How many revisions below the current one are kept: fewer than the real ones.
const KEPT: u8 = 1;

#[derive(Clone, Debug, Hash)]
pub(super) struct Process {
    pub(super) machine: u8,
    pub(super) alive: bool,
    /// How many calls it may yet begin.
    pub(super) calls: u8,
    pub(super) directory: Option<usize>,
    pub(super) staged: Option<Claim>,
    pub(super) leading: Option<Claim>,
    pub(super) step: Step,
    /// What it read last; `Some(None)`: there was no record.
    pub(super) seen: Option<Option<Revision>>,
    /// The highest term that it knows of.
    pub(super) highest: u8,
    serial: u8,
    made: Vec<Name>,
    pub(super) chores: Option<Chores>,
    call: Option<Call>,
    pub(super) waiter: Waiter,
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Claim {
    pub(super) name: Name,
    pub(super) file: u8,
    locked: bool,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Chores {
    old: Vec<u8>,
    collect: bool,
}

/// What a process may ask of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asks {
    Read,
    Acquire,
    Renew,
    Release,
}

#[derive(Clone, Debug, Hash)]
struct Call {
    asks: Asks,
    expected: Option<Revision>,
    number: u8,
    source: Option<Claim>,
    /// For the judge: what had been answered when a read was asked for, and
    /// whether the new number was ever the highest, in the directory at the path.
    before: Option<(usize, u8)>,
    was_there: bool,
    was_highest: bool,
}

/// The system call that comes next, and the function that makes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Idle,
    /// `Register::directory`: stat the path, and open it.
    Directory,
    /// `Place::create`
    Create,
    /// `is_at`: list the numbers.
    IsAt,
    /// `is_at`: stat the expected one.
    Expected,
    /// `Claim::stage`: open, lock, write, sync.
    Open,
    Lock,
    Write,
    Sync,
    /// `link_making_room`
    Link,
    /// `look_again`: list the numbers, stat the new one, stat the expected one,
    /// stat the path.
    Numbers,
    Mine(Vec<u8>),
    Follows(Vec<u8>),
    StillThere(Vec<u8>),
    /// `swap`: is the number still its own? Then it goes.
    Undo,
    Unlink,
    /// `took_effect`: sync the directory.
    TookEffect(Vec<u8>),
    /// `read_in`: list the numbers (in two calls, when sabotaged), open the highest.
    List,
    ListRest(Option<u8>),
    Load(u8),
    /// `Register::tidy`: old revisions, own claims.
    Old(Vec<u8>),
    Own(Vec<Name>),
    /// `collect`: list the claims.
    Claims,
    /// `remove_if_abandoned`: open, try the lock and read; then unlink.
    Collect(Vec<Name>),
    Remove {
        rest: Vec<Name>,
        name: Name,
        file: u8,
    },
}

/// `waiter::wait`, in a thread of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiter {
    None,
    /// Open the number, read what it names, see whether its lock counts.
    Load(Revision),
    /// In `flock(2)`.
    Flock(Revision),
    /// The lock is free: is the directory still there?
    StillThere(Revision, bool),
    /// `number_of`: list the numbers, stat the highest.
    Listed(Revision, bool),
    Highest(Revision, bool, u8),
    /// The holder of this died.
    Died(Revision),
}

impl Process {
    pub(super) fn new(machine: u8, calls: u8) -> Self {
        Self {
            machine,
            alive: true,
            calls,
            directory: Some(0),
            staged: None,
            leading: None,
            step: Step::Idle,
            seen: None,
            highest: 0,
            serial: 0,
            made: Vec::new(),
            chores: None,
            call: None,
            waiter: Waiter::None,
        }
    }

    pub(super) fn restart(&mut self, calls: u8) {
        let serial = self.serial;
        *self = Self {
            serial,
            ..Self::new(self.machine, calls)
        };
    }

    /// Gone, with its locks; what it knew tells no states apart.
    pub(super) fn die(&mut self) {
        self.restart(0);
        self.alive = false;
    }

    fn claims(&self) -> impl Iterator<Item = &Claim> {
        let source = self.call.as_ref().and_then(|call| call.source.as_ref());
        self.staged.iter().chain(&self.leading).chain(source)
    }

    pub(super) fn locks(&self, inode: u8) -> bool {
        self.claims()
            .any(|claim| claim.file == inode && claim.locked)
    }

    pub(super) fn has_open(&self, inode: u8) -> bool {
        use Waiter as W;
        let waits = match &self.waiter {
            W::Flock(r) | W::StillThere(r, _) | W::Listed(r, _) | W::Highest(r, ..) => {
                r.file == inode
            }
            _ => false,
        };
        let collects = matches!(&self.step, Step::Remove { file, .. } if *file == inode);
        waits || collects || self.claims().any(|claim| claim.file == inode)
    }

    /// Whether it may still be told that it leads by this claim, or leads.
    fn may_act_on(&self, inode: u8) -> bool {
        let takes = self
            .call
            .as_ref()
            .is_some_and(|c| c.asks == Asks::Acquire && c.source.is_some_and(|s| s.file == inode));
        self.alive && (takes || self.leading.is_some_and(|claim| claim.file == inode))
    }

    pub(super) fn may_ask(&self, asks: Asks) -> bool {
        let known = self.seen.is_some();
        self.step == Step::Idle
            && self.calls > 0
            && match asks {
                Asks::Read => self.leading.is_none(),
                Asks::Acquire => known && self.leading.is_none(),
                Asks::Renew | Asks::Release => known && self.leading.is_some(),
            }
    }
}

impl World {
    /// The judge's look after every step.
    pub(super) fn observe(&mut self) {
        for process in &mut self.processes {
            let Some(call) = &mut process.call else {
                continue;
            };
            let (Some(claim), Some(d)) = (call.source, process.directory) else {
                continue;
            };
            let top = self.directories[d].numbers.last_key_value();
            call.was_highest |= top == Some((&call.number, &claim.file));
        }
    }

    pub(super) fn ask(&mut self, p: usize, asks: Asks, removable: bool) {
        let before = self
            .path
            .and_then(|d| Some((d, self.directories[d].top?.0)));
        let process = &mut self.processes[p];
        process.calls -= 1;
        let expected = process.seen.flatten();
        process.call = Some(Call {
            asks,
            expected,
            number: expected.map_or(0, |e| e.number) + 1,
            source: None,
            before,
            was_there: false,
            was_highest: false,
        });
        process.step = Step::Directory;
        self.skip(p, removable);
    }

    pub(super) fn tidy(&mut self, p: usize) {
        let process = &mut self.processes[p];
        let old = process
            .chores
            .as_ref()
            .map_or_else(Vec::new, |c| c.old.clone());
        process.step = Step::Old(old);
        self.skip(p, false);
    }

    /// Goes past a step that is no system call, or one whose outcome is certain.
    fn skip(&mut self, p: usize, removable: bool) {
        let empty = match &self.processes[p].step {
            Step::Directory | Step::StillThere(_) => {
                !removable && self.at_path(self.processes[p].directory)
            }
            Step::Old(old) => old.is_empty(),
            Step::Own(names) => names.is_empty(),
            Step::Collect(names) => names.is_empty(),
            _ => false,
        };
        if empty {
            self.run(p, None, removable, false);
        }
    }

    /// The next system call of a process; `removable` if the directory may yet
    /// go, `fails` if a sync does.
    pub(super) fn run(&mut self, p: usize, sabotage: Option<S>, removable: bool, fails: bool) {
        let step = std::mem::replace(&mut self.processes[p].step, Step::Idle);
        let next = self.after(p, step, sabotage, fails);
        self.processes[p].step = next;
        if self.processes[p].step == Step::Idle {
            self.processes[p].call = None;
        }
        self.skip(p, removable);
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each system call")]
    fn after(&mut self, p: usize, step: Step, sabotage: Option<S>, fails: bool) -> Step {
        let is = |s| sabotage == Some(s);
        let me = self.processes[p].clone();
        let d = me.directory.unwrap_or_default();
        let boot = (me.machine, self.boots);
        let Some(call) = me.call.clone() else {
            return self.tidying(p, step, sabotage);
        };
        let new = |file| Revision {
            directory: d,
            number: call.number,
            file,
        };
        let named = |world: &Self, at: Revision| {
            at.directory == d && world.directories[d].numbers.get(&at.number) == Some(&at.file)
        };
        let locks_first = !is(S::NamedBeforeLocked) && !is(S::NamedBeforeWritten);
        match step {
            Step::Directory => {
                if !self.at_path(me.directory) {
                    let process = &mut self.processes[p];
                    process.directory = self.path;
                    process.staged = None;
                    process.made.clear();
                }
                match (call.asks, self.path, call.expected) {
                    (Asks::Read, Some(_), _) => Step::List,
                    (Asks::Read, None, _) => self.saw(p, None),
                    (_, Some(_), _) if call.source.is_none() => Step::IsAt,
                    (_, Some(_), _) => Step::List,
                    (_, None, None) => Step::Create,
                    (_, None, Some(_)) => self.saw(p, None),
                }
            }
            Step::Create => {
                if self.path.is_none() {
                    self.directories.push(Directory::default());
                    self.path = Some(self.directories.len() - 1);
                }
                Step::Directory
            }
            Step::IsAt if is(S::OneAtATime) && self.others_swap(p) => Step::IsAt,
            Step::IsAt => match (self.directories[d].highest(), call.expected) {
                (None, None) => self.source(p),
                (Some(top), Some(e)) if top == e.number => Step::Expected,
                _ => self.conflict(p),
            },
            Step::Expected => match call.expected {
                Some(e) if named(self, e) => self.source(p),
                _ => self.conflict(p),
            },
            Step::Open => {
                let name = (p as u8, me.serial);
                let file = self.new_file(File {
                    owner: p as u8,
                    boot,
                    term: me.highest + u8::from(call.asks == Asks::Acquire),
                    vacant: call.asks == Asks::Release,
                    written: false,
                    synced: false,
                });
                self.directories[d].claims.insert(name, file);
                let claim = Claim {
                    name,
                    file,
                    locked: false,
                };
                let process = &mut self.processes[p];
                process.serial += 1;
                process.made.push(name);
                if call.asks == Asks::Acquire {
                    process.staged = Some(claim);
                }
                self.take(p, claim);
                match call.asks {
                    Asks::Release => Step::Write,
                    _ if is(S::NamedBeforeWritten) => Step::Link,
                    _ if is(S::NamedBeforeLocked) => Step::Write,
                    _ => Step::Lock,
                }
            }
            Step::Lock => {
                let mut claim = call.source.expect("one was made");
                if self.is_looked_at(claim.file, me.machine) {
                    // A collector looked at it the moment it was made.
                    self.directories[d].claims.remove(&claim.name);
                    self.forget(p);
                    return Step::Open;
                }
                claim.locked = true;
                self.processes[p].staged = Some(claim);
                self.take(p, claim);
                if locks_first {
                    Step::Write
                } else {
                    Step::Numbers
                }
            }
            Step::Write => {
                let claim = call.source.expect("one was made");
                self.files[usize::from(claim.file)].written = true;
                match call.asks {
                    Asks::Acquire if is(S::NamedBeforeWritten) => Step::Lock,
                    Asks::Acquire if !is(S::ClaimNotSynced) => Step::Sync,
                    _ => Step::Link,
                }
            }
            Step::Sync => {
                let claim = call.source.expect("one was made");
                self.files[usize::from(claim.file)].synced = true;
                Step::Link
            }
            Step::Link => {
                let claim = call.source.expect("one was made");
                let number = match self.directories[d].numbers.contains_key(&call.number) {
                    true if is(S::NoCompareAndSwap) => call.number + 1,
                    true => return self.conflict(p),
                    false => call.number,
                };
                if !self.directories[d].claims.contains_key(&claim.name) {
                    // A renewal fails; what was collected is staged again.
                    self.forget(p);
                    return if call.asks == Asks::Renew {
                        Step::Idle
                    } else {
                        Step::Open
                    };
                }
                self.directories[d].numbers.insert(number, claim.file);
                let was_there = self.at_path(Some(d));
                let was_highest = self.directories[d].highest() == Some(number);
                if let Some(call) = &mut self.processes[p].call {
                    call.number = number;
                    call.was_there = was_there;
                    call.was_highest = was_highest;
                }
                match call.asks {
                    Asks::Acquire if is(S::NamedBeforeWritten) => Step::Write,
                    Asks::Acquire if is(S::NamedBeforeLocked) => Step::Lock,
                    _ if is(S::NoCompareAndSwap) => self.took_effect(p, Vec::new()),
                    _ => Step::Numbers,
                }
            }
            Step::Numbers => {
                let numbers = &self.directories[d].numbers;
                let kept = call.number.saturating_sub(KEPT);
                let greedy = call.number + 1;
                let below = if is(S::CleanUpTooGreedy) {
                    greedy
                } else {
                    kept
                };
                let old = numbers.range(..below).map(|(n, _)| *n).collect();
                if is(S::NoLookAgain) {
                    self.took_effect(p, old)
                } else if self.directories[d].highest() == Some(call.number) {
                    Step::Mine(old)
                } else {
                    Step::Undo
                }
            }
            Step::Mine(old) => match call.source {
                Some(claim) if named(self, new(claim.file)) => Step::Follows(old),
                _ => Step::Undo,
            },
            Step::Follows(old) => match call.expected {
                Some(e) if !named(self, e) => Step::Undo,
                _ if is(S::NotStillThere) => self.took_effect(p, old),
                _ => Step::StillThere(old),
            },
            Step::StillThere(old) => match self.at_path(Some(d)) {
                true => self.took_effect(p, old),
                false => Step::Undo,
            },
            Step::Undo => match call.source {
                Some(claim) if named(self, new(claim.file)) => Step::Unlink,
                _ => self.conflict(p),
            },
            Step::Unlink => {
                self.directories[d].numbers.remove(&call.number);
                self.conflict(p)
            }
            Step::TookEffect(old) => {
                if fails {
                    // This claim and its term are burnt.
                    self.processes[p].staged = None;
                    self.processes[p].seen = None;
                    return Step::Idle;
                }
                if !is(S::DirectoryNotSynced) {
                    let directory = &mut self.directories[d];
                    directory.durable.clone_from(&directory.numbers);
                }
                self.processes[p].leading = self.processes[p].staged.take();
                self.done(p, old)
            }
            Step::List => {
                let numbers = &self.directories[d].numbers;
                if is(S::ListedInTwoCalls) {
                    return Step::ListRest(numbers.range(3..).next_back().map(|(n, _)| *n));
                }
                match self.directories[d].highest() {
                    Some(top) => Step::Load(top),
                    None => self.saw(p, None),
                }
            }
            Step::ListRest(found) => {
                let rest = self.directories[d].numbers.range(..3).next_back();
                match found.or(rest.map(|(number, _)| *number)) {
                    Some(top) => Step::Load(top),
                    None => self.saw(p, None),
                }
            }
            Step::Load(top) => match self.directories[d].numbers.get(&top) {
                Some(&file) => {
                    if !self.file(file).written && self.file(file).boot == boot {
                        self.broken = Some(V::HalfARecord);
                    }
                    self.saw(
                        p,
                        Some(Revision {
                            directory: d,
                            number: top,
                            file,
                        }),
                    )
                }
                // It was cleaned up since: there is a higher one now.
                None => Step::List,
            },
            tidy => self.tidying(p, tidy, sabotage),
        }
    }

    /// Whether another is between its look and its answer.
    fn others_swap(&self, p: usize) -> bool {
        let mut others = self.processes.iter().enumerate().filter(|(o, _)| *o != p);
        others.any(|(_, o)| o.call.as_ref().is_some_and(|call| call.source.is_some()))
    }

    /// `Register::source`
    fn source(&mut self, p: usize) -> Step {
        let process = &mut self.processes[p];
        let Some(call) = &mut process.call else {
            return Step::Idle;
        };
        match call.asks {
            Asks::Renew => call.source = process.leading,
            Asks::Acquire => {
                let term = process.highest + 1;
                let ready = process.staged.filter(|c| {
                    let file = &self.files[usize::from(c.file)];
                    file.term == term && file.synced
                });
                call.source = ready;
                process.staged = ready;
            }
            Asks::Read | Asks::Release => {}
        }
        match call.source {
            Some(_) => Step::Link,
            None => Step::Open,
        }
    }

    fn take(&mut self, p: usize, claim: Claim) {
        if let Some(call) = &mut self.processes[p].call {
            call.source = Some(claim);
        }
    }

    /// Closes what it staged in this call.
    fn forget(&mut self, p: usize) {
        let process = &mut self.processes[p];
        if let Some(call) = &mut process.call
            && call.asks != Asks::Renew
        {
            process.staged = process.staged.filter(|_| call.asks == Asks::Release);
            call.source = None;
        }
    }

    /// Answers with the current record, as `read` finds it.
    fn conflict(&mut self, p: usize) -> Step {
        let before = self
            .path
            .and_then(|d| Some((d, self.directories[d].top?.0)));
        let process = &mut self.processes[p];
        // Who is told that its record is not there any more steps down.
        process.leading = None;
        if let Some(call) = &mut process.call {
            call.asks = Asks::Read;
            call.source = None;
            call.before = before;
        }
        Step::Directory
    }

    fn saw(&mut self, p: usize, revision: Option<Revision>) -> Step {
        let known = revision.map_or(0, |seen| {
            let directory = &self.directories[seen.directory];
            let file = self.file(seen.file);
            let below = directory.numbers.range(..seen.number).rev();
            let mut readable = below.filter(|(_, f)| self.file(**f).written);
            match (file.written, readable.next()) {
                (true, _) => file.term,
                (false, Some((number, f))) => self.file(*f).term + (seen.number - number),
                (false, None) => 0,
            }
        });
        let process = &mut self.processes[p];
        if let Some(call) = &process.call
            && let Some((d, number)) = call.before
            && self.path == Some(d)
            && revision.is_none_or(|seen| seen.number < number)
        {
            self.broken = Some(V::StaleRead);
        }
        process.leading = None;
        process.highest = process.highest.max(known);
        process.seen = Some(revision);
        Step::Idle
    }

    fn took_effect(&mut self, p: usize, old: Vec<u8>) -> Step {
        match self.processes[p].call.as_ref().map(|call| call.asks) {
            Some(Asks::Acquire) => Step::TookEffect(old),
            Some(Asks::Release) => {
                self.processes[p].leading = None;
                self.done(p, old)
            }
            _ => self.done(p, old),
        }
    }

    /// The swap is answered: it took effect.
    fn done(&mut self, p: usize, old: Vec<u8>) -> Step {
        let process = &mut self.processes[p];
        let (Some(call), Some(d)) = (process.call.clone(), process.directory) else {
            return Step::Idle;
        };
        let file = call.source.expect("it was linked").file;
        let acquired = call.asks == Asks::Acquire;
        process.seen = Some(Some(Revision {
            directory: d,
            number: call.number,
            file,
        }));
        process.highest = process.highest.max(self.files[usize::from(file)].term);
        let collect = acquired || process.chores.as_ref().is_some_and(|c| c.collect);
        process.chores = Some(Chores { old, collect });
        let directory = &mut self.directories[d];
        let (number, term) = (1 << call.number, 1 << self.files[usize::from(file)].term);
        let broken = if directory.answered & number != 0 {
            Some(V::BothSwapped)
        } else if !call.was_there || !call.was_highest {
            Some(V::NeverSeen)
        } else if acquired && directory.acquired & term != 0 {
            Some(V::TermReused)
        } else {
            None
        };
        directory.answered |= number;
        if acquired {
            directory.acquired |= term;
        }
        directory.top = directory.top.max(Some((call.number, file)));
        self.broken = self.broken.or(broken);
        Step::Idle
    }

    /// `Register::tidy` and `collector.rs`.
    fn tidying(&mut self, p: usize, step: Step, sabotage: Option<S>) -> Step {
        let is = |s| sabotage == Some(s);
        let me = self.processes[p].clone();
        let Some(d) = me.directory else {
            return Step::Idle;
        };
        let boot = (me.machine, self.boots);
        match step {
            Step::Old(mut old) => {
                if !old.is_empty() {
                    self.directories[d].numbers.remove(&old.remove(0));
                    return Step::Old(old);
                }
                let used = |name: &Name| {
                    let mut mine = me.staged.iter().chain(&me.leading);
                    mine.any(|claim| claim.name == *name)
                };
                let (made, unused) = me.made.into_iter().partition(used);
                self.processes[p].made = made;
                Step::Own(unused)
            }
            Step::Own(mut names) => {
                if !names.is_empty() {
                    self.directories[d].claims.remove(&names.remove(0));
                    return Step::Own(names);
                }
                match self.processes[p].chores.take() {
                    Some(Chores { collect: true, .. }) => Step::Claims,
                    _ => Step::Idle,
                }
            }
            Step::Claims => {
                let others = self.directories[d].claims.keys();
                Step::Collect(others.filter(|n| !me.made.contains(n)).copied().collect())
            }
            Step::Collect(mut rest) => {
                if rest.is_empty() {
                    return Step::Idle;
                }
                let name = rest.remove(0);
                let Some(&file) = self.directories[d].claims.get(&name) else {
                    return Step::Collect(rest);
                };
                let written = self.file(file);
                let free = is(S::CollectorIgnoresLocks) || !self.is_locked(file, me.machine);
                let here = is(S::CollectorTakesForeignClaims) || written.boot == boot;
                if free && (!written.written || written.vacant || here) {
                    Step::Remove { rest, name, file }
                } else {
                    Step::Collect(rest)
                }
            }
            Step::Remove { rest, name, file } => {
                let owner = &self.processes[usize::from(name.0)];
                if owner.locks(file) && self.directories[d].claims.contains_key(&name) {
                    self.broken = Some(V::CollectedFromTheLiving);
                }
                self.directories[d].claims.remove(&name);
                Step::Collect(rest)
            }
            _ => Step::Idle,
        }
    }

    /// Whether the waiter's next step can be taken: `flock(2)` may have to wait.
    pub(super) fn waiter_is_ready(&self, p: usize) -> bool {
        let me = &self.processes[p];
        match &me.waiter {
            Waiter::None | Waiter::Died(_) => false,
            Waiter::Flock(seen) => !self.is_locked(seen.file, me.machine),
            _ => true,
        }
    }

    pub(super) fn wait(&mut self, p: usize, sabotage: Option<S>) {
        use Waiter as W;
        let is = |s| sabotage == Some(s);
        let me = &self.processes[p];
        let boot = (me.machine, self.boots);
        let next = match me.waiter.clone() {
            W::Load(seen) => {
                let named = self.directories[seen.directory].numbers.get(&seen.number);
                let file = self.file(seen.file);
                let counts = file.written && !file.vacant;
                let here = file.boot == boot || is(S::ForeignLockBelieved);
                let there = self.at_path(Some(seen.directory));
                if there && named == Some(&seen.file) && counts && here {
                    W::Flock(seen)
                } else {
                    W::None
                }
            }
            W::Flock(seen) => {
                let top = self.directories[seen.directory].top;
                let moved_on = top.is_some_and(|(n, file)| n > seen.number && file != seen.file);
                W::StillThere(seen, moved_on)
            }
            W::StillThere(seen, _) if !self.at_path(Some(seen.directory)) => W::None,
            W::StillThere(seen, moved_on) if is(S::WakeUpBelieved) => {
                self.died(seen, moved_on);
                W::Died(seen)
            }
            W::StillThere(seen, moved_on) => W::Listed(seen, moved_on),
            W::Listed(seen, moved_on) => match self.directories[seen.directory].highest() {
                Some(top) => W::Highest(seen, moved_on, top),
                None => W::None,
            },
            W::Highest(seen, moved_on, top) => {
                if self.directories[seen.directory].numbers.get(&top) == Some(&seen.file) {
                    let seen = Revision {
                        number: top,
                        ..seen
                    };
                    self.died(seen, moved_on);
                    W::Died(seen)
                } else {
                    W::None
                }
            }
            ended @ (W::None | W::Died(_)) => ended,
        };
        self.processes[p].waiter = next;
    }

    /// The judge hears that the holder of this died.
    fn died(&mut self, seen: Revision, moved_on: bool) {
        let owner = &self.processes[usize::from(self.file(seen.file).owner)];
        if owner.may_act_on(seen.file) {
            self.broken = Some(V::BuriedAlive);
        } else if moved_on {
            self.broken = Some(V::DeadButNotCurrent);
        }
    }
}
