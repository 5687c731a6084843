//! The generic cell rate algorithm (GCRA, ITU-T I.371): one number a key, no window to fall off.
//!
//! A rule of `n` per window lets a burst of `n` pass at once and then one each `window / n`. Its whole state
//! is the theoretical arrival time (TAT): when the bucket would be empty again.

use serde::{Deserialize, Serialize};

use crate::Error;

/// One limit with the state of the key it is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Told back when this rule denies.
    pub name: String,
    /// How many may pass in one window; 0 means no limit.
    pub per_window: u32,
    /// The window, in milliseconds; at least 1.
    pub window_ms: i64,
    /// The key's state as the last decision left it; `None` for a new key.
    pub tat_ms: Option<i64>,
}

/// May it pass?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Every rule lets it pass.
    pub allowed: bool,
    /// Name of the first rule that denies.
    pub limited_by: Option<String>,
    /// The states to keep, one for each rule, in order. Unmoved when denied: who is limited is not punished.
    pub tat_ms: Vec<Option<i64>>,
    /// When every rule would let one pass; `None` when allowed.
    pub retry_at: Option<i64>,
}

/// Decides whether one event at `now` passes every rule.
///
/// `window_ms` below 1 is [`Error::InvalidArgument`] on `rules`.
///
/// ```
/// use postroom_core::limit::{Rule, decide};
/// let rule = |tat_ms| Rule { name: "client".into(), per_window: 2, window_ms: 60_000, tat_ms };
/// let first = decide(&[rule(None)], 0)?;
/// let second = decide(&[rule(first.tat_ms[0])], 1)?;
/// let third = decide(&[rule(second.tat_ms[0])], 2)?;
/// assert_eq!((first.allowed, second.allowed, third.allowed), (true, true, false));
/// assert_eq!(third.retry_at, Some(30_000));
/// # Ok::<(), postroom_core::Error>(())
/// ```
pub fn decide(rules: &[Rule], now: i64) -> Result<Decision, Error> {
    let mut moved = Vec::with_capacity(rules.len());
    let mut limited_by = None;
    let mut retry_at = None;
    for rule in rules {
        if rule.window_ms < 1 {
            return Err(Error::argument("rules", "window_ms is at least 1"));
        }
        if rule.per_window == 0 {
            moved.push(rule.tat_ms);
            continue;
        }
        // Rounded up, so that no more than `per_window` pass in a window.
        let per_window = i64::from(rule.per_window);
        let interval = rule.window_ms / per_window + i64::from(rule.window_ms % per_window != 0);
        let burst = interval.saturating_mul(per_window - 1);
        // A state further ahead than a full bucket comes from a clock that ran ahead or a rule since changed.
        let full = now.saturating_add(burst).saturating_add(interval);
        let tat = rule.tat_ms.unwrap_or(now).clamp(now, full);
        let earliest = tat.saturating_sub(burst);
        if earliest > now {
            limited_by.get_or_insert_with(|| rule.name.clone());
            retry_at = retry_at.max(Some(earliest));
        }
        moved.push(Some(tat.saturating_add(interval)));
    }
    let allowed = limited_by.is_none();
    let tat_ms = if allowed { moved } else { rules.iter().map(|rule| rule.tat_ms).collect() };
    Ok(Decision { allowed, limited_by, tat_ms, retry_at })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(name: &str, per_window: u32, window_ms: i64, tat_ms: Option<i64>) -> Rule {
        Rule { name: name.into(), per_window, window_ms, tat_ms }
    }

    fn check(
        rules: &[Rule],
        now: i64,
        limited_by: Option<&str>,
        tat_ms: &[Option<i64>],
        retry_at: Option<i64>,
    ) {
        let decision = decide(rules, now).unwrap();
        let expected = Decision {
            allowed: limited_by.is_none(),
            limited_by: limited_by.map(Into::into),
            tat_ms: tat_ms.to_vec(),
            retry_at,
        };
        assert_eq!(decision, expected, "{rules:?} at {now}");
    }

    #[test]
    fn table() {
        check(&[], 5, None, &[], None);
        check(&[rule("a", 0, 60_000, None)], 5, None, &[None], None);
        check(&[rule("a", 0, 60_000, Some(9))], 5, None, &[Some(9)], None);
        check(&[rule("a", 20, 60_000, None)], 0, None, &[Some(3_000)], None);
        check(&[rule("a", 20, 60_000, Some(57_000))], 0, None, &[Some(60_000)], None);
        check(&[rule("a", 20, 60_000, Some(60_000))], 0, Some("a"), &[Some(60_000)], Some(3_000));
        check(&[rule("a", 20, 60_000, Some(60_000))], 2_999, Some("a"), &[Some(60_000)], Some(3_000));
        check(&[rule("a", 20, 60_000, Some(60_000))], 3_000, None, &[Some(63_000)], None);
        check(&[rule("a", 1, 1_000, Some(1_000))], 999, Some("a"), &[Some(1_000)], Some(1_000));
        check(&[rule("a", 1, 1_000, Some(1_000))], 1_000, None, &[Some(2_000)], None);
        // A stale state is as good as none.
        check(&[rule("a", 20, 60_000, Some(7))], 1_000_000, None, &[Some(1_003_000)], None);
        // When one denies, no state moves, and the later of two times is told.
        check(
            &[rule("a", 2, 1_000, None), rule("b", 1, 1_000, Some(900)), rule("c", 1, 1_000, Some(950))],
            0,
            Some("b"),
            &[None, Some(900), Some(950)],
            Some(950),
        );
        // A clock that ran ahead does not lock anybody out for longer than one window.
        check(&[rule("a", 1, 1_000, Some(i64::MAX))], 0, Some("a"), &[Some(i64::MAX)], Some(1_000));
        check(&[rule("a", 3, 100, None)], 0, None, &[Some(34)], None);
    }

    #[test]
    fn an_empty_window_is_refused() {
        for window_ms in [0, -1, i64::MIN] {
            assert_eq!(decide(&[rule("a", 1, window_ms, None)], 0).unwrap_err().field(), "rules");
        }
    }

    proptest! {
        /// However events fall, no window holds more than the burst and what trickles in meanwhile.
        #[test]
        fn never_more_than_two_windows_worth(
            per_window in 1_u32..50, window_ms in 50_i64..100_000,
            gaps in proptest::collection::vec(0_i64..5_000, 1..300),
        ) {
            let (mut now, mut tat, mut passed) = (0, None, Vec::new());
            for gap in gaps {
                now += gap;
                let decision = decide(&[rule("a", per_window, window_ms, tat)], now).unwrap();
                tat = decision.tat_ms[0];
                if decision.allowed {
                    passed.push(now);
                } else {
                    prop_assert!(decision.retry_at.unwrap() > now);
                }
            }
            for &start in &passed {
                let inside = passed.iter().filter(|&&at| at >= start && at < start + window_ms).count();
                prop_assert!(inside <= 2 * per_window as usize);
            }
        }

        #[test]
        fn never_panics(per_window in any::<u32>(), window_ms in 1_i64.., tat in any::<Option<i64>>(), now in any::<i64>()) {
            decide(&[rule("a", per_window, window_ms, tat)], now).unwrap();
        }
    }
}
