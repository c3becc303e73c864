//! Accounts and their factors.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{attempts, contacts, invitations, keys, spares, tokens, trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    engine::{
        enrollment::{Added, MOST_FACTORS, NewFactor, Proof},
        invitation::Grant,
        policy::{Flag, Flags},
        throttle::Account,
    },
    factor::{
        Kind,
        totp::{Algorithm, Drift, Parameters},
    },
    names::{AccountId, FactorId, UserName},
    secret::Sealed,
    store::{FactorRecord, Portfolio, Resealed, StoreError},
};

type AccountRow = (i64, String, u32, Option<String>, Flags);

macro_rules! account {
    () => {
        "SELECT id, name, uid, preferred, required, exempt_until, exempt_reason, enroll_until FROM account"
    };
}

fn account_row(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    let until: Option<i64> = row.get(5)?;
    let reason: String = row.get(6)?;
    let flags = Flags {
        required: row.get(4)?,
        exempt: until.map(|until| (Timestamp(until), reason)),
        enroll_until: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    };
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, flags))
}

pub(super) fn portfolio(connection: &Connection, user: &UserName) -> Result<Option<Portfolio>, StoreError> {
    let found = connection
        .prepare_cached(concat!(account!(), " WHERE name = ?1"))
        .and_then(|mut statement| statement.query_row([user.as_str()], account_row).optional())
        .map_err(unavailable)?;
    found.map(|account| complete(connection, account)).transpose()
}

pub(super) fn portfolios(connection: &Connection) -> Result<Vec<Portfolio>, StoreError> {
    let mut statement =
        connection.prepare_cached(concat!(account!(), " ORDER BY name")).map_err(unavailable)?;
    let accounts: Vec<AccountRow> =
        statement.query_map([], account_row).and_then(Iterator::collect).map_err(unavailable)?;
    accounts.into_iter().map(|account| complete(connection, account)).collect()
}

fn complete(
    connection: &Connection,
    (id, name, uid, preferred, flags): AccountRow,
) -> Result<Portfolio, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, label, algorithm, digits, period, sealed, key_version, active, drift, last_offset, created,
                    last_used, kind, serial, last_step, resync_required
             FROM factor WHERE account = ?1 ORDER BY created, id",
        )
        .map_err(unavailable)?;
    let factors = statement
        .query_map([id], |row| Ok(factor(row)))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unavailable)?;
    let factors = factors.into_iter().collect::<Result<_, _>>()?;
    let account = AccountId(id);
    let failures = attempts::uncleared(connection, account)?;
    let recovery_left = spares::recovery_left(connection, account)?;
    let bypass = spares::has_bypass(connection, account)?;
    let (contacts, courier) =
        (contacts::contacts(connection, account)?, contacts::courier(connection, account)?);
    let invitation = invitations::of(connection, account)?;
    Ok(Portfolio {
        account,
        name,
        uid,
        factors,
        failures,
        recovery_left,
        bypass,
        preferred,
        flags,
        contacts,
        courier,
        invitation,
    })
}

fn factor(row: &Row<'_>) -> Result<FactorRecord, StoreError> {
    let algorithm: String = row.get(2).map_err(unavailable)?;
    let kind: String = row.get(12).map_err(unavailable)?;
    let read = || -> rusqlite::Result<FactorRecord> {
        Ok(FactorRecord {
            id: FactorId(row.get(0)?),
            label: row.get(1)?,
            kind: Kind::Totp,
            serial: row.get(13)?,
            last_step: row.get(14)?,
            resync_required: row.get(15)?,
            parameters: Parameters { algorithm: Algorithm::Sha1, digits: row.get(3)?, period: row.get(4)? },
            sealed: Sealed { bytes: row.get(5)?, key_version: row.get(6)? },
            active: row.get(7)?,
            drift: Drift { steps: row.get(8)?, last_offset: row.get(9)? },
            created: Timestamp(row.get(10)?),
            last_used: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        })
    };
    let mut record = read().map_err(unavailable)?;
    record.parameters.algorithm = algorithm_named(&algorithm)?;
    record.kind = kind_named(&kind)?;
    let Parameters { digits, period, .. } = record.parameters;
    if !(6..=8).contains(&digits) || !(15..=60).contains(&period) {
        return Err(StoreError::Corrupt(format!("factor {} has impossible parameters", record.id.0)));
    }
    Ok(record)
}

pub(super) const fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    }
}

pub(super) fn algorithm_named(name: &str) -> Result<Algorithm, StoreError> {
    [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| algorithm_name(*algorithm) == name)
        .ok_or_else(|| StoreError::Corrupt("a factor has an unknown algorithm".to_owned()))
}

pub(super) fn kind_named(name: &str) -> Result<Kind, StoreError> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| StoreError::Corrupt("a factor is of an unknown kind".to_owned()))
}

