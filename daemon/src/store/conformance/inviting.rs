//! Links, and binding codes.

use super::*;
use crate::{
    engine::invitation::{Binding, BindingTry, Grant, NewInvitation, WRONG},
    factor::link::LinkToken,
};

const HOUR: Duration = Duration::from_secs(3600);

fn invitation(id: &str, grant: Grant) -> NewInvitation {
    NewInvitation {
        id: FactorId(id.into()),
        token: LinkToken::digest(id),
        code: Sealed { key_version: 1, bytes: vec![4] },
        grant,
        masked: "a***@e***.com".into(),
        expires: NOW.after(HOUR),
        code_expires: NOW.after(HOUR),
    }
}

async fn invite(world: &World, user: &str, new: NewInvitation) -> bool {
    let name = UserName::parse(user).unwrap();
    world.store.invite(&name, 1000, new, NOW, record(Event::Invite, user)).await.unwrap()
}

async fn found(world: &World, id: &str) -> Option<Portfolio> {
    world.store.invited(LinkToken::digest(id)).await.unwrap()
}

async fn typed(world: &World, id: &str, right: bool, now: Timestamp) -> Binding {
    let account = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap().account;
    let tried = BindingTry { account, id: FactorId(id.into()), right, now };
    world.store.try_binding(tried, record(Event::Binding, "alice")).await.unwrap()
}

async fn add(world: &World, label: &str, invitation: &str, now: Timestamp) -> Added {
    let proof = Proof::Invitation(at(10), FactorId(invitation.into()));
    let new = NewFactor { now, ..factor("alice", 1000, label, proof) };
    world.store.add_factor(new, record(Event::Enroll, "alice")).await.unwrap()
}

#[tokio::test]
async fn a_newer_link_ends_the_one_before() {
    let world = world().await;
    assert!(invite(&world, "alice", invitation("one", Grant::Administrator)).await);
    assert!(found(&world, "one").await.unwrap().invitation.unwrap().is_open(NOW));
    assert!(invite(&world, "alice", invitation("two", Grant::Administrator)).await);
    assert_eq!(found(&world, "one").await, None);
    assert_eq!(typed(&world, "one", true, NOW).await, Binding::Dead);
    assert_eq!(add(&world, "app", "one", NOW).await, Added::NotFirst);
    assert!(invite(&world, "bob", invitation("bob's", Grant::Administrator)).await);
    assert!(found(&world, "two").await.is_some(), "another's does not");
}

#[tokio::test]
async fn the_fifth_wrong_binding_code_ends_a_link_and_the_right_one_then_does_not_help() {
    let world = world().await;
    invite(&world, "alice", invitation("one", Grant::Administrator)).await;
    for left in (1..WRONG).rev() {
        assert_eq!(typed(&world, "one", false, NOW).await, Binding::Wrong(left));
        assert_eq!(typed(&world, "one", true, NOW).await, Binding::Right, "the right one gives none back");
    }
    assert_eq!(typed(&world, "one", false, NOW).await, Binding::Dead);
    assert_eq!(typed(&world, "one", true, NOW).await, Binding::Dead);
    assert_eq!(found(&world, "one").await, None);
    assert_eq!(add(&world, "app", "one", NOW).await, Added::NotFirst);
    let reasons: Vec<_> = world.store.trail(Filter::default(), 100).await.unwrap().entries;
    let of_binding = reasons.iter().filter(|entry| entry.event == "binding");
    assert_eq!(of_binding.filter(|entry| entry.outcome == "denied").count(), 6);
}

#[tokio::test]
async fn parallel_wrong_binding_codes_are_all_counted() {
    let world = world().await;
    invite(&world, "alice", invitation("one", Grant::Administrator)).await;
    let account = found(&world, "one").await.unwrap().account;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = Arc::clone(&world.store);
        let tried = BindingTry { account, id: FactorId("one".into()), right: false, now: NOW };
        tries.spawn(async move { store.try_binding(tried, record(Event::Binding, "alice")).await.unwrap() });
    }
    let said = tries.join_all().await;
    assert_eq!(said.iter().filter(|binding| matches!(binding, Binding::Wrong(_))).count(), 4);
    assert_eq!(typed(&world, "one", true, NOW).await, Binding::Dead);
}

