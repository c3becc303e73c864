//! What a store that was put back must not believe (security.md R109). Since it was copied, codes may have been used that it
//! takes for new ones: those of until now are spent, counters have to prove where they are, and what is good once is good
//! no more.

use rusqlite::{Connection, params};

use super::{marks, unavailable};
use crate::{
    clock::{Clock, Timestamp},
    engine::clock_guard::Trust,
    store::StoreError,
};

/// Steps behind the expected one that a configuration can let in at most (`[totp] window`).
const AHEAD: i64 = 1;

/// What is good once, or for a while: gone. Codes for a lost device, codes on their way, links that wait for their user.
const GOOD_ONCE: [&str; 3] = ["spare", "code", "invitation"];

/// What became void.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Voided {
    /// Apps and tokens by time: their codes of until now are spent.
    pub by_time: u32,
    /// Tokens by counter, whoever has them: they need two codes in a row.
    pub by_counter: u32,
    /// Recovery codes that were not used.
    pub recovery: u32,
    /// Bypass codes that were not used up.
    pub bypass: u32,
    /// Users who could enroll at a login by an administrator's word.
    pub openings: u32,
}

impl Voided {
    /// For the trail.
    pub(super) fn sentence(self) -> String {
        let Self { by_time, by_counter, recovery, bypass, openings } = self;
        format!(
            "void: codes of until now ({by_time} by time), {by_counter} by counter until resynchronised, {recovery} recovery, \
             {bypass} bypass, {openings} openings"
        )
    }
}

/// The latest time at which a code may have been accepted: the clock's, unless that is behind what was believed before, or
/// so far ahead that no time code counts.
pub(super) fn moment(connection: &Connection, clock: &dyn Clock) -> Result<(Timestamp, Trust), StoreError> {
    let (now, uptime) = (clock.now(), clock.uptime());
    let Some(mark) = marks::read(connection)? else { return Ok((now, Trust::Believed)) };
    let trust = mark.judge(now, &uptime, clock.synchronised());
    let believed = if matches!(trust, Trust::Ahead(_)) { mark.wall } else { now };
    Ok((mark.advance(believed, &uptime).wall, trust))
}

/// Makes void whatever may have been used until `moment`.
pub(super) fn void(connection: &Connection, moment: Timestamp) -> Result<Voided, StoreError> {
    let count = |sql: &str| -> Result<u32, StoreError> {
        connection.query_row(sql, [], |row| row.get(0)).map_err(unavailable)
    };
    let recovery = count("SELECT count(*) FROM spare WHERE kind = 'recovery' AND uses > 0")?;
    let bypass = count("SELECT count(*) FROM spare WHERE kind = 'bypass' AND uses > 0")?;
    let run = |sql: &str| rows(connection.execute(sql, []));
    let (mut by_time, mut by_counter) = (0, 0);
    for table in ["factor", "token"] {
        let sql = format!(
            "UPDATE {table} SET last_step = max(coalesce(last_step, 0), ?1 / period + drift + ?2) WHERE kind = 'totp'"
        );
        by_time += rows(connection.execute(&sql, params![moment.secs(), AHEAD]))?;
    }
    by_counter += run("UPDATE factor SET resync_required = 1 WHERE kind = 'hotp'")?;
    by_counter += run("UPDATE token SET resync_required = 1 WHERE kind = 'hotp' AND sealed IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM factor WHERE serial = token.serial)")?;
    for table in GOOD_ONCE {
        run(&format!("DELETE FROM {table}"))?;
    }
    // A counter that came back would send the same codes again; in milliseconds it is ahead of any that was sent.
    connection.execute("UPDATE courier SET counter = max(counter, ?1)", [moment.0]).map_err(unavailable)?;
    let openings = run("UPDATE account SET enroll_until = NULL WHERE enroll_until IS NOT NULL")?;
    Ok(Voided { by_time, by_counter, recovery, bypass, openings })
}

fn rows(changed: rusqlite::Result<usize>) -> Result<u32, StoreError> {
    changed.map(|changed| u32::try_from(changed).unwrap_or(u32::MAX)).map_err(unavailable)
}
