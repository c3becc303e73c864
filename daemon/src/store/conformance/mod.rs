//! What every backend must do. Run on each of them.

mod delivering;
mod enrolling;
mod inviting;
mod restoring;
mod tokens;
mod watching;

use std::{sync::Arc, time::Duration};

use super::{sqlite::Sqlite, *};
use crate::{
    audit::{Event, Filter, Outcome, Record, Subject},
    clock::ManualClock,
    engine::{
        enrollment::{Added, NewFactor, Proof},
        policy::{Flag, Flags},
        proof::{Accepted, Attempt, Candidate, Missed, Ruling},
        throttle::{Account, Backoff, MEMORY, Rule, Window},
    },
    factor::{
        Counted, Kind, spare,
        totp::{Algorithm, Drift, Match, Parameters},
    },
    secret::Sealed,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const RULE: Rule = Rule {
    backoff: Some(Backoff {
        free: 4,
        first: Duration::from_secs(30),
        longest: Duration::from_secs(3600),
        stop: 100,
    }),
    window: Some(Window { failures: 100, within: MEMORY }),
};

struct World {
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

fn private() -> tempfile::TempDir {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

async fn world() -> World {
    let folder = private();
    let store = Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap();
    store.set_keyring(vec![WrappedKey { version: 1, wrapped: vec![1] }], NOW).await.unwrap();
    World { store: Arc::new(store), folder }
}

impl World {
    async fn reopened(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        Self { store: Arc::new(Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap()), folder }
    }
}

fn record(event: Event, user: &str) -> Record {
    let subject = Subject { user: user.into(), ..Subject::default() };
    Record { time: NOW, event, subject, method: "totp", outcome: Outcome::Granted, reason: String::new() }
}

fn factor(user: &str, uid: u32, label: &str, proof: Proof) -> NewFactor {
    NewFactor {
        kind: Kind::Totp,
        token: None,
        counted: Counted::default(),
        id: FactorId(format!("{user}{uid}{label}")),
        user: UserName::parse(user).unwrap(),
        uid,
        label: label.into(),
        parameters: Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 },
        sealed: Sealed { key_version: 1, bytes: vec![1, 2, 3] },
        proof,
        recovery: Vec::new(),
        now: NOW,
    }
}

fn at(step: i64) -> Match {
    Match { step, drift: Drift::default() }
}

/// An enrolled user.
async fn enroll(store: &dyn Store, user: &str) -> Portfolio {
    let new = factor(user, 1000, "app", Proof::FirstFactor(at(10)));
    assert_eq!(store.add_factor(new, record(Event::Enroll, user)).await.unwrap(), Added::Stored);
    store.portfolio(&UserName::parse(user).unwrap()).await.unwrap().unwrap()
}

fn attempt(portfolio: &Portfolio, step: Option<i64>, source: &str) -> Attempt {
    let factor = portfolio.factors[0].id.clone();
    Attempt {
        account: Some(portfolio.account),
        candidates: step.map(|step| Candidate::Step { factor, matched: at(step) }).into_iter().collect(),
        budgets: vec![Budget { account: Account::User(portfolio.account), rule: RULE }],
        source: Source::local(source, "", 0),
        began: NOW,
        now: NOW,
        event: Event::Login,
        subject: Subject { user: portfolio.name.clone(), ..Subject::default() },
    }
}

#[tokio::test]
async fn a_step_is_accepted_once_and_no_older_one_after_it() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let accepted = Ruling::Accepted(Accepted::Step(alice.factors[0].id.clone()), Missed::default());
    for (step, expected) in [
        (10, Ruling::Used), // the code that confirmed the factor
        (12, accepted.clone()),
        (12, Ruling::Used),
        (11, Ruling::Used),
        (13, accepted),
    ] {
        assert_eq!(
            world.store.settle(attempt(&alice, Some(step), "sshd")).await.unwrap(),
            expected,
            "{step}"
        );
    }
    let world = world.reopened().await;
    assert_eq!(world.store.settle(attempt(&alice, Some(13), "sshd")).await.unwrap(), Ruling::Used);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_in_many_hands_is_accepted_exactly_once() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    for step in 100..110 {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let (store, attempt) = (Arc::clone(&world.store), attempt(&alice, Some(step), "sshd"));
                tokio::spawn(async move { store.settle(attempt).await.unwrap() })
            })
            .collect();
        let mut accepted = 0;
        for task in tasks {
            accepted += u32::from(matches!(task.await.unwrap(), Ruling::Accepted(..)));
        }
        assert_eq!(accepted, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_wrong_codes_evaluate_no_more_than_the_budget() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (store, attempt) = (Arc::clone(&world.store), attempt(&alice, None, "sshd"));
            tokio::spawn(async move { store.settle(attempt).await.unwrap() })
        })
        .collect();
    let mut wrong = 0;
    for task in tasks {
        wrong += u32::from(task.await.unwrap() == Ruling::Wrong);
    }
    assert_eq!(wrong, 5, "four free ones, and the fifth that starts the delay");
    let portfolio = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert_eq!(portfolio.failures, 5);
}

