//! The schema and its history. A migration is never changed once released, not even a comment inside of a table: a backup is
//! compared with it to the letter.

use std::{
    fs::{self, File},
    path::Path,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{files, unavailable, upkeep};
use crate::store::StoreError;

const MIGRATIONS: [&str; 11] = [
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_spare_codes.sql"),
    include_str!("migrations/0003_preferred.sql"),
    include_str!("migrations/0004_flags.sql"),
    include_str!("migrations/0005_enrollment.sql"),
    include_str!("migrations/0006_delivery.sql"),
    include_str!("migrations/0007_telephones.sql"),
    include_str!("migrations/0008_tokens.sql"),
    include_str!("migrations/0009_invitations.sql"),
    include_str!("migrations/0010_restore.sql"),
    include_str!("migrations/0011_tally.sql"),
];

/// What copies of older schemas are called, and one that is not whole yet.
const COPY: &str = "twinlock.db.schema-";
pub(super) const COPY_DRAFT: &str = "schema.draft";

/// Brings the schema up to date in one transaction: a store is as it was, or as it shall be, and never at a step between that
/// nobody made a copy of.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let missing = missing(connection)?;
    if missing.is_empty() {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    for migration in missing {
        transaction.execute_batch(migration).map_err(unavailable)?;
    }
    let latest = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    transaction.pragma_update(None, "user_version", latest).map_err(unavailable)?;
    transaction.commit().map_err(unavailable)
}

/// The same for the store in a folder, of which a copy stays there as it was: `twinlock.db.schema-8`. Only the newest one.
pub(super) fn migrate_with_copy(connection: &mut Connection, folder: &Path) -> Result<(), StoreError> {
    let current = version(connection)?;
    if current > 0 && !missing(connection)?.is_empty() {
        // The copy of an upgrade before is worth less than one of this.
        let copied = copy(folder, current).or_else(|error| match remove_copies(folder, None) {
            0 => Err(error),
            _ => copy(folder, current),
        });
        copied.map_err(|error| {
            StoreError::Unavailable(format!(
                "it is of an older schema ({current}), and no copy of it can be kept before it is brought up to date: \
                 {error}; make room, then start again"
            ))
        })?;
    }
    migrate(connection)
}

/// What brings a store up to date.
pub(super) fn missing(connection: &Connection) -> Result<&'static [&'static str], StoreError> {
    let current = version(connection)?;
    MIGRATIONS.get(current as usize..).ok_or_else(|| {
        StoreError::Corrupt(format!(
            "it was written by a newer twinlockd (schema {current}, this one knows {}): install that version again",
            MIGRATIONS.len()
        ))
    })
}

/// How many migrations a store has seen; 0: it is no store yet.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(unavailable)
}

/// Whether what is there is what the migrations of its version make, to the letter: nothing less, nothing that somebody added,
/// no trigger that does something else under its old name.
pub(super) fn is_whole(connection: &Connection) -> Result<bool, StoreError> {
    let all = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(
            "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'
             ORDER BY 1",
        )?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let made = Connection::open_in_memory().map_err(unavailable)?;
    for migration in MIGRATIONS.iter().take(version(connection)? as usize) {
        made.execute_batch(migration).map_err(unavailable)?;
    }
    Ok(all(connection).map_err(unavailable)? == all(&made).map_err(unavailable)?)
}

fn copy(folder: &Path, version: u32) -> Result<(), StoreError> {
    let store = folder.join(super::FILE);
    let (draft, kept) = (folder.join(COPY_DRAFT), folder.join(format!("{COPY}{version}")));
    files::create(&draft)?; // 0600 from its first moment
    let copied = upkeep::copy(&store, &draft).and_then(|()| {
        File::open(&draft)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&draft, &kept))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| files::cannot("write", &kept, &error))
    });
    if copied.is_err() {
        let _ = fs::remove_file(&draft);
        return copied;
    }
    remove_copies(folder, Some(&kept));
    tracing::info!("the store is brought up to date; as it was, it is kept in {}", kept.display());
    Ok(())
}

