//! One seed's world: its clock, database, server and nodes, what is known of them from outside, and its end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use postroom_core::standing::State;
use serde_json::Value;

use crate::clock::{Bell, Chance, Clock, HOUR, MINUTE, Owner, SECOND};
use crate::database::{Account, Database, MailId};
use crate::history::History;
use crate::plan::{Plan, Trouble};
use crate::rules::Rules;
use crate::truth::{Broken, Truth};
use crate::{node, outside};

pub(crate) const START: i64 = 1_764_000_000_000;
/// Tasks of nobody's process.
pub(crate) const OUTSIDE: Owner = 0;

/// A time when the database is out of reach, for one node or all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) node: Option<usize>,
}

/// What is known of a node from outside.
pub(crate) struct Node {
    pub(crate) process: Cell<Owner>,
    pub(crate) up: Cell<bool>,
    pub(crate) draining: Cell<bool>,
    pub(crate) key_id: Cell<&'static str>,
    /// Its clock, against PostgreSQL's.
    pub(crate) off: i64,
    /// Rung when there may be something to do.
    pub(crate) work: Bell,
    /// Rung for conversations to be broken off.
    pub(crate) stop: RefCell<Rc<Bell>>,
    /// Places in use: of senders by class, and of workers by queue.
    pub(crate) sending: [Cell<usize>; 3],
    pub(crate) working: [Cell<usize>; 4],
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rules: Rules,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) db: RefCell<Database>,
    pub(crate) truth: RefCell<Truth>,
    pub(crate) history: RefCell<History>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) away: RefCell<Vec<Away>>,
    pub(crate) held: Cell<bool>,
    pub(crate) acts_left: Cell<usize>,
    pub(crate) todos: RefCell<BTreeMap<&'static str, usize>>,
    processes: Cell<Owner>,
}

pub(crate) type Shared = Rc<World>;

/// How a world ended.
pub(crate) struct End {
    pub(crate) broken: Option<Broken>,
    pub(crate) history: History,
    pub(crate) truth: Truth,
    /// How many mails came to which end.
    pub(crate) states: BTreeMap<State, usize>,
    /// How often a node was told what to do, by what that was.
    pub(crate) todos: BTreeMap<&'static str, usize>,
}

impl World {
    /// Lives a seed through.
    pub(crate) fn live(plan: &Plan, rules: Rules, history: History) -> End {
        let chance = Chance::new(plan.seed);
        let nodes = (0..plan.nodes).map(|_| Node {
            process: Cell::new(0),
            up: Cell::new(false),
            draining: Cell::new(false),
            key_id: Cell::new("k1"),
            off: chance.between(-5 * MINUTE, 5 * MINUTE),
            work: Bell::default(),
            stop: RefCell::default(),
            sending: Default::default(),
            working: Default::default(),
        });
        let nodes = nodes.collect();
        let accounts = (0..3).map(|_| Account { deleted: false, verified: false, stamp: 1 }).collect();
        let world = Rc::new(Self {
            plan: plan.clone(),
            rules,
            clock: Clock::starting_at(START),
            chance,
            db: RefCell::new(Database::new(rules, accounts, history.is_wanted())),
            truth: RefCell::new(Truth::new(plan)),
            history: RefCell::new(history),
            nodes,
            away: RefCell::default(),
            held: Cell::new(false),
            acts_left: Cell::new(plan.acts),
            todos: RefCell::default(),
            processes: Cell::new(0),
        });
        for at in 0..world.nodes.len() {
            node::start(&world, at);
        }
        outside::begin(&world);
        let mut steps = 0;
        world.clock.run(START + 60 * HOUR, || {
            steps += 1;
            if steps > STEPS {
                world.truth.borrow_mut().turns_in_circles();
            }
            world.goes_on()
        });
        let mut truth = world.truth.replace(Truth::new(plan));
        if truth.broken.is_none() {
            truth.at_the_end(&world.db.borrow(), world.clock.now());
        }
        let mut states = BTreeMap::new();
        for row in world.db.borrow().mails.values() {
            *states.entry(row.state).or_default() += 1;
        }
        End {
            broken: truth.broken.take(),
            history: world.history.replace(History::silent()),
            truth,
            states,
            todos: world.todos.take(),
        }
    }

