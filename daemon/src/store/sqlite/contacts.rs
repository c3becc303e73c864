//! Where codes can be sent to, and what they are computed from.

use rusqlite::{Connection, OptionalExtension, params};

use super::{accounts, trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    engine::{
        delivery::{ContactKind, Line, LineKind},
        enrollment::{Added, Voucher},
    },
    names::{AccountId, FactorId, UserName},
    secret::Sealed,
    store::{ContactRecord, NewContact, StoreError},
};

pub(super) fn contacts(
    connection: &Connection,
    account: AccountId,
) -> Result<Vec<ContactRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, kind, masked, sealed, key_version, verified, created, region, line, by_administrator
             FROM contact
             WHERE account = ?1 ORDER BY kind",
        )
        .map_err(unavailable)?;
    let rows = statement
        .query_map([account.0], |row| {
            let (kind, region, line): (String, Option<String>, Option<String>) =
                (row.get(1)?, row.get(7)?, row.get(8)?);
            let record = ContactRecord {
                id: FactorId(row.get(0)?),
                kind: ContactKind::Email,
                line: None,
                masked: row.get(2)?,
                sealed: Sealed { bytes: row.get(3)?, key_version: row.get(4)? },
                verified: row.get(5)?,
                created: Timestamp(row.get(6)?),
                by_administrator: row.get(9)?,
            };
            Ok((kind, region.zip(line), record))
        })
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unavailable)?;
    let unknown = || StoreError::Corrupt("a contact has an unknown kind".to_owned());
    let known = |(kind, line, record): (String, Option<(String, String)>, ContactRecord)| {
        let kind = ContactKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(unknown)?;
        let line = line.map(|(region, kind)| {
            let kind = LineKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(unknown)?;
            Ok(Line { region, kind })
        });
        Ok(ContactRecord { kind, line: line.transpose()?, ..record })
    };
    rows.into_iter().map(known).collect()
}

pub(super) fn courier(connection: &Connection, account: AccountId) -> Result<Option<Sealed>, StoreError> {
    connection
        .prepare_cached("SELECT sealed, key_version FROM courier WHERE account = ?1")
        .and_then(|mut statement| {
            let sealed =
                |row: &rusqlite::Row<'_>| Ok(Sealed { bytes: row.get(0)?, key_version: row.get(1)? });
            statement.query_row([account.0], sealed).optional()
        })
        .map_err(unavailable)
}

/// See [`crate::store::Store::set_contact`].
pub(super) fn set_contact(
    connection: &Connection,
    (user, uid): (&UserName, u32),
    contact: &NewContact,
    now: Timestamp,
    record: &audit::Record,
) -> Result<Added, StoreError> {
    let Some(account) = accounts::account_for(connection, user, uid, now)? else {
        return Ok(Added::OtherUid);
    };
    // The owner may have enrolled, or an administrator reset, while somebody else was asked to prove something.
    let existing = accounts::portfolio(connection, user)?;
    let enough = match &contact.voucher {
        Voucher::Administrator => true,
        Voucher::FirstFactor => existing.is_none_or(|existing| existing.is_empty()),
        Voucher::Code(vouching) => existing.is_some_and(|existing| existing.vouches(vouching.as_ref())),
    };
    if !enough {
        return Ok(Added::NotFirst);
    }
    end_link(connection, account, contact.kind)?;
    connection
        .execute(
            "INSERT INTO contact (id, account, kind, masked, sealed, key_version, verified, created,
             region, line, by_administrator) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (account, kind) DO UPDATE SET id = excluded.id, masked = excluded.masked,
             sealed = excluded.sealed, key_version = excluded.key_version,
             verified = excluded.verified, created = excluded.created, region = excluded.region, line = excluded.line,
             by_administrator = excluded.by_administrator",
            params![
                contact.id.0,
                account.0,
                contact.kind.name(),
                contact.masked,
                contact.sealed.bytes,
                contact.sealed.key_version,
                contact.verified,
                now.0,
                contact.line.as_ref().map(|line| line.region.as_str()),
                contact.line.as_ref().map(|line| line.kind.name()),
                contact.voucher == Voucher::Administrator
            ],
        )
        .map_err(unavailable)?;
    connection
        .execute(
            "INSERT INTO courier (account, sealed, key_version) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![account.0, contact.courier.bytes, contact.courier.key_version],
        )
        .map_err(unavailable)?;
    end_codes(connection, account)?;
    trail::append(connection, record)?;
    Ok(Added::Stored)
}

/// See [`crate::store::Store::remove_contact`].
pub(super) fn remove_contact(
    connection: &Connection,
    account: AccountId,
    kind: ContactKind,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    end_link(connection, account, kind)?;
    let removed = connection
        .execute("DELETE FROM contact WHERE account = ?1 AND kind = ?2", params![account.0, kind.name()])
        .map_err(unavailable)?;
    if removed == 1 {
        end_codes(connection, account)?;
        trail::append(connection, record)?;
    }
    Ok(removed == 1)
}

/// A link that was mailed to an address ends when that changes; one that went elsewhere does not.
fn end_link(connection: &Connection, account: AccountId, kind: ContactKind) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM invitation WHERE account = ?1 AND ?2 = 'email'
             AND masked IN (SELECT masked FROM contact WHERE account = ?1 AND kind = 'email')",
            params![account.0, kind.name()],
        )
        .map(drop)
        .map_err(unavailable)
}

/// What was sent to a contact before it changed is of no use any more.
fn end_codes(connection: &Connection, account: AccountId) -> Result<(), StoreError> {
    connection.execute("DELETE FROM code WHERE account = ?1", [account.0]).map(drop).map_err(unavailable)
}
