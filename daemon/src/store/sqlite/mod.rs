//! The store on SQLite: WAL with synchronous=FULL, one writer thread whose commits concurrent verbs share, one
//! reader thread.

mod accounts;
mod attempts;
mod census;
mod contacts;
mod deliveries;
mod draft;
mod files;
mod generation;
mod invitations;
mod keys;
mod marks;
mod openings;
mod present;
mod restore;
mod schema;
mod spares;
mod tokens;
mod trail;
mod upkeep;
mod verbs;
mod void;
mod worker;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, config::DbConfig};

use super::{StoreError, WrappedKey};
use crate::clock::Clock;
pub use draft::{Draft, RestoreError};
pub use restore::Restored;
pub use void::Voided;
use worker::{Reader, Writer};

/// File name of the store in the state folder.
pub const FILE: &str = "twinlock.db";

/// How often, and how long after each other, it is tried to move the log while others look.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(50);

/// The store in a state folder.
pub struct Sqlite {
    writer: Writer,
    /// For looks, in the thread that asks: in WAL mode they wait for nobody, and a hop to another thread and back costs
    /// a login more than the look itself.
    reader: Mutex<Connection>,
    /// Reads the trail, which may take long: logins do not wait behind it.
    archive: Reader,
    folder: PathBuf,
    /// Held by whoever counts the generation up.
    counting: tokio::sync::Mutex<()>,
    /// Held for as long as the store is open: two daemons on one store would each think they decide alone.
    _lock: files::Lock,
}

impl Sqlite {
    /// Opens the store in `folder`, makes it if it is not there, and brings its schema up to date. In one that somebody put
    /// back, what may have been used since is void from now on.
    ///
    /// # Errors
    ///
    /// When modes are too loose, another daemon has it, or SQLite cannot.
    pub fn open(folder: &Path, clock: &dyn Clock) -> Result<Self, StoreError> {
        Self::open_ours(folder, clock, |_| Ok(()))
    }

    /// The same, if its keyring is ours to open; nothing is written to a store of another host.
    ///
    /// # Errors
    ///
    /// As above, and what `ours` says of the keyring, which is not asked while there is none.
    pub fn open_ours<E: From<StoreError>>(
        folder: &Path,
        clock: &dyn Clock,
        ours: impl FnOnce(&[WrappedKey]) -> Result<(), E>,
    ) -> Result<Self, E> {
        files::check_folder(folder)?;
        let lock = files::Lock::take(folder)?;
        let path = folder.join(FILE);
        let made_behind_it = [folder.join(crate::seal::KEY_FILE), folder.join(generation::FILE)];
        files::check_not_lost(&path, &made_behind_it)?;
        files::create(&path)?;
        files::check_file(&path)?;
        let suspected = generation::suspect_alone(&path, folder)?;
        files::prepare_log(&path)?;
        upkeep::clean(folder);
        let mut writing = connect(&path)?;
        schema::missing(&writing)?; // of a newer one nothing is understood
        let ring = if schema::version(&writing)? == 0 { Vec::new() } else { keys::keyring(&writing)? };
        if !ring.is_empty() {
            ours(&ring)?;
        }
        schema::migrate_with_copy(&mut writing, folder)?;
        generation::begin(&mut writing, folder, suspected, clock)?;
        let reading = || {
            let connection = connect(&path)?;
            connection.pragma_update(None, "query_only", true).map_err(unavailable)?;
            Ok(connection)
        };
        let reader = reading()?;
        // Somebody else's exclusive lock is an outage, not something to wait for in the thread that serves.
        reader.busy_timeout(Duration::from_millis(20)).map_err(unavailable)?;
        let archive = Reader::start(reading()?)?;
        let writer = Writer::start(writing)?;
        Ok(Self {
            writer,
            reader: Mutex::new(reader),
            archive,
            folder: folder.to_owned(),
            counting: tokio::sync::Mutex::default(),
            _lock: lock,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(verb).await
    }

    /// Writes the generation to its file, once it stands in the store's; that waits for the disk.
    async fn keep_generation(&self, number: i64) -> Result<(), StoreError> {
        for _ in 0..LOOKS {
            match self.try_keep_generation(number).await {
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(LOOK).await,
                kept => return kept,
            }
        }
        self.try_keep_generation(number).await
    }

    async fn try_keep_generation(&self, number: i64) -> Result<(), StoreError> {
        let folder = self.folder.clone();
        let kept = tokio::task::spawn_blocking(move || {
            generation::settle_log(&connect(&folder.join(FILE))?)?;
            generation::catch_up(&folder, generation::kept(&folder)?, number)
        });
        kept.await.map_err(|_| StoreError::Stopped)?
    }

    /// One look, at one state of the store.
    fn read<T>(&self, verb: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let connection = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        worker::control(&connection, "BEGIN")?;
        let result = verb(&connection);
        let ended = worker::control(&connection, "COMMIT");
        if ended.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK"); // or the next look would find itself in this one
        }
        result.and_then(|found| ended.map(|()| found))
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    connect_as(path, "WAL")
}

fn connect_as(path: &Path, journal_mode: &str) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(unavailable)?;
    connection.busy_timeout(worker::BUSY).map_err(unavailable)?;
    connection.set_prepared_statement_cache_capacity(64); // all that a login needs, and more
    // Without it SQLite plans a cached statement anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(unavailable)?;
    for (pragma, value) in [
        ("journal_mode", journal_mode),
        ("synchronous", "FULL"), // WAL + NORMAL may lose the last commits at power loss, and revive their codes
        ("foreign_keys", "ON"),
        ("secure_delete", "ON"),
        ("trusted_schema", "OFF"),
        ("cache_size", "-512"),
        ("wal_autocheckpoint", "0"), // the writer checkpoints when it is idle, not while somebody waits
    ] {
        connection.pragma_update(None, pragma, value).map_err(unavailable)?;
    }
    Ok(connection)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: rusqlite::Error) -> StoreError {
    use rusqlite::{
        ErrorCode::{DatabaseCorrupt, NotADatabase},
        ffi::SQLITE_IOERR_SHMSIZE,
    };
    if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) {
        // SQLite calls that an input/output error.
        return StoreError::Unavailable("the disk is full: no room for the index of the log".to_owned());
    }
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
