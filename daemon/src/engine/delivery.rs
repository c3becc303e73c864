//! Codes that are sent: which may be, and when the next. Numbers: NIST SP 800-63B section 5.1.3, docs/threat-model.md.

use std::time::Duration;

use super::{
    policy::Method,
    throttle::{Failure, Standing, Window},
};
use crate::{
    clock::Timestamp,
    names::{AccountId, Source},
};

/// Nothing older counts for a limit.
pub const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// Codes of one user that can be used at the same time: a further one is refused, so that nobody cancels another's.
pub const LIVE: usize = 3;
/// How long after a code the next of the same conversation.
const COOL_DOWN: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(120), Duration::from_secs(300)];

/// A digest of an address: equal for equal addresses, of whatever account.
pub type Destination = [u8; 32];

/// What can be contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactKind {
    /// A mailbox.
    Email,
    /// A telephone.
    Phone,
}

impl ContactKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Email, Self::Phone];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// How a code can come there, if there is somebody who carries it; `line`: what is known of a telephone.
    #[must_use]
    pub const fn methods(self, line: Option<&Line>) -> &'static [Method] {
        match (self, line) {
            (Self::Email, _) => &[Method::Email],
            (Self::Phone, Some(Line { kind: LineKind::Fixed, .. })) => &[Method::Call],
            (Self::Phone, _) => &[Method::Sms, Method::Call],
        }
    }
}

/// What numbering plans say of a telephone number (ITU-T E.164, by libphonenumber).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Two letters of ISO 3166-1: `+1` alone says nothing, it is 25 countries.
    pub region: String,
    /// What kind of line.
    pub kind: LineKind,
}

/// Kinds of telephone lines; those that cost their caller more, or ring at nobody's, are no contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// In a pocket.
    Mobile,
    /// In a house: it has no SMS.
    Fixed,
    /// One of the two: the plan does not tell.
    FixedOrMobile,
    /// Over the Internet: NIST SP 800-63B section 5.1.3.3 does not take it.
    Voip,
}

impl LineKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mobile, Self::Fixed, Self::FixedOrMobile, Self::Voip];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Fixed => "fixed",
            Self::FixedOrMobile => "fixed-or-mobile",
            Self::Voip => "voip",
        }
    }
}

/// Somebody wants a code to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whose.
    pub account: AccountId,
    /// Where to.
    pub destination: Destination,
    /// The country of a telephone.
    pub region: Option<String>,
    /// It is a phone call, which has limits of its own besides.
    pub call: bool,
    /// It shows whose a contact is, which may be anybody's.
    pub confirm: bool,
    /// Where the login comes from.
    pub source: Source,
    /// The code of the same conversation that it replaces.
    pub replaces: Option<i64>,
    /// Codes that this conversation had sent before.
    pub before: u32,
    /// How long it can be used.
    pub lifetime: Duration,
    /// How many may be sent.
    pub limits: Limits,
    /// When.
    pub now: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued {
    /// A code with this counter may be sent; the one that it replaces is dead.
    Code(i64),
    /// Not before this time.
    TooEarly(Timestamp),
    /// Not now: which limit, for the trail.
    Refused(&'static str),
}

/// How many codes may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To one user, and to one destination.
    pub user: [Window; 2],
    /// For logins from one source.
    pub source: Window,
    /// To the telephones of one country.
    pub region: Window,
    /// Calls to one user, and to one number.
    pub calls: Window,
    /// Calls in all.
    pub all_calls: [Window; 2],
    /// In all.
    pub all: [Window; 2],
}

/// One code that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// To whom.
    pub account: AccountId,
    /// Where to.
    pub destination: Destination,
    /// The country of a telephone.
    pub region: Option<String>,
    /// It was a phone call.
    pub call: bool,
    /// It showed whose a contact is.
    pub confirm: bool,
    /// For a login from there.
    pub source: String,
    /// When.
    pub at: Timestamp,
}