/// See [`crate::store::Store::add_factor`].
pub(super) fn add_factor(
    connection: &Connection,
    new: &NewFactor,
    record: &audit::Record,
) -> Result<Added, StoreError> {
    let before = portfolio(connection, &new.user)?;
    if matches!(new.proof, Proof::Invitation(..)) && before.is_none() {
        return Ok(Added::NotFirst); // forgotten meanwhile
    }
    let Some(account) = account_for(connection, &new.user, new.uid, new.now)? else {
        return Ok(Added::OtherUid);
    };
    let vouches = |by: Option<&FactorId>| before.as_ref().is_some_and(|before| before.vouches(by));
    let (active, matched) = match &new.proof {
        Proof::FirstFactor(_) | Proof::OwnFile if !before.as_ref().is_none_or(Portfolio::is_empty) => {
            return Ok(Added::NotFirst);
        }
        // An administrator may have reset the user between the code and this.
        Proof::Code(_, by) if !vouches(by.as_ref()) => return Ok(Added::NotFirst),
        Proof::FirstFactor(matched) | Proof::Code(matched, _) => (true, Some(*matched)),
        Proof::OwnFile => (true, None),
        Proof::Administrator { active } => (*active, None),
        Proof::Invitation(matched, id) => match invitations::grant(connection, account, id, new.now)? {
            Some(Grant::Administrator) => (true, Some(*matched)),
            Some(Grant::Login) if before.as_ref().is_none_or(Portfolio::has_no_factor) => {
                (true, Some(*matched))
            }
            Some(Grant::Login) | None => return Ok(Added::NotFirst),
        },
    };
    let existing = before.map(|before| before.factors).unwrap_or_default();
    if existing.len() >= MOST_FACTORS {
        return Ok(Added::TooMany);
    }
    if existing.iter().any(|factor| factor.label == new.label) {
        return Ok(Added::LabelTaken);
    }
    let counted = match &new.token {
        None => new.counted,
        Some(serial) => match tokens::free(connection, serial)? {
            Some(counted) => counted,
            None => return Ok(Added::NoToken),
        },
    };
    let Parameters { algorithm, digits, period } = new.parameters;
    connection
        .execute(
            "INSERT INTO factor (id, account, kind, label, algorithm, digits, period, sealed, key_version, active,
                                 last_step, drift, last_offset, created, last_used, serial, resync_required)
             VALUES (?1, ?2, ?15, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?16, ?17)",
            params![
                new.id.0,
                account.0,
                new.label,
                algorithm_name(algorithm),
                digits,
                period,
                new.sealed.bytes,
                new.sealed.key_version,
                active,
                matched.map(|m| m.step).or(counted.last_step), // the code that confirmed it is spent
                matched.map_or(counted.drift, |m| m.drift.steps),
                matched.map_or(0, |m| m.drift.last_offset),
                new.now.0,
                matched.map(|_| new.now.0),
                new.kind.name(),
                new.token,
                counted.resync_required,
            ],
        )
        .map_err(unavailable)?;
    trail::append(connection, record)?;
    if !new.recovery.is_empty() {
        let record = audit::Record {
            event: audit::Event::Recovery,
            method: "recovery",
            reason: String::new(),
            ..record.clone()
        };
        spares::replace_recovery(connection, account, &new.recovery, new.now, &record)?;
    }
    invitations::end(connection, account)?;
    // What an administrator opened was for one enrollment.
    connection
        .execute("UPDATE account SET enroll_until = NULL WHERE id = ?1", [account.0])
        .map_err(unavailable)?;
    Ok(Added::Stored)
}

