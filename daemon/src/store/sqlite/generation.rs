//! A number that grows in the store and in a file beside it: at each start and stop, each hour, and behind each backup. Who
//! puts an older store back does not put the number back that stands outside of it, and so is found out.
//!
//! The file is written behind the store, and before the next number: it is the store's, or one less. And the store's stands in
//! `twinlock.db` itself before the file is written, not in its log alone: a copy that was put back under the log of a daemon that
//! crashed would take the number from there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::{files, trail, unavailable, void};
use crate::{
    audit::{Event, Outcome, Record, Subject},
    clock::Clock,
    store::StoreError,
};

/// Name of the file in the state folder.
pub(super) const FILE: &str = "generation";
/// As it is written, before it has its name.
const DRAFT: &str = "generation.draft";
/// More than any number has.
const LONGEST: u64 = 32;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// There is none.
    Nothing,
    /// The number.
    Number(i64),
    /// Something that we never wrote.
    Nonsense,
}

/// Reads the file.
pub(super) fn kept(folder: &Path) -> Result<Kept, StoreError> {
    let path = folder.join(FILE);
    let mut text = Vec::new();
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::Nothing),
        Err(error) => return Err(files::cannot("read", &path, &error)),
        Ok(file) => {
            files::check_writers(&path)?; // the next number has a mode of its own
            file.take(LONGEST).read_to_end(&mut text).map_err(|error| files::cannot("read", &path, &error))?
        }
    };
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    Ok(number.filter(|number| *number >= 0).map_or(Kept::Nonsense, Kept::Number))
}

/// Writes the file, durably.
pub(super) fn keep(folder: &Path, number: i64) -> Result<(), StoreError> {
    let (path, draft) = (folder.join(FILE), folder.join(DRAFT));
    let _ = fs::remove_file(&draft);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(format!("{number}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&draft);
        files::cannot("write", &path, &error)
    })
}

/// The number in the store.
pub(super) fn number(connection: &Connection) -> Result<Option<i64>, StoreError> {
    connection
        .query_row("SELECT number FROM generation", [], |row| row.get(0))
        .optional()
        .map_err(unavailable)
}

/// Why the file of the store without its log is not the one that was here last; none if it is, or cannot be read: a daemon that
/// was cut off as it moved the log may leave half a page. Asked before SQLite puts the two together.
pub(super) fn suspect_alone(store: &Path, folder: &Path) -> Result<Option<String>, StoreError> {
    let kept = kept(folder)?;
    Ok(number_alone(store)
        .ok()
        .and_then(|number| put_back(kept, number))
        .map(|why| format!("without its log, which may be that of the store before, {why}")))
}

/// The number in the file of the store, whatever its log says.
fn number_alone(store: &Path) -> rusqlite::Result<Option<i64>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let path = store.as_os_str().as_encoded_bytes().iter();
    let path: String = path
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02x}") })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let alone = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?;
    let has_one = alone.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'generation'")?.exists([])?;
    if !has_one {
        return Ok(None);
    }
    alone.query_row("SELECT number FROM generation", [], |row| row.get(0)).optional()
}

/// Moves the log into the file of the store, all of it.
pub(super) fn settle_log(connection: &Connection) -> Result<(), StoreError> {
    let (busy, pages, moved): (bool, i64, i64) = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(unavailable)?;
    if busy || pages != moved {
        return Err(StoreError::Unavailable("somebody reads the store, and its log stays".to_owned()));
    }
    Ok(())
}

/// Puts another in its place.
pub(super) fn set(connection: &Connection, number: i64) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO generation (id, number) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET number = excluded.number",
            [number],
        )
        .map(drop)
        .map_err(unavailable)
}

/// The number behind both.
pub(super) fn behind(kept: Kept, number: Option<i64>) -> i64 {
    let kept = if let Kept::Number(kept) = kept { kept } else { 0 };
    kept.max(number.unwrap_or(0)).saturating_add(1)
}

