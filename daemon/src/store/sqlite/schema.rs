//! The schema and its history. A migration is never changed once released.

use rusqlite::{Connection, TransactionBehavior};

use super::unavailable;
use crate::store::StoreError;

const MIGRATIONS: [&str; 10] = [
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_spare_codes.sql"),
    include_str!("migrations/0003_preferred.sql"),
    include_str!("migrations/0004_flags.sql"),
    include_str!("migrations/0005_enrollment.sql"),
    include_str!("migrations/0006_delivery.sql"),
    include_str!("migrations/0007_telephones.sql"),
    include_str!("migrations/0008_tokens.sql"),
    include_str!("migrations/0009_invitations.sql"),
    include_str!("migrations/0011_tally.sql"),
];

/// Brings the schema up to date, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map_err(unavailable)
    };
    let mut current = version(connection)?;
    if current as usize > MIGRATIONS.len() {
        return Err(StoreError::Corrupt(format!(
            "it was written by a newer twinlockd (schema {current}, this one knows {}): install that version again",
            MIGRATIONS.len()
        )));
    }
    while let Some(migration) = MIGRATIONS.get(current as usize) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
        transaction.execute_batch(migration).map_err(unavailable)?;
        current += 1;
        transaction.pragma_update(None, "user_version", current).map_err(unavailable)?;
        transaction.commit().map_err(unavailable)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_from_the_future_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut connection).unwrap_err().to_string().contains("newer twinlockd"));
    }

    #[test]
    fn what_happened_before_there_was_a_tally_is_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        let before =
            MIGRATIONS.iter().position(|migration| migration.contains("CREATE TABLE tally")).unwrap();
        for migration in &MIGRATIONS[..before] {
            connection.execute_batch(migration).unwrap();
        }
        connection.pragma_update(None, "user_version", u32::try_from(before).unwrap()).unwrap();
        let say = |connection: &Connection, time: i64| {
            let sql = "INSERT INTO audit (time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
                       VALUES (?1, 'login', 'alice', 'sshd', '', 'totp', 'granted', '', '', '')";
            connection.execute(sql, [time]).unwrap();
        };
        say(&connection, 7);
        say(&connection, 5);
        migrate(&mut connection).unwrap();
        say(&connection, 6);
        let counted = connection
            .query_row("SELECT n, last FROM tally WHERE event = 'login' AND method = 'totp'", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .unwrap();
        assert_eq!(counted, (3, 7));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
    }
}
