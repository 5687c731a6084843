//! A node's housekeeper, as in `server/internal/outbox/keeper.go`.

use postroom_core::standing::State;

use crate::clock::SECOND;
use crate::database::Row;
use crate::node::Process;

const KEEPER: i64 = 5 * SECOND;
const REAPER: i64 = 15 * SECOND;

impl Process {
    /// The housekeeper: finds what was left behind. It looks every five seconds; where nothing can have come up since, it
    /// need not here.
    pub(crate) async fn keep(&self) {
        let world = &self.world;
        let (mut reaped, mut looked) = (i64::MIN, 0);
        let mut missed = true; // what was left behind before this process was there
        loop {
            if !missed && !world.held.get() {
                let quiet = world.db.borrow().quiet_until(looked);
                self.rest(quiet.map(|until| until - world.now())).await;
            }
            world.clock.sleep(KEEPER).await;
            if world.held.get() {
                let reason = "The SiteURL differs from the one this mail was made for.";
                let waits = |row: &Row| row.finished_at.is_none() && row.state != State::Held;
                if world.db.borrow().mails.values().any(waits) {
                    let _ = self
                        .ask("before it held mails", |db, now| {
                            // The guard compares the SiteURLs where it holds: a decision meanwhile is heeded.
                            if world.held.get() {
                                db.hold(reason, now);
                            }
                        })
                        .await;
                }
                continue;
            }
            // After an outage holders are about to write: let them first.
            let troubled =
                world.is_away(self.node, world.now()) || world.is_away(self.node, world.now() - KEEPER);
            missed = troubled || !self.works() || world.now() - REAPER < reaped;
            if missed {
                continue;
            }
            reaped = world.now();
            let ended = self
                .ask("before it ended tests", |db, now| {
                    db.end_tests("Postroom ended before the test did.", now)
                })
                .await;
            let taken_up = self
                .ask("before it took up what was left behind", |db, now| {
                    looked = now;
                    db.rescue(now);
                    for mail in db.stranded(now) {
                        db.schedule(mail, None, now);
                    }
                })
                .await;
            missed = ended.is_err() || taken_up.is_err();
        }
    }
}
