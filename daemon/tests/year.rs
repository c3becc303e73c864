//! A year of guessing at the limits, on the real store with a clock that is moved: every schedule that we could think of.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::{os::unix::fs::PermissionsExt, time::Duration};

use twinlockd::{
    audit::{Event, Outcome, Record, Subject},
    clock::{ManualClock, Timestamp},
    config::Limits,
    engine::{
        enrollment::{NewFactor, Proof},
        proof::{Attempt, Candidate, Ledger, Ruling},
        throttle::{Account, Budget, Standing},
    },
    factor::{
        Counted, Kind,
        totp::{Algorithm, Drift, Match, Parameters},
    },
    names::{AccountId, FactorId, Source, UserName},
    secret::Sealed,
    store::{Store, WrappedKey, sqlite::Sqlite},
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: u32 = 365;
/// Chance of one guess at six digits with three steps accepted (security.md part 3).
const GUESS: f64 = 3e-6;
/// The figure of security.md part 3.
const ODDS: f64 = 3e-4;

struct World {
    store: Sqlite,
    account: AccountId,
    factor: FactorId,
    step: i64,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let permissions = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(permissions).tempdir().unwrap();
    let store = Sqlite::open(folder.path(), &ManualClock::at(START)).unwrap();
    store.set_keyring(vec![WrappedKey { version: 1, wrapped: vec![1] }], START).await.unwrap();
    let (user, factor) = (UserName::parse("alice").unwrap(), FactorId("f".into()));
    let new = NewFactor {
        kind: Kind::Totp,
        token: None,
        counted: Counted::default(),
        id: factor.clone(),
        user: user.clone(),
        uid: 1000,
        label: "app".into(),
        parameters: Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 },
        sealed: Sealed { key_version: 1, bytes: vec![1] },
        proof: Proof::Administrator { active: true },
        recovery: Vec::new(),
        now: START,
    };
    let record = Record {
        time: START,
        event: Event::Provision,
        subject: Subject::default(),
        method: "totp",
        outcome: Outcome::Granted,
        reason: String::new(),
    };
    store.add_factor(new, record).await.unwrap();
    let account = store.portfolio(&user).await.unwrap().unwrap().account;
    World { store, account, factor, step: 0, _folder: folder }
}

fn place(name: &str) -> Source {
    Source::named(name)
}

impl World {
    fn known(&self) -> Vec<Budget> {
        vec![Budget { account: Account::User(self.account), rule: Limits::default().user() }]
    }

    fn unknown(&self, source: &Source) -> Vec<Budget> {
        let limits = Limits::default();
        vec![
            Budget { account: Account::Source(source.clone()), rule: limits.source() },
            Budget { account: Account::Unproven(self.account), rule: limits.unproven() },
        ]
    }

    async fn settle(&mut self, budgets: Vec<Budget>, source: Source, right: bool, now: Timestamp) -> Ruling {
        self.step += i64::from(right);
        let matched = Match { step: self.step, drift: Drift::default() };
        let candidate = Candidate::Step { factor: self.factor.clone(), matched };
        let attempt = Attempt {
            account: Some(self.account),
            candidates: right.then_some(candidate).into_iter().collect(),
            budgets,
            source,
            began: now,
            now,
            event: Event::Login,
            subject: Subject { user: "alice".into(), ..Subject::default() },
        };
        self.store.settle(attempt).await.unwrap()
    }

    /// Guesses, with the password, until it is told to wait; says how many were evaluated, and until when to wait.
    async fn guess(&mut self, source: &Source, most: u32, now: Timestamp) -> (u32, Standing) {
        for evaluated in 0..most {
            match self.settle(self.known(), source.clone(), false, now).await {
                Ruling::Wrong => {}
                Ruling::Refused(standing) => return (evaluated, standing),
                other => panic!("{other:?}"),
            }
        }
        (most, Standing::Open)
    }

    /// The owner's own login; whether it was let in.
    async fn owner(&mut self, source: &Source, now: Timestamp) -> bool {
        matches!(self.settle(self.known(), source.clone(), true, now).await, Ruling::Accepted(..))
    }
}

/// How a guesser who has the password spends the year.
#[derive(Debug, Clone, Copy)]
enum Schedule {
    /// As soon as it may, from one place.
    Greedy,
    /// So many a day.
    Steady(u32),
    /// So many, then nothing for so many days.
    Bursts(u32, u32),
    /// Each try from another place.
    EverywhereAtOnce,
}

