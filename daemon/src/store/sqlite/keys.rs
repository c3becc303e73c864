//! The wrapped data keys, and what is sealed with them.

use rusqlite::{Connection, ToSql, params};

use super::{trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    store::{Resealed, StoreError, Vault, WrappedKey},
};

macro_rules! reseal {
    ($table:literal, $id:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET sealed = ?2, key_version = ?3 WHERE ",
            $id,
            " = ?1 AND sealed = ?4 AND key_version = ?5"
        )
    };
}

pub(super) fn keyring(connection: &Connection) -> Result<Vec<WrappedKey>, StoreError> {
    let mut statement =
        connection.prepare("SELECT version, wrapped FROM keyring ORDER BY version").map_err(unavailable)?;
    statement
        .query_map([], |row| Ok(WrappedKey { version: row.get(0)?, wrapped: row.get(1)? }))
        .and_then(Iterator::collect)
        .map_err(unavailable)
}

/// See [`crate::store::Store::set_keyring`].
pub(super) fn set_keyring(
    connection: &Connection,
    ring: &[WrappedKey],
    now: Timestamp,
) -> Result<(), StoreError> {
    for key in ring {
        connection
            .execute(
                "INSERT INTO keyring (version, wrapped, created) VALUES (?1, ?2, ?3)
                 ON CONFLICT (version) DO UPDATE SET wrapped = excluded.wrapped",
                params![key.version, key.wrapped, now.0],
            )
            .map_err(unavailable)?;
    }
    Ok(())
}

/// See [`crate::store::Store::reseal`].
pub(super) fn reseal(connection: &Connection, secrets: &[Resealed]) -> Result<u32, StoreError> {
    let mut changed = 0;
    for Resealed { of, old, new } in secrets {
        let (sql, id): (_, &dyn ToSql) = match of {
            Vault::Factor(id) => (reseal!("factor", "id"), &id.0),
            Vault::Contact(id) => (reseal!("contact", "id"), &id.0),
            Vault::Token(serial) => (reseal!("token", "serial"), serial),
            Vault::Courier(account) => (reseal!("courier", "account"), &account.0),
            Vault::Invitation(account) => (reseal!("invitation", "account"), &account.0),
        };
        changed += connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.execute(params![id, new.bytes, new.key_version, old.bytes, old.key_version])
            })
            .map_err(unavailable)?;
    }
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

/// See [`crate::store::Store::retire_keys`].
pub(super) fn retire_keys(
    connection: &Connection,
    before: u32,
    record: &audit::Record,
) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM keyring WHERE version < ?1
             AND NOT EXISTS (SELECT 1 FROM factor WHERE key_version = keyring.version)
             AND NOT EXISTS (SELECT 1 FROM token WHERE key_version = keyring.version)
             AND NOT EXISTS (SELECT 1 FROM contact WHERE key_version = keyring.version)
             AND NOT EXISTS (SELECT 1 FROM invitation WHERE key_version = keyring.version)
             AND NOT EXISTS (SELECT 1 FROM courier WHERE key_version = keyring.version)",
            [before],
        )
        .map_err(unavailable)?;
    trail::append(connection, record)
}
