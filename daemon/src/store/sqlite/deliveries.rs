//! Codes that are sent.

use rusqlite::{Connection, params};

use super::unavailable;
use crate::{
    clock::Timestamp,
    engine::{
        delivery::{Issued, MEMORY, Sending, Wish, judge},
        proof::Accepted,
    },
    names::AccountId,
    store::StoreError,
};

/// See [`crate::store::Store::issue_code`].
pub(super) fn issue(connection: &Connection, wish: &Wish) -> Result<Issued, StoreError> {
    let (account, now) = (wish.account.0, wish.now);
    connection.execute("DELETE FROM code WHERE expires <= ?1", [now.0]).map_err(unavailable)?;
    let live: u32 = connection
        .prepare_cached("SELECT count(*) FROM code WHERE account = ?1 AND counter IS NOT ?2")
        .and_then(|mut statement| statement.query_row(params![account, wish.replaces], |row| row.get(0)))
        .map_err(unavailable)?;
    let counted = count(connection, wish, live)?;
    if !matches!(counted, Issued::Code(_)) {
        return Ok(counted);
    }
    if let Some(old) = wish.replaces {
        end(connection, wish.account, old)?;
    }
    let counter: i64 = connection
        .prepare_cached("UPDATE courier SET counter = counter + 1 WHERE account = ?1 RETURNING counter")
        .and_then(|mut statement| statement.query_row([account], |row| row.get(0)))
        .map_err(unavailable)?;
    connection
        .execute(
            "INSERT INTO code (account, counter, expires) VALUES (?1, ?2, ?3)",
            params![account, counter, now.after(wish.lifetime).0],
        )
        .map_err(unavailable)?;
    Ok(Issued::Code(counter))
}

/// See [`crate::store::Store::count_sending`].
pub(super) fn count(connection: &Connection, wish: &Wish, live: u32) -> Result<Issued, StoreError> {
    connection
        .execute("DELETE FROM sending WHERE at <= ?1", [wish.now.before(MEMORY).0])
        .map_err(unavailable)?;
    if let Err(refused) = judge(wish, &sent(connection)?, live as usize) {
        return Ok(refused);
    }
    connection
        .execute(
            "INSERT INTO sending (account, destination, region, call, confirm, source, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                wish.account.0,
                wish.destination,
                wish.region,
                wish.call,
                wish.confirm,
                wish.source.as_str(),
                wish.now.0
            ],
        )
        .map_err(unavailable)?;
    Ok(Issued::Code(0))
}

fn sent(connection: &Connection) -> Result<Vec<Sending>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT account, destination, region, call, confirm, source, at FROM sending ORDER BY at, id",
        )
        .map_err(unavailable)?;
    let rows = statement
        .query_map([], |row| {
            Ok(Sending {
                account: AccountId(row.get(0)?),
                destination: row.get(1)?,
                region: row.get(2)?,
                call: row.get(3)?,
                confirm: row.get(4)?,
                source: row.get(5)?,
                at: Timestamp(row.get(6)?),
            })
        })
        .map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// The conditional write that decides: a code that is live is used up.
pub(super) fn spend(
    connection: &Connection,
    account: AccountId,
    counter: i64,
    now: Timestamp,
) -> Result<Option<Accepted>, StoreError> {
    let removed = connection
        .prepare_cached("DELETE FROM code WHERE account = ?1 AND counter = ?2 AND expires > ?3")
        .and_then(|mut statement| statement.execute(params![account.0, counter, now.0]))
        .map_err(unavailable)?;
    Ok((removed == 1).then_some(Accepted::Delivered))
}

/// See [`crate::store::Store::end_code`].
pub(super) fn end(connection: &Connection, account: AccountId, counter: i64) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM code WHERE account = ?1 AND counter = ?2", params![account.0, counter])
        .map(drop)
        .map_err(unavailable)
}

/// See [`crate::store::Store::end_codes`].
pub(super) fn end_all(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM code", []).map(drop).map_err(unavailable)
}