/// Removes copies of older schemas, but for one; says how many.
fn remove_copies(folder: &Path, kept: Option<&Path>) -> usize {
    let is_copy =
        |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(COPY));
    let copies =
        fs::read_dir(folder).into_iter().flatten().flatten().filter(is_copy).map(|entry| entry.path());
    copies.filter(|path| Some(path.as_path()) != kept && fs::remove_file(path).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_from_the_future_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut connection).unwrap_err().to_string().contains("newer twinlockd"));
    }

    #[test]
    fn what_happened_before_there_was_a_tally_is_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before =
            MIGRATIONS.iter().position(|migration| migration.contains("CREATE TABLE tally")).unwrap();
        for migration in &MIGRATIONS[..before] {
            connection.execute_batch(migration).unwrap();
        }
        connection.pragma_update(None, "user_version", u32::try_from(before).unwrap()).unwrap();
        let say = |connection: &Connection, time: i64| {
            let sql = "INSERT INTO audit (time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
                       VALUES (?1, 'login', 'alice', 'sshd', '', 'totp', 'granted', '', '', '')";
            connection.execute(sql, [time]).unwrap();
        };
        say(&connection, 7);
        say(&connection, 5);
        migrate(&mut connection).unwrap();
        say(&connection, 6);
        let counted = connection
            .query_row("SELECT n, last FROM tally WHERE event = 'login' AND method = 'totp'", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap();
        assert_eq!(counted, (3, 7));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        assert!(is_whole(&connection).unwrap());
    }

    /// A store of the first migrations, with somebody in it.
    fn older(migrations: usize) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let private = fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        files::create(&folder.path().join(super::super::FILE)).unwrap();
        let connection = Connection::open(folder.path().join(super::super::FILE)).unwrap();
        for migration in &MIGRATIONS[..migrations] {
            connection.execute_batch(migration).unwrap();
        }
        let version = u32::try_from(migrations).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        let somebody = "INSERT INTO keyring VALUES (1, x'01', 5); INSERT INTO account (name, uid, created) VALUES ('alice', 7, 5);
             INSERT INTO factor (id, account, kind, label, algorithm, digits, period, sealed, key_version, active, last_step, created)
             VALUES ('f', 1, 'totp', 'app', 'SHA1', 6, 30, x'0203', 1, 1, 42, 5);
             INSERT INTO audit (time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
             VALUES (5, 'enroll', 'alice', '', '', 'totp', 'granted', 'f', '', '')";
        connection.execute_batch(somebody).unwrap();
        folder
    }

    fn rows(path: &Path) -> String {
        let connection = Connection::open(path).unwrap();
        let all = "SELECT (SELECT hex(wrapped) FROM keyring) || (SELECT name || uid FROM account)
                   || (SELECT id || label || hex(sealed) || last_step FROM factor) || (SELECT event || user FROM audit WHERE id = 1)";
        connection.query_row(all, [], |row| row.get(0)).unwrap()
    }

    fn open(folder: &Path) -> Result<super::super::Sqlite, StoreError> {
        let now = crate::clock::Timestamp::from_secs(1_700_000_000);
        super::super::Sqlite::open(folder, &crate::clock::ManualClock::at(now))
    }

    #[test]
    fn every_older_store_is_brought_up_to_date_and_kept_as_it_was() {
        for migrations in 1..MIGRATIONS.len() {
            let folder = older(migrations);
            let (store, kept) =
                (folder.path().join(super::super::FILE), folder.path().join(format!("{COPY}{migrations}")));
            fs::write(folder.path().join(format!("{COPY}0")), "of an upgrade before").unwrap();
            let before = rows(&store);
            for _ in 0..2 {
                drop(open(folder.path()).unwrap());
                assert_eq!((rows(&store), rows(&kept)), (before.clone(), before.clone()), "{migrations}");
            }
            assert_eq!(version(&Connection::open(&kept).unwrap()).unwrap() as usize, migrations);
            assert_eq!(version(&Connection::open(&store).unwrap()).unwrap() as usize, MIGRATIONS.len());
            files::check_file(&kept).unwrap();
            assert!(!folder.path().join(format!("{COPY}0")).exists(), "only the newest");
        }
    }

    #[test]
    fn a_new_store_leaves_no_copy_of_nothing() {
        let folder = older(1);
        fs::remove_file(folder.path().join(super::super::FILE)).unwrap();
        drop(open(folder.path()).unwrap());
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().contains("schema")));
    }

    #[test]
    fn without_a_copy_nothing_is_migrated() {
        let folder = older(3);
        fs::create_dir(folder.path().join(COPY_DRAFT)).unwrap(); // where the copy would be written
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("no copy of it can be kept") && error.contains("make room"), "{error}");
        let store = Connection::open(folder.path().join(super::super::FILE)).unwrap();
        assert_eq!(version(&store).unwrap(), 3);
    }

    #[test]
    fn a_store_with_something_added_or_changed_is_not_whole() {
        for added in [
            "CREATE VIEW v AS SELECT 1",
            "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM factor; END",
            "DROP TRIGGER audit_is_counted; CREATE TRIGGER audit_is_counted AFTER INSERT ON audit BEGIN DELETE FROM factor; END",
            "DROP TABLE clock_mark; CREATE TABLE clock_mark (id INTEGER PRIMARY KEY, wall, boot, uptime)",
            "DROP INDEX audit_by_user; CREATE INDEX audit_by_user ON audit (reason)",
        ] {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection).unwrap();
            connection.execute_batch(added).unwrap();
            assert!(!is_whole(&connection).unwrap(), "{added}");
        }
        let other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE account (id); PRAGMA user_version = 3").unwrap();
        assert!(!is_whole(&other).unwrap());
    }
}
