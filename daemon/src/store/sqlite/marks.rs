//! The latest time that was believed.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::unavailable;
use crate::{
    clock::{Timestamp, Uptime},
    engine::clock_guard::Mark,
    store::StoreError,
};

pub(super) fn read(connection: &Connection) -> Result<Option<Mark>, StoreError> {
    connection
        .query_row("SELECT wall, boot, uptime FROM clock_mark", [], |row| {
            let since = Duration::from_millis(u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0));
            Ok(Mark { wall: Timestamp(row.get(0)?), uptime: Uptime { boot: row.get(1)?, since } })
        })
        .optional()
        .map_err(unavailable)
}

pub(super) fn write(connection: &Connection, mark: &Mark) -> Result<(), StoreError> {
    let Mark { wall, uptime: Uptime { boot, since } } = mark;
    let uptime = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    connection
        .execute(
            "INSERT INTO clock_mark (id, wall, boot, uptime) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET wall = excluded.wall, boot = excluded.boot, uptime = excluded.uptime",
            params![wall.0, boot, uptime],
        )
        .map(drop)
        .map_err(unavailable)
}
