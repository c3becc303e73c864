//! A store that is put back, by hand or by `twinlock db restore`: nothing counts that may have been used since.

use std::{fs, io::Read, path::Path};

use rusqlite::Connection;

use super::{tokens as hard, *};
use crate::{
    clock::Clock,
    engine::{clock_guard::Mark, delivery::Issued},
    store::sqlite::{Draft, FILE, RestoreError, Restored, Voided},
};

/// The step of [`NOW`].
const STEP: i64 = NOW.secs() / 30;

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder, &ManualClock::at(NOW)).unwrap()
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join(FILE)
}

fn sql(folder: &Path, statement: &str) -> String {
    let connection = Connection::open(file(folder)).unwrap();
    connection.query_row(statement, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

fn run(folder: &Path, statements: &str) {
    Connection::open(file(folder)).unwrap().execute_batch(statements).unwrap();
}

fn generation(folder: &Path) -> String {
    fs::read_to_string(folder.join("generation")).unwrap().trim().to_owned()
}

async fn named(store: &Sqlite, user: &str) -> Portfolio {
    store.portfolio(&UserName::parse(user).unwrap()).await.unwrap().unwrap()
}

async fn restores(store: &Sqlite) -> Vec<String> {
    let filter = Filter { event: Some("restore".into()), ..Filter::default() };
    store.trail(filter, 100).await.unwrap().entries.into_iter().map(|entry| entry.reason).collect()
}

fn step(portfolio: &Portfolio, step: i64) -> Attempt {
    attempt(portfolio, Some(step), "sshd")
}

/// alice with an app that is three steps ahead and a contact, bob with a token by counter, another in the cupboard; recovery
/// and bypass codes, an opened enrollment, a code on its way.
async fn furnished() -> World {
    let World { store, folder } = world().await;
    let world = World { store, folder };
    let alice = enroll(&*world.store, "alice").await;
    hard::import(&world, &["A1", "B2"]).await;
    assert_eq!(hard::assign(&world, "A1", "bob", 1001).await, Added::Stored);
    let spares = ["01", "02"].map(enrolling::spare).to_vec();
    world.store.replace_recovery(alice.account, spares, NOW, record(Event::Recovery, "alice")).await.unwrap();
    let name = UserName::parse("alice").unwrap();
    let bypass = enrolling::spare("B0");
    assert!(world.store.add_bypass(&name, 1000, bypass, NOW, record(Event::Bypass, "alice")).await.unwrap());
    let flag = Flag::EnrollUntil(Some(NOW.after(Duration::from_secs(60))));
    assert!(
        world.store.set_flag(&name, 1000, flag, NOW, record(Event::OpenEnrollment, "alice")).await.unwrap()
    );
    let contact = delivering::contact("mail", true);
    assert_eq!(delivering::set(&world, "alice", 1000, contact).await, Added::Stored);
    let alice = world.store.portfolio(&name).await.unwrap().unwrap();
    let sent = world.store.issue_code(delivering::wish(&alice)).await.unwrap();
    assert_eq!(sent, Issued::Code(1));
    let World { store, folder } = world;
    drop(store);
    run(folder.path(), "UPDATE factor SET drift = 3, last_step = 10 WHERE kind = 'totp'");
    World { store: Arc::new(open(folder.path())), folder }
}

/// What [`furnished`] has must not count any more.
async fn nothing_old_counts(store: &Sqlite) {
    let (alice, bob) = (named(store, "alice").await, named(store, "bob").await);
    assert_eq!((alice.recovery_left, alice.bypass, alice.flags.enroll_until), (0, false, None));
    assert_eq!(alice.factors[0].last_step, Some(STEP + 4), "the window is around the drift");
    assert_eq!(store.settle(step(&alice, STEP + 4)).await.unwrap(), Ruling::Used);
    let passed = |ruling| matches!(ruling, Ruling::Accepted(..));
    assert!(passed(store.settle(step(&alice, STEP + 5)).await.unwrap()), "the next one counts");
    // The counter: nothing, whatever is typed, until two in a row were seen.
    assert!(bob.factors[0].resync_required);
    assert_eq!(store.settle(step(&bob, 50)).await.unwrap(), Ruling::Used);
    let resync = store.resync(
        bob.account,
        bob.factors[0].id.clone(),
        super::at(60),
        record(Event::TokenResync, "bob"),
    );
    assert!(resync.await.unwrap());
    assert!(!named(store, "bob").await.factors[0].resync_required);
    assert!(passed(store.settle(step(&bob, 61)).await.unwrap()));
    assert!(store.token("B2".to_owned()).await.unwrap().unwrap().resync_required);
    assert!(!store.token("A1".to_owned()).await.unwrap().unwrap().resync_required);
    // Codes on their way, and those that would be sent again under an old number.
    assert_eq!(store.settle(delivering::spend(&alice, 1, 1)).await.unwrap(), Ruling::Used);
    let Issued::Code(counter) = store.issue_code(delivering::wish(&alice)).await.unwrap() else { panic!() };
    assert!(counter > NOW.0, "{counter}");
}

#[tokio::test]
async fn a_store_that_is_put_back_by_hand_is_found_and_believes_nothing_old() {
    let World { store, folder } = furnished().await;
    drop(store);
    let old = fs::read(file(folder.path())).unwrap();
    drop(open(folder.path()));
    fs::write(file(folder.path()), &old).unwrap();
    let store = open(folder.path());
    let told = restores(&store).await;
    assert!(told.len() == 1 && told[0].starts_with("found at the start: it is of generation "), "{told:?}");
    assert!(told[0].contains("2 recovery, 1 bypass, 1 openings"), "{told:?}");
    nothing_old_counts(&store).await;
    // From now on it is the store of this host.
    drop(store);
    let store = open(folder.path());
    assert_eq!(restores(&store).await.len(), 1);
    // A token that was in the cupboard then needs it with whoever gets it.
    let world = World { store: Arc::new(store), folder };
    assert_eq!(hard::assign(&world, "B2", "carol", 1002).await, Added::Stored);
    let carol = world.store.portfolio(&UserName::parse("carol").unwrap()).await.unwrap().unwrap();
    assert!(carol.factors[0].resync_required);
    world.store.reset(&UserName::parse("carol").unwrap(), record(Event::Reset, "carol")).await.unwrap();
    assert!(world.store.token("B2".to_owned()).await.unwrap().unwrap().resync_required, "it goes with it");
}

/// The store as a daemon leaves it that is killed: what was done last is in the log alone.
fn killed(folder: &Path, statements: &str) {
    let (path, log) = (file(folder), folder.join("twinlock.db-wal"));
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    connection.execute_batch(statements).unwrap();
    let left = [path.clone(), log.clone()].map(|path| fs::read(path).unwrap());
    drop(connection); // it would move the log
    fs::write(path, &left[0]).unwrap();
    fs::write(log, &left[1]).unwrap();
}

#[tokio::test]
async fn a_copy_under_the_log_of_a_crash_is_found_and_no_crash_is_taken_for_one() {
    let World { store, folder } = furnished().await;
    drop(store);
    let path = folder.path();
    let copy = fs::read(file(path)).unwrap();
    drop(open(path));
    let number: i64 = generation(path).parse().unwrap();
    // Wherever between two counts it is cut off: the store has counted, its file or that beside it has not.
    for (in_log, beside) in [(number, number), (number + 1, number)] {
        fs::write(path.join("generation"), format!("{beside}\n")).unwrap();
        killed(
            path,
            &format!("UPDATE generation SET number = {in_log}; DELETE FROM spare WHERE kind = 'bypass'"),
        );
        drop(open(path));
        assert_eq!(restores(&open(path)).await.len(), 0, "{in_log} {beside}");
        let now: i64 = generation(path).parse().unwrap();
        fs::write(path.join("generation"), format!("{number}\n")).unwrap();
        run(path, &format!("UPDATE generation SET number = {number}"));
        assert!(now > in_log, "{now}");
    }
    // The log has today's number, the copy under it an older one.
    killed(path, &format!("UPDATE generation SET number = 0; UPDATE generation SET number = {number}"));
    fs::write(file(path), copy).unwrap();
    let store = open(path);
    let told = restores(&store).await;
    assert!(told.len() == 1 && told[0].starts_with("found at the start: without its log"), "{told:?}");
    assert_eq!(named(&store, "alice").await.recovery_left, 0);
    drop(store);
    assert_eq!(restores(&open(path)).await.len(), 1, "told once");
}

#[tokio::test]
async fn a_copy_from_any_time_before_is_known_and_the_store_itself_is_not_suspected() {
    let World { store, folder } = furnished().await;
    let mut backup = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut backup).unwrap();
    drop(store);
    let live = fs::read(file(folder.path())).unwrap();
    for (spoil, found) in [("", false), ("rm", true), ("text", true), ("one behind", false), ("", false)] {
        let path = folder.path().join("generation");
        match spoil {
            "rm" => fs::remove_file(&path).unwrap(),
            "text" => fs::write(&path, "yesterday\n").unwrap(),
            "one behind" => {
                let number: i64 = generation(folder.path()).parse().unwrap();
                fs::write(&path, format!("{}\n", number - 1)).unwrap(); // cut off behind the store, before the file
            }
            _ => {}
        }
        let store = open(folder.path());
        let before = usize::from(found);
        assert_eq!(restores(&store).await.len(), before, "{spoil}");
        drop(store);
        run(folder.path(), "DELETE FROM audit");
    }
    // With no start in between: the backup has counted.
    fs::write(file(folder.path()), &live).unwrap();
    drop(open(folder.path()));
    let again = open(folder.path());
    let mut newer = Vec::new();
    again.backup().await.unwrap().read_to_end(&mut newer).unwrap();
    drop(again);
    for copy in [backup, newer] {
        fs::write(file(folder.path()), copy).unwrap();
        let before = sql(folder.path(), "SELECT count(*) || '' FROM audit WHERE event = 'restore'");
        drop(open(folder.path()));
        let after = sql(folder.path(), "SELECT count(*) || '' FROM audit WHERE event = 'restore'");
        assert_eq!(after.parse::<u32>().unwrap(), before.parse::<u32>().unwrap() + 1);
    }
}

/// The store of a folder goes through `db restore`.
fn restore(folder: &Path, backup: &[u8]) -> Result<Restored, RestoreError> {
    let by = Subject { actor: "uid 0".into(), ..Subject::default() };
    Draft::take(folder, &mut &*backup)?.put_in_place(&ManualClock::at(NOW), by)
}

#[tokio::test]
async fn a_backup_that_is_brought_back_keeps_what_is_known_and_the_trail() {
    let World { store, folder } = furnished().await;
    let mut backup = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut backup).unwrap();
    let mut known = store.portfolios().await.unwrap().into_iter();
    let (alice, bob) = (known.next().unwrap(), known.next().unwrap());
    // A code ahead of the clock as far as nobody would guess, a counter, a rule, a mark, a reset.
    assert!(matches!(store.settle(step(&alice, STEP + 9)).await.unwrap(), Ruling::Accepted(..)));
    assert!(matches!(store.settle(step(&bob, 40)).await.unwrap(), Ruling::Accepted(..)));
    store.first_seen(vec!["admins".to_owned()], NOW).await.unwrap();
    let mark = Mark { wall: NOW, uptime: ManualClock::at(NOW).uptime() };
    store.set_clock_mark(mark.clone()).await.unwrap();
    store.reset(&UserName::parse("carol").unwrap(), record(Event::Reset, "carol")).await.unwrap();
    let trail = store.trail(Filter::default(), 1000).await.unwrap().entries;
    drop(store);

    let restored = restore(folder.path(), &backup).unwrap();
    let voided = Voided { by_time: 1, by_counter: 2, recovery: 2, bypass: 1, openings: 1 };
    assert_eq!((restored.voided, restored.carried), (voided, 3));
    assert_eq!(restored.notes, Vec::<String>::new());
    let undone: Vec<_> =
        restored.undone.iter().map(|entry| (entry.event.as_str(), entry.subject.user.as_str())).collect();
    assert_eq!(undone, [("reset", "carol")]);
    let before = restored.before.unwrap();
    assert_eq!(
        fs::metadata(&before).unwrap().permissions(),
        fs::metadata(file(folder.path())).unwrap().permissions()
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("draft")), "{left:?}");

    let store = open(folder.path());
    let now = store.trail(Filter::default(), 1000).await.unwrap().entries;
    assert_eq!(now[..trail.len()], trail, "nothing is lost, and every number is as it was");
    assert_eq!(restores(&store).await.len(), 1, "told once, and not taken for one by hand");
    assert_eq!(named(&store, "alice").await.factors[0].last_step, Some(STEP + 9));
    assert_eq!(named(&store, "bob").await.factors[0].next_counter(), 41);
    assert_eq!(store.openings().await.unwrap()["admins"], NOW);
    assert_eq!(store.clock_mark().await.unwrap(), Some(mark));
    assert!(store.check().await.unwrap().is_empty());
    drop(store);
    // The store before is an old one now.
    fs::copy(before, file(folder.path())).unwrap();
    assert_eq!(restores(&open(folder.path())).await.len(), 1);
}

