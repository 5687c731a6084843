//! What a seed's world holds, and how a failing one is made smaller.

use crate::clock::{Chance, HOUR, MINUTE};

/// Kinds of trouble that a world may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A node's process dies between two steps, or stops in good order.
    Crash,
    /// The database is out of reach, for one node or all, and commits go unheard.
    Database,
    /// The server answers 4xx, 5xx, 421.
    Replies,
    /// It stalls or closes at a step before the final dot.
    Breaks,
    /// It stalls or closes after the final dot.
    AfterDot,
    /// It takes minutes for a message.
    Slow,
    /// Links are replaced by newer ones and used while mails wait; accounts change.
    Tokens,
    /// The core traps, and bodies are damaged.
    OurOwn,
    /// `AtRestEncryptKey` changes, or differs on a node.
    Keys,
    /// The SiteURL changes.
    Site,
}

pub(crate) const TROUBLES: [Trouble; 10] = [
    Trouble::Crash,
    Trouble::Database,
    Trouble::Replies,
    Trouble::Breaks,
    Trouble::AfterDot,
    Trouble::Slow,
    Trouble::Tokens,
    Trouble::OurOwn,
    Trouble::Keys,
    Trouble::Site,
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// How many things people and Mattermost do.
    pub(crate) acts: usize,
    /// Which troubles, as bits in the order of [`TROUBLES`].
    pub(crate) troubles: u32,
    /// How long they last.
    pub(crate) until: i64,
    /// Notifications that come in at once (R11).
    pub(crate) flood: usize,
    /// The connection delivers nothing.
    pub(crate) capture: bool,
    /// No mail of Mattermost's lives longer, so that its end is seen within the troubles.
    pub(crate) life: i64,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::new(seed ^ 0x70_6c_61_6e);
        // Most worlds have some troubles, so that each is also seen without the noise of the others.
        let troubles = (0..TROUBLES.len()).filter(|_| !chance.one_in(3)).fold(0, |all, at| all | 1 << at);
        let rare = |trouble: Trouble, n, all: u32| if chance.one_in(n) { all } else { all & !bit(trouble) };
        let troubles = rare(Trouble::Site, 4, rare(Trouble::Keys, 4, rare(Trouble::OurOwn, 3, troubles)));
        let mut plan = Self {
            seed,
            nodes: chance.between(1, 3) as usize,
            acts: chance.between(2, 12) as usize,
            troubles,
            until: chance.pick(&[2 * MINUTE, 20 * MINUTE, 2 * HOUR, 5 * HOUR]),
            flood: 0,
            capture: chance.one_in(40),
            life: if chance.one_in(5) { 20 * MINUTE } else { 48 * HOUR },
        };
        if chance.one_in(500) {
            // What R11 promises, it promises of a machine that works and a server that is slow.
            plan.flood = chance.between(500, 2_000) as usize;
            plan.troubles &= bit(Trouble::Replies) | bit(Trouble::Tokens);
            plan.until = 5 * MINUTE;
            plan.capture = false;
        }
        plan
    }

    /// A small world for the histories that PostgreSQL replays, with more of what is rare.
    pub(crate) fn small(seed: u64) -> Self {
        let plan = Self::of(seed);
        let rare = bit(Trouble::Site) | bit(Trouble::Keys);
        let troubles = if seed.is_multiple_of(2) { plan.troubles | rare } else { plan.troubles };
        Self {
            nodes: plan.nodes.min(2),
            acts: plan.acts.min(4),
            until: plan.until.min(2 * HOUR),
            troubles,
            flood: 0,
            capture: false,
            ..plan
        }
    }

    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        self.troubles & bit(trouble) != 0
    }

    /// Plans that are smaller by one thing.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all: Vec<Self> = TROUBLES
            .iter()
            .filter(|trouble| self.has(**trouble))
            .map(|trouble| Self { troubles: self.troubles & !bit(*trouble), ..self.clone() })
            .collect();
        let mut with = |change: fn(&mut Self)| {
            let mut plan = self.clone();
            change(&mut plan);
            if plan != *self {
                all.push(plan);
            }
        };
        with(|plan| plan.flood /= 2);
        with(|plan| plan.acts = (plan.acts / 2).max(1));
        with(|plan| plan.acts = (plan.acts - 1).max(1));
        with(|plan| plan.nodes = (plan.nodes - 1).max(1));
        with(|plan| plan.until = (plan.until / 2).max(MINUTE));
        with(|plan| plan.capture = false);
        with(|plan| plan.life = 48 * HOUR);
        all
    }

    /// As `SIM_PLAN` takes it.
    pub(crate) fn written(&self) -> String {
        format!(
            "{}:{}:{}:{}:{}:{}:{}:{}",
            self.seed,
            self.nodes,
            self.acts,
            self.troubles,
            self.until,
            self.flood,
            u8::from(self.capture),
            self.life
        )
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [seed, nodes, acts, troubles, until, flood, capture, life] = parts[..] else { return None };
        Some(Self {
            seed,
            nodes: nodes as usize,
            acts: acts as usize,
            troubles: troubles as u32,
            until: until as i64,
            flood: flood as usize,
            capture: capture == 1,
            life: life as i64,
        })
    }
}

fn bit(trouble: Trouble) -> u32 {
    1 << trouble as u32
}
