//! A number that grows in the store and in a file beside it: at each start and stop, each hour, and behind each backup. Who
//! puts an older store back does not put the number back that stands outside of it, and so is found out.
//!
//! The file is written behind the store, and before the next number: it is the store's, or one less.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

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
            files::check_file(&path)?;
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

/// Looks whether a store that is opened was put back, makes void what it must not believe then, and counts on.
pub(super) fn begin(connection: &mut Connection, folder: &Path, clock: &dyn Clock) -> Result<(), StoreError> {
    let (kept, number) = (kept(folder)?, number(connection)?);
    if let Some(why) = put_back(kept, number) {
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
        return tell(keep(folder, next));
    }
    // The first one: a file without a store's number says that the number is on its way.
    let number = number.unwrap_or(0);
    let counted = catch_up(folder, kept, number)
        .and_then(|()| set(connection, number.saturating_add(1)))
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
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(kept(folder.path()).unwrap_err().to_string().contains("chmod 0600"));
    }
}
