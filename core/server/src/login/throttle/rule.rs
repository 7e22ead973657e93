//! How long whoever failed has to wait: the arithmetic, and what is kept for it.
//!
//! A key owes one `wait` for each failure, and time pays: what it owes is `owes_until - now`. So a
//! failure is forgotten in each `wait`, and nothing has to be swept. With `free` failures owed the
//! next attempt waits a second, then two, four, and so on up to `wait`; at that point as much is
//! forgotten as is added, and one attempt for each `wait` is what is left to somebody who goes on.

use crate::clock::Timestamp;

/// How many failures cost nothing, and how long the waits get after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Failures that cost nothing. At least 1.
    pub free: u32,
    /// The longest wait, and the time in which one failure is forgotten, in milliseconds. At least 1.
    pub wait_millis: u64,
}

/// Failures in a row after which there is a pause (NIST SP 800-63B section 3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// So many.
    pub limit: u32,
    /// Milliseconds.
    pub pause_millis: u64,
}

/// What is kept of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// When the last of its failures is forgotten.
    pub(super) owes_until: u64,
    /// Before this, no attempt.
    pub(super) held_until: u64,
    /// Attempts that have not come out yet.
    pub(super) pending: u16,
    /// Failures since the last success.
    pub(super) row: u16,
}

/// The first wait.
const FIRST_MILLIS: u64 = 1000;

/// Doublings after which a wait is as long as any.
const DOUBLINGS: u32 = 32;

impl Mark {
    /// Until when it means anything.
    pub(super) fn end(&self) -> u64 {
        self.owes_until.max(self.held_until)
    }

    /// Whether it means nothing any more.
    pub(super) fn is_blank(&self, now: Timestamp) -> bool {
        self.pending == 0 && self.end() <= now.millis()
    }

    /// A clock that was set back must not make anybody wait longer than the rule says.
    fn bound(&mut self, rule: Rule, row: Option<Row>, now: Timestamp) {
        let most = u64::from(rule.free.saturating_add(DOUBLINGS)).saturating_mul(rule.wait_millis);
        let longest = rule.wait_millis.max(row.map_or(0, |row| row.pause_millis));
        self.owes_until = self.owes_until.min(now.millis().saturating_add(most));
        self.held_until = self.held_until.min(now.millis().saturating_add(longest));
    }
}

impl Rule {
    /// Failures that are not forgotten.
    pub(super) fn failures(self, mark: &Mark, now: Timestamp) -> u32 {
        let owed = mark.owes_until.saturating_sub(now.millis());
        u32::try_from(owed.div_ceil(self.wait_millis.max(1))).unwrap_or(u32::MAX)
    }

    /// Milliseconds until the next attempt may be made; `None`: now. As many may be under way as
    /// failures are free, and one after that, so that parallel ones do not overtake the count.
    pub(super) fn wait(self, mark: &mut Mark, row: Option<Row>, now: Timestamp) -> Option<u64> {
        mark.bound(self, row, now);
        if mark.held_until > now.millis() {
            return Some(mark.held_until - now.millis());
        }
        let failures = self.failures(mark, now);
        let room = if failures < self.free {
            self.free.saturating_sub(failures)
        } else {
            1
        };
        (u32::from(mark.pending) >= room).then_some(FIRST_MILLIS)
    }

    /// Counts a failure.
    pub(super) fn fail(self, mark: &mut Mark, row: Option<Row>, now: Timestamp) {
        let from = mark.owes_until.max(now.millis());
        mark.owes_until = from.saturating_add(self.wait_millis);
        mark.row = mark.row.saturating_add(1);
        let failures = self.failures(mark, now);
        if failures >= self.free {
            let doublings = (failures - self.free).min(DOUBLINGS);
            let wait = (FIRST_MILLIS << doublings).min(self.wait_millis);
            mark.held_until = mark.held_until.max(now.millis().saturating_add(wait));
        }
        if let Some(row) = row.filter(|row| u32::from(mark.row) >= row.limit) {
            mark.row = 0;
            let until = now.millis().saturating_add(row.pause_millis);
            mark.held_until = mark.held_until.max(until);
        }
        mark.bound(self, row, now);
    }

