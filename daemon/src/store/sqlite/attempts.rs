//! Tries, and what they cost.

use rusqlite::{Connection, OptionalExtension, params};

use super::{deliveries, spares, tokens, trail, unavailable};
use crate::{
    audit::{self, Outcome},
    clock::Timestamp,
    engine::{
        proof::{Accepted, Attempt, Candidate, Missed, Ruling},
        throttle::{self, Account, Budget, Failure, Standing},
    },
    names::{AccountId, Source, UserName},
    store::{Charge, StoreError},
};

/// See [`crate::engine::proof::Ledger::settle`].
pub(super) fn settle(connection: &Connection, attempt: &Attempt) -> Result<Ruling, StoreError> {
    let ruling = decide(connection, attempt)?;
    let (outcome, method, reason) = match &ruling {
        Ruling::Accepted(Accepted::Step(factor), _) => {
            (Outcome::Granted, tokens::kind_of(connection, factor)?.name(), factor.0.as_str())
        }
        Ruling::Accepted(Accepted::Spare { kind, .. }, _) => (Outcome::Granted, kind.name(), ""),
        Ruling::Accepted(Accepted::Delivered, _) => (Outcome::Granted, delivered(attempt), ""),
        Ruling::Used => (Outcome::Denied, "", "used"),
        Ruling::Wrong => (Outcome::Denied, "", "wrong"),
        Ruling::Refused(_) => (Outcome::Denied, "", "throttled"),
    };
    let record = audit::Record {
        time: attempt.now,
        event: attempt.event,
        subject: attempt.subject.clone(),
        method,
        outcome,
        reason: reason.to_owned(),
    };
    // Knocking on a closed door is told once a minute, or it would fill the disk.
    if !matches!(ruling, Ruling::Refused(_)) || !trail::has_recent(connection, &record)? {
        trail::append(connection, &record)?;
    }
    Ok(ruling)
}

/// How the code of this try was sent.
fn delivered(attempt: &Attempt) -> &'static str {
    let by = attempt.candidates.iter().find_map(|candidate| match candidate {
        Candidate::Delivered { method, .. } => Some(method.name()),
        Candidate::Step { .. } | Candidate::Spare(_) => None,
    });
    by.unwrap_or_default()
}

fn decide(connection: &Connection, attempt: &Attempt) -> Result<Ruling, StoreError> {
    let standing = standing_of(connection, attempt)?;
    if standing != Standing::Open {
        return Ok(Ruling::Refused(standing));
    }
    if let Some(account) = attempt.account
        && !attempt.candidates.is_empty()
    {
        return match spend_all(connection, account, &attempt.candidates, attempt.now)? {
            Some(accepted) => {
                let missed = missed(connection, account, attempt)?;
                forgive(connection, account, attempt)?;
                welcome(connection, account, &attempt.source, attempt.now)?;
                Ok(Ruling::Accepted(accepted, missed))
            }
            None => Ok(Ruling::Used),
        };
    }
    for budget in &attempt.budgets {
        add_failure(connection, budget, &attempt.source, attempt.now)?;
    }
    Ok(Ruling::Wrong)
}

/// The strictest standing of the attempt's budgets. What strangers spent of a user's budget does not count from
/// where that user succeeded lately: else it would lock the user out.
fn standing_of(connection: &Connection, attempt: &Attempt) -> Result<Standing, StoreError> {
    attempt.budgets.iter().try_fold(Standing::Open, |standing, budget| {
        let of_this = standing_of_one(connection, budget, attempt.now)?;
        match budget.account {
            Account::Unproven(account)
                if of_this != Standing::Open
                    && is_welcome(connection, account, &attempt.source, attempt.now)? =>
            {
                Ok(standing)
            }
            _ => Ok(standing.and(of_this)),
        }
    })
}

/// Spends the code for everything that it matches: two factors may hold the same key, and it still works once.
fn spend_all(
    connection: &Connection,
    account: AccountId,
    candidates: &[Candidate],
    now: Timestamp,
) -> Result<Option<Accepted>, StoreError> {
    for candidate in candidates {
        if is_spent(connection, candidate)? {
            return Ok(None); // used for one of them is used
        }
    }
    let mut accepted = None;
    for candidate in candidates {
        let spent = spend(connection, account, candidate, now)?;
        accepted = accepted.or(spent);
    }
    Ok(accepted)
}