/// Why this store is not the one that was here last; none if it is, or is the first.
fn put_back(kept: Kept, number: Option<i64>) -> Option<String> {
    match (kept, number) {
        // A store from before there were numbers, and what is left where its first one was cut off.
        (Kept::Nothing | Kept::Number(0), None) => None,
        (Kept::Nothing, Some(number)) => Some(format!("it is of generation {number}, and the file is gone")),
        (Kept::Nonsense, _) => Some("the file has no number".to_owned()),
        (Kept::Number(kept), Some(number)) if number == kept || number == kept.saturating_add(1) => None,
        (Kept::Number(kept), number) => {
            let number = number.map_or_else(|| "none".to_owned(), |number| number.to_string());
            Some(format!("it is of generation {number}, and the last one here was {kept}"))
        }
    }
}

/// Looks whether a store that is opened was put back, or is suspected already, makes void what it must not believe then, and
/// counts on.
pub(super) fn begin(
    connection: &mut Connection,
    folder: &Path,
    suspected: Option<String>,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let (kept, number) = (kept(folder)?, number(connection)?);
    if let Some(why) = put_back(kept, number).or(suspected) {
        let next = behind(kept, number);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
        let (moment, _) = void::moment(&transaction, clock)?;
        let voided = void::void(&transaction, moment)?;
        let record = Record {
            time: clock.now(),
            event: Event::Restore,
            subject: Subject { actor: format!("pid {}", std::process::id()), ..Subject::default() },
            method: "",
            outcome: Outcome::Granted,
            reason: format!("found at the start: {why}; {}", voided.sentence()),
        };
        trail::append(&transaction, &record)?;
        set(&transaction, next)?;
        transaction.commit().map_err(unavailable)?;
        tracing::error!(
            "the store was put back behind twinlockd's back ({why}); {}. Bring backups back with twinlock db restore",
            voided.sentence()
        );
        return tell(settle_log(connection).and_then(|()| keep(folder, next)));
    }
    // The first one: a file without a store's number says that the number is on its way.
    let number = number.unwrap_or(0);
    let counted = settle_log(connection)
        .and_then(|()| catch_up(folder, kept, number))
        .and_then(|()| set(connection, number.saturating_add(1)))
        .and_then(|()| settle_log(connection))
        .and_then(|()| keep(folder, number.saturating_add(1)));
    tell(counted)
}

/// Brings the file to the store's number: only then may that grow.
pub(super) fn catch_up(folder: &Path, kept: Kept, number: i64) -> Result<(), StoreError> {
    if kept == Kept::Number(number) { Ok(()) } else { keep(folder, number) }
}

/// A disk that is full keeps nobody from logging in with what fits; the next count is in an hour.
fn tell(counted: Result<(), StoreError>) -> Result<(), StoreError> {
    match counted {
        Err(StoreError::Unavailable(error)) => {
            tracing::error!(%error, "a store that is put back would not be noticed");
            Ok(())
        }
        counted => counted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_the_last_one_or_was_put_back() {
        let put_back = |kept, number| super::put_back(kept, number).is_some();
        for (kept, number) in [
            (Kept::Nothing, None),
            (Kept::Number(0), None),
            (Kept::Number(0), Some(1)),
            (Kept::Number(7), Some(7)),
            (Kept::Number(7), Some(8)),
        ] {
            assert!(!put_back(kept, number), "{kept:?} {number:?}");
        }
        for (kept, number) in [
            (Kept::Nothing, Some(1)),
            (Kept::Nonsense, Some(7)),
            (Kept::Nonsense, None),
            (Kept::Number(7), None),
            (Kept::Number(7), Some(6)),
            (Kept::Number(7), Some(9)), // of another host
            (Kept::Number(i64::MAX), Some(0)),
        ] {
            assert!(put_back(kept, number), "{kept:?} {number:?}");
        }
    }

    #[test]
    fn the_file_has_a_number_or_nonsense() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(kept(folder.path()).unwrap(), Kept::Nothing);
        keep(folder.path(), 41).unwrap();
        keep(folder.path(), 42).unwrap();
        assert_eq!(kept(folder.path()).unwrap(), Kept::Number(42));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for text in ["", "42", "-1\n", "4 2\n", "\u{fffd}\n", "9999999999999999999999999999999999\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(kept(folder.path()).unwrap(), Kept::Nonsense, "{text:?}");
        }
        for (mode, refused) in [(0o644, false), (0o620, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = kept(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said.contains("chmod 0600"), refused, "{mode:o}: {said}");
        }
        keep(folder.path(), 43).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
