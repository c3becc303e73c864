//! Hard tokens.

use super::*;
use crate::store::{TokenRecord, TokensAdded};

fn token(serial: &str) -> TokenRecord {
    TokenRecord {
        serial: serial.to_owned(),
        kind: Kind::Hotp,
        parameters: Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 },
        last_step: Some(9),
        resync_required: false,
        drift: 0,
        sealed: Some(Sealed { key_version: 1, bytes: serial.into() }),
        digest: std::array::from_fn(|n| serial.as_bytes().get(n).copied().unwrap_or(0)),
        manufacturer: "Maker".to_owned(),
        created: NOW,
        user: None,
    }
}

pub(super) async fn import(world: &World, serials: &[&str]) -> TokensAdded {
    let tokens = serials.iter().map(|serial| token(serial)).collect();
    world.store.add_tokens(tokens, record(Event::TokenImport, "")).await.unwrap()
}

pub(super) async fn assign(world: &World, serial: &str, user: &str, uid: u32) -> Added {
    let new = factor(user, uid, serial, Proof::Administrator { active: true });
    let new = NewFactor { kind: Kind::Hotp, token: Some(serial.to_owned()), ..new };
    world.store.add_factor(new, record(Event::TokenAssign, user)).await.unwrap()
}

fn at(step: i64) -> Match {
    Match { step, drift: Drift::default() }
}

#[tokio::test]
async fn tokens_come_in_all_or_none() {
    let world = world().await;
    assert_eq!(import(&world, &["A1", "B2"]).await, TokensAdded::Stored);
    assert_eq!(import(&world, &["C3", "B2", "D4"]).await, TokensAdded::Taken("B2".to_owned()));
    let copy = TokenRecord { digest: token("A1").digest, ..token("C3") };
    let taken = world.store.add_tokens(vec![token("D4"), copy], record(Event::TokenImport, "")).await;
    assert_eq!(taken.unwrap(), TokensAdded::Taken("C3".to_owned()), "another number, the same key");
    let twice = vec![token("E5"), TokenRecord { digest: token("E5").digest, ..token("F6") }];
    let taken = world.store.add_tokens(twice, record(Event::TokenImport, "")).await;
    assert_eq!(taken.unwrap(), TokensAdded::Taken("F6".to_owned()));
    let known: Vec<_> = world.store.tokens().await.unwrap();
    assert_eq!(known, [token("A1"), token("B2")]);
    assert_eq!(world.store.token("B2".to_owned()).await.unwrap(), Some(token("B2")));
    assert_eq!(world.store.token("C3".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_is_one_persons_and_what_it_counted_comes_back() {
    let world = world().await;
    import(&world, &["A1"]).await;
    assert_eq!(assign(&world, "A1", "alice", 1000).await, Added::Stored);
    assert_eq!(assign(&world, "A1", "bob", 1001).await, Added::NoToken);
    assert_eq!(assign(&world, "unknown", "bob", 1001).await, Added::NoToken);
    let name = UserName::parse("alice").unwrap();
    let alice = world.store.portfolio(&name).await.unwrap().unwrap();
    let of = &alice.factors[0];
    assert_eq!((of.kind, of.serial.as_deref(), of.next_counter()), (Kind::Hotp, Some("A1"), 10));
    let found = world.store.token("A1".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.user.as_deref(), Some("alice"));
    let resync = |step| {
        world.store.resync(alice.account, of.id.clone(), at(step), record(Event::TokenResync, "alice"))
    };
    assert!(resync(41).await.unwrap() && !resync(41).await.unwrap() && !resync(42).await.unwrap());
    assert!(resync(43).await.unwrap(), "both codes are new");
    // It is taken from her, and counts on from there with another.
    assert_eq!(world.store.reset(&name, record(Event::Reset, "alice")).await.unwrap(), 1);
    let back = world.store.token("A1".to_owned()).await.unwrap().unwrap();
    assert_eq!((back.user, back.last_step), (None, Some(43)));
    assert_eq!(assign(&world, "A1", "bob", 1001).await, Added::Stored);
    let bob = world.store.portfolio(&UserName::parse("bob").unwrap()).await.unwrap().unwrap();
    assert_eq!(bob.factors[0].next_counter(), 44, "it counts on");
}

#[tokio::test]
async fn a_revoked_token_is_of_no_use_and_its_factor_is_gone() {
    let world = world().await;
    import(&world, &["A1", "B2"]).await;
    assign(&world, "A1", "alice", 1000).await;
    let revoke =
        |serial: &str| world.store.revoke_token(serial.to_owned(), record(Event::TokenRevoke, "alice"));
    assert!(revoke("A1").await.unwrap() && !revoke("A1").await.unwrap() && revoke("B2").await.unwrap());
    let alice = world.store.portfolio(&UserName::parse("alice").unwrap()).await.unwrap().unwrap();
    assert!(alice.factors.is_empty());
    assert!(world.store.tokens().await.unwrap().iter().all(|token| token.sealed.is_none()));
    assert_eq!(assign(&world, "A1", "bob", 1001).await, Added::NoToken);
    assert_eq!(import(&world, &["A1"]).await, TokensAdded::Taken("A1".to_owned()));
}