/// The account to add to; none where one of the same name has another uid and factors: that is somebody else's, and only an
/// administrator says what becomes of it. Without factors it makes room.
pub(super) fn account_for(
    connection: &Connection,
    user: &UserName,
    uid: u32,
    now: Timestamp,
) -> Result<Option<AccountId>, StoreError> {
    if let Some(existing) = portfolio(connection, user)? {
        if existing.uid == uid {
            return Ok(Some(existing.account));
        }
        if !existing.factors.is_empty() || !existing.contacts.is_empty() {
            return Ok(None);
        }
        forget_failures(connection, existing.account)?;
        connection.execute("DELETE FROM account WHERE id = ?1", [existing.account.0]).map_err(unavailable)?;
    }
    connection
        .prepare_cached("INSERT INTO account (name, uid, created) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.insert(params![user.as_str(), uid, now.0]))
        .map(|id| Some(AccountId(id)))
        .map_err(unavailable)
}

fn forget_failures(connection: &Connection, account: AccountId) -> Result<(), StoreError> {
    attempts::forget(connection, &Account::User(account))?;
    attempts::forget(connection, &Account::Unproven(account)).map(drop)
}

/// See [`crate::store::Store::remove_factor`].
pub(super) fn remove_factor(
    connection: &Connection,
    account: AccountId,
    factor: &FactorId,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let removed = connection
        .execute("DELETE FROM factor WHERE id = ?1 AND account = ?2", params![factor.0, account.0])
        .map_err(unavailable)?;
    if removed == 1 {
        // Spare codes stand in for a factor; without one they would be all there is.
        connection
            .execute(
                "DELETE FROM spare WHERE account = ?1 AND kind = 'recovery'
                 AND NOT EXISTS (SELECT 1 FROM factor WHERE account = ?1)",
                [account.0],
            )
            .map_err(unavailable)?;
        trail::append(connection, record)?;
    }
    Ok(removed == 1)
}

/// See [`crate::store::Store::reset`].
pub(super) fn reset(
    connection: &Connection,
    user: &UserName,
    record: &audit::Record,
) -> Result<u32, StoreError> {
    let mut removed = 0;
    if let Some(portfolio) = portfolio(connection, user)? {
        forget_failures(connection, portfolio.account)?;
        let deleted = connection
            .execute("DELETE FROM factor WHERE account = ?1", [portfolio.account.0])
            .map_err(unavailable)?;
        removed = u32::try_from(deleted).unwrap_or(u32::MAX);
        for table in ["spare", "contact", "courier", "code", "invitation"] {
            connection
                .execute(&format!("DELETE FROM {table} WHERE account = ?1"), [portfolio.account.0])
                .map_err(unavailable)?;
        }
        connection
            .execute(
                "UPDATE account SET exempt_until = NULL, enroll_until = NULL WHERE id = ?1",
                [portfolio.account.0],
            )
            .map_err(unavailable)?;
    }
    trail::append(connection, record)?;
    Ok(removed)
}

/// See [`crate::store::Store::adopt`].
pub(super) fn adopt(
    connection: &Connection,
    account: AccountId,
    uid: u32,
    secrets: &[Resealed],
    record: &audit::Record,
) -> Result<(), StoreError> {
    invitations::end(connection, account)?; // its code is sealed for the other uid
    let bound = connection
        .execute("UPDATE account SET uid = ?2 WHERE id = ?1", params![account.0, uid])
        .map_err(unavailable)?;
    if bound != 1 || keys::reseal(connection, secrets)? as usize != secrets.len() {
        // The savepoint takes everything back.
        return Err(StoreError::Unavailable("the account changed meanwhile; try again".to_owned()));
    }
    trail::append(connection, record)
}

/// See [`crate::store::Store::purge`].
pub(super) fn purge(
    connection: &Connection,
    user: &UserName,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let Some(portfolio) = portfolio(connection, user)? else { return Ok(false) };
    forget_failures(connection, portfolio.account)?;
    attempts::forget(connection, &Account::Own(portfolio.uid))?;
    attempts::forget(connection, &Account::Password(portfolio.uid))?;
    for (table, column) in [("sending", "account"), ("account", "id")] {
        connection
            .execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [portfolio.account.0])
            .map_err(unavailable)?;
    }
    trail::append(connection, record)?;
    Ok(true)
}

/// See [`crate::store::Store::prefer`].
pub(super) fn prefer(
    connection: &Connection,
    account: AccountId,
    method: Option<&str>,
    record: &audit::Record,
) -> Result<(), StoreError> {
    connection
        .execute("UPDATE account SET preferred = ?2 WHERE id = ?1", params![account.0, method])
        .map_err(unavailable)?;
    trail::append(connection, record)
}

/// See [`crate::store::Store::set_flag`].
pub(super) fn set_flag(
    connection: &Connection,
    (user, uid): (&UserName, u32),
    flag: &Flag,
    now: Timestamp,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let Some(account) = account_for(connection, user, uid, now)? else { return Ok(false) };
    let id = account.0;
    let changed = match flag {
        Flag::Required(required) => {
            connection.execute("UPDATE account SET required = ?2 WHERE id = ?1", params![id, required])
        }
        Flag::Exempt(exempt) => {
            let (until, reason) =
                exempt.as_ref().map_or((None, ""), |(until, why)| (Some(until.0), why.as_str()));
            connection.execute(
                "UPDATE account SET exempt_until = ?2, exempt_reason = ?3 WHERE id = ?1",
                params![id, until, reason],
            )
        }
        Flag::EnrollUntil(until) => connection.execute(
            "UPDATE account SET enroll_until = ?2 WHERE id = ?1",
            params![id, until.map(|until| until.0)],
        ),
    };
    changed.map_err(unavailable)?;
    trail::append(connection, record)?;
    Ok(true)
}