/// Whether this step, or a later one, was accepted before.
fn is_spent(connection: &Connection, candidate: &Candidate) -> Result<bool, StoreError> {
    let Candidate::Step { factor, matched } = candidate else { return Ok(false) };
    connection
        .prepare_cached("SELECT count(*) FROM factor WHERE id = ?1 AND last_step >= ?2")
        .and_then(|mut statement| statement.query_row(params![factor.0, matched.step], |row| row.get(0)))
        .map(|rows: u32| rows > 0)
        .map_err(unavailable)
}

/// The conditional write that decides: the number of rows it changed is the answer.
fn spend(
    connection: &Connection,
    account: AccountId,
    candidate: &Candidate,
    now: Timestamp,
) -> Result<Option<Accepted>, StoreError> {
    let (factor, matched) = match candidate {
        Candidate::Step { factor, matched } => (factor, matched),
        Candidate::Spare(spare) => return spares::spend(connection, account, *spare, now),
        Candidate::Delivered { counter, .. } => return deliveries::spend(connection, account, *counter, now),
    };
    let changed = connection
        .prepare_cached(
            "UPDATE factor SET last_step = ?3, drift = ?4, last_offset = ?5, last_used = ?6, active = 1
             WHERE id = ?1 AND account = ?2 AND (last_step IS NULL OR last_step < ?3) AND resync_required = 0",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                factor.0,
                account.0,
                matched.step,
                matched.drift.steps,
                matched.drift.last_offset,
                now.0
            ])
        })
        .map_err(unavailable)?;
    Ok((changed == 1).then(|| Accepted::Step(factor.clone())))
}

/// A success forgives the failures from where it came, and no others: else guesses between the owner's own
/// logins would be free (NIST SP 800-63B section 5.2.2).
fn forgive(connection: &Connection, account: AccountId, attempt: &Attempt) -> Result<(), StoreError> {
    let own = attempt.budgets.iter().map(|budget| &budget.account).filter(|of| matches!(of, Account::Own(_)));
    let mut statement = connection
        .prepare_cached("UPDATE failure SET cleared = 1 WHERE budget = ?1 AND source = ?2 AND cleared = 0")
        .map_err(unavailable)?;
    for of in std::iter::once(&Account::User(account)).chain(own) {
        statement.execute(params![name(of), attempt.source.as_str()]).map_err(unavailable)?;
    }
    Ok(())
}

/// The failures since the account's last login, but for those of this very conversation.
fn missed(connection: &Connection, account: AccountId, attempt: &Attempt) -> Result<Missed, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(budget = ?1), 0), max(at) FROM failure
             WHERE budget IN (?1, ?2) AND NOT (source = ?3 AND at >= ?4)
             AND at > (SELECT coalesce(max(at), 0) FROM welcome WHERE account = ?5 AND source NOT LIKE 'user.sock %')",
        )
        .map_err(unavailable)?;
    let (proven, unproven) = (name(&Account::User(account)), name(&Account::Unproven(account)));
    let (source, began) = (attempt.source.as_str(), attempt.began.0);
    statement
        .query_row(params![proven, unproven, source, began, account.0], |row| {
            let last: Option<i64> = row.get(2)?;
            Ok(Missed { failures: row.get(0)?, proven: row.get(1)?, last: last.map(Timestamp) })
        })
        .map_err(unavailable)
}

/// See [`crate::store::Store::standing`].
pub(super) fn standing(
    connection: &Connection,
    budgets: &[Budget],
    now: Timestamp,
) -> Result<Standing, StoreError> {
    budgets.iter().try_fold(Standing::Open, |standing, budget| {
        Ok(standing.and(standing_of_one(connection, budget, now)?))
    })
}

fn standing_of_one(connection: &Connection, budget: &Budget, now: Timestamp) -> Result<Standing, StoreError> {
    Ok(budget.rule.standing(&failures(connection, &budget.account)?, now))
}

/// Remembers where an account succeeded.
fn welcome(
    connection: &Connection,
    account: AccountId,
    source: &Source,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO welcome (account, source, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (account, source) DO UPDATE SET at = excluded.at",
        )
        .and_then(|mut statement| statement.execute(params![account.0, source.as_str(), now.0]))
        .map(drop)
        .map_err(unavailable)
}

