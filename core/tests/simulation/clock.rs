//! Virtual time: tasks that sleep, and chance. Nothing here waits, and the same seed does the same again.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Whose tasks die together: a process of a node's, or the outside world.
pub(crate) type Owner = u32;
type TaskId = u64;
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The clock of the world, which is PostgreSQL's, and everything that waits for it.
#[derive(Clone)]
pub(crate) struct Clock(Rc<Inner>);

struct Inner {
    now: Cell<i64>,
    order: Cell<u64>,
    running: Cell<TaskId>,
    timers: RefCell<BinaryHeap<Reverse<(i64, u64, TaskId)>>>,
    born: RefCell<Vec<(TaskId, Owner, Task)>>,
    doomed: RefCell<Vec<Owner>>,
}

impl Clock {
    pub(crate) fn starting_at(now: i64) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(now),
            order: Cell::new(0),
            running: Cell::new(0),
            timers: RefCell::default(),
            born: RefCell::default(),
            doomed: RefCell::default(),
        }))
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.now.get()
    }

    pub(crate) fn spawn(&self, owner: Owner, task: impl Future<Output = ()> + 'static) {
        let id = self.next();
        self.0.born.borrow_mut().push((id, owner, Box::pin(task)));
        self.wake(id, self.now());
    }

    /// Ends every task of that owner, between two of its steps: the one that runs ends at its next.
    pub(crate) fn kill(&self, owner: Owner) {
        self.0.doomed.borrow_mut().push(owner);
    }

    pub(crate) async fn sleep(&self, span: i64) {
        self.sleep_unless(span, &[]).await;
    }

    /// Sleeps; false when a bell rang meanwhile.
    pub(crate) fn sleep_unless<'a>(&'a self, span: i64, bells: &'a [&'a Bell]) -> Sleep<'a> {
        let heard = bells.iter().map(|bell| bell.times.get()).sum();
        Sleep { clock: self, until: self.now() + span.max(0), bells, heard, set: false }
    }

    /// Runs until nothing is left to do, or that time has come, or `on` says so.
    pub(crate) fn run(&self, until: i64, mut on: impl FnMut() -> bool) {
        let mut tasks: BTreeMap<TaskId, (Owner, Task)> = BTreeMap::new();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            for (id, owner, task) in self.0.born.borrow_mut().drain(..) {
                tasks.insert(id, (owner, task));
            }
            let doomed = std::mem::take(&mut *self.0.doomed.borrow_mut());
            if !doomed.is_empty() {
                tasks.retain(|_, (owner, _)| !doomed.contains(owner));
            }
            let Some(Reverse((at, _, id))) = self.0.timers.borrow_mut().pop() else { return };
            if at > until || !on() {
                return;
            }
            let Some((_, task)) = tasks.get_mut(&id) else { continue };
            self.0.now.set(at.max(self.now()));
            self.0.running.set(id);
            if task.as_mut().poll(&mut context).is_ready() {
                tasks.remove(&id);
            }
        }
    }

    fn next(&self) -> u64 {
        self.0.order.set(self.0.order.get() + 1);
        self.0.order.get()
    }

    fn wake(&self, id: TaskId, at: i64) {
        let order = self.next();
        self.0.timers.borrow_mut().push(Reverse((at, order, id)));
    }
}

/// Wakes whoever sleeps by it, each time it rings.
#[derive(Default)]
pub(crate) struct Bell {
    times: Cell<u64>,
    by_it: RefCell<Vec<TaskId>>,
}

impl Bell {
    pub(crate) fn ring(&self, clock: &Clock) {
        self.times.set(self.times.get() + 1);
        for id in self.by_it.borrow_mut().drain(..) {
            clock.wake(id, clock.now());
        }
    }

    /// Whether it has ever rung.
    pub(crate) fn has_rung(&self) -> bool {
        self.times.get() > 0
    }
}

pub(crate) struct Sleep<'a> {
    clock: &'a Clock,
    until: i64,
    bells: &'a [&'a Bell],
    heard: u64,
    set: bool,
}

impl Future for Sleep<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<bool> {
        if self.bells.iter().map(|bell| bell.times.get()).sum::<u64>() != self.heard {
            return Poll::Ready(false);
        }
        if self.set && self.clock.now() >= self.until {
            return Poll::Ready(true);
        }
        if !self.set {
            let id = self.clock.0.running.get();
            self.clock.wake(id, self.until);
            for bell in self.bells {
                bell.by_it.borrow_mut().push(id);
            }
            self.set = true;
        }
        Poll::Pending
    }
}

/// Never returns: what a killed task does until it is swept away.
pub(crate) async fn for_ever() {
    std::future::pending::<()>().await;
}

/// A seeded source of chance (splitmix64).
pub(crate) struct Chance(Cell<u64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// From `low` up to and with `high`.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).unsigned_abs()) as i64
    }

    pub(crate) fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn octets(&self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}