#[tokio::test]
async fn everything_old_is_void_in_a_backup_whatever_there_was_before() {
    let World { store, folder } = furnished().await;
    let mut backup = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut backup).unwrap();
    drop(store);
    for spoil in ["as it is", "gone", "garbage", "damaged, with a log of nothing"] {
        let path = file(folder.path());
        match spoil {
            "gone" => fs::remove_file(&path).unwrap(),
            "garbage" => fs::write(&path, "this is no database, and never was one").unwrap(),
            "damaged, with a log of nothing" => {
                let mut bytes = fs::read(&path).unwrap();
                bytes[..100].fill(0xff);
                fs::write(&path, bytes).unwrap();
                fs::write(folder.path().join("twinlock.db-wal"), [7; 5000]).unwrap();
            }
            _ => {}
        }
        let restored = restore(folder.path(), &backup).unwrap();
        assert_eq!(restored.notes.is_empty(), spoil == "as it is", "{spoil}: {:?}", restored.notes);
        assert_eq!(restored.before.is_some(), spoil != "gone", "{spoil}");
        let store = open(folder.path());
        assert!(store.check().await.unwrap().is_empty(), "{spoil}");
        assert_eq!(restores(&store).await.len(), 1, "{spoil}");
        nothing_old_counts(&store).await;
    }
}