#[tokio::test]
async fn a_throttled_user_is_refused_even_with_a_right_code_and_after_a_restart() {
    let mut world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    for _ in 0..5 {
        assert_eq!(world.store.settle(attempt(&alice, None, "sshd")).await.unwrap(), Ruling::Wrong);
    }
    let until = Standing::Until(NOW.after(Duration::from_secs(30)));
    for _ in 0..2 {
        let ruling = world.store.settle(attempt(&alice, Some(20), "sudo")).await.unwrap();
        assert_eq!(ruling, Ruling::Refused(until));
        world = world.reopened().await;
    }
    let later = Attempt { now: NOW.after(Duration::from_secs(31)), ..attempt(&alice, Some(20), "sshd") };
    assert!(matches!(world.store.settle(later).await.unwrap(), Ruling::Accepted(..)));
}

#[tokio::test]
async fn a_code_that_matches_two_factors_with_one_key_works_once() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let second = factor("alice", 1000, "again", Proof::Administrator { active: true });
    let candidates = |step| {
        let of = |factor: &FactorId| Candidate::Step { factor: factor.clone(), matched: at(step) };
        vec![of(&alice.factors[0].id), of(&second.id)]
    };
    world.store.add_factor(second.clone(), record(Event::Provision, "alice")).await.unwrap();
    let attempt = |step| Attempt { candidates: candidates(step), ..attempt(&alice, None, "sshd") };
    assert!(matches!(world.store.settle(attempt(20)).await.unwrap(), Ruling::Accepted(..)));
    for _ in 0..3 {
        assert_eq!(world.store.settle(attempt(20)).await.unwrap(), Ruling::Used);
    }
    assert!(matches!(world.store.settle(attempt(21)).await.unwrap(), Ruling::Accepted(..)));
}

#[tokio::test]
async fn strangers_together_have_a_budget_that_does_not_lock_the_user_out() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let rule = Rule { backoff: None, window: Some(Window { failures: 100, within: MEMORY }) };
    let from = |source: &str, step| Attempt {
        budgets: vec![Budget { account: Account::Unproven(alice.account), rule }],
        ..attempt(&alice, step, source)
    };
    assert!(matches!(world.store.settle(from("home", Some(20))).await.unwrap(), Ruling::Accepted(..)));
    for n in 0..100 {
        assert_eq!(world.store.settle(from(&format!("botnet {n}"), None)).await.unwrap(), Ruling::Wrong);
    }
    assert!(matches!(world.store.settle(from("botnet 101", Some(30))).await.unwrap(), Ruling::Refused(_)));
    assert!(matches!(world.store.settle(from("home", Some(30))).await.unwrap(), Ruling::Accepted(..)));
}

#[tokio::test]
async fn a_success_forgives_only_its_own_source() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    for source in ["sshd", "sshd", "sudo"] {
        world.store.settle(attempt(&alice, None, source)).await.unwrap();
    }
    world.store.settle(attempt(&alice, Some(20), "sshd")).await.unwrap();
    let portfolio = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert_eq!(portfolio.failures, 1, "the one from sudo");
}

#[tokio::test]
async fn a_used_code_is_not_charged() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    for _ in 0..10 {
        assert_eq!(world.store.settle(attempt(&alice, Some(10), "sshd")).await.unwrap(), Ruling::Used);
    }
    let portfolio = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert_eq!(portfolio.failures, 0);
}

#[tokio::test]
async fn unlock_and_reset_forget_failures() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let name = UserName::parse("alice").unwrap();
    for _ in 0..5 {
        world.store.settle(attempt(&alice, None, "sshd")).await.unwrap();
    }
    assert_eq!(world.store.unlock(&name, 1000, record(Event::Unlock, "alice")).await.unwrap(), 5);
    let budgets = attempt(&alice, None, "sshd").budgets;
    assert_eq!(world.store.standing(budgets, NOW).await.unwrap(), Standing::Open);
    assert_eq!(world.store.reset(&name, record(Event::Reset, "alice")).await.unwrap(), 1);
    assert!(world.store.portfolio(&name).await.unwrap().unwrap().factors.is_empty());
    assert_eq!(
        world.store.settle(attempt(&alice, Some(99), "sshd")).await.unwrap(),
        Ruling::Used,
        "it is gone"
    );
}

