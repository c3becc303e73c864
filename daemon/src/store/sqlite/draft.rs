//! A backup on its way back: a file beside the store, which nobody takes for the store until it is whole, is found sound, and
//! holds nothing that it must not believe (restore.rs).

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{accounts, connect_as, files, keys, schema, tokens, upkeep};
use crate::{
    engine::clock_guard::Trust,
    store::{Portfolio, StoreError, TokenRecord, WrappedKey},
};

/// Name of the file in the state folder.
pub(super) const FILE: &str = "restore.draft";
/// Bytes that are read at a time.
const PART: usize = 64 * 1024;

/// Why a backup cannot be brought back. Nothing has changed then.
#[derive(Debug)]
pub enum RestoreError {
    /// Somebody uses the store.
    InUse(PathBuf),
    /// It could not be read to its end.
    Unread(io::Error),
    /// It is no backup of a store, or not a whole one.
    Backup(String),
    /// The clock is so far ahead that codes of until now cannot be told from those to come.
    Clock(Trust),
    /// The state folder, or the store in it.
    Store(StoreError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(folder) => write!(
                f,
                "twinlockd uses the store in {}: stop it and its sockets first (systemctl stop 'twinlockd*')",
                folder.display()
            )?,
            Self::Unread(error) => write!(f, "the backup cannot be read: {error}")?,
            Self::Backup(what) => write!(f, "this backup cannot be used: {what}")?,
            Self::Clock(trust) => write!(
                f,
                "the clock of this host is {}, and codes that were used could not be told from those to come: set it \
                 right, then try again",
                trust.sentence()
            )?,
            Self::Store(error) => error.fmt(f)?,
        }
        f.write_str("; nothing has changed")
    }
}

impl std::error::Error for RestoreError {}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A backup that was found sound.
pub struct Draft {
    pub(super) connection: Connection,
    pub(super) folder: PathBuf,
    pub(super) leftovers: Leftovers,
    /// Nobody starts on the old store, and cleans up, while this one is on its way.
    pub(super) lock: files::Lock,
}

/// What is removed again, unless it took the place of the store.
pub(super) struct Leftovers(PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        upkeep::clean(&self.0);
    }
}

impl Draft {
    /// Reads a backup to its end, and looks at every page and reference of it.
    ///
    /// # Errors
    ///
    /// See [`RestoreError`].
    pub fn take(folder: &Path, input: &mut dyn Read) -> Result<Self, RestoreError> {
        files::check_folder(folder)?;
        let lock = files::Lock::take_if_free(folder)?;
        let lock = lock.ok_or_else(|| RestoreError::InUse(folder.to_owned()))?;
        upkeep::clean(folder);
        let leftovers = Leftovers(folder.to_owned());
        let path = folder.join(FILE);
        receive(&path, input)?;
        let mut connection = connect_as(&path, "DELETE").map_err(of_backup)?;
        judge(&connection)?;
        schema::migrate(&mut connection).map_err(of_backup)?;
        Ok(Self { connection, folder: folder.to_owned(), leftovers, lock })
    }

    /// The wrapped data keys.
    ///
    /// # Errors
    ///
    /// When they are not what they should be; so the others.
    pub fn keyring(&self) -> Result<Vec<WrappedKey>, RestoreError> {
        let ring = keys::keyring(&self.connection).map_err(of_backup)?;
        if ring.is_empty() {
            return Err(RestoreError::Backup(
                "there is no key in it that anything could be sealed with".to_owned(),
            ));
        }
        Ok(ring)
    }

    /// All accounts.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn portfolios(&self) -> Result<Vec<Portfolio>, RestoreError> {
        accounts::portfolios(&self.connection).map_err(of_backup)
    }

    /// All hard tokens.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, RestoreError> {
        tokens::all(&self.connection).map_err(of_backup)
    }
}

/// What is damaged here is the backup, not the store.
fn of_backup(error: StoreError) -> RestoreError {
    match error {
        StoreError::Corrupt(what) => RestoreError::Backup(what),
        StoreError::Unavailable(_) | StoreError::Stopped => RestoreError::Store(error),
    }
}

fn receive(path: &Path, input: &mut dyn Read) -> Result<(), RestoreError> {
    files::create(path)?;
    let failed = |error| RestoreError::Store(files::cannot("write", path, &error));
    let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
    let mut part = vec![0; PART];
    loop {
        match input.read(&mut part) {
            Ok(0) => break,
            Ok(length) => file.write_all(part.get(..length).unwrap_or_default()).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RestoreError::Unread(error)),
        }
    }
    file.sync_all().map_err(failed)
}

/// Before a word of it is believed: a trigger that somebody added would run at the first write.
fn judge(connection: &Connection) -> Result<(), RestoreError> {
    schema::missing(connection).map_err(of_backup)?;
    if schema::version(connection).map_err(of_backup)? == 0
        || !schema::is_whole(connection).map_err(of_backup)?
    {
        return Err(RestoreError::Backup("it is none of a Twinlock store".to_owned()));
    }
    match upkeep::check(connection).map_err(of_backup)?.into_iter().next() {
        Some(problem) => Err(RestoreError::Backup(format!("it is damaged: {problem}"))),
        None => Ok(()),
    }
}

/// Its last bytes on the disk, and nothing of it in another file.
pub(super) fn seal_off(connection: Connection, path: &Path) -> Result<(), StoreError> {
    connection.close().map_err(|(_, error)| super::unavailable(error))?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| files::cannot("write", path, &error))?;
    for suffix in ["-wal", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        if Path::new(&beside).exists() {
            return Err(StoreError::Unavailable(format!("{} is still there", Path::new(&beside).display())));
        }
    }
    Ok(())
}
