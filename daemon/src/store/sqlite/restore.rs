//! A backup takes the place of the store. Whoever pulls the plug in between finds the one or the other: the file gets its name
//! in one step, and nothing of the old one's log stands beside it then.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
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

/// What the store before is called, afterwards.
const BEFORE: &str = "twinlock.db.before-restore";
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
    let failed = |error| files::cannot("put aside", &store, &error);
    let before = there.then(|| folder.join(BEFORE));
    if let Some(before) = &before {
        put_aside(&store, before).map_err(failed)?;
        // A log that could not be written out is a part of what was put aside.
        let log = named(&store, LOG);
        if !whole && files::is_there(&log) {
            put_aside(&log, &named(before, LOG)).map_err(failed)?;
        }
    }
    let place = || {
        // SQLite would take a log that stands beside the new file for its own, and put the old one's pages into it.
        for suffix in BESIDE {
            remove(&named(&store, suffix))?;
        }
        sync(folder)?;
        fs::rename(folder.join(draft::FILE), &store)
    };
    place().map_err(|error| files::cannot("replace", &store, &error))?;
    Ok(before)
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

/// A second name for a file, in place of what had it.
fn put_aside(file: &Path, name: &Path) -> io::Result<()> {
    for suffix in BESIDE {
        remove(&named(name, suffix))?;
    }
    remove(name)?;
    fs::hard_link(file, name)
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
