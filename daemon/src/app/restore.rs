//! `twinlockd --restore`: a backup on standard input takes the place of the store, and what has to be done by hand is said.

use std::{io::Read, path::PathBuf};

use super::{Failure, harden, make_folder};
use crate::{
    audit::{self, Subject},
    clock::{SystemClock, Timestamp},
    names::printable,
    options::Options,
    random::SystemRandom,
    seal::{KeySource, KeySourceError, Sealer},
    store::sqlite::{Draft, RestoreError, Restored, Voided},
};

/// Brings a backup back; gives the report, in lines or as JSON.
///
/// # Errors
///
/// See [`Failure`]. Nothing has changed then.
pub fn restore(options: &Options, input: &mut dyn Read) -> Result<Vec<String>, Failure> {
    harden();
    make_folder(&options.state_dir, 0o700)?;
    let draft = Draft::take(&options.state_dir, input).map_err(Failure::Restore)?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let source = KeySource::new(credentials.as_deref(), &options.state_dir);
    open_everything(&draft, &source).map_err(Failure::Restore)?;
    let by = Subject {
        actor: format!("uid {}", nix::unistd::geteuid()),
        claimed_by: printable(&options.claimed_by, 128),
        ..Subject::default()
    };
    let who = format!("{}, {}", by.actor, by.claimed_by);
    let restored = draft.put_in_place(&SystemClock::new(), by).map_err(Failure::Restore)?;
    tracing::warn!("the store is the backup of {} now, by {who}", time(restored.written));
    Ok(if options.json { vec![json(&restored).to_string()] } else { report(&restored) })
}

/// The sealing key that is in force must open every secret: else nobody could log in afterwards.
fn open_everything(draft: &Draft, source: &KeySource) -> Result<(), RestoreError> {
    let ring = draft.keyring()?;
    let key = source.opening(&ring, &SystemRandom).map_err(|error| {
        RestoreError::Backup(match error {
            KeySourceError::Foreign => "it was sealed with another key than the one that is here: put the sealing key of \
                 its day in the place of that one (twinlock(1), db restore), then try again"
                .to_owned(),
            KeySourceError::Lost(path) => format!(
                "there is no key to open it with, neither a credential twinlock.key nor {}: bring the sealing key of its \
                 day back first",
                path.display()
            ),
            error @ (KeySourceError::Io(..)
            | KeySourceError::Loose(..)
            | KeySourceError::Length(_)
            | KeySourceError::NoRandomness(_)) => error.to_string(),
        })
    })?;
    let sealer = Sealer::unwrap(&key, &ring).map_err(|error| RestoreError::Backup(error.to_string()))?;
    let (portfolios, tokens) = (draft.portfolios()?, draft.tokens()?);
    let of_accounts = portfolios.iter().flat_map(|portfolio| sealer.unreadable(portfolio));
    let of_tokens = tokens.iter().filter_map(|token| sealer.unreadable_token(token));
    match of_accounts.chain(of_tokens).next() {
        Some(problem) => Err(RestoreError::Backup(printable(&problem, 200))),
        None => Ok(()),
    }
}

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "an unknown time".to_owned(), Timestamp::rfc_3339)
}

fn report(restored: &Restored) -> Vec<String> {
    let Voided { by_time, by_counter, recovery, bypass, openings } = restored.voided;
    let mut lines = vec![format!(
        "The store is the backup of {} now. Start the daemon: systemctl start twinlockd",
        time(restored.written)
    )];
    if let Some(before) = &restored.before {
        lines.push(format!("The store before is kept: {}", before.display()));
    }
    lines.push("Void, for it may have been used since:".to_owned());
    for (count, what) in [
        (by_time, "app(s) and token(s) by time: the codes of until now"),
        (by_counter, "factor(s) and token(s) by counter: until twinlock token resync"),
        (recovery, "recovery code(s): users make new ones with twinlock recovery"),
        (bypass, "bypass code(s)"),
        (openings, "user(s) who could enroll at a login: twinlock user open-enrollment"),
    ] {
        if count > 0 {
            lines.push(format!("  {count} {what}"));
        }
    }
    for (user, flags) in &restored.flags {
        let user = printable(user, 64);
        if flags.required {
            lines.push(format!("As it was then: {user} needs a second factor by an administrator's word."));
        }
        if let Some((until, reason)) = &flags.exempt {
            let (until, reason) = (until.rfc_3339(), printable(reason, 200));
            lines.push(format!("As it was then: {user} is exempt until {until} ({reason})."));
        }
    }
    lines.push(format!("Entries of the audit trail from since the backup: {}.", restored.carried));
    lines.extend(restored.notes.iter().map(|note| format!("warning: {note}")));
    for entry in &restored.undone {
        let (user, event) = (printable(&entry.subject.user, 64), printable(&entry.event, 32));
        let of = if user.is_empty() { String::new() } else { format!(" of {user}") };
        let again = audit::again(entry).unwrap_or_default();
        lines.push(format!("Since the backup: {event}{of}, {}: do it again: {again}", entry.time.rfc_3339()));
    }
    lines
}

fn json(restored: &Restored) -> serde_json::Value {
    let Voided { by_time, by_counter, recovery, bypass, openings } = restored.voided;
    let exempt = restored.flags.iter().filter_map(|(user, flags)| {
        let (until, reason) = flags.exempt.as_ref()?;
        Some(serde_json::json!({ "user": user, "until": until.rfc_3339(), "reason": reason }))
    });
    let required = restored.flags.iter().filter(|(_, flags)| flags.required).map(|(user, _)| user);
    let undone = restored.undone.iter().map(|entry| {
        serde_json::json!({
            "time": entry.time.rfc_3339(), "event": entry.event, "user": entry.subject.user, "reason": entry.reason,
            "again": audit::again(entry),
        })
    });
    serde_json::json!({
        "backup_of": restored.written.map(Timestamp::rfc_3339),
        "before": restored.before.as_ref().map(|path| path.display().to_string()),
        "void": {
            "by_time": by_time, "by_counter": by_counter, "recovery": recovery, "bypass": bypass, "openings": openings,
        },
        "required": required.collect::<Vec<_>>(),
        "exempt": exempt.collect::<Vec<_>>(),
        "trail_entries": restored.carried,
        "undone": undone.collect::<Vec<_>>(),
        "warnings": restored.notes,
    })
}
