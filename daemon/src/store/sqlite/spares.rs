//! Recovery and bypass codes.

use rusqlite::{Connection, OptionalExtension, params};

use super::{trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    engine::proof::Accepted,
    factor::spare::{Kind, NewSpare},
    names::{AccountId, SpareId, UserName},
    store::{SpareRecord, StoreError},
};

/// See [`crate::store::Store::spare`].
pub(super) fn find(
    connection: &Connection,
    account: AccountId,
    selector: &str,
) -> Result<Option<SpareRecord>, StoreError> {
    connection
        .prepare_cached("SELECT id, salt, hash FROM spare WHERE account = ?1 AND selector = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![account.0, selector], |row| {
                    Ok(SpareRecord { id: SpareId(row.get(0)?), salt: row.get(1)?, hash: row.get(2)? })
                })
                .optional()
        })
        .map_err(unavailable)
}

/// Recovery codes that are not used.
pub(super) fn recovery_left(connection: &Connection, account: AccountId) -> Result<u32, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM spare WHERE account = ?1 AND kind = 'recovery' AND uses > 0")
        .and_then(|mut statement| statement.query_row([account.0], |row| row.get(0)))
        .map_err(unavailable)
}

/// Whether there is a bypass code that is not used up.
pub(super) fn has_bypass(connection: &Connection, account: AccountId) -> Result<bool, StoreError> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM spare WHERE account = ?1 AND kind = 'bypass' AND uses > 0)",
        )
        .and_then(|mut statement| statement.query_row([account.0], |row| row.get(0)))
        .map_err(unavailable)
}

/// The conditional write that decides: a use is taken if there is one, and its time is not over.
pub(super) fn spend(
    connection: &Connection,
    account: AccountId,
    spare: SpareId,
    now: Timestamp,
) -> Result<Option<Accepted>, StoreError> {
    let kind: Option<String> = connection
        .prepare_cached(
            "UPDATE spare SET uses = uses - 1
             WHERE id = ?1 AND account = ?2 AND uses > 0 AND (expires IS NULL OR expires > ?3) RETURNING kind",
        )
        .and_then(|mut statement| {
            statement.query_row(params![spare.0, account.0, now.0], |row| row.get(0)).optional()
        })
        .map_err(unavailable)?;
    let Some(kind) = kind else { return Ok(None) };
    let kind = [Kind::Recovery, Kind::Bypass]
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(|| StoreError::Corrupt("a spare code has an unknown kind".to_owned()))?;
    Ok(Some(Accepted::Spare { kind, recovery_left: recovery_left(connection, account)? }))
}

/// See [`crate::store::Store::replace_recovery`].
pub(super) fn replace_recovery(
    connection: &Connection,
    account: AccountId,
    codes: &[NewSpare],
    now: Timestamp,
    record: &audit::Record,
) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM spare WHERE account = ?1 AND kind = 'recovery'", [account.0])
        .map_err(unavailable)?;
    for code in codes {
        insert(connection, account, Kind::Recovery, code, now)?;
    }
    trail::append(connection, record)
}

/// See [`crate::store::Store::add_bypass`].
pub(super) fn add_bypass(
    connection: &Connection,
    (user, uid): (&UserName, u32),
    code: &NewSpare,
    now: Timestamp,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let Some(account) = super::accounts::account_for(connection, user, uid, now)? else { return Ok(false) };
    // Spent and expired ones make room; a newer one replaces the one of its selector.
    connection
        .execute(
            "DELETE FROM spare WHERE account = ?1 AND kind = 'bypass'
             AND (uses <= 0 OR expires <= ?2 OR selector = ?3)",
            params![account.0, now.0, code.selector],
        )
        .map_err(unavailable)?;
    insert(connection, account, Kind::Bypass, code, now)?;
    trail::append(connection, record)?;
    Ok(true)
}

fn insert(
    connection: &Connection,
    account: AccountId,
    kind: Kind,
    code: &NewSpare,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO spare (account, kind, selector, salt, hash, uses, expires, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                account.0,
                kind.name(),
                code.selector,
                code.salt,
                code.hash,
                code.uses,
                code.expires.map(|expires| expires.0),
                now.0
            ])
        })
        .map(drop)
        .map_err(unavailable)
}