    /// Takes one of what there is: `free` at once, and one more in each `wait`.
    ///
    /// # Errors
    /// Milliseconds until there is one again.
    pub(super) fn take(self, mark: &mut Mark, now: Timestamp) -> Result<(), u64> {
        mark.bound(self, None, now);
        let room = u64::from(self.free).saturating_mul(self.wait_millis);
        let after = mark
            .owes_until
            .max(now.millis())
            .saturating_add(self.wait_millis);
        let most = now.millis().saturating_add(room);
        if after > most {
            return Err(after - most);
        }
        mark.owes_until = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_seconds(1_000_000);
    const RULE: Rule = Rule {
        free: 3,
        wait_millis: 60_000,
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(T0.millis() + millis)
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (mut mark, mut now) = (Mark::default(), T0);
        let mut waits = Vec::new();
        for _ in 0..14 {
            let wait = RULE.wait(&mut mark, None, now).unwrap_or(0);
            waits.push(wait / 1000);
            now = Timestamp::from_millis(now.millis() + wait);
            RULE.fail(&mut mark, None, now);
        }
        assert_eq!(waits[..9], [0, 0, 0, 1, 2, 4, 8, 16, 32]);
        // One in each longest wait is what somebody who goes on is left with.
        assert!(
            waits[9..].iter().all(|wait| (32..=60).contains(wait)),
            "{waits:?}"
        );
    }

    #[test]
    fn one_failure_is_forgotten_in_each_wait() {
        let mut mark = Mark::default();
        for _ in 0..3 {
            RULE.fail(&mut mark, None, T0);
        }
        for (millis, left) in [(0, 3), (59_999, 3), (60_000, 2), (120_000, 1), (180_000, 0)] {
            assert_eq!(RULE.failures(&mark, at(millis)), left, "{millis}");
        }
        assert!(mark.is_blank(at(180_000)));
    }

    #[test]
    fn a_hundred_in_a_row_make_a_pause() {
        let row = Some(Row {
            limit: 100,
            pause_millis: 86_400_000,
        });
        let (mut mark, mut now) = (Mark::default(), T0);
        for _ in 0..99 {
            let wait = RULE.wait(&mut mark, row, now).unwrap_or(0);
            assert!(wait <= 60_000);
            now = Timestamp::from_millis(now.millis() + wait);
            RULE.fail(&mut mark, row, now);
        }
        now = now.plus_seconds(60);
        RULE.fail(&mut mark, row, now);
        assert_eq!(RULE.wait(&mut mark, row, now), Some(86_400_000));
    }

    #[test]
    fn a_clock_set_back_prolongs_no_wait() {
        let mut mark = Mark::default();
        for _ in 0..20 {
            RULE.fail(&mut mark, None, T0.plus_seconds(1_000_000));
        }
        let wait = RULE.wait(&mut mark, None, T0);
        assert!(wait.is_some_and(|wait| wait <= 60_000), "{wait:?}");
        assert!(RULE.failures(&mark, T0) <= 35);
    }

    #[test]
    fn a_burst_and_then_a_rate() {
        let mut mark = Mark::default();
        assert!((0..3).all(|_| RULE.take(&mut mark, T0).is_ok()));
        assert_eq!(RULE.take(&mut mark, T0), Err(60_000));
        assert_eq!(RULE.take(&mut mark, at(60_000)), Ok(()));
        assert_eq!(RULE.take(&mut mark, at(60_000)), Err(60_000));
        assert!((0..3).all(|_| RULE.take(&mut mark, at(600_000)).is_ok()));
    }

    #[test]
    fn attempts_under_way_are_bounded() {
        let mut mark = Mark {
            pending: 3,
            ..Mark::default()
        };
        assert_eq!(RULE.wait(&mut mark, None, T0), Some(1000));
        mark.pending = 0;
        for _ in 0..3 {
            RULE.fail(&mut mark, None, T0);
        }
        mark.pending = 1;
        assert_eq!(
            RULE.wait(&mut mark, None, at(1000)),
            Some(1000),
            "past the free ones, one at a time"
        );
    }
}
