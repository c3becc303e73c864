//! The audit trail.

use rusqlite::{Connection, params};

use super::unavailable;
use crate::{
    audit::{Entry, Filter, Record, Subject},
    clock::Timestamp,
    store::StoreError,
};

pub(super) fn append(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    let Record { time, event, subject, method, outcome, reason } = record;
    let Subject { user, service, rhost, actor, claimed_by } = subject;
    connection
        .prepare_cached(
            "INSERT INTO audit (time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
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

pub(super) fn read(connection: &Connection, filter: &Filter, limit: u32) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, time, event, user, service, rhost, method, outcome, reason, actor, claimed_by FROM audit
             WHERE id > ?1 AND (?2 IS NULL OR user = ?2) AND (?3 IS NULL OR time >= ?3)
               AND (?4 IS NULL OR event = ?4)
             ORDER BY id LIMIT ?5",
        )
        .map_err(unavailable)?;
    let rows = statement
        .query_map(
            params![filter.behind, filter.user, filter.since.map(|since| since.0), filter.event, limit],
            |row| {
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
            },
        )
        .map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}
