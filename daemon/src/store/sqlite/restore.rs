//! A backup takes the place of the store. Whoever pulls the plug in between finds the one or the other: the file gets its name
//! in one step, and nothing of the old one's log stands beside it then.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, TransactionBehavior};

use super::{
    accounts,
    draft::{self, Draft, RestoreError},
    files, generation,
    present::{Carried, Present},
    trail, unavailable, void,
    void::Voided,
};
use crate::{
    audit::{self, Entry, Subject},
    clock::{Clock, Timestamp},
    engine::{clock_guard::Trust, policy::Flags},
    store::StoreError,
};

/// What the store before is called, afterwards; a number follows where there is one already.
const BEFORE: &str = "twinlock.db.before-restore";
/// More than anybody keeps.
const MOST_BEFORE: u32 = 1000;
/// What belongs to a database of SQLite: the file, and what has to be read with it.
const LOG: &str = "-wal";
const BESIDE: [&str; 3] = [LOG, "-shm", "-journal"];

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// When the last entry of the backup was made.
    pub written: Option<Timestamp>,
    /// Where the store before is, if there was one.
    pub before: Option<PathBuf>,
    /// What became void.
    pub voided: Voided,
    /// What an administrator said of users, which is as it was then.
    pub flags: Vec<(String, Flags)>,
    /// Entries of the trail that are newer than the backup.
    pub carried: usize,
    /// Those of them that say what is undone now.
    pub undone: Vec<Entry>,
    /// What did not go as it should.
    pub notes: Vec<String>,
}

impl Draft {
    /// Makes void what it must not believe, takes over what is known where it goes, and puts it there.
    ///
    /// # Errors
    ///
    /// See [`RestoreError`].
    pub fn put_in_place(self, clock: &dyn Clock, by: Subject) -> Result<Restored, RestoreError> {
        let Self { mut connection, folder, leftovers: _leftovers, lock: _lock } = self;
        let store = folder.join(super::FILE);
        let present = Present::open(&store)?;
        let kept = generation::kept(&folder)?;
        let number = match &present {
            Present::Readable(present) => generation::number(present).unwrap_or(None),
            Present::Absent | Present::Damaged(_) => None,
        };
        // One more than the file says: neither behind it, nor of another host.
        let next = match kept {
            generation::Kept::Number(_) => generation::behind(kept, None),
            _ => generation::behind(kept, number.max(generation::number(&connection)?)),
        };
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
        let mut restored = rewrite(&transaction, &present, (clock, by))?;
        generation::set(&transaction, next)?;
        transaction.commit().map_err(unavailable)?;
        draft::seal_off(connection, &folder.join(draft::FILE))?;
        restored.before = exchange(&folder, present)?;
        // From here on it is done, whatever fails.
        if let Err(error) = sync(&folder) {
            restored.notes.push(format!("it is not sure that the disk has it: {error}"));
        }
        if let Err(error) = generation::keep(&folder, next) {
            restored
                .notes
                .push(format!("the next start will take it for a store that was put back by hand: {error}"));
        }
        Ok(restored)
    }
}

/// The one transaction that makes a backup a store of today.
fn rewrite(
    backup: &Connection,
    present: &Present,
    (clock, by): (&dyn Clock, Subject),
) -> Result<Restored, RestoreError> {
    let written = trail::last(backup)?;
    let Carried { entries, undone, notes } = present.carry_into(backup)?;
    let (moment, trust) = void::moment(backup, clock)?;
    if matches!(trust, Trust::Ahead(_)) {
        return Err(RestoreError::Clock(trust));
    }
    let voided = void::void(backup, moment)?;
    let of = written.map_or_else(|| "nothing".to_owned(), Timestamp::rfc_3339);
    let record = audit::Record {
        time: clock.now(),
        event: audit::Event::Restore,
        subject: by,
        method: "",
        outcome: audit::Outcome::Granted,
        reason: format!("backup of {of}; {}", voided.sentence()),
    };
    trail::append(backup, &record)?;
    let said = |flags: &Flags| {
        flags.required || flags.exempt.as_ref().is_some_and(|(until, _)| clock.now() < *until)
    };
    let portfolios = accounts::portfolios(backup)?.into_iter();
    let flags = portfolios.filter(|of| said(&of.flags)).map(|of| (of.name, of.flags)).collect();
    Ok(Restored { written, before: None, voided, flags, carried: entries, undone, notes })
}