#[tokio::test]
async fn no_store_that_was_put_aside_is_lost_by_the_next_one() {
    let World { store, folder } = furnished().await;
    let mut backup = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut backup).unwrap();
    drop(store);
    let path = folder.path();
    // As it would be left by somebody who was cut off behind the second name: that one is used.
    fs::hard_link(file(path), path.join("twinlock.db.before-restore")).unwrap();
    let mut kept = Vec::new();
    for n in 1..4 {
        let there = sql(path, "SELECT number || '' FROM generation");
        let before = restore(path, &backup).unwrap().before.unwrap();
        let name = before.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, format!("twinlock.db.before-restore{}", ["", "-2", "-3"][n - 1]));
        kept.push((before, there));
    }
    for (before, there) in kept {
        let connection = Connection::open(before).unwrap();
        let number: String =
            connection.query_row("SELECT number || '' FROM generation", [], |row| row.get(0)).unwrap();
        assert_eq!(number, there);
    }
}

#[tokio::test]
async fn what_is_no_sound_backup_changes_nothing() {
    let World { store, folder } = furnished().await;
    let mut backup = Vec::new();
    store.backup().await.unwrap().read_to_end(&mut backup).unwrap();
    assert!(matches!(restore(folder.path(), &backup), Err(RestoreError::InUse(_))));
    drop(store);
    let changed = |statements: &str| {
        let other = private();
        fs::write(file(other.path()), &backup).unwrap();
        run(other.path(), statements);
        fs::read(file(other.path())).unwrap()
    };
    let page = backup.len() / 4096 / 2 * 4096;
    let mut flipped = backup.clone();
    flipped[page..page + 4096].fill(0x5a);
    let before = fs::read(file(folder.path())).unwrap();
    for (what, bytes, why) in [
        ("empty", Vec::new(), "none of a Twinlock store"),
        ("garbage", b"SQLite format 3, or so it says".repeat(400), "not a database"),
        ("truncated", backup[..backup.len() / 2].to_vec(), "malformed"),
        ("truncated by a byte", backup[..backup.len() - 1].to_vec(), "damaged"),
        ("a page of something else", flipped, "damaged"),
        (
            "another database",
            changed("PRAGMA foreign_keys = OFF; DROP TABLE token; DROP TABLE spare"),
            "none of a Twinlock store",
        ),
        (
            "a trigger",
            changed("CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM factor; END"),
            "none of",
        ),
        ("from the future", changed("PRAGMA user_version = 99"), "newer twinlockd"),
        (
            "orphans",
            changed("PRAGMA foreign_keys = OFF; UPDATE factor SET account = 77"),
            "belongs to no account",
        ),
    ] {
        let error = restore(folder.path(), &bytes).unwrap_err().to_string();
        assert!(error.contains(why) && error.ends_with("nothing has changed"), "{what}: {error}");
        assert_eq!(fs::read(file(folder.path())).unwrap(), before, "{what}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("restore")), "{what}: {left:?}");
    }
    // A clock that no time code counts by: codes that were used would be good later.
    let jumped = ManualClock::at(NOW.after(Duration::from_secs(7200)));
    let mark = Mark { wall: NOW, uptime: jumped.uptime() };
    open(folder.path()).set_clock_mark(mark).await.unwrap();
    let draft = Draft::take(folder.path(), &mut &*backup).unwrap();
    let error = draft.put_in_place(&jumped, Subject::default()).unwrap_err().to_string();
    assert!(error.contains("2 h ahead") && error.contains("set it right"), "{error}");
}

#[tokio::test]
async fn a_backup_of_an_older_schema_is_brought_up_to_date() {
    let World { store, folder } = furnished().await;
    drop(store);
    let older = private();
    let connection = Connection::open(file(older.path())).unwrap();
    for migration in ["0001_init", "0002_spare_codes", "0003_preferred"] {
        let path = format!("{}/src/store/sqlite/migrations/{migration}.sql", env!("CARGO_MANIFEST_DIR"));
        connection.execute_batch(&fs::read_to_string(path).unwrap()).unwrap();
    }
    connection
        .execute_batch(
            "PRAGMA user_version = 3; INSERT INTO account (name, uid, created) VALUES ('dave', 7, 0)",
        )
        .unwrap();
    drop(connection);
    restore(folder.path(), &fs::read(file(older.path())).unwrap()).unwrap();
    let names: Vec<_> = open(folder.path()).portfolios().await.unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["dave"]);
}
