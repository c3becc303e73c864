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
mod void;
mod worker;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, config::DbConfig};

use super::{
    Census, Charge, NewContact, Portfolio, Resealed, SpareRecord, Store, StoreError, Tally, TokenRecord,
    TokensAdded, WrappedKey,
};
use crate::{
    audit,
    clock::{Clock, Timestamp},
    engine::{
        clock_guard::Mark,
        delivery::{ContactKind, Issued, Wish},
        enrollment::{Added, NewFactor},
        invitation::{Binding, BindingTry, NewInvitation},
        policy::Flag,
        proof::{Attempt, Ledger, Ruling},
        throttle::{Budget, Rule, Standing},
    },
    factor::{spare::NewSpare, totp::Match},
    names::{AccountId, FactorId, Source, UserName},
};
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

#[async_trait]
impl Ledger for Sqlite {
    type Error = StoreError;

    async fn settle(&self, attempt: Attempt) -> Result<Ruling, StoreError> {
        self.write(move |connection| attempts::settle(connection, &attempt)).await
    }

    async fn add_factor(&self, factor: NewFactor, record: audit::Record) -> Result<Added, StoreError> {
        self.write(move |connection| accounts::add_factor(connection, &factor, &record)).await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn portfolio(&self, user: &UserName) -> Result<Option<Portfolio>, StoreError> {
        self.read(|connection| accounts::portfolio(connection, user))
    }

    async fn portfolios(&self) -> Result<Vec<Portfolio>, StoreError> {
        self.archive.run(accounts::portfolios).await
    }

    async fn standing(&self, budgets: Vec<Budget>, now: Timestamp) -> Result<Standing, StoreError> {
        self.read(|connection| attempts::standing(connection, &budgets, now))
    }

    async fn charge(&self, budget: Budget, source: Source, now: Timestamp) -> Result<Charge, StoreError> {
        self.write(move |connection| attempts::charge(connection, &budget, &source, now)).await
    }

    async fn refund(&self, charge: i64) -> Result<(), StoreError> {
        self.write(move |connection| attempts::refund(connection, charge)).await
    }

    async fn forgive(&self, charge: i64) -> Result<(), StoreError> {
        self.write(move |connection| attempts::forgive_charge(connection, charge)).await
    }

    async fn spare(&self, account: AccountId, selector: String) -> Result<Option<SpareRecord>, StoreError> {
        self.read(|connection| spares::find(connection, account, &selector))
    }

    async fn replace_recovery(
        &self,
        account: AccountId,
        codes: Vec<NewSpare>,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| spares::replace_recovery(connection, account, &codes, now, &record))
            .await
    }

