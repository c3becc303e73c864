//! The schema and its history. A migration is never changed once released.

use rusqlite::{Connection, TransactionBehavior};

use super::unavailable;
use crate::store::StoreError;

const MIGRATIONS: [&str; 9] = [
    include_str!("migrations/0001_init.sql"),
    include_str!("migrations/0002_spare_codes.sql"),
    include_str!("migrations/0003_preferred.sql"),
    include_str!("migrations/0004_flags.sql"),
    include_str!("migrations/0005_enrollment.sql"),
    include_str!("migrations/0006_delivery.sql"),
    include_str!("migrations/0007_telephones.sql"),
    include_str!("migrations/0008_tokens.sql"),
    include_str!("migrations/0009_invitations.sql"),
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
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
    }
}
