//! How a factor comes into the store, and when it may.

use super::*;

pub(super) fn spare(selector: &str) -> NewSpare {
    NewSpare {
        selector: selector.into(),
        salt: [1; spare::SALT],
        hash: [2; spare::HASH],
        uses: 1,
        expires: None,
    }
}

#[tokio::test]
async fn a_factor_comes_with_its_recovery_codes_or_not_at_all() {
    let world = world().await;
    let name = UserName::parse("alice").unwrap();
    let with = |label: &str, codes: &[&str]| NewFactor {
        recovery: codes.iter().map(|code| spare(code)).collect(),
        ..factor("alice", 1000, label, Proof::FirstFactor(at(10)))
    };
    let add = |new| world.store.add_factor(new, record(Event::Enroll, "alice"));
    // Two codes of one selector cannot be stored, so nothing is.
    assert!(add(with("app", &["01", "01"])).await.is_err());
    assert_eq!(world.store.portfolio(&name).await.unwrap(), None);
    assert_eq!(add(with("app", &["01", "02"])).await.unwrap(), Added::Stored);
    assert_eq!(world.store.portfolio(&name).await.unwrap().unwrap().recovery_left, 2);
    // The second of two at once leaves the codes of the first.
    assert_eq!(add(with("late", &["03"])).await.unwrap(), Added::NotFirst);
    let alice = world.store.portfolio(&name).await.unwrap().unwrap();
    assert_eq!((alice.factors.len(), alice.recovery_left), (1, 2));
    let page = world.store.trail(Filter::default(), 100).await.unwrap();
    let events: Vec<_> = page.entries.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(events, ["enroll", "recovery"]);
}

#[tokio::test]
async fn what_was_opened_for_one_is_for_one_enrollment() {
    let world = world().await;
    let name = UserName::parse("alice").unwrap();
    let open = || {
        world.store.set_flag(
            &name,
            1000,
            Flag::EnrollUntil(Some(NOW)),
            NOW,
            record(Event::OpenEnrollment, "alice"),
        )
    };
    open().await.unwrap();
    let of_alice = || async { world.store.portfolio(&name).await.unwrap().unwrap().flags.enroll_until };
    assert_eq!(of_alice().await, Some(NOW));
    enroll(&*world.store, "alice").await;
    assert_eq!(of_alice().await, None);
    open().await.unwrap();
    world.store.reset(&name, record(Event::Reset, "alice")).await.unwrap();
    assert_eq!(of_alice().await, None);
}

#[tokio::test]
async fn a_rule_is_first_seen_once_and_opened_again_by_word() {
    let world = world().await;
    let later = NOW.after(Duration::from_secs(60));
    let roles = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    world.store.first_seen(roles(&["a", "b"]), NOW).await.unwrap();
    world.store.first_seen(roles(&["b", "c"]), later).await.unwrap();
    let seen = world.store.openings().await.unwrap();
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [NOW, NOW, later]);
    world.store.open_again("a".into(), later, record(Event::OpenEnrollment, "")).await.unwrap();
    assert_eq!(world.reopened().await.store.openings().await.unwrap()["a"], later);
}

#[tokio::test]
async fn a_password_is_enough_for_the_first_factor_only() {
    let world = world().await;
    enroll(&*world.store, "alice").await;
    let add = |label: &'static str, proof| {
        let (store, new) = (Arc::clone(&world.store), factor("alice", 1000, label, proof));
        async move { store.add_factor(new, record(Event::Enroll, "alice")).await.unwrap() }
    };
    assert_eq!(add("second", Proof::FirstFactor(at(20))).await, Added::NotFirst);
    assert_eq!(add("app", Proof::Code(at(20), None)).await, Added::LabelTaken);
    assert_eq!(add("second", Proof::Code(at(20), None)).await, Added::Stored);
    assert_eq!(add("third", Proof::Administrator { active: false }).await, Added::Stored);
    assert_eq!(add("fourth", Proof::Administrator { active: true }).await, Added::Stored);
    assert_eq!(add("fifth", Proof::Administrator { active: true }).await, Added::TooMany);
}