    async fn add_bypass(
        &self,
        user: &UserName,
        uid: u32,
        code: NewSpare,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| spares::add_bypass(connection, (&user, uid), &code, now, &record)).await
    }

    async fn remove_factor(
        &self,
        account: AccountId,
        factor: FactorId,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| accounts::remove_factor(connection, account, &factor, &record)).await
    }

    async fn reset(&self, user: &UserName, record: audit::Record) -> Result<u32, StoreError> {
        let user = user.clone();
        self.write(move |connection| accounts::reset(connection, &user, &record)).await
    }

    async fn unlock(&self, user: &UserName, uid: u32, record: audit::Record) -> Result<u32, StoreError> {
        let user = user.clone();
        self.write(move |connection| attempts::unlock(connection, &user, uid, &record)).await
    }

    async fn invite(
        &self,
        user: &UserName,
        uid: u32,
        invitation: NewInvitation,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| invitations::invite(connection, (&user, uid), &invitation, now, &record))
            .await
    }

    async fn invited(&self, token: [u8; 32]) -> Result<Option<Portfolio>, StoreError> {
        self.read(|connection| invitations::invited(connection, token))
    }

    async fn end_invitation(&self, id: FactorId) -> Result<(), StoreError> {
        self.write(move |connection| invitations::end_this(connection, &id)).await
    }

    async fn try_binding(&self, tried: BindingTry, record: audit::Record) -> Result<Binding, StoreError> {
        self.write(move |connection| invitations::try_binding(connection, &tried, &record)).await
    }

    async fn adopt(
        &self,
        account: AccountId,
        uid: u32,
        secrets: Vec<Resealed>,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| accounts::adopt(connection, account, uid, &secrets, &record)).await
    }

    async fn purge(&self, user: &UserName, record: audit::Record) -> Result<bool, StoreError> {
        let name = user.clone();
        let purged = self.write(move |connection| accounts::purge(connection, &name, &record)).await?;
        let path = self.folder.join(FILE);
        self.archive.run_long(move |_| upkeep::empty_log(&path)).await?;
        Ok(purged)
    }

    async fn add_tokens(
        &self,
        tokens: Vec<TokenRecord>,
        record: audit::Record,
    ) -> Result<TokensAdded, StoreError> {
        self.write(move |connection| tokens::add(connection, &tokens, &record)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.archive.run_long(tokens::all).await
    }

    async fn token(&self, serial: String) -> Result<Option<TokenRecord>, StoreError> {
        self.read(|connection| tokens::one(connection, &serial))
    }

    async fn revoke_token(&self, serial: String, record: audit::Record) -> Result<bool, StoreError> {
        self.write(move |connection| tokens::revoke(connection, &serial, &record)).await
    }

    async fn resync(
        &self,
        account: AccountId,
        factor: FactorId,
        to: Match,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| tokens::resync(connection, account, &factor, to, &record)).await
    }

    async fn set_contact(
        &self,
        user: &UserName,
        uid: u32,
        contact: NewContact,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<Added, StoreError> {
        let user = user.clone();
        self.write(move |connection| contacts::set_contact(connection, (&user, uid), &contact, now, &record))
            .await
    }

    async fn remove_contact(
        &self,
        account: AccountId,
        kind: ContactKind,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| contacts::remove_contact(connection, account, kind, &record)).await
    }

    async fn issue_code(&self, wish: Wish) -> Result<Issued, StoreError> {
        self.write(move |connection| deliveries::issue(connection, &wish)).await
    }

    async fn count_sending(&self, wish: Wish) -> Result<Issued, StoreError> {
        self.write(move |connection| deliveries::count(connection, &wish, 0)).await
    }

    async fn end_code(&self, account: AccountId, counter: i64) -> Result<(), StoreError> {
        self.write(move |connection| deliveries::end(connection, account, counter)).await
    }

    async fn end_codes(&self) -> Result<(), StoreError> {
        self.write(deliveries::end_all).await
    }

    async fn prefer(
        &self,
        account: AccountId,
        method: Option<String>,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| accounts::prefer(connection, account, method.as_deref(), &record)).await
    }

    async fn set_flag(
        &self,
        user: &UserName,
        uid: u32,
        flag: Flag,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| accounts::set_flag(connection, (&user, uid), &flag, now, &record)).await
    }

    async fn openings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.read(openings::read)
    }

    async fn first_seen(&self, roles: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| openings::first_seen(connection, &roles, now)).await
    }

    async fn open_again(
        &self,
        role: String,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| openings::open_again(connection, &role, now, &record)).await
    }

    async fn append(&self, record: audit::Record) -> Result<(), StoreError> {
        self.write(move |connection| trail::append(connection, &record)).await
    }

    async fn trail(&self, filter: audit::Filter, limit: u32) -> Result<audit::Page, StoreError> {
        self.archive.run(move |connection| trail::read(connection, &filter, limit)).await
    }

    async fn trim(&self, before: Timestamp, now: Timestamp, most: u32) -> Result<u32, StoreError> {
        self.write(move |connection| trail::trim(connection, (before, now), most)).await
    }

    async fn tallies(&self) -> Result<Vec<Tally>, StoreError> {
        self.archive.run_long(trail::tallies).await
    }

    async fn census(&self, rule: Rule, now: Timestamp) -> Result<Census, StoreError> {
        self.archive.run_long(move |connection| census::take(connection, rule, now)).await
    }

    async fn clock_mark(&self) -> Result<Option<Mark>, StoreError> {
        self.read(marks::read)
    }

    async fn set_clock_mark(&self, mark: Mark) -> Result<(), StoreError> {
        self.write(move |connection| marks::write(connection, &mark)).await
    }

    async fn keyring(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.read(keys::keyring)
    }

    async fn set_keyring(&self, ring: Vec<WrappedKey>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| keys::set_keyring(connection, &ring, now)).await
    }

    async fn reseal(&self, secrets: Vec<Resealed>) -> Result<u32, StoreError> {
        self.write(move |connection| keys::reseal(connection, &secrets)).await
    }

    async fn retire_keys(&self, before: u32, record: audit::Record) -> Result<(), StoreError> {
        self.write(move |connection| keys::retire_keys(connection, before, &record)).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.archive.run_long(upkeep::check).await
    }

    async fn backup(&self) -> Result<File, StoreError> {
        let folder = self.folder.clone();
        let copy = self.archive.run_long(move |_| upkeep::backup(&folder, &folder.join(FILE))).await?;
        // Else the copy would be taken for the store itself, if it was put back now.
        self.count_generation().await?;
        Ok(copy)
    }

    async fn count_generation(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.counting.lock().await;
        let number = self.read(generation::number)?.unwrap_or(0);
        self.keep_generation(number).await?; // one that is late already gets no later
        let next = number.saturating_add(1);
        self.write(move |connection| generation::set(connection, next)).await?;
        self.keep_generation(next).await
    }
}
