//! Contacts, and codes that are sent to them.

use super::*;
use crate::{
    config::{Codes, Config},
    engine::{
        delivery::{Issued, Line, LineKind},
        enrollment::Voucher,
        policy::Method,
    },
};

pub(super) fn contact(id: &str, verified: bool) -> NewContact {
    NewContact {
        line: None,
        id: FactorId(id.into()),
        kind: ContactKind::Email,
        masked: "a***@e***.com".into(),
        sealed: Sealed { key_version: 1, bytes: id.into() },
        verified,
        voucher: Voucher::Administrator,
        courier: Sealed { key_version: 1, bytes: vec![9] },
    }
}

pub(super) async fn set(world: &World, user: &str, uid: u32, contact: NewContact) -> Added {
    let name = UserName::parse(user).unwrap();
    world.store.set_contact(&name, uid, contact, NOW, record(Event::Contact, user)).await.unwrap()
}

/// Somebody with a contact that counts.
async fn reachable(world: &World, user: &str) -> Portfolio {
    assert_eq!(set(world, user, 1000, contact(user, true)).await, Added::Stored);
    world.store.portfolio(&UserName::parse(user).unwrap()).await.unwrap().unwrap()
}

pub(super) fn wish(portfolio: &Portfolio) -> Wish {
    Wish {
        region: None,
        call: false,
        confirm: false,
        account: portfolio.account,
        destination: [7; 32],
        source: Source::local("sshd", "", 0),
        replaces: None,
        before: 0,
        lifetime: Duration::from_secs(300),
        limits: Config::default().sending_limits(),
        now: NOW,
    }
}

pub(super) fn spend(portfolio: &Portfolio, counter: i64, seconds: u64) -> Attempt {
    Attempt {
        account: Some(portfolio.account),
        candidates: vec![Candidate::Delivered { counter, method: Method::Email }],
        budgets: Vec::new(),
        source: Source::local("sshd", "", 0),
        began: NOW,
        now: NOW.after(Duration::from_secs(seconds)),
        event: Event::Login,
        subject: Subject::default(),
    }
}

#[tokio::test]
async fn a_delivered_code_works_once_in_its_time() {
    let world = world().await;
    let alice = reachable(&world, "alice").await;
    let accepted = Ruling::Accepted(Accepted::Delivered, Missed::default());
    let issue = || world.store.issue_code(wish(&alice));
    assert_eq!((issue().await.unwrap(), issue().await.unwrap()), (Issued::Code(1), Issued::Code(2)));
    assert_eq!(world.store.settle(spend(&alice, 2, 1)).await.unwrap(), accepted);
    assert_eq!(world.store.settle(spend(&alice, 2, 1)).await.unwrap(), Ruling::Used);
    assert_eq!(world.store.settle(spend(&alice, 1, 299)).await.unwrap(), accepted, "the other's lives on");
    assert_eq!(issue().await.unwrap(), Issued::Code(3), "no counter comes again");
    assert_eq!(world.store.settle(spend(&alice, 3, 300)).await.unwrap(), Ruling::Used, "its time is over");
    // Replaced, ended, of another daemon's time.
    let Issued::Code(first) = issue().await.unwrap() else { panic!() };
    let again =
        Wish { replaces: Some(first), before: 1, now: NOW.after(Duration::from_secs(60)), ..wish(&alice) };
    let Issued::Code(second) = world.store.issue_code(again).await.unwrap() else { panic!() };
    assert_eq!(world.store.settle(spend(&alice, first, 61)).await.unwrap(), Ruling::Used);
    world.store.end_code(alice.account, second).await.unwrap();
    assert_eq!(world.store.settle(spend(&alice, second, 61)).await.unwrap(), Ruling::Used);
    let later = Wish { now: NOW.after(Duration::from_secs(4000)), ..wish(&alice) };
    let Issued::Code(third) = world.store.issue_code(later).await.unwrap() else { panic!() };
    world.store.end_codes().await.unwrap();
    assert_eq!(world.store.settle(spend(&alice, third, 4001)).await.unwrap(), Ruling::Used);
}

#[tokio::test]
async fn no_more_codes_are_issued_than_the_limits_allow_however_many_ask_at_once() {
    let world = world().await;
    let alice = reachable(&world, "alice").await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (store, wish) = (Arc::clone(&world.store), wish(&alice));
            tokio::spawn(async move { store.issue_code(wish).await.unwrap() })
        })
        .collect();
    let mut issued = 0;
    for task in asking {
        issued += u32::from(matches!(task.await.unwrap(), Issued::Code(_)));
    }
    assert_eq!(issued, 3, "three can be used at the same time");
    world.store.end_codes().await.unwrap();
    let world = world.reopened().await;
    for expected in [Issued::Code(4), Issued::Code(5), Issued::Refused("user-limit")] {
        assert_eq!(world.store.issue_code(wish(&alice)).await.unwrap(), expected);
    }
    let other = reachable(&world, "bob").await;
    assert_eq!(world.store.count_sending(wish(&other)).await.unwrap(), Issued::Refused("destination-limit"));
    let elsewhere = Wish { destination: [8; 32], ..wish(&other) };
    assert_eq!(world.store.count_sending(elsewhere).await.unwrap(), Issued::Code(0));
}

