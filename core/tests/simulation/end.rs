//! The promise as it stands once the troubles are over, and at the end of a world.

use postroom_core::standing::State;

use crate::clock::{HOUR, MINUTE, SECOND};
use crate::database::{Database, JobId, MailId, Row};
use crate::peer::Due;
use crate::truth::Truth;

/// A dead node's mail moves within that (R8), and a mail that is due is taken up.
const MOVES: i64 = 2 * MINUTE;

impl Truth {
    /// The troubles are over: from here on everything has to come to its end.
    pub(crate) fn calm(&mut self, now: i64) {
        self.calm_at = Some(now);
    }

    /// What is due at that time has to have moved by then; gives each with when to look, and its fence and state until then.
    pub(crate) fn due(&self, db: &Database, now: i64) -> Vec<(MailId, i64, i64, State)> {
        let open = self.open.iter().filter_map(|id| Some((*id, db.mails.get(id)?)));
        open.filter(|(_, row)| row.has_body)
            .map(|(id, row)| {
                let from = match row.state {
                    State::Sending => row.lease_until,
                    _ => row.next_attempt_at,
                };
                (
                    id,
                    from.unwrap_or(now).clamp(now, row.expires_at.max(now)) + MOVES + 30 * SECOND,
                    row.fence,
                    row.state,
                )
            })
            .collect()
    }

    pub(crate) fn moved(&mut self, db: &Database, id: MailId, fence: i64, state: State, now: i64) {
        let row = &db.mails[&id];
        let key_waits = row.key_missing_since.is_some();
        let is_sent = row.state == State::Sending && row.lease_until.is_some_and(|until| until > now);
        let moved =
            row.fence != fence || row.finished_at.is_some() || row.state != state || key_waits || is_sent;
        self.check(moved, "R8: what is due moves within two minutes", || format!("mail {id}: {row:?}"));
    }

    pub(crate) fn turns_in_circles(&mut self) {
        self.check(false, "the world comes to an end", || {
            "it takes steps and steps, and gets nowhere".to_owned()
        });
    }

    pub(crate) fn at_the_end(&mut self, db: &Database, now: i64) {
        let calm = self.calm_at.unwrap_or(now);
        let lost: Vec<MailId> = self.fates.keys().filter(|id| !db.mails.contains_key(id)).copied().collect();
        self.check(lost.is_empty(), "nothing accepted is lost", || format!("mails {lost:?} have no row"));
        let requests: Vec<JobId> = self.requests.keys().copied().collect();
        self.check(requests.is_empty(), "nothing accepted is lost", || {
            format!("requests {requests:?} are undecided")
        });
        let open: Vec<MailId> = self.open.iter().copied().collect();
        self.check(open.is_empty(), "no mail is stuck for ever", || {
            format!("mail {}: {:?}", open[0], db.mails[&open[0]])
        });
        let rows: Vec<(MailId, &Row)> = db.mails.iter().map(|(id, row)| (*id, row)).collect();
        for (id, row) in rows {
            let Some(fate) = self.fates.get(&id) else { continue };
            let finished = row.finished_at.unwrap_or(now);
            // It had time and nothing against it after the last trouble: then it was sent.
            let excused = fate.dead.is_some_and(|(at, _)| at <= finished)
                || fate.damaged
                || fate.own_trouble
                || fate.is_test
                || self.discarded
                || finished < calm
                || fate.attempts.values().any(|one| one.due == Some(Due::Never));
            let arrived = fate.attempts.values().any(|one| one.delivered);
            let good =
                matches!(row.state, State::Sent | State::Held) || (row.state == State::PerhapsDelivered);
            let early = finished < fate.expires_at - HOUR * 12 / 10 - 2 * MOVES;
            let text = format!("mail {id} ended as {:?}: {}", row.state, row.reason);
            self.check(good || excused || !early, "no mail is given up while it lives", || text.clone());
            self.check(arrived || row.state != State::Sent, "sent is what a 2xx after the dot says", || text);
        }
    }
}
