//! The audit trail.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::unavailable;
use crate::{
    audit::{Entry, Filter, Page, Record, Subject},
    clock::Timestamp,
    store::{StoreError, Tally},
};

const INSERT: &str =
    "INSERT INTO audit (time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

pub(super) fn append(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    let Record { time, event, subject, method, outcome, reason } = record;
    let Subject { user, service, rhost, actor, claimed_by } = subject;
    connection
        .prepare_cached(INSERT)
        .and_then(|mut statement| {
            statement.execute(params![
                time.0,
                event.name(),
                user,
                service,
                rhost,
                method,
                outcome.name(),
                reason,
                actor,
                claimed_by
            ])
        })
        .map(drop)
        .map_err(unavailable)
}

/// Whether the same was said of the same user within a minute.
pub(super) fn has_recent(connection: &Connection, record: &Record) -> Result<bool, StoreError> {
    let minute_ago = record.time.before(Duration::from_secs(60));
    connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM audit WHERE user = ?1 AND event = ?2 AND reason = ?3 AND actor = ?4
             AND rhost = ?5 AND time > ?6 AND time <= ?7 LIMIT 1)",
        )
        .and_then(|mut statement| {
            let Subject { user, rhost, actor, .. } = &record.subject;
            let (event, reason) = (record.event.name(), &record.reason);
            statement.query_row(params![user, event, reason, actor, rhost, minute_ago.0, record.time.0], |row| row.get(0))
        })
        .map(|rows: u32| rows > 0)
        .map_err(unavailable)
}

/// Entries in order, and the number up to which everything was looked at.
pub(super) fn read(connection: &Connection, filter: &Filter, limit: u32) -> Result<Page, StoreError> {
    let newest: i64 = connection
        .query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))
        .map_err(unavailable)?;
    // Only the conditions that are asked for, so that the index on users can serve.
    let mut conditions = vec!["id > ?1", "id <= ?2"];
    let mut values: Vec<&dyn rusqlite::ToSql> = vec![&filter.behind, &newest];
    let (since, until) = (filter.since.map(|since| since.0), filter.until.map(|until| until.0));
    for (condition, value) in [
        ("user = ?", filter.user.as_ref().map(|user| user as &dyn rusqlite::ToSql)),
        ("time >= ?", since.as_ref().map(|since| since as &dyn rusqlite::ToSql)),
        ("time < ?", until.as_ref().map(|until| until as &dyn rusqlite::ToSql)),
        ("event = ?", filter.event.as_ref().map(|event| event as &dyn rusqlite::ToSql)),
    ] {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    }
    let sql = format!(
        "SELECT id, time, event, user, service, rhost, method, outcome, reason, actor, claimed_by FROM audit
         WHERE {} ORDER BY id LIMIT {limit}",
        conditions.join(" AND ")
    );
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let rows = statement.query_map(values.as_slice(), entry).map_err(unavailable)?;
    let entries: Vec<Entry> = rows.collect::<Result<_, _>>().map_err(unavailable)?;
    let full = entries.len() == limit as usize;
    let seen = if full { entries.last().map_or(newest, |entry| entry.number) } else { newest };
    Ok(Page { entries, seen, full })
}

/// Oldest entries that are looked at together. The trail is in the order of time but for what a wrong clock wrote: what it
/// stamped too late waits for its turn, and keeps the rest only if it is as much as this; what it stamped too early stands
/// behind an entry that stays, and stays as long as that.
const WINDOW: u32 = 10_000;

/// See [`crate::store::Store::trim`].
pub(super) fn trim(
    connection: &Connection,
    (before, now): (Timestamp, Timestamp),
    most: u32,
) -> Result<u32, StoreError> {
    let removed = connection
        .prepare_cached(
            "WITH oldest AS (SELECT id, time FROM audit ORDER BY id LIMIT ?1)
             DELETE FROM audit WHERE id IN
             (SELECT id FROM oldest WHERE time < ?2
              AND id < coalesce((SELECT min(id) FROM oldest WHERE time BETWEEN ?2 AND ?3), id + 1) LIMIT ?4)",
        )
        .and_then(|mut statement| statement.execute(params![WINDOW, before.0, now.0, most]))
        .map_err(unavailable)?;
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}

/// See [`crate::store::Store::tallies`].
pub(super) fn tallies(connection: &Connection) -> Result<Vec<Tally>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT event, method, outcome, n, last FROM tally ORDER BY event, method, outcome")
        .map_err(unavailable)?;
    let tally = |row: &Row<'_>| {
        Ok(Tally {
            event: row.get(0)?,
            method: row.get(1)?,
            outcome: row.get(2)?,
            n: row.get::<_, i64>(3)?.unsigned_abs(),
            last: Timestamp(row.get(4)?),
        })
    };
    statement.query_map([], tally).and_then(Iterator::collect).map_err(unavailable)
}

/// Everything, in order.
pub(super) const ALL: &str = "SELECT id, time, event, user, service, rhost, method, outcome, reason, actor, claimed_by FROM audit ORDER BY id";

/// Whether this very entry is here, under its number.
pub(super) fn is_known(connection: &Connection, entry: &Entry) -> Result<bool, StoreError> {
    let Entry { number, time, event, subject, outcome, reason, .. } = entry;
    connection
        .prepare_cached(
            "SELECT 1 FROM audit WHERE id = ?1 AND time = ?2 AND event = ?3 AND user = ?4 AND outcome = ?5
             AND reason = ?6 AND actor = ?7",
        )
        .and_then(|mut statement| {
            statement.exists(params![number, time.0, event, subject.user, outcome, reason, subject.actor])
        })
        .map_err(unavailable)
}

/// Adds an entry of another store, under a number of its own.
pub(super) fn carry(connection: &Connection, entry: &Entry) -> Result<(), StoreError> {
    let Entry { number: _, time, event, subject, method, outcome, reason } = entry;
    let Subject { user, service, rhost, actor, claimed_by } = subject;
    connection
        .prepare_cached(INSERT)
        .and_then(|mut statement| {
            let values =
                params![time.0, event, user, service, rhost, method, outcome, reason, actor, claimed_by];
            statement.execute(values)
        })
        .map(drop)
        .map_err(unavailable)
}

/// When the last entry was made.
pub(super) fn last(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    connection
        .query_row("SELECT time FROM audit ORDER BY id DESC LIMIT 1", [], |row| row.get(0).map(Timestamp))
        .optional()
        .map_err(unavailable)
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        number: row.get(0)?,
        time: Timestamp(row.get(1)?),
        event: row.get(2)?,
        subject: Subject {
            user: row.get(3)?,
            service: row.get(4)?,
            rhost: row.get(5)?,
            actor: row.get(9)?,
            claimed_by: row.get(10)?,
        },
        method: row.get(6)?,
        outcome: row.get(7)?,
        reason: row.get(8)?,
    })
}
