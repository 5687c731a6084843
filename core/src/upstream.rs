//! How much of the upstream server each class of mail may have: connections at once, and mails in a window of time.
//!
//! Account mail comes first in both. Of a node's connections a quarter is kept for it; and where the rate is limited, other
//! mail leaves evenly, one each interval, while account mail may run ahead of that by a few, whose time the others
//! then wait out.

use serde::{Deserialize, Serialize};

use crate::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// Connections of all nodes together.
    connections: u32,
    /// Nodes that share them.
    nodes: u32,
    /// Mails of all nodes together in a window; 0 for no limit.
    per_window: u32,
    window_ms: i64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    /// How many connections of this node may be in use by mail of a class and of those after it.
    places: ByClass<u32>,
    rate: Option<Rate>,
}

/// One number a class, in order of precedence.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ByClass<T> {
    account: T,
    invitation: T,
    notification: T,
}

/// GCRA over one theoretical arrival time for all classes: a mail may go when that is no more than `ahead_us` from
/// now, and moves it by `interval_us`. `full_us` is how far it can ever be ahead; further is an earlier setting's.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Rate {
    interval_us: i64,
    ahead_us: ByClass<i64>,
    full_us: i64,
}

/// The operation `upstream`.
pub(crate) fn answer(args: &Args) -> Result<Answer, Error> {
    if args.nodes == 0 || args.connections == 0 {
        return Err(Error::argument("connections", "connections and nodes are at least 1"));
    }
    if args.window_ms < 1 {
        return Err(Error::argument("window_ms", "at least 1"));
    }
    Ok(Answer { places: places(args.connections, args.nodes), rate: rate(args.per_window, args.window_ms) })
}

/// A node has two at least, so that account mail has one that no other mail can take.
fn places(connections: u32, nodes: u32) -> ByClass<u32> {
    let account = (connections / nodes.max(1)).max(2);
    let invitation = account - (account / 4).max(1);
    let notification = invitation - invitation / 4;
    ByClass { account, invitation, notification }
}

/// No window of that length sees more than `per_window` mails, wherever it begins: a burst at its head and an even
/// stream behind it are that many together.
fn rate(per_window: u32, window_ms: i64) -> Option<Rate> {
    let per_window = i64::from(per_window);
    let burst = match per_window {
        0 => return None,
        1 => 1,
        many => 1 + (many / 20).max(1),
    };
    let (window_us, evenly) = (window_ms.saturating_mul(1_000), per_window - burst + 1);
    let interval_us = window_us / evenly + i64::from(window_us % evenly != 0);
    let ahead = |mails: i64| interval_us.saturating_mul(mails);
    Some(Rate {
        interval_us,
        ahead_us: ByClass { account: ahead(burst - 1), invitation: ahead((burst - 1) / 2), notification: 0 },
        full_us: ahead(burst),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares() {
        let check = |connections, nodes, expected: (u32, u32, u32)| {
            let places = places(connections, nodes);
            assert_eq!(
                (places.account, places.invitation, places.notification),
                expected,
                "{connections} for {nodes}"
            );
        };
        check(50, 1, (50, 38, 29));
        check(50, 3, (16, 12, 9));
        check(20, 2, (10, 8, 6));
        check(4, 1, (4, 3, 3));
        check(2, 1, (2, 1, 1));
        check(2, 5, (2, 1, 1));
    }

    #[test]
    fn a_rate() {
        assert_eq!(rate(0, 60_000), None);
        let rate = rate(600, 60_000).unwrap();
        assert_eq!(rate.interval_us, 105_264); // 570 a minute, and 30 that account mail may have at once
        assert_eq!(rate.ahead_us.account, 30 * 105_264);
        assert_eq!(super::rate(1, 60_000).unwrap().interval_us, 60_000_000);
        assert_eq!(super::rate(2, 60_000).unwrap().ahead_us.account, 60_000_000);
        assert!(answer(&Args { connections: 0, nodes: 1, per_window: 0, window_ms: 1 }).is_err());
        assert!(answer(&Args { connections: 1, nodes: 1, per_window: 0, window_ms: 0 }).is_err());
    }

    /// What PostgreSQL does with the numbers.
    fn pass(rate: &Rate, ahead_us: i64, tat: &mut i64, now: i64) -> bool {
        let due = (*tat).clamp(now, now + rate.full_us);
        let passes = due <= now + ahead_us;
        if passes {
            *tat = due + rate.interval_us;
        }
        passes
    }

    proptest! {
        #[test]
        fn no_window_sees_more(per_window in 1_u32..80, steps in prop::collection::vec((0_i64..3_000_000, 0_usize..3), 1..400)) {
            let rate = rate(per_window, 60_000).unwrap();
            let ahead = [rate.ahead_us.account, rate.ahead_us.invitation, rate.ahead_us.notification];
            let (mut tat, mut now, mut sent) = (0, 0, Vec::new());
            for (wait, class) in steps {
                now += wait / i64::from(per_window);
                if pass(&rate, ahead[class], &mut tat, now) {
                    sent.push(now);
                }
            }
            for (first, at) in sent.iter().enumerate() {
                let within = sent[first..].iter().take_while(|later| **later < at + 60_000_000).count();
                prop_assert!(within <= per_window as usize, "{within} of {per_window}");
            }
        }

        #[test]
        fn account_mail_overtakes(per_window in 2_u32..10_000) {
            let rate = rate(per_window, 60_000).unwrap();
            let mut tat = 0;
            prop_assert!(pass(&rate, rate.ahead_us.notification, &mut tat, 0));
            prop_assert!(!pass(&rate, rate.ahead_us.notification, &mut tat, 0));
            prop_assert!(pass(&rate, rate.ahead_us.account, &mut tat, 0), "at once");
        }
    }
}
