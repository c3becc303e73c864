//! The store that a backup takes the place of: what is known there about codes that were used, and the trail, go over into the
//! backup, as far as they can be read.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{connect, files, marks, openings, schema, trail, unavailable};
use crate::{
    audit::{self, Entry},
    store::StoreError,
};

/// The first schema with hard tokens.
const TOKENS: u32 = 8;

/// What is there.
pub(super) enum Present {
    /// Nothing.
    Absent,
    /// A store.
    Readable(Connection),
    /// One that SQLite cannot read.
    Damaged(String),
}

/// What went over.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Entries of the trail.
    pub(super) entries: usize,
    /// Those of them that say what is undone now.
    pub(super) undone: Vec<Entry>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

impl Present {
    pub(super) fn open(store: &Path) -> Result<Self, StoreError> {
        if !files::is_there(store) {
            return Ok(Self::Absent);
        }
        files::check_file(store)?;
        // SQLite looks at the first page only when it is asked for something.
        match connect(store).and_then(|connection| schema::version(&connection).map(|_| connection)) {
            Ok(connection) => Ok(Self::Readable(connection)),
            Err(StoreError::Corrupt(what)) => Ok(Self::Damaged(what)),
            Err(error) => Err(error),
        }
    }

    /// Puts into the backup what must not be lost.
    pub(super) fn carry_into(&self, backup: &Connection) -> Result<Carried, StoreError> {
        let mut carried = Carried::default();
        match self {
            Self::Absent => {
                carried.notes.push("there was no store, so the trail ends with the backup".to_owned());
            }
            Self::Damaged(what) => {
                carried
                    .notes
                    .push(format!("the store before is damaged ({what}): its trail is not carried over"));
            }
            Self::Readable(present) => {
                let version = schema::version(present).unwrap_or(0);
                carry_marks(present, version, backup, &mut carried)?;
                carry_trail(present, backup, &mut carried)?;
            }
        }
        Ok(carried)
    }
}

/// What was used, since when roles let enroll, and the time that was believed.
fn carry_marks(
    present: &Connection,
    version: u32,
    backup: &Connection,
    carried: &mut Carried,
) -> Result<(), StoreError> {
    let mut unread = |what: &str, error: &dyn std::fmt::Display| {
        carried.notes.push(format!("{what} could not be read in the store before: {error}"));
    };
    match factor_steps(present) {
        Ok(steps) => raise(
            backup,
            "UPDATE factor SET last_step = ?2 WHERE id = ?1 AND coalesce(last_step, -1) < ?2",
            &steps,
        )?,
        Err(error) => unread("the codes that were used", &error),
    }
    if version >= TOKENS {
        match token_steps(present) {
            Ok(steps) => {
                for table in ["factor", "token"] {
                    let sql = format!(
                        "UPDATE {table} SET last_step = ?2 WHERE serial = ?1 AND coalesce(last_step, -1) < ?2"
                    );
                    raise(backup, &sql, &steps)?;
                }
            }
            Err(error) => unread("how far the hard tokens are", &error),
        }
    }
    match openings::read(present) {
        Ok(roles) => roles.iter().try_for_each(|(role, at)| openings::set(backup, role, *at))?,
        Err(error) => unread("since when roles let enroll", &error),
    }
    match marks::read(present) {
        // The later of both: what was believed was believed.
        Ok(Some(mark)) if marks::read(backup)?.is_none_or(|own| own.wall < mark.wall) => {
            marks::write(backup, &mark)?;
        }
        Ok(_) => {}
        Err(error) => unread("the time that was believed", &error),
    }
    Ok(())
}

fn raise(backup: &Connection, sql: &str, steps: &[(String, i64)]) -> Result<(), StoreError> {
    let mut statement = backup.prepare(sql).map_err(unavailable)?;
    steps
        .iter()
        .try_for_each(|(of, step)| statement.execute(params![of, step]).map(drop).map_err(unavailable))
}

fn factor_steps(present: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = present.prepare("SELECT id, last_step FROM factor WHERE last_step IS NOT NULL")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A token that somebody has is a factor, which knows better.
fn token_steps(present: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = present.prepare(
        "SELECT token.serial, max(coalesce(token.last_step, -1), coalesce(factor.last_step, -1))
         FROM token LEFT JOIN factor ON factor.serial = token.serial",
    )?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The entries that the backup has not. They come behind its own, in their order; where the two went different ways, they
/// get other numbers.
fn carry_trail(present: &Connection, backup: &Connection, carried: &mut Carried) -> Result<(), StoreError> {
    let mut told = |error: rusqlite::Error, entries: usize| {
        let text = format!(
            "the trail of the store before could not be read to its end ({entries} entries): {error}"
        );
        carried.notes.push(text);
    };
    let mut statement = match present.prepare(trail::ALL) {
        Ok(statement) => statement,
        Err(error) => {
            told(error, 0);
            return Ok(());
        }
    };
    let (mut entries, mut undone) = (0, Vec::new());
    let rows = statement.query_map([], trail::entry).map_err(unavailable)?;
    for row in rows {
        let entry = match row {
            Ok(entry) => entry,
            Err(error) => {
                told(error, entries);
                break;
            }
        };
        if !trail::is_known(backup, &entry)? {
            trail::carry(backup, &entry)?;
            entries += 1;
            if audit::again(&entry).is_some() {
                undone.push(entry);
            }
        }
    }
    (carried.entries, carried.undone) = (entries, undone);
    Ok(())
}
