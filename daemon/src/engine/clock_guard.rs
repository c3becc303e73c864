//! Whether the wall clock can be believed. A clock that was set back revives codes that were used or seen; one that
//! jumped ahead would spend the codes of the future. Within a boot the clock is compared with the time since boot;
//! across boots only going back counts, for a host may be off for a week.

use std::time::Duration;

use crate::clock::{Timestamp, Uptime};

/// Going back by more is not believed.
const BACK: Duration = Duration::from_secs(120);
/// Jumping ahead by more is held until somebody vouches for it.
const AHEAD: Duration = Duration::from_secs(3600);

/// The latest time that was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The wall clock then.
    pub wall: Timestamp,
    /// The time since boot then.
    pub uptime: Uptime,
}

/// What is thought of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is believed.
    Believed,
    /// It is behind by so much.
    Behind(Duration),
    /// It is ahead by so much, and nothing says that this is right.
    Ahead(Duration),
}

impl Trust {
    /// A sentence for administrators.
    #[must_use]
    pub fn sentence(self) -> String {
        let words = super::prompt::duration;
        match self {
            Self::Believed => "believed".to_owned(),
            Self::Behind(by) => format!("{} behind what it was", words(by)),
            Self::Ahead(by) => format!("{} ahead of what it should be", words(by)),
        }
    }
}

impl Mark {
    /// Judges the clock.
    #[must_use]
    pub fn judge(&self, wall: Timestamp, uptime: &Uptime, synchronised: bool) -> Trust {
        let same_boot = uptime.boot == self.uptime.boot;
        let passed = if same_boot { uptime.since.saturating_sub(self.uptime.since) } else { Duration::ZERO };
        let expected = self.wall.after(passed);
        let (behind, ahead) = (expected.since(wall), wall.since(expected));
        if behind > BACK {
            Trust::Behind(behind)
        } else if same_boot && ahead > AHEAD && !synchronised {
            Trust::Ahead(ahead)
        } else {
            Trust::Believed
        }
    }

    /// The mark after a believed reading. It never goes back, or two minutes at a time would add up.
    #[must_use]
    pub fn advance(&self, wall: Timestamp, uptime: &Uptime) -> Self {
        let same_boot = uptime.boot == self.uptime.boot;
        let passed = if same_boot { uptime.since.saturating_sub(self.uptime.since) } else { Duration::ZERO };
        Self { wall: wall.max(self.wall.after(passed)), uptime: uptime.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn up(boot: &str, seconds: i64) -> Uptime {
        Uptime { boot: boot.into(), since: Duration::from_secs(seconds.unsigned_abs()) }
    }

    fn judge(wall: i64, uptime: &Uptime, synchronised: bool) -> Trust {
        let mark = Mark { wall: Timestamp::from_secs(10 * DAY), uptime: up("one", 1000) };
        mark.judge(Timestamp::from_secs(wall), uptime, synchronised)
    }

    #[test]
    fn within_a_boot_the_time_since_boot_decides() {
        let week = up("one", 1000 + 7 * DAY);
        assert_eq!(judge(17 * DAY, &week, false), Trust::Believed, "quiet for a week");
        assert_eq!(judge(17 * DAY - 120, &week, false), Trust::Believed);
        assert_eq!(judge(17 * DAY - 121, &week, false), Trust::Behind(Duration::from_secs(121)));
        assert_eq!(
            judge(10 * DAY + 60, &week, false),
            Trust::Behind(Duration::from_secs(604_740)),
            "set back unseen"
        );
        assert_eq!(judge(17 * DAY + 3600, &week, false), Trust::Believed);
        assert_eq!(judge(17 * DAY + 3601, &week, false), Trust::Ahead(Duration::from_secs(3601)));
        assert_eq!(judge(17 * DAY + 3601, &week, true), Trust::Believed, "the time server says so");
    }

    #[test]
    fn across_boots_only_going_back_counts() {
        let fresh = up("two", 5);
        assert_eq!(judge(3660 * DAY, &fresh, false), Trust::Believed, "switched off for ten years");
        assert_eq!(judge(10 * DAY - 120, &fresh, false), Trust::Believed);
        assert_eq!(judge(10 * DAY - 121, &fresh, true), Trust::Behind(Duration::from_secs(121)));
    }

    #[test]
    fn going_back_a_little_again_and_again_does_not_add_up() {
        let mut mark = Mark { wall: Timestamp::from_secs(10 * DAY), uptime: up("one", 1000) };
        for _ in 0..10 {
            let uptime = mark.uptime.clone();
            let back = Timestamp::from_secs(10 * DAY - 100);
            assert_eq!(mark.judge(back, &uptime, false), Trust::Believed);
            mark = mark.advance(back, &uptime);
        }
        assert_eq!(mark.wall, Timestamp::from_secs(10 * DAY));
    }
}
