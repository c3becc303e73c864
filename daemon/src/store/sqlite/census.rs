//! How much there is of everything: for whoever watches over the host.

use rusqlite::{Connection, OptionalExtension};

use super::{attempts, unavailable};
use crate::{
    clock::Timestamp,
    engine::throttle::{Account, Budget, Rule, Standing},
    names::AccountId,
    store::{Census, StoreError},
};

/// See [`crate::store::Store::census`].
pub(super) fn take(connection: &Connection, rule: Rule, now: Timestamp) -> Result<Census, StoreError> {
    let count = |sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u32>(0)))
            .map_err(unavailable)
    };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0)).map_err(unavailable);
    let (pages, page): (u32, u32) = (pragma("page_count")?, pragma("page_size")?);
    let data_key = connection
        .query_row("SELECT version, created FROM keyring ORDER BY version DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, Timestamp(row.get(1)?)))
        })
        .optional()
        .map_err(unavailable)?;
    Ok(Census {
        accounts: count("SELECT count(*) FROM account")?,
        enrolled: count(
            "SELECT count(*) FROM (SELECT account FROM factor WHERE active = 1
             UNION SELECT account FROM contact WHERE verified = 1)",
        )?,
        throttled: throttled(connection, rule, now)?,
        bytes: u64::from(pages) * u64::from(page),
        data_key,
    })
}

/// Only whose failures are not all forgiven can be.
fn throttled(connection: &Connection, rule: Rule, now: Timestamp) -> Result<u32, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id FROM account WHERE EXISTS (SELECT 1 FROM failure WHERE budget = 'user ' || account.id)",
        )
        .map_err(unavailable)?;
    let accounts: Vec<i64> =
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(unavailable)?;
    let mut throttled = 0;
    for account in accounts {
        let budget = Budget { account: Account::User(AccountId(account)), rule };
        throttled += u32::from(attempts::standing(connection, &[budget], now)? != Standing::Open);
    }
    Ok(throttled)
}
