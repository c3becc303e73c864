//! Since when the members of a role may enroll at their login.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{trail, unavailable};
use crate::{audit, clock::Timestamp, store::StoreError};

/// See [`crate::store::Store::openings`].
pub(super) fn read(connection: &Connection) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let mut statement = connection.prepare("SELECT role, at FROM opening").map_err(unavailable)?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?)))).map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// See [`crate::store::Store::first_seen`].
pub(super) fn first_seen(
    connection: &Connection,
    roles: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    for role in roles {
        connection
            .execute(
                "INSERT INTO opening (role, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![role, now.0],
            )
            .map_err(unavailable)?;
    }
    Ok(())
}

/// See [`crate::store::Store::open_again`].
pub(super) fn open_again(
    connection: &Connection,
    role: &str,
    now: Timestamp,
    record: &audit::Record,
) -> Result<(), StoreError> {
    set(connection, role, now)?;
    trail::append(connection, record)
}

/// Counts the time of a role from then.
pub(super) fn set(connection: &Connection, role: &str, at: Timestamp) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO opening (role, at) VALUES (?1, ?2) ON CONFLICT (role) DO UPDATE SET at = excluded.at",
            params![role, at.0],
        )
        .map(drop)
        .map_err(unavailable)
}