/// The draft takes the name of the store, which keeps another.
fn exchange(folder: &Path, present: Present) -> Result<Option<PathBuf>, StoreError> {
    let store = folder.join(super::FILE);
    let there = !matches!(present, Present::Absent);
    let whole = match present {
        Present::Readable(connection) => write_out(connection)?,
        Present::Damaged(_) | Present::Absent => false,
    };
    let before = there.then(|| free_name(folder, &store)).transpose();
    let before = before.map_err(|error| files::cannot("put aside", &store, &error))?;
    let failed = |verb: &str, error: io::Error| {
        if let Some(before) = &before {
            take_back(before, &store);
        }
        files::cannot(verb, &store, &error)
    };
    if let Some(before) = &before {
        put_aside(&store, before, !whole).map_err(|error| failed("put aside", error))?;
    }
    let place = || {
        // SQLite would take a log that stands beside the new file for its own, and put the old one's pages into it.
        for suffix in BESIDE {
            remove(&named(&store, suffix))?;
        }
        sync(folder)?;
        fs::rename(folder.join(draft::FILE), &store)
    };
    place().map_err(|error| failed("replace", error))?;
    Ok(before)
}

/// A name that no other store has: one that was put aside before may be the only one with what was enrolled then. What was cut
/// off has given the store its second name already.
fn free_name(folder: &Path, store: &Path) -> io::Result<PathBuf> {
    for n in 1..=MOST_BEFORE {
        let name = folder.join(if n == 1 { BEFORE.to_owned() } else { format!("{BEFORE}-{n}") });
        let (log, its_log) = (named(store, LOG), named(&name, LOG));
        let is_store = is_same(store, &name)?;
        let log_fits = fs::symlink_metadata(&its_log).is_err()
            || is_same(&log, &its_log)?
            || (is_store && fs::symlink_metadata(&log).is_err());
        if log_fits && (is_store || fs::symlink_metadata(&name).is_err()) {
            return Ok(name);
        }
    }
    Err(io::Error::other(format!("there are too many of {BEFORE}: move them away")))
}

/// Whether both are names of one file.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let about = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    Ok(about(one)?.is_some_and(|one| about(other).is_ok_and(|other| other == Some(one))))
}

/// It stays the store, and has its log again.
fn take_back(before: &Path, store: &Path) {
    for suffix in [LOG, ""] {
        let (name, place) = (named(before, suffix), named(store, suffix));
        let _ = fs::hard_link(&name, &place); // it is there already, unless it was removed
        if is_same(&name, &place).unwrap_or(false) {
            let _ = fs::remove_file(&name);
        }
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Everything that is in the log into its file; says whether that could be done. A full disk is no reason to go on without.
fn write_out(connection: Connection) -> Result<bool, StoreError> {
    let busy: rusqlite::Result<bool> =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    let closed = connection.close().map_err(|(_, error)| unavailable(error));
    match busy.map_err(unavailable).and_then(|busy| closed.map(|()| busy)) {
        Ok(false) => Ok(true),
        Ok(true) => Err(StoreError::Unavailable("somebody has the store open: sqlite3?".to_owned())),
        Err(StoreError::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A second name for a store, and for a log that could not be written out, which is a part of it; never in place of another's.
fn put_aside(store: &Path, name: &Path, with_log: bool) -> io::Result<()> {
    let again =
        |file: &Path, name: &Path| if is_same(file, name)? { Ok(()) } else { fs::hard_link(file, name) };
    again(store, name)?;
    let log = named(store, LOG);
    if with_log && files::is_there(&log) { again(&log, &named(name, LOG)) } else { Ok(()) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_cannot_take_its_place_leaves_the_store_and_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("twinlock.db"), "damaged").unwrap();
        fs::write(at("twinlock.db-wal"), "its log").unwrap();
        let damaged = || Present::Damaged("a page of something else".to_owned());
        for _ in 0..2 {
            // There is no draft that could take the name, which is found out when the log is gone already.
            let error = exchange(folder.path(), damaged()).unwrap_err().to_string();
            assert!(error.contains("cannot replace"), "{error}");
            assert_eq!(fs::read(at("twinlock.db")).unwrap(), b"damaged");
            assert_eq!(fs::read(at("twinlock.db-wal")).unwrap(), b"its log");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "and nothing else");
        }
        fs::write(at(draft::FILE), "the backup").unwrap();
        let before = exchange(folder.path(), damaged()).unwrap().unwrap();
        assert_eq!(fs::read(at("twinlock.db")).unwrap(), b"the backup");
        assert!(!at("twinlock.db-wal").exists());
        assert_eq!(fs::read(&before).unwrap(), b"damaged");
        assert_eq!(fs::read(named(&before, LOG)).unwrap(), b"its log");
    }
}