#[tokio::test]
async fn a_password_try_is_charged_before_it_is_made() {
    let world = world().await;
    let budget = Budget { account: Account::Password(1000), rule: RULE };
    let mut taken = Vec::new();
    for _ in 0..20 {
        if let Charge::Taken(id) =
            world.store.charge(budget.clone(), Source::local("x", "", 1000), NOW).await.unwrap()
        {
            taken.push(id);
        }
    }
    assert_eq!(taken.len(), 5);
    // A try that could not be judged takes itself back and no other: an outage must not clear a guesser's record.
    world.store.refund(taken[0]).await.unwrap();
    assert!(matches!(
        world.store.charge(budget.clone(), Source::local("x", "", 1000), NOW).await.unwrap(),
        Charge::Taken(_)
    ));
    let standing = world.store.standing(vec![budget.clone()], NOW).await.unwrap();
    assert!(matches!(standing, Standing::Until(_)), "{standing:?}");
    world.store.forgive(taken[1]).await.unwrap();
    assert_eq!(world.store.standing(vec![budget], NOW).await.unwrap(), Standing::Open);
}

#[tokio::test]
async fn keys_change_under_what_is_still_as_it_was_read() {
    let World { store, .. } = world().await;
    let alice = enroll(&*store, "alice").await;
    let ring = [(1, 2), (2, 3)].map(|(version, byte)| WrappedKey { version, wrapped: vec![byte] });
    store.set_keyring(ring.to_vec(), NOW).await.unwrap();
    assert_eq!(store.keyring().await.unwrap(), ring);
    let (id, old) = (alice.factors[0].id.clone(), alice.factors[0].sealed.clone());
    let new = Sealed { key_version: 2, bytes: vec![9] };
    let reseal =
        || store.reseal(vec![Resealed { of: Vault::Factor(id.clone()), old: old.clone(), new: new.clone() }]);
    // A key that something is sealed with is not forgotten.
    store.retire_keys(2, record(Event::KeyRotate, "")).await.unwrap();
    assert_eq!(store.keyring().await.unwrap().len(), 2);
    assert_eq!((reseal().await.unwrap(), reseal().await.unwrap()), (1, 0));
    store.retire_keys(2, record(Event::KeyRotate, "")).await.unwrap();
    assert_eq!(store.keyring().await.unwrap(), ring[1..]);
    // The rest of the factor is as it was.
    let changed = store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert_eq!(changed.factors, [FactorRecord { sealed: new, ..alice.factors[0].clone() }]);
}

#[tokio::test]
async fn a_backup_is_the_store_at_one_moment_and_has_no_name() {
    use std::io::Read;
    let World { store, folder } = world().await;
    enroll(&*store, "alice").await;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let mut backup = store.backup().await.unwrap();
    enroll(&*store, "bob").await;
    let other = private();
    let mut bytes = Vec::new();
    backup.read_to_end(&mut bytes).unwrap();
    std::fs::write(other.path().join(super::sqlite::FILE), bytes).unwrap();
    std::fs::set_permissions(
        other.path().join(super::sqlite::FILE),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let restored = Sqlite::open(other.path(), &ManualClock::at(NOW)).unwrap();
    let names: Vec<_> = restored.portfolios().await.unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["alice"]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("backup")), "{left:?}");
}

#[tokio::test]
async fn a_preference_is_kept_and_forgotten() {
    let World { store, .. } = world().await;
    let alice = enroll(&*store, "alice").await;
    let name = UserName::parse("alice").unwrap();
    for method in [Some("totp".to_owned()), None] {
        store.prefer(alice.account, method.clone(), record(Event::Prefer, "alice")).await.unwrap();
        assert_eq!(store.portfolio(&name).await.unwrap().unwrap().preferred, method);
    }
}