#[tokio::test]
async fn a_contact_that_counts_is_a_factor_to_the_store() {
    let world = world().await;
    let alice = reachable(&world, "alice").await;
    assert!(alice.enrolled() && alice.courier.is_some());
    // With the first factor alone nobody adds to it; with a code of it they do.
    let add = |label: &str, proof| {
        world.store.add_factor(factor("alice", 1000, label, proof), record(Event::Enroll, "alice"))
    };
    assert_eq!(add("thief", Proof::FirstFactor(at(5))).await.unwrap(), Added::NotFirst);
    assert_eq!(add("app", Proof::Code(at(5), None)).await.unwrap(), Added::Stored);
    // One of each kind; the secret behind its codes stays.
    let courier = Sealed { key_version: 1, bytes: vec![1] };
    let next = NewContact { courier, ..contact("new", false) };
    assert_eq!(set(&world, "alice", 1000, next).await, Added::Stored);
    let now = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert_eq!((now.contacts.len(), now.contacts[0].verified, now.courier), (1, false, alice.courier));
    assert_eq!(set(&world, "alice", 2000, contact("foreign", true)).await, Added::OtherUid);
    let removed =
        || world.store.remove_contact(alice.account, ContactKind::Email, record(Event::Contact, "alice"));
    assert_eq!((removed().await.unwrap(), removed().await.unwrap()), (true, false));
    let bob = reachable(&world, "bob").await;
    world.store.reset(&UserName::parse("bob").unwrap(), record(Event::Reset, "bob")).await.unwrap();
    let now = world.store.portfolio(&UserName::parse("bob").unwrap()).await.unwrap().unwrap();
    assert!(now.contacts.is_empty() && now.courier.is_none() && now.account == bob.account);
}

#[tokio::test]
async fn what_vouched_for_a_contact_must_still_be_enough() {
    let world = world().await;
    let by = |id: &str, voucher| NewContact { voucher, ..contact(id, true) };
    // The password alone, and meanwhile the owner enrolled an app, or a contact.
    let alice = enroll(&*world.store, "alice").await;
    assert_eq!(set(&world, "alice", 1000, by("thief", Voucher::FirstFactor)).await, Added::NotFirst);
    reachable(&world, "carol").await;
    assert_eq!(set(&world, "carol", 1000, by("thief", Voucher::FirstFactor)).await, Added::NotFirst);
    assert_eq!(set(&world, "bob", 1000, by("b", Voucher::FirstFactor)).await, Added::Stored);
    // A code, and meanwhile an administrator reset everything.
    let app = Some(alice.factors[0].id.clone());
    assert_eq!(set(&world, "alice", 1000, by("a", Voucher::Code(app.clone()))).await, Added::Stored);
    world.store.reset(&UserName::parse("alice").unwrap(), record(Event::Reset, "alice")).await.unwrap();
    for voucher in [Voucher::Code(app), Voucher::Code(None)] {
        assert_eq!(set(&world, "alice", 1000, by("thief", voucher)).await, Added::NotFirst);
    }
}

#[tokio::test]
async fn a_telephone_keeps_its_country_and_a_country_has_a_limit() {
    let world = world().await;
    let line = Line { region: "DE".to_owned(), kind: LineKind::Mobile };
    let phone = NewContact { kind: ContactKind::Phone, line: Some(line.clone()), ..contact("phone", true) };
    let alice = reachable(&world, "alice").await;
    assert_eq!(set(&world, "alice", 1000, phone).await, Added::Stored);
    let name = UserName::parse("alice").unwrap();
    let contacts = world.store.portfolio(&name).await.unwrap().unwrap().contacts;
    let kept: Vec<_> = contacts.iter().map(|contact| (contact.kind, contact.line.clone())).collect();
    assert_eq!(kept, [(ContactKind::Email, None), (ContactKind::Phone, Some(line))]);
    let codes = Codes { region_per_hour: 2, ..Codes::default() };
    let limits = Config { codes, ..Config::default() }.sending_limits();
    let to = |region: &str, n: u8| Wish {
        region: Some(region.to_owned()),
        account: AccountId(-i64::from(n)),
        destination: [n; 32],
        limits,
        ..wish(&alice)
    };
    for n in 1..=2 {
        assert!(matches!(world.store.count_sending(to("DE", n)).await.unwrap(), Issued::Code(_)));
    }
    assert_eq!(world.store.count_sending(to("DE", 3)).await.unwrap(), Issued::Refused("region-limit"));
    assert!(matches!(world.store.count_sending(to("FR", 4)).await.unwrap(), Issued::Code(_)));
}
