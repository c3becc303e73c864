//! Invitations.

use rusqlite::{Connection, OptionalExtension, params};

use super::{accounts, trail, unavailable};
use crate::{
    audit,
    clock::Timestamp,
    engine::invitation::{Binding, BindingTry, Grant, InvitationRecord, NewInvitation, WRONG},
    names::{AccountId, FactorId, UserName},
    secret::Sealed,
    store::{Portfolio, StoreError},
};

pub(super) fn of(
    connection: &Connection,
    account: AccountId,
) -> Result<Option<InvitationRecord>, StoreError> {
    connection
        .prepare_cached(
            "SELECT id, sealed, key_version, masked, expires, code_expires, by_login, wrong FROM invitation
             WHERE account = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([account.0], |row| {
                    Ok(InvitationRecord {
                        id: FactorId(row.get(0)?),
                        code: Sealed { bytes: row.get(1)?, key_version: row.get(2)? },
                        grant: granted(row.get(6)?),
                        masked: row.get(3)?,
                        wrong: row.get(7)?,
                        expires: Timestamp(row.get(4)?),
                        code_expires: Timestamp(row.get(5)?),
                    })
                })
                .optional()
        })
        .map_err(unavailable)
}

/// See [`crate::store::Store::invite`].
pub(super) fn invite(
    connection: &Connection,
    (user, uid): (&UserName, u32),
    new: &NewInvitation,
    now: Timestamp,
    record: &audit::Record,
) -> Result<bool, StoreError> {
    let Some(account) = accounts::account_for(connection, user, uid, now)? else { return Ok(false) };
    connection
        .execute(
            "INSERT OR REPLACE INTO invitation
             (account, id, token, sealed, key_version, by_login, masked, expires, code_expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                account.0,
                new.id.0,
                new.token,
                new.code.bytes,
                new.code.key_version,
                new.grant == Grant::Login,
                new.masked,
                new.expires.0,
                new.code_expires.0
            ],
        )
        .map_err(unavailable)?;
    trail::append(connection, record)?;
    Ok(true)
}

/// See [`crate::store::Store::invited`].
pub(super) fn invited(connection: &Connection, token: [u8; 32]) -> Result<Option<Portfolio>, StoreError> {
    let name: Option<String> = connection
        .prepare_cached(
            "SELECT name FROM account JOIN invitation ON invitation.account = account.id WHERE token = ?1",
        )
        .and_then(|mut statement| statement.query_row([token], |row| row.get(0)).optional())
        .map_err(unavailable)?;
    let corrupt = |_| StoreError::Corrupt("an account has an impossible name".to_owned());
    match name {
        Some(name) => accounts::portfolio(connection, &UserName::parse(&name).map_err(corrupt)?),
        None => Ok(None),
    }
}

/// See [`crate::store::Store::try_binding`].
pub(super) fn try_binding(
    connection: &Connection,
    tried: &BindingTry,
    record: &audit::Record,
) -> Result<Binding, StoreError> {
    let BindingTry { account, id, right, now } = tried;
    let wrong: Option<u32> = connection
        .prepare_cached(
            "SELECT wrong FROM invitation WHERE account = ?1 AND id = ?2 AND expires > ?3 AND code_expires > ?3",
        )
        .and_then(|mut statement| {
            statement.query_row(params![account.0, id.0, now.0], |row| row.get(0)).optional()
        })
        .map_err(unavailable)?;
    let told = |outcome, reason: &str| audit::Record { outcome, reason: reason.to_owned(), ..record.clone() };
    let (binding, record) = match wrong {
        None => (Binding::Dead, told(audit::Outcome::Denied, "over")),
        Some(_) if *right => (Binding::Right, told(audit::Outcome::Granted, "")),
        Some(before) if before + 1 >= WRONG => {
            connection
                .execute("DELETE FROM invitation WHERE account = ?1", [account.0])
                .map_err(unavailable)?;
            (Binding::Dead, told(audit::Outcome::Denied, "wrong, the link is dead"))
        }
        Some(before) => {
            connection
                .execute("UPDATE invitation SET wrong = wrong + 1 WHERE account = ?1", [account.0])
                .map_err(unavailable)?;
            (Binding::Wrong(WRONG - before - 1), told(audit::Outcome::Denied, "wrong"))
        }
    };
    trail::append(connection, &record)?;
    Ok(binding)
}

/// Who let this invitation be, if it is not over.
pub(super) fn grant(
    connection: &Connection,
    account: AccountId,
    id: &FactorId,
    now: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    connection
        .prepare_cached("SELECT by_login FROM invitation WHERE account = ?1 AND id = ?2 AND expires > ?3")
        .and_then(|mut statement| {
            let of = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
            statement.query_row(params![account.0, id.0, now.0], of).optional()
        })
        .map(|by_login| by_login.map(granted))
        .map_err(unavailable)
}

const fn granted(by_login: bool) -> Grant {
    if by_login { Grant::Login } else { Grant::Administrator }
}

/// See [`crate::store::Store::end_invitation`].
pub(super) fn end_this(connection: &Connection, id: &FactorId) -> Result<(), StoreError> {
    connection.execute("DELETE FROM invitation WHERE id = ?1", [&id.0]).map(drop).map_err(unavailable)
}

/// What a link could do for an account is done, or shall not be any more.
pub(super) fn end(connection: &Connection, account: AccountId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM invitation WHERE account = ?1", [account.0])
        .map(drop)
        .map_err(unavailable)
}