#[tokio::test]
async fn a_file_of_the_users_own_is_enough_for_the_first_factor_only_and_it_counts_on() {
    let world = world().await;
    let counted = Counted { last_step: Some(41), drift: -3, ..Counted::default() };
    let add = |user: &str, label: &str, proof| {
        let new = NewFactor { counted, ..factor(user, 1000, label, proof) };
        let store = Arc::clone(&world.store);
        async move { store.add_factor(new, record(Event::Migrate, "alice")).await.unwrap() }
    };
    assert_eq!(add("alice", "oath", Proof::OwnFile).await, Added::Stored);
    assert_eq!(add("alice", "oath-2", Proof::OwnFile).await, Added::NotFirst);
    assert_eq!(add("alice", "oath-2", Proof::Administrator { active: true }).await, Added::Stored);
    let alice = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    for of in &alice.factors {
        assert_eq!((of.active, of.last_step, of.drift.steps, of.last_used), (true, Some(41), -3, None));
    }
    assert_eq!(world.store.settle(attempt(&alice, Some(41), "sshd")).await.unwrap(), Ruling::Used);
    let later = world.store.settle(attempt(&alice, Some(42), "sshd")).await.unwrap();
    assert!(matches!(later, Ruling::Accepted(..)));
    // One that waits for its first code is one, too.
    assert_eq!(add("bob", "app", Proof::Administrator { active: false }).await, Added::Stored);
    assert_eq!(add("bob", "oath", Proof::OwnFile).await, Added::NotFirst);
}

#[tokio::test]
async fn who_vouched_must_still_be_there() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let vouching = Some(alice.factors[0].id.clone());
    world.store.reset(&UserName::parse("alice").unwrap(), record(Event::Reset, "alice")).await.unwrap();
    for vouching in [vouching, None] {
        let late = factor("alice", 1000, "thief", Proof::Code(at(20), vouching));
        assert_eq!(
            world.store.add_factor(late, record(Event::Enroll, "alice")).await.unwrap(),
            Added::NotFirst
        );
    }
}

#[tokio::test]
async fn factors_of_another_uid_are_nobodys_to_overwrite() {
    let world = world().await;
    let name = UserName::parse("alice").unwrap();
    let old = enroll(&*world.store, "alice").await;
    for proof in [Proof::FirstFactor(at(5)), Proof::Administrator { active: true }] {
        let new = factor("alice", 2000, "app", proof);
        assert_eq!(
            world.store.add_factor(new, record(Event::Enroll, "alice")).await.unwrap(),
            Added::OtherUid
        );
    }
    let flag =
        || world.store.set_flag(&name, 2000, Flag::Required(true), NOW, record(Event::Require, "alice"));
    assert!(!flag().await.unwrap());
    assert!(
        !world.store.add_bypass(&name, 2000, spare("B1"), NOW, record(Event::Bypass, "alice")).await.unwrap()
    );
    assert_eq!(world.store.portfolio(&name).await.unwrap().unwrap(), old);
    // An administrator's reset makes room.
    world.store.reset(&name, record(Event::Reset, "alice")).await.unwrap();
    let new = factor("alice", 2000, "app", Proof::FirstFactor(at(5)));
    assert_eq!(world.store.add_factor(new, record(Event::Enroll, "alice")).await.unwrap(), Added::Stored);
    assert!(flag().await.unwrap());
    let portfolio = world.store.portfolio(&name).await.unwrap().unwrap();
    assert_eq!((portfolio.uid, portfolio.factors.len(), portfolio.flags.required), (2000, 1, true));
}

#[tokio::test]
async fn what_is_said_of_a_user_is_changed_one_by_one() {
    let world = world().await;
    let name = UserName::parse("alice").unwrap();
    let exempt = Some((NOW, "lost phone".to_owned()));
    for flag in [Flag::Required(true), Flag::Exempt(exempt.clone()), Flag::EnrollUntil(Some(NOW))] {
        assert!(world.store.set_flag(&name, 1000, flag, NOW, record(Event::Require, "alice")).await.unwrap());
    }
    let flags = world.store.portfolio(&name).await.unwrap().unwrap().flags;
    assert_eq!(flags, Flags { required: true, exempt, enroll_until: Some(NOW) });
}