/// Whether an account succeeded from there in the last 30 days.
fn is_welcome(
    connection: &Connection,
    account: AccountId,
    source: &Source,
    now: Timestamp,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM welcome WHERE account = ?1 AND source = ?2 AND at > ?3")
        .and_then(|mut statement| {
            statement.query_row(params![account.0, source.as_str(), now.before(throttle::MEMORY).0], |row| {
                row.get(0)
            })
        })
        .map(|rows: u32| rows > 0)
        .map_err(unavailable)
}

fn failures(connection: &Connection, account: &Account) -> Result<Vec<Failure>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT at, cleared FROM failure WHERE budget = ?1 ORDER BY at, id")
        .map_err(unavailable)?;
    let rows = statement
        .query_map([name(account)], |row| Ok(Failure { at: Timestamp(row.get(0)?), cleared: row.get(1)? }))
        .map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// Failures since the last success.
pub(super) fn uncleared(connection: &Connection, account: AccountId) -> Result<u32, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM failure WHERE budget = ?1 AND cleared = 0")
        .and_then(|mut statement| statement.query_row([name(&Account::User(account))], |row| row.get(0)))
        .map_err(unavailable)
}

/// See [`crate::store::Store::charge`].
pub(super) fn charge(
    connection: &Connection,
    budget: &Budget,
    source: &Source,
    now: Timestamp,
) -> Result<Charge, StoreError> {
    match standing(connection, std::slice::from_ref(budget), now)? {
        Standing::Open => add_failure(connection, budget, source, now).map(Charge::Taken),
        standing => Ok(Charge::Refused(standing)),
    }
}

/// See [`crate::store::Store::refund`].
pub(super) fn refund(connection: &Connection, charge: i64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM failure WHERE id = ?1", [charge]).map(drop).map_err(unavailable)
}

/// See [`crate::store::Store::forgive`].
pub(super) fn forgive_charge(connection: &Connection, charge: i64) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM failure WHERE budget = (SELECT budget FROM failure WHERE id = ?1)
             AND source = (SELECT source FROM failure WHERE id = ?1)",
            [charge],
        )
        .map(drop)
        .map_err(unavailable)
}

fn add_failure(
    connection: &Connection,
    budget: &Budget,
    source: &Source,
    now: Timestamp,
) -> Result<i64, StoreError> {
    // What no success of a user's has forgiven counts for the stop, however old: at most so many rows a user.
    let kept = matches!(budget.account, Account::User(_) | Account::Own(_));
    let budget = name(&budget.account);
    connection
        .prepare_cached("DELETE FROM failure WHERE at < ?1 AND (cleared = 1 OR kept = 0)")
        .and_then(|mut statement| statement.execute(params![now.before(throttle::MEMORY).0]))
        .map_err(unavailable)?;
    connection
        .prepare_cached("INSERT INTO failure (budget, source, at, kept) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.insert(params![budget, source.as_str(), now.0, kept]))
        .map_err(unavailable)
}

/// See [`crate::store::Store::unlock`].
pub(super) fn unlock(
    connection: &Connection,
    user: &UserName,
    uid: u32,
    record: &audit::Record,
) -> Result<u32, StoreError> {
    let account = connection
        .query_row("SELECT id FROM account WHERE name = ?1", [user.as_str()], |row| row.get(0).map(AccountId))
        .optional()
        .map_err(unavailable)?;
    let mut forgotten =
        forget(connection, &Account::Password(uid))? + forget(connection, &Account::Own(uid))?;
    if let Some(account) = account {
        forgotten += forget(connection, &Account::User(account))?;
        forgotten += forget(connection, &Account::Unproven(account))?;
    }
    trail::append(connection, record)?;
    Ok(forgotten)
}

/// Forgets every failure that is charged to this.
pub(super) fn forget(connection: &Connection, account: &Account) -> Result<u32, StoreError> {
    let removed =
        connection.execute("DELETE FROM failure WHERE budget = ?1", [name(account)]).map_err(unavailable)?;
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}

fn name(account: &Account) -> String {
    match account {
        Account::User(AccountId(id)) => format!("user {id}"),
        Account::Unproven(AccountId(id)) => format!("unproven {id}"),
        Account::Source(source) => format!("source {}", source.as_str()),
        Account::Own(uid) => format!("own {uid}"),
        Account::Password(uid) => format!("password {uid}"),
    }
}
