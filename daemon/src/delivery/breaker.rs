//! When a provider is not asked for a while, because it did not answer before.

use std::time::Duration;

use super::{Outcome, Refusal};

/// Failures in a row, each within [`MEMORY`] of the one before, that open it.
const FAILURES: u32 = 3;
const MEMORY: Duration = Duration::from_secs(60);
/// How long it stays open the first time; twice as long each further time.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// How long the one takes that is let through.
const PROBE: Duration = Duration::from_secs(10);
/// Somebody has to pay a bill, or mend a password.
const ACCOUNT: Duration = Duration::from_secs(300);

/// The breaker of one provider. Times are since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Breaker {
    failures: u32,
    last_failure: Option<Duration>,
    open_until: Option<Duration>,
    wait: Option<Duration>,
    /// When it opened.
    opened: Option<Duration>,
    /// It is open because we are not welcome.
    pub(super) account: bool,
}

impl Breaker {
    /// Somebody asks it. When its time is over, one is let through, and decides: the others wait for that one.
    pub(super) fn begin(&mut self, now: Duration) {
        if self.open_until.is_some() {
            self.open_until = Some(now + PROBE);
        }
    }

    /// Whether the provider may be asked now.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.open_until.is_none_or(|until| until <= now)
    }

    /// How long it stays open.
    pub(super) fn open_for(&self, now: Duration) -> Option<Duration> {
        self.open_until.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero())
    }

    /// When it failed last: who failed longest ago is asked first, if all are open.
    pub(super) const fn last_failure(&self) -> Option<Duration> {
        self.last_failure
    }

    /// Learns what became of a message that was begun then.
    pub(super) fn note(&mut self, outcome: &Outcome, began: Duration, now: Duration) {
        // What was on its way when it opened says nothing new, unless that it works.
        if *outcome != Outcome::Accepted && self.opened.is_some_and(|opened| began < opened) {
            self.last_failure = Some(now);
            return;
        }
        match outcome {
            // What is wrong with a number says nothing about the provider, but that it answers.
            Outcome::Accepted
            | Outcome::Rejected(
                Refusal::Destination | Refusal::OptedOut | Refusal::Region | Refusal::Content,
            ) => {
                *self = Self::default();
            }
            Outcome::Rejected(Refusal::Account) => {
                self.last_failure = Some(now);
                (self.open_until, self.opened) = (Some(now + ACCOUNT), Some(now));
                self.account = true;
            }
            Outcome::Unavailable { .. } | Outcome::Unknown => {
                let again = self.open_until.is_some(); // it was let through, and failed
                let recent = self.last_failure.is_some_and(|last| now.saturating_sub(last) <= MEMORY);
                self.failures = if recent { self.failures + 1 } else { 1 };
                self.last_failure = Some(now);
                self.account = false;
                if again || self.failures >= FAILURES {
                    let wait = self.wait.map_or(FIRST, |wait| (wait * 2).min(LONGEST));
                    (self.wait, self.open_until, self.opened) = (Some(wait), Some(now + wait), Some(now));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_in_a_minute_open_it_and_each_further_one_for_twice_as_long() {
        let mut breaker = Breaker::default();
        for second in [0, 70, 140, 200] {
            breaker.note(&Outcome::Unknown, at(second), at(second));
            assert!(breaker.allows(at(second)), "{second}");
        }
        breaker.note(&Outcome::Unknown, at(201), at(201));
        assert_eq!((breaker.allows(at(201)), breaker.open_for(at(211))), (false, Some(at(20))));
        let mut now = 231;
        for wait in [60, 120, 240, 480, 600, 600] {
            assert!(breaker.allows(at(now)), "{now}");
            breaker.note(&Outcome::Unknown, at(now), at(now));
            assert_eq!(breaker.open_for(at(now)), Some(at(wait)));
            now += wait;
        }
        breaker.note(&Outcome::Accepted, at(now), at(now));
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn when_its_time_is_over_one_is_let_through() {
        let mut breaker = Breaker::default();
        breaker.note(&Outcome::Rejected(Refusal::Account), at(0), at(0));
        assert!(breaker.allows(at(300)));
        breaker.begin(at(300));
        assert!(!breaker.allows(at(301)) && breaker.allows(at(310)), "that one may have been lost");
        let mut sound = Breaker::default();
        sound.begin(at(0));
        assert!(sound.allows(at(0)));
    }

    #[test]
    fn what_was_on_its_way_when_it_opened_does_not_count_twice() {
        let mut breaker = Breaker::default();
        for second in 1..=8 {
            breaker.note(&Outcome::Unknown, at(0), at(second));
        }
        assert_eq!(breaker.open_for(at(8)), Some(at(25)), "opened at 3 for 30 s");
        breaker.note(&Outcome::Rejected(Refusal::Account), at(40), at(41));
        breaker.note(&Outcome::Unknown, at(40), at(42));
        assert!(breaker.account && breaker.open_for(at(42)) == Some(at(299)));
    }

    #[test]
    fn a_bill_that_is_not_paid_opens_it_at_once_and_a_bad_number_never() {
        let mut breaker = Breaker::default();
        breaker.note(&Outcome::Rejected(Refusal::Account), at(10), at(10));
        assert!(breaker.account && !breaker.allows(at(309)) && breaker.allows(at(310)));
        let mut breaker = Breaker::default();
        for second in 0..9 {
            breaker.note(&Outcome::Rejected(Refusal::Destination), at(second), at(second));
            assert!(breaker.allows(at(second)));
        }
    }
}