/// Whether another code may be sent: the time from which on, or the limit that is spent. `sent` in order of time, `live` how
/// many of the user's can still be used.
///
/// # Errors
///
/// Why not.
pub fn judge(wish: &Wish, sent: &[Sending], live: usize) -> Result<(), Issued> {
    let own = || sent.iter().filter(|sending| sending.account == wish.account);
    if wish.replaces.is_some()
        && let Some(last) = own().next_back()
    {
        let wait = usize::try_from(wish.before.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = COOL_DOWN.get(wait).or(COOL_DOWN.last()).copied().unwrap_or_default();
        let from = last.at.min(wish.now).after(wait);
        if from > wish.now {
            return Err(Issued::TooEarly(from));
        }
    }
    if live >= LIVE {
        return Err(Issued::Refused("live-codes"));
    }
    let spent = |windows: &[Window], counts: &dyn Fn(&Sending) -> bool| {
        let counted: Vec<Failure> = sent
            .iter()
            .filter(|sending| counts(sending))
            .map(|sending| Failure { at: sending.at, cleared: false })
            .collect();
        windows.iter().any(|window| window.standing(&counted, wish.now) != Standing::Open)
    };
    let by_user = |sending: &Sending| sending.account == wish.account;
    // Who claims another's number must not keep its owner from logging in.
    let there = |sending: &Sending| {
        sending.destination == wish.destination && (wish.confirm || !sending.confirm || by_user(sending))
    };
    let from_there = |sending: &Sending| sending.source == wish.source.as_str();
    let to_region = |sending: &Sending| sending.region.is_some() && sending.region == wish.region;
    let Limits { user, source, region, calls, all_calls, all } = &wish.limits;
    let call = |sending: &Sending| sending.call;
    let which = if spent(user, &by_user) {
        "user-limit"
    } else if spent(user, &there) {
        "destination-limit"
    } else if spent(&[*source], &from_there) {
        "source-limit"
    } else if spent(&[*region], &to_region) {
        "region-limit"
    } else if spent(all, &|_| true) {
        "global-limit"
    } else if wish.call
        && (spent(&[*calls], &|sending| call(sending) && (by_user(sending) || there(sending)))
            || spent(all_calls, &call))
    {
        "call-limit"
    } else {
        return Ok(());
    };
    Err(Issued::Refused(which))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn limits() -> Limits {
        let window = |failures, within| Window { failures, within };
        Limits {
            user: [window(5, HOUR), window(10, MEMORY)],
            source: window(10, HOUR),
            region: window(30, HOUR),
            calls: window(3, MEMORY),
            all_calls: [window(6, HOUR), window(60, MEMORY)],
            all: [window(60, HOUR), window(300, MEMORY)],
        }
    }

    fn wish() -> Wish {
        Wish {
            account: AccountId(1),
            destination: [1; 32],
            region: Some("DE".to_owned()),
            call: false,
            confirm: false,
            source: Source::named("here"),
            replaces: None,
            before: 0,
            lifetime: Duration::from_secs(300),
            limits: limits(),
            now: NOW,
        }
    }

    fn sent(account: i64, destination: u8, source: &str, seconds_ago: u64) -> Sending {
        Sending {
            account: AccountId(account),
            destination: [destination; 32],
            region: None,
            call: false,
            confirm: false,
            source: Source::named(source).as_str().to_owned(),
            at: NOW.before(Duration::from_secs(seconds_ago)),
        }
    }

    #[test]
    fn each_limit_refuses_by_its_name() {
        let many = |n: u64, one: &dyn Fn(u64) -> Sending| (0..n).map(one).collect::<Vec<_>>();
        let ago = |n: u64| 3000 - n;
        for (sent, expected) in [
            (many(4, &|n| sent(1, 1, "x", ago(n))), None),
            (many(5, &|n| sent(1, u8::try_from(n).unwrap() + 2, "x", ago(n))), Some("user-limit")),
            (many(5, &|n| sent(1, 2, "x", 3601 + n)), None),
            (many(10, &|n| sent(1, 2, "x", 4000 + n)), Some("user-limit")),
            (many(5, &|n| sent(i64::try_from(n).unwrap() + 5, 1, "x", ago(n))), Some("destination-limit")),
            (many(10, &|n| sent(i64::try_from(n).unwrap() + 5, 9, "here", ago(n))), Some("source-limit")),
            (
                many(30, &|n| Sending {
                    region: wish().region,
                    ..sent(i64::try_from(n).unwrap() + 5, 9, "x", ago(n))
                }),
                Some("region-limit"),
            ),
            (many(60, &|n| sent(i64::try_from(n).unwrap() + 5, 9, "x", ago(n))), Some("global-limit")),
        ] {
            let answer = judge(&wish(), &sent, 0);
            assert_eq!(answer.err(), expected.map(Issued::Refused), "{} sent", sent.len());
        }
        assert_eq!(judge(&wish(), &[], 3), Err(Issued::Refused("live-codes")));
        assert_eq!(judge(&wish(), &[], 2), Ok(()));
    }

    #[test]
    fn who_claims_a_number_does_not_keep_its_owner_out() {
        let claims: Vec<_> = (0..5).map(|n| Sending { confirm: true, ..sent(7, 1, "x", 60 - n) }).collect();
        assert_eq!(judge(&wish(), &claims, 0), Ok(()));
        let claim = Wish { account: AccountId(8), confirm: true, ..wish() };
        assert_eq!(judge(&claim, &claims, 0), Err(Issued::Refused("destination-limit")));
    }

    #[test]
    fn calls_have_fewer_and_count_for_the_others_too() {
        let call = |account, destination, seconds_ago| Sending {
            call: true,
            ..sent(account, destination, "x", seconds_ago)
        };
        let wish = |call| Wish { call, ..wish() };
        let judged = |sent: &[Sending], call| judge(&wish(call), sent, 0).err();
        let three: Vec<_> = (0..3).map(|n| call(1, 2, 7200 - n)).collect();
        assert_eq!(judged(&three, true), Some(Issued::Refused("call-limit")));
        assert_eq!((judged(&three, false), judged(&three[..2], true)), (None, None));
        let there: Vec<_> = (0..3).map(|n| call(n + 5, 1, 60)).collect();
        assert_eq!(judged(&there, true), Some(Issued::Refused("call-limit")));
        let all: Vec<_> = (0..6).map(|n| call(n + 5, 9, 60)).collect();
        assert_eq!((judged(&all, true), judged(&all, false)), (Some(Issued::Refused("call-limit")), None));
        let five: Vec<_> = (0..5).map(|n| call(1, 2, 60 - n)).collect();
        assert_eq!(judged(&five, false), Some(Issued::Refused("user-limit")), "a call is a code");
    }

    #[test]
    fn the_next_code_of_a_conversation_waits_longer_each_time() {
        let wait = |before, seconds_ago| {
            let wish = Wish { replaces: Some(7), before, ..wish() };
            match judge(&wish, &[sent(1, 1, "x", seconds_ago)], 1) {
                Err(Issued::TooEarly(from)) => from.since(NOW).as_secs(),
                Ok(()) => 0,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([wait(1, 0), wait(1, 18), wait(1, 60)], [60, 42, 0]);
        assert_eq!([wait(2, 60), wait(3, 60), wait(9, 60)], [60, 240, 240]);
    }
}
