//! How many failures are allowed, and how long to wait: arithmetic on the failures that the store keeps.
//! Numbers: NIST SP 800-63B section 5.2.2, RFC 4226 section 7.3.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    names::{AccountId, Source},
};

/// Failures older than this are forgotten; those of a user that no success has forgiven still count for the stop.
pub const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a failure is charged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// A user, over all services and methods: the first factor is known.
    User(AccountId),
    /// Where the tries come from: the first factor is not known.
    Source(Source),
    /// A user, by all whose first factor is not known; no obstacle where that user succeeded lately.
    Unproven(AccountId),
    /// Codes that processes of a uid give for their own account, on `user.sock`: who guesses there is in the account's own
    /// session already.
    Own(u32),
    /// Password confirmations of a uid.
    Password(u32),
}

/// A budget of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Whose.
    pub account: Account,
    /// How large.
    pub rule: Rule,
}

/// How large a budget is. Both parts hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Delays that grow with the failures since the last success.
    pub backoff: Option<Backoff>,
    /// At most so many failures in a time, whatever happened in between.
    pub window: Option<Window>,
}

/// Delays that double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Failures without a delay.
    pub free: u32,
    /// The delay after the first failure that is not free.
    pub first: Duration,
    /// No delay is longer.
    pub longest: Duration,
    /// After so many that no success has forgiven, over any time, only an administrator helps.
    pub stop: u32,
}

/// A rolling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Failures allowed.
    pub failures: u32,
    /// In this time.
    pub within: Duration,
}

/// One failure that was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// A later success from the same source forgave it (it still counts in the window).
    pub cleared: bool,
}

/// Whether a try may be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Open,
    /// Not before this time.
    Until(Timestamp),
    /// Not until an administrator unlocks the account.
    Stopped,
}

impl Standing {
    /// The stricter of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Stopped, _) | (_, Self::Stopped) => Self::Stopped,
            (Self::Open, other) => other,
            (this, Self::Open) => this,
            (Self::Until(a), Self::Until(b)) => Self::Until(a.max(b)),
        }
    }
}

impl Rule {
    /// Whether another try may be evaluated now. `failures` in order of time.
    #[must_use]
    pub fn standing(&self, failures: &[Failure], now: Timestamp) -> Standing {
        let backoff = self.backoff.map_or(Standing::Open, |backoff| backoff.standing(failures, now));
        let window = self.window.map_or(Standing::Open, |window| window.standing(failures, now));
        backoff.and(window)
    }
}

impl Backoff {
    fn standing(&self, failures: &[Failure], now: Timestamp) -> Standing {
        let (mut all, mut count): (u32, u32) = (0, 0);
        let mut last = None;
        for failure in failures.iter().filter(|failure| !failure.cleared) {
            all = all.saturating_add(1);
            if failure.at > now.before(MEMORY) {
                count = count.saturating_add(1);
                last = Some(failure.at);
            }
        }
        // However slowly they came: else a patient guesser has as many in each month.
        if all >= self.stop {
            return Standing::Stopped;
        }
        let Some(last) = last.filter(|_| count > self.free) else {
            return Standing::Open;
        };
        let doublings = (count - self.free - 1).min(31);
        let delay = self.first.saturating_mul(1 << doublings).min(self.longest);
        // A clock that was set back must not make the wait longer than the delay itself.
        let until = last.min(now).after(delay);
        if until > now { Standing::Until(until) } else { Standing::Open }
    }
}

impl Window {
    /// Whether another may come now. `failures` in order of time.
    #[must_use]
    pub fn standing(&self, failures: &[Failure], now: Timestamp) -> Standing {
        let start = now.before(self.within);
        let recent: Vec<_> = failures.iter().filter(|failure| failure.at > start).collect();
        let spent = recent.len() >= self.failures as usize;
        match recent.len().checked_sub(self.failures as usize).and_then(|i| recent.get(i)) {
            Some(oldest) => Standing::Until(oldest.at.min(now).after(self.within)),
            None if spent => Standing::Until(now.after(self.within)), // a budget of nothing
            None => Standing::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Rule = Rule {
        backoff: Some(Backoff {
            free: 4,
            first: Duration::from_secs(30),
            longest: Duration::from_secs(3600),
            stop: 100,
        }),
        window: Some(Window { failures: 100, within: MEMORY }),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn failures(count: i64) -> Vec<Failure> {
        (0..count).map(|i| Failure { at: at(1000 + i), cleared: false }).collect()
    }

    #[test]
    fn four_failures_are_free_and_the_fifth_waits_30_seconds() {
        assert_eq!(USER.standing(&[], at(2000)), Standing::Open);
        assert_eq!(USER.standing(&failures(4), at(1004)), Standing::Open);
        assert_eq!(USER.standing(&failures(5), at(1005)), Standing::Until(at(1034)));
        assert_eq!(USER.standing(&failures(5), at(1034)), Standing::Open);
    }

    #[test]
    fn the_wait_doubles_up_to_an_hour() {
        let wait = |count: i64| match USER.standing(&failures(count), at(1000 + count - 1)) {
            Standing::Until(until) => until.since(at(1000 + count - 1)).as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [wait(5), wait(6), wait(7), wait(11), wait(12), wait(99)],
            [30, 60, 120, 1920, 3600, 3600]
        );
    }

    #[test]
    fn a_hundred_in_a_row_stop_the_account() {
        assert_eq!(USER.standing(&failures(100), at(i64::MAX / 2000)), Standing::Stopped);
    }

    #[test]
    fn old_failures_delay_nobody_and_still_count_for_the_stop() {
        let month = 30 * 24 * 3600;
        assert_eq!(USER.standing(&failures(12), at(1011 + month)), Standing::Open);
        assert_eq!(USER.standing(&failures(99), at(1100 + month)), Standing::Open);
        let slow: Vec<_> = (0..100).map(|i| Failure { at: at(i * month), cleared: false }).collect();
        assert_eq!(USER.standing(&slow, at(101 * month)), Standing::Stopped);
    }

    #[test]
    fn forgiven_failures_still_fill_the_window() {
        let forgiven: Vec<_> = failures(100).into_iter().map(|f| Failure { cleared: true, ..f }).collect();
        let day = 24 * 3600;
        assert!(matches!(USER.standing(&forgiven, at(1200)), Standing::Until(_)));
        assert_eq!(USER.standing(&forgiven, at(1100 + 30 * day)), Standing::Open);
        assert_eq!(USER.standing(&forgiven[..99], at(1200)), Standing::Open);
    }

    #[test]
    fn a_clock_set_back_waits_no_longer_than_the_delay() {
        assert_eq!(USER.standing(&failures(5), at(0)), Standing::Until(at(30)));
    }

    #[test]
    fn the_stricter_standing_wins() {
        let until = Standing::Until(at(5));
        assert_eq!(Standing::Open.and(until), until);
        assert_eq!(until.and(Standing::Until(at(9))), Standing::Until(at(9)));
        assert_eq!(until.and(Standing::Stopped), Standing::Stopped);
    }
}
