//! Checking the store, and copying it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{connect, draft, schema, unavailable};
use crate::store::StoreError;

/// Problems that are told; one page that is broken can have thousands.
const TOLD: usize = 20;

/// See [`crate::store::Store::check`].
pub(super) fn check(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare(&format!("PRAGMA integrity_check({TOLD})")).map_err(unavailable)?;
    let told = statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect);
    let told: Vec<String> = match told.map_err(unavailable) {
        // What it cannot even look at is a problem, and no reason to say nothing.
        Err(StoreError::Corrupt(what)) => vec![what],
        told => told?,
    };
    let mut problems: Vec<String> = told.into_iter().filter(|line| line != "ok").collect();
    let mut statement = connection.prepare("PRAGMA foreign_key_check").map_err(unavailable)?;
    let orphans = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?)))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unavailable);
    match orphans {
        Ok(orphans) => problems.extend(
            orphans.into_iter().take(TOLD).map(|(of, to)| format!("a row of {of} belongs to no {to}")),
        ),
        Err(StoreError::Corrupt(what)) => problems.push(what),
        Err(error) => return Err(error),
    }
    Ok(problems)
}

/// Looks at something that is always there.
pub(super) fn beat(connection: &Connection) -> Result<(), StoreError> {
    let found = connection
        .prepare_cached("SELECT count(*) FROM keyring")
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u32>(0)));
    found.map(drop).map_err(unavailable)
}

/// Moves the log into the database and empties it: what was deleted is in neither then.
pub(super) fn empty_log(store: &Path) -> Result<(), StoreError> {
    let busy = connect(store)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    match busy.map_err(unavailable)? {
        false => Ok(()),
        true => Err(StoreError::Unavailable("the log of the store could not be emptied".to_owned())),
    }
}

/// Where a copy is written before it loses its name.
fn nameless(folder: &Path) -> PathBuf {
    folder.join("backup.draft")
}

/// Removes what a daemon that was killed left behind.
pub(super) fn clean(folder: &Path) {
    for draft in ["backup.draft", schema::COPY_DRAFT, draft::FILE] {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.join(format!("{draft}{suffix}")));
        }
    }
}

/// See [`crate::store::Store::backup`].
pub(super) fn backup(folder: &Path, store: &Path) -> Result<File, StoreError> {
    clean(folder);
    let path = nameless(folder);
    super::files::create(&path)?; // 0600 from its first moment
    let copied = copy(store, &path);
    let file = copied.and_then(|()| {
        File::open(&path).map_err(|error| StoreError::Unavailable(format!("cannot open the copy: {error}")))
    });
    clean(folder);
    file
}

/// One read transaction, so logins go on meanwhile; the copy is compact and holds nothing that was deleted.
pub(super) fn copy(store: &Path, to: &Path) -> Result<(), StoreError> {
    let name =
        to.to_str().ok_or_else(|| StoreError::Unavailable("the state folder has no UTF-8 name".into()))?;
    connect(store)?.execute("VACUUM INTO ?1", [name]).map(drop).map_err(unavailable)
}