    fn goes_on(&self) -> bool {
        let truth = self.truth.borrow();
        truth.broken.is_none()
            && (self.is_troubled() || self.acts_left.get() > 0 || truth.outstanding(self.now()))
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Whether troubles may still come.
    pub(crate) fn is_troubled(&self) -> bool {
        self.now() < START + self.plan.until
    }

    /// Whether that trouble strikes now, which it does once in `n` times.
    pub(crate) fn strikes(&self, trouble: Trouble, n: u64) -> bool {
        self.plan.has(trouble) && self.is_troubled() && self.chance.one_in(n)
    }

    pub(crate) fn is_away(&self, node: usize, at: i64) -> bool {
        self.away
            .borrow()
            .iter()
            .any(|away| (away.from..away.to).contains(&at) && away.node.is_none_or(|of| of == node))
    }

    pub(crate) fn new_process(&self) -> Owner {
        self.processes.set(self.processes.get() + 1);
        self.processes.get()
    }

    /// Writes a line of the history.
    pub(crate) fn tell(&self, line: impl FnOnce(&mut String)) {
        let mut history = self.history.borrow_mut();
        if history.is_told() {
            let mut text = String::new();
            line(&mut text);
            history.line(self.now() - START, text);
        }
    }

    /// Executes one statement or transaction; then every invariant is looked at.
    pub(crate) fn execute<T>(&self, who: &str, work: impl FnOnce(&mut Database, i64) -> T) -> T {
        let mut db = self.db.borrow_mut();
        let now = self.now();
        db.touched.clear();
        db.said.clear();
        let out = work(&mut db, now);
        let mut truth = self.truth.borrow_mut();
        let mut history = self.history.borrow_mut();
        truth.after_statement(&db, now);
        db.touched.sort_unstable();
        db.touched.dedup();
        if history.is_told() {
            tell_statement(&mut history, &db, who, now);
        }
        history.record(&db, now);
        drop((history, truth));
        if std::mem::take(&mut db.news) {
            drop(db);
            self.ring();
        }
        out
    }

    /// Something changed that a node may be waiting for.
    pub(crate) fn ring(&self) {
        for node in &self.nodes {
            node.work.ring(&self.clock);
        }
    }

    pub(crate) fn name(&self, node: usize) -> &'static str {
        ["node a", "node b", "node c"][node]
    }

    /// A mail's delivery, for the ledger and the history.
    pub(crate) fn arrived(&self, mail: MailId, fence: i64) {
        self.tell(|text| {
            let _ = write!(text, "the server has mail {mail} (fence {fence})");
        });
        self.truth.borrow_mut().delivered(mail, fence);
    }
}

/// So many steps no world needs.
const STEPS: u64 = 3_000_000;

/// How long the database may take.
pub(crate) const STATEMENT: i64 = 5 * SECOND;

/// A line for a transaction, but for housework that found nothing.
fn tell_statement(history: &mut History, db: &Database, who: &str, now: i64) {
    let housework = |said: &Value| matches!(said["op"].as_str(), Some("stranded" | "end_tests"));
    let renewed = |said: &Value| said["op"] == "renew" && said["result"] == true;
    let dull = |said: &Value| renewed(said) || (housework(said) && db.touched.is_empty());
    if db.said.iter().all(dull) {
        return;
    }
    let said: Vec<String> = db.said.iter().map(crate::history::readable).collect();
    let mut text = format!("{who}: {}", said.join(" and "));
    for id in &db.touched {
        let row = &db.mails[id];
        let _ = write!(text, " | mail {id} {:?} attempts {} fence {}", row.state, row.attempts, row.fence);
        if let Some(next) = row.next_attempt_at {
            let _ = write!(text, " next {:+.1} s", (next - now) as f64 / 1e3);
        }
    }
    history.line(now - START, text);
}
