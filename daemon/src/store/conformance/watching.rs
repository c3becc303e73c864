//! What is counted, and how long it is kept.

use super::*;

async fn tallies(store: &dyn Store) -> Vec<(String, String, String, u64)> {
    let tallies = store.tallies().await.unwrap().into_iter();
    tallies.map(|Tally { event, method, outcome, n, .. }| (event, method, outcome, n)).collect()
}

/// The trail itself, counted.
async fn counted(store: &dyn Store) -> Vec<(String, String, String, u64)> {
    let mut counts = BTreeMap::new();
    for audit::Entry { event, method, outcome, .. } in
        store.trail(audit::Filter::default(), 1000).await.unwrap().entries
    {
        *counts.entry((event, method, outcome)).or_insert(0) += 1;
    }
    counts.into_iter().map(|((event, method, outcome), n)| (event, method, outcome, n)).collect()
}

fn said_at(time: Timestamp, event: Event) -> Record {
    Record { time, ..record(event, "alice") }
}

#[tokio::test]
async fn what_the_trail_says_is_counted_by_whatever_way_it_came_there() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    for step in [None, Some(20), Some(20), Some(21)] {
        world.store.settle(attempt(&alice, step, "sshd")).await.unwrap();
    }
    world.store.append(said_at(NOW.after(MEMORY), Event::Backup)).await.unwrap();
    world.store.append(said_at(NOW, Event::Backup)).await.unwrap();
    let expected = [
        ("backup", "totp", "granted", 2),
        ("enroll", "totp", "granted", 1),
        ("login", "", "denied", 2),
        ("login", "totp", "granted", 2),
    ];
    let expected = expected.map(|(e, m, o, n)| (e.to_owned(), m.to_owned(), o.to_owned(), n));
    assert_eq!(tallies(&*world.store).await, expected);
    assert_eq!(counted(&*world.store).await, expected);
    let world = world.reopened().await;
    assert_eq!(tallies(&*world.store).await, expected);
    let backup = world.store.tallies().await.unwrap().remove(0);
    assert_eq!(backup.last, NOW.after(MEMORY), "the latest, not the last to come");
}

#[tokio::test]
async fn what_is_not_committed_is_not_counted() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let before = tallies(&*world.store).await;
    let again = factor("alice", 1000, "app", Proof::Administrator { active: true });
    let again = NewFactor { id: FactorId("other".into()), ..again };
    let added = world.store.add_factor(again, record(Event::Provision, "alice")).await.unwrap();
    assert_eq!((added, alice.factors.len()), (Added::LabelTaken, 1));
    assert_eq!(tallies(&*world.store).await, before);
}

#[tokio::test]
async fn old_entries_go_in_parts_and_the_rest_stays_as_it_is() {
    let world = world().await;
    let day = |n: u64| NOW.after(Duration::from_secs(86_400 * n));
    // One by a clock that was a year ahead stands in between, and a fresh one by a clock that was behind.
    for time in [day(0), day(1), day(365), day(2), day(3), day(0), day(4)] {
        world.store.append(said_at(time, Event::Login)).await.unwrap();
    }
    let before = tallies(&*world.store).await;
    let mut removed = Vec::new();
    loop {
        removed.push(world.store.trim(day(3), day(5), 2).await.unwrap());
        if removed.last() == Some(&0) {
            break;
        }
    }
    assert_eq!(removed, [2, 1, 0]);
    let left =
        |entries: Vec<audit::Entry>| entries.into_iter().map(|e| (e.number, e.time)).collect::<Vec<_>>();
    let read = |behind| world.store.trail(audit::Filter { behind, ..audit::Filter::default() }, 100);
    assert_eq!(left(read(0).await.unwrap().entries), [(3, day(365)), (5, day(3)), (6, day(0)), (7, day(4))]);
    assert_eq!(tallies(&*world.store).await, before, "what was counted stays counted");
    // All of them: numbers go on, and a follower misses nothing.
    let seen = read(0).await.unwrap().seen;
    assert_eq!(world.store.trim(day(400), day(401), 100).await.unwrap(), 4);
    let world = world.reopened().await;
    world.store.append(said_at(day(401), Event::Login)).await.unwrap();
    let filter = audit::Filter { behind: seen, ..audit::Filter::default() };
    assert_eq!(left(world.store.trail(filter, 100).await.unwrap().entries), [(8, day(401))]);
}

#[tokio::test]
async fn the_trail_can_be_read_between_two_times() {
    let world = world().await;
    let at = |n: u64| NOW.after(Duration::from_secs(n));
    for n in 0..4 {
        world.store.append(said_at(at(n), Event::Login)).await.unwrap();
    }
    let filter = audit::Filter { since: Some(at(1)), until: Some(at(3)), ..audit::Filter::default() };
    let entries = world.store.trail(filter, 100).await.unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.time).collect::<Vec<_>>(), [at(1), at(2)]);
}

#[tokio::test]
async fn a_census_counts_who_is_enrolled_and_who_has_to_wait() {
    let world = world().await;
    let alice = enroll(&*world.store, "alice").await;
    let waiting = factor("bob", 1001, "app", Proof::Administrator { active: false });
    world.store.add_factor(waiting, record(Event::Provision, "bob")).await.unwrap();
    enroll(&*world.store, "carol").await;
    let census = |now| world.store.census(RULE, now);
    let first = census(NOW).await.unwrap();
    assert_eq!((first.accounts, first.enrolled, first.throttled), (3, 2, 0));
    assert_eq!(first.data_key, Some((1, NOW)));
    assert!(first.bytes >= 4096 && first.bytes.is_multiple_of(4096), "{}", first.bytes);
    for _ in 0..5 {
        world.store.settle(attempt(&alice, None, "sshd")).await.unwrap();
    }
    assert_eq!(census(NOW).await.unwrap().throttled, 1);
    assert_eq!(census(NOW.after(Duration::from_secs(31))).await.unwrap().throttled, 0);
}
