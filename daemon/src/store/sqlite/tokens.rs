//! Hard tokens.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{accounts, trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    factor::{
        Counted, Kind,
        totp::{Algorithm, Match, Parameters},
    },
    names::{AccountId, FactorId},
    secret::Sealed,
    store::{StoreError, TokenRecord, TokensAdded},
};

/// See [`crate::store::Store::add_tokens`].
pub(super) fn add(
    connection: &Connection,
    tokens: &[TokenRecord],
    record: &audit::Record,
) -> Result<TokensAdded, StoreError> {
    // Before anything is written: a verb that says no has changed nothing.
    let mut known = connection
        .prepare_cached("SELECT 1 FROM token WHERE serial = ?1 OR digest = ?2")
        .map_err(unavailable)?;
    let mut keys = HashSet::new();
    for token in tokens {
        let twice = !keys.insert(token.digest);
        if twice || known.exists(params![token.serial, token.digest]).map_err(unavailable)? {
            return Ok(TokensAdded::Taken(token.serial.clone()));
        }
    }
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO token (serial, kind, algorithm, digits, period, last_step, drift, sealed, key_version,
                                manufacturer, created, digest, resync_required)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .map_err(unavailable)?;
    for token in tokens {
        let Parameters { algorithm, digits, period } = token.parameters;
        insert
            .execute(params![
                token.serial,
                token.kind.name(),
                accounts::algorithm_name(algorithm),
                digits,
                period,
                token.last_step,
                token.drift,
                token.sealed.as_ref().map(|sealed| &sealed.bytes),
                token.sealed.as_ref().map(|sealed| sealed.key_version),
                token.manufacturer,
                token.created.0,
                token.digest,
                token.resync_required,
            ])
            .map_err(unavailable)?;
    }
    trail::append(connection, record)?;
    Ok(TokensAdded::Stored)
}

macro_rules! tokens {
    ($where:literal) => {
        concat!(
            "SELECT token.serial, token.kind, token.algorithm, token.digits, token.period, token.last_step, token.drift,
                    token.sealed, token.key_version, token.manufacturer, token.created, account.name, token.digest,
                    coalesce(factor.resync_required, token.resync_required)
             FROM token LEFT JOIN factor ON factor.serial = token.serial LEFT JOIN account ON account.id = factor.account ",
            $where
        )
    };
}

pub(super) fn all(connection: &Connection) -> Result<Vec<TokenRecord>, StoreError> {
    let mut statement = connection.prepare_cached(tokens!("ORDER BY token.serial")).map_err(unavailable)?;
    let rows = statement.query_map([], |row| Ok(token(row))).map_err(unavailable)?;
    rows.map(|row| row.map_err(unavailable)?).collect()
}

pub(super) fn one(connection: &Connection, serial: &str) -> Result<Option<TokenRecord>, StoreError> {
    connection
        .prepare_cached(tokens!("WHERE token.serial = ?1"))
        .and_then(|mut statement| statement.query_row([serial], |row| Ok(token(row))).optional())
        .map_err(unavailable)?
        .transpose()
}

fn token(row: &Row<'_>) -> Result<TokenRecord, StoreError> {
    let words = || -> rusqlite::Result<(String, String)> { Ok((row.get(1)?, row.get(2)?)) };
    let (kind, algorithm) = words().map_err(unavailable)?;
    let read = || -> rusqlite::Result<TokenRecord> {
        let sealed: Option<Vec<u8>> = row.get(7)?;
        let key_version: Option<u32> = row.get(8)?;
        Ok(TokenRecord {
            serial: row.get(0)?,
            kind: Kind::Totp,
            parameters: Parameters { algorithm: Algorithm::Sha1, digits: row.get(3)?, period: row.get(4)? },
            last_step: row.get(5)?,
            drift: row.get(6)?,
            sealed: sealed.zip(key_version).map(|(bytes, key_version)| Sealed { key_version, bytes }),
            manufacturer: row.get(9)?,
            created: Timestamp(row.get(10)?),
            user: row.get(11)?,
            digest: row.get(12)?,
            resync_required: row.get(13)?,
        })
    };
    let mut record = read().map_err(unavailable)?;
    record.kind = accounts::kind_named(&kind)?;
    record.parameters.algorithm = accounts::algorithm_named(&algorithm)?;
    let Parameters { digits, period, .. } = record.parameters;
    if !(6..=8).contains(&digits) || !(15..=60).contains(&period) {
        return Err(StoreError::Corrupt(format!("token {} has impossible parameters", record.serial)));
    }
    Ok(record)
}

/// How far a token has come that can be assigned: it is there, not revoked, and nobody's.
pub(super) fn free(connection: &Connection, serial: &str) -> Result<Option<Counted>, StoreError> {
    connection
        .prepare_cached(
            "SELECT last_step, drift, resync_required FROM token WHERE serial = ?1 AND sealed IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM factor WHERE serial = ?1)",
        )
        .and_then(|mut statement| {
            let counted = |row: &Row<'_>| {
                Ok(Counted { last_step: row.get(0)?, drift: row.get(1)?, resync_required: row.get(2)? })
            };
            statement.query_row([serial], counted).optional()
        })
        .map_err(unavailable)
}

/// See [`crate::store::Store::revoke_token`].
pub(super) fn revoke(
    connection: &Connection,
    serial: &str,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let of = connection
        .prepare_cached("SELECT account, id FROM factor WHERE serial = ?1")
        .and_then(|mut statement| {
            let found = |row: &Row<'_>| Ok((AccountId(row.get(0)?), FactorId(row.get(1)?)));
            statement.query_row([serial], found).optional()
        })
        .map_err(unavailable)?;
    let changed = connection
        .execute(
            "UPDATE token SET sealed = NULL, key_version = NULL WHERE serial = ?1 AND sealed IS NOT NULL",
            [serial],
        )
        .map_err(unavailable)?;
    if changed == 0 {
        return Ok(false);
    }
    match of {
        // It tells the trail.
        Some((account, factor)) => accounts::remove_factor(connection, account, &factor, record).map(drop)?,
        None => trail::append(connection, record)?,
    }
    Ok(true)
}

/// See [`crate::store::Store::resync`].
pub(super) fn resync(
    connection: &Connection,
    account: AccountId,
    factor: &FactorId,
    to: Match,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let changed = connection
        .execute(
            "UPDATE factor SET last_step = ?3, drift = ?4, last_offset = 0, resync_required = 0
             WHERE id = ?1 AND account = ?2 AND (last_step IS NULL OR last_step < ?3 - 1)",
            params![factor.0, account.0, to.step, to.drift.steps],
        )
        .map_err(unavailable)?;
    if changed == 1 {
        trail::append(connection, record)?;
    }
    Ok(changed == 1)
}

/// How a factor counts.
pub(super) fn kind_of(connection: &Connection, factor: &FactorId) -> Result<Kind, StoreError> {
    let name: String = connection
        .prepare_cached("SELECT kind FROM factor WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([&factor.0], |row| row.get(0)))
        .map_err(unavailable)?;
    accounts::kind_named(&name)
}