impl Schedule {
    fn of_day(self, day: u32) -> (u32, bool) {
        match self {
            Self::Greedy | Self::EverywhereAtOnce => (1000, true),
            Self::Steady(tries) => (tries, false),
            Self::Bursts(tries, rest) => (if day.is_multiple_of(rest) { tries } else { 0 }, true),
        }
    }
}

/// Plays a year; returns the time of each evaluated guess.
async fn play(schedule: Schedule, owner_from: Option<&str>, guesser_from: &str) -> Vec<Timestamp> {
    let mut world = world().await;
    let mut guesses = Vec::new();
    let mut places = 0;
    for day in 0..YEAR {
        let morning = START.after(DAY * day);
        if let Some(home) = owner_from {
            world.owner(&place(home), morning).await;
        }
        let (mut left, patient) = schedule.of_day(day);
        let mut now = morning.after(Duration::from_secs(60));
        while left > 0 && now < morning.after(DAY) {
            let source = match schedule {
                Schedule::EverywhereAtOnce => {
                    places += 1;
                    place(&format!("botnet-{places}"))
                }
                _ => place(guesser_from),
            };
            let (evaluated, standing) = world.guess(&source, left, now).await;
            guesses.extend(std::iter::repeat_n(now, evaluated as usize));
            left -= evaluated;
            now = match standing {
                Standing::Until(until) if patient => until,
                _ => break,
            };
        }
    }
    guesses
}

fn most_in_a_month(guesses: &[Timestamp]) -> usize {
    let month = DAY * 30;
    let within =
        |from: &Timestamp| guesses.iter().filter(|at| **at >= *from && **at < from.after(month)).count();
    guesses.iter().map(within).max().unwrap_or(0)
}

#[tokio::test]
async fn whoever_has_the_password_guesses_no_better_than_the_figure_in_a_year() {
    let schedules = [
        Schedule::Greedy,
        Schedule::Steady(1),
        Schedule::Steady(4),
        Schedule::Bursts(99, 30),
        Schedule::Bursts(35, 10),
        Schedule::EverywhereAtOnce,
    ];
    for schedule in schedules {
        // The owner stays away, or logs in every day at home; the guesser is elsewhere.
        for owner_from in [None, Some("home")] {
            let guesses = play(schedule, owner_from, "elsewhere").await;
            #[expect(clippy::cast_precision_loss, reason = "hundreds")]
            let odds = guesses.len() as f64 * GUESS;
            assert!(odds <= ODDS * 1.000_001, "{schedule:?} {owner_from:?}: {} guesses", guesses.len());
            assert!(guesses.len() >= 20, "{schedule:?}: nothing was tried");
        }
        // Behind the owner's own address each login of the owner forgives: the figure then holds for each 30 days, which
        // is twelve times in a year.
        let guesses = play(schedule, Some("home"), "home").await;
        assert!(most_in_a_month(&guesses) <= 100, "{schedule:?}: {}", most_in_a_month(&guesses));
        assert!(guesses.len() <= 1220, "{schedule:?}: {} in a year", guesses.len());
    }
}

#[tokio::test]
async fn whoever_has_no_first_factor_locks_the_owner_out_of_no_usual_place() {
    let mut world = world().await;
    let home = place("home");
    assert!(world.owner(&home, START).await);
    let mut evaluated = Vec::new();
    for day in 1..YEAR {
        let now = START.after(DAY * day);
        for n in 0..50 {
            let source = place(&format!("botnet-{day}-{n}"));
            match world.settle(world.unknown(&source), source, false, now).await {
                Ruling::Wrong => evaluated.push(now),
                Ruling::Refused(_) => {}
                other => panic!("{other:?}"),
            }
        }
        // With the password known, and (a stack that asks for the code first) without.
        assert!(world.owner(&home, now).await, "day {day}");
        let budgets = world.unknown(&home);
        let ruling = world.settle(budgets, home.clone(), true, now).await;
        assert!(matches!(ruling, Ruling::Accepted(..)), "day {day}: {ruling:?}");
    }
    assert!(most_in_a_month(&evaluated) <= 100, "{}", most_in_a_month(&evaluated));
    // One stranger, as fast as may be, spends 20 an hour and no more.
    let stranger = place("stranger");
    let now = START.after(DAY * (YEAR + 60));
    let mut wrong = 0;
    for minute in 0..60 {
        let at = now.after(Duration::from_secs(60 * minute));
        wrong += u32::from(
            world.settle(world.unknown(&stranger), stranger.clone(), false, at).await == Ruling::Wrong,
        );
    }
    assert_eq!(wrong, 20);
}