#[tokio::test]
async fn names_are_data() {
    let world = world().await;
    for name in ["../../etc/x", "a'; DROP TABLE account; --", "-rf", "root\n", "%s%n", ".", "ａlice"] {
        enroll(&*world.store, name).await;
    }
    assert_eq!(world.store.portfolios().await.unwrap().len(), 7);
    assert!(world.store.portfolio(&UserName::parse("Alice").unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn the_trail_keeps_every_decision_in_order() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    world.store.settle(attempt(&alice, None, "sshd")).await.unwrap();
    world.store.settle(attempt(&alice, Some(20), "sshd")).await.unwrap();
    let entries = world.store.trail(audit::Filter::default(), 100).await.unwrap().entries;
    let told: Vec<_> =
        entries.iter().map(|e| (e.event.as_str(), e.outcome.as_str(), e.reason.as_str())).collect();
    let factor = alice.factors[0].id.0.as_str();
    assert_eq!(told, [("enroll", "granted", ""), ("login", "denied", "wrong"), ("login", "granted", factor)]);
    let filter = audit::Filter { behind: entries[1].number, ..audit::Filter::default() };
    assert_eq!(world.store.trail(filter, 100).await.unwrap().entries.len(), 1);
    let filter = audit::Filter { user: Some("bob".into()), ..audit::Filter::default() };
    assert!(world.store.trail(filter, 100).await.unwrap().entries.is_empty());
}

#[test]
fn loose_modes_are_refused_with_the_remedy() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let folder = private();
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    drop(Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap());
    mode(&folder.path().join("twinlock.db"), 0o644);
    let error = Sqlite::open(folder.path(), &ManualClock::at(NOW)).err().unwrap().to_string();
    assert!(error.contains("0644") && error.contains("chmod 0600"), "{error}");
    mode(&folder.path().join("twinlock.db"), 0o600);
    mode(folder.path(), 0o755);
    let error = Sqlite::open(folder.path(), &ManualClock::at(NOW)).err().unwrap().to_string();
    assert!(error.contains("0755") && error.contains("chmod 0700"), "{error}");
}

#[test]
fn a_lost_store_is_not_replaced_by_an_empty_one() {
    let folder = private();
    drop(Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap());
    std::fs::write(folder.path().join(crate::seal::KEY_FILE), [1; 32]).unwrap();
    drop(Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap());
    for spoil in ["remove", "empty", "without a key"] {
        if spoil == "without a key" {
            std::fs::remove_file(folder.path().join(crate::seal::KEY_FILE)).unwrap(); // systemd has it
        }
        let path = folder.path().join("twinlock.db");
        std::fs::remove_file(&path).unwrap();
        if spoil == "empty" {
            std::fs::write(&path, "").unwrap();
        }
        let error = Sqlite::open(folder.path(), &ManualClock::at(NOW)).err().unwrap().to_string();
        assert!(error.contains("bring it back from a backup"), "{error}");
        std::fs::write(&path, "").unwrap();
    }
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let folder = private();
    let _first = Sqlite::open(folder.path(), &ManualClock::at(NOW)).unwrap();
    let error = Sqlite::open(folder.path(), &ManualClock::at(NOW)).err().unwrap().to_string();
    assert!(error.contains("another twinlockd"), "{error}");
}

#[tokio::test]
async fn a_success_tells_what_was_wrong_since_the_last_login() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let (mut step, second) = (20, Duration::from_secs(1));
    let mut at = NOW;
    let mut login = |source: &'static str, right: bool, event| {
        at = at.after(second);
        step += 1;
        let began = at;
        Attempt { now: at, began, event, ..attempt(&alice, right.then_some(step), source) }
    };
    let missed = |ruling| match ruling {
        Ruling::Accepted(_, missed) => (missed.failures, missed.proven),
        other => panic!("{other:?}"),
    };
    let settle = |attempt| world.store.settle(attempt);
    assert_eq!(missed(settle(login("sshd", true, Event::Login)).await.unwrap()), (0, 0));
    settle(login("sshd", false, Event::Login)).await.unwrap();
    let stranger = Attempt {
        budgets: vec![Budget { account: Account::Unproven(alice.account), rule: RULE }],
        ..login("botnet", false, Event::Login)
    };
    let last = stranger.now;
    settle(stranger).await.unwrap();
    // One's own verification is no login: the next one still tells.
    assert_eq!(missed(settle(login("user.sock", true, Event::Verify)).await.unwrap()), (2, 1));
    match settle(login("sudo", true, Event::Login)).await.unwrap() {
        Ruling::Accepted(_, missed) => {
            assert_eq!(missed, Missed { failures: 2, proven: 1, last: Some(last) });
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(missed(settle(login("sshd", true, Event::Login)).await.unwrap()), (0, 0), "told once");
    // A slip in the same conversation is not news.
    let slip = login("sshd", false, Event::Login);
    let right = Attempt { began: slip.began, ..login("sshd", true, Event::Login) };
    settle(slip).await.unwrap();
    assert_eq!(missed(settle(right).await.unwrap()), (0, 0));
}