#[tokio::test]
async fn a_link_and_its_code_end_with_their_time() {
    let world = world().await;
    let code_expires = NOW.after(Duration::from_secs(600));
    invite(&world, "alice", NewInvitation { code_expires, ..invitation("one", Grant::Login) }).await;
    let open = found(&world, "one").await.unwrap().invitation.unwrap();
    assert!(open.is_open(NOW) && !open.is_open(code_expires));
    assert_eq!(typed(&world, "one", true, code_expires).await, Binding::Dead);
    let before = NOW.after(Duration::from_secs(599));
    assert_eq!(typed(&world, "one", true, before).await, Binding::Right);
    // Who has proven the code in time may take the rest of the link's to scan.
    assert_eq!(add(&world, "late", "one", NOW.after(HOUR)).await, Added::NotFirst);
    assert_eq!(add(&world, "app", "one", NOW.after(HOUR / 2)).await, Added::Stored);
}

#[tokio::test]
async fn a_link_brings_one_factor_and_is_over() {
    let world = world().await;
    invite(&world, "alice", invitation("one", Grant::Administrator)).await;
    let both: [Added; 2] = tokio::join!(add(&world, "a", "one", NOW), add(&world, "b", "one", NOW)).into();
    assert!(both.contains(&Added::Stored) && both.contains(&Added::NotFirst), "{both:?}");
    assert_eq!(found(&world, "one").await, None);
}

#[tokio::test]
async fn a_link_of_a_login_is_for_somebody_who_has_nothing() {
    let world = world().await;
    enroll(&*world.store, "alice").await;
    invite(&world, "alice", invitation("login", Grant::Login)).await;
    assert_eq!(add(&world, "thief", "login", NOW).await, Added::NotFirst);
    invite(&world, "alice", invitation("given", Grant::Administrator)).await;
    assert_eq!(add(&world, "second", "given", NOW).await, Added::Stored);
}

#[tokio::test]
async fn a_reset_another_factor_and_a_change_of_uid_end_a_link() {
    let world = world().await;
    let name = UserName::parse("alice").unwrap();
    invite(&world, "alice", invitation("one", Grant::Administrator)).await;
    world.store.reset(&name, record(Event::Reset, "alice")).await.unwrap();
    assert_eq!(found(&world, "one").await, None);
    invite(&world, "alice", invitation("two", Grant::Administrator)).await;
    let alice = enroll(&*world.store, "alice").await;
    assert_eq!(found(&world, "two").await, None, "she came by her app another way");
    invite(&world, "alice", invitation("three", Grant::Administrator)).await;
    let factor = &alice.factors[0];
    let new = Sealed { key_version: 1, bytes: vec![8] };
    let secrets = vec![Resealed { of: Vault::Factor(factor.id.clone()), old: factor.sealed.clone(), new }];
    world.store.adopt(alice.account, 2000, secrets, record(Event::Adopt, "alice")).await.unwrap();
    let alice = world.store.portfolio(&name).await.unwrap().unwrap();
    assert_eq!((alice.uid, alice.factors[0].sealed.bytes.as_slice()), (2000, [8].as_slice()));
    assert_eq!(alice.invitation, None);
}

#[tokio::test]
async fn an_account_is_adopted_whole_or_not_at_all() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let factor = &alice.factors[0];
    let other = Sealed { key_version: 1, bytes: vec![8] };
    let stale = vec![Resealed { of: Vault::Factor(factor.id.clone()), old: other.clone(), new: other }];
    let adopted = world.store.adopt(alice.account, 2000, stale, record(Event::Adopt, "alice")).await;
    assert!(adopted.is_err());
    assert_eq!(world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap(), alice);
}

#[tokio::test]
async fn nothing_is_left_of_who_was_forgotten_but_the_trail() {
    let world = world().await;
    let name = UserName::parse("alice-who-leaves").unwrap();
    let alice = enroll(&*world.store, name.as_str()).await;
    let mut contact = delivering::contact("a-contact-of-hers", true);
    contact.masked = "masked-for-grep".into();
    world.store.set_contact(&name, 1000, contact, NOW, record(Event::Contact, "x")).await.unwrap();
    world.store.settle(attempt(&alice, None, "somewhere-else")).await.unwrap();
    assert!(world.store.purge(&name, record(Event::Purge, "x")).await.unwrap());
    assert_eq!(world.store.portfolio(&name).await.unwrap(), None);
    assert!(!world.store.purge(&name, record(Event::Purge, "x")).await.unwrap());
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for trace in ["masked-for-grep", "a-contact-of-hers", "somewhere-else"] {
            assert!(!bytes.windows(trace.len()).any(|part| part == trace.as_bytes()), "{trace}");
        }
    }
}
