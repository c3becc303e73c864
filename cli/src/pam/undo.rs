//! The end of a change that nobody has confirmed: confirmed, or undone.

use std::{io::Write, path::Path, time::Duration};

use super::{
    announce, arm,
    file::Root,
    ledger::{self, Ledger, Pending},
    removal::{self, Outcome},
};
use crate::{
    args::PamUndo,
    failure::{Failure, LATER, NO},
    output::{self, line},
    when,
};

/// How often whoever waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);
/// How long a process that waits lets pass before it tries again what failed.
const AGAIN: Duration = Duration::from_secs(30);
/// How long an undo that is due waits for a command that is at work.
const PATIENCE: u32 = 120;

/// All is well: what was enabled stays.
pub async fn confirm(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let root = Root::new(Path::new("/"));
    let ledger = Ledger::open(&root)?;
    let Some(pending) = ledger.pending()? else {
        return Err(Failure::new(NO, "nothing waits to be confirmed; see twinlock pam status"));
    };
    if !pending.made {
        return Err(Failure::new(
            NO,
            "the change was interrupted before it was whole; run twinlock pam undo, then enable again",
        ));
    }
    let services = settle(&root, &ledger, &pending)?;
    for service in &services {
        announce::tell(runtime_dir, true, service, "confirmed").await;
    }
    if json {
        return output::json(&serde_json::json!({ "services": services }));
    }
    line(format!("Confirmed: {}.", services.join(", ")))
}

/// Moves a change to what was confirmed.
pub fn settle(root: &Root, ledger: &Ledger, pending: &Pending) -> Result<Vec<String>, Failure> {
    let services: Vec<String> = pending.entries.iter().map(|entry| entry.service.clone()).collect();
    let mut enabled = ledger::enabled(root)?;
    enabled.retain(|entry| !services.contains(&entry.service));
    enabled.extend(pending.entries.iter().cloned());
    ledger.set_enabled(&enabled)?;
    ledger.set_pending(None)?;
    arm::disarm(&pending.name);
    Ok(services)
}

/// Puts back what waits; of a change that is named, when it is due.
pub async fn undo(runtime_dir: &Path, options: &PamUndo, json: bool) -> Result<(), Failure> {
    let root = Root::new(Path::new("/"));
    if let Some(change) = &options.change {
        if options.later && !wait(&root, change).await? {
            return Ok(());
        }
        loop {
            match due(runtime_dir, &root, change).await {
                // systemd starts the others again.
                Err(_) if options.later => tokio::time::sleep(AGAIN).await,
                done => return done,
            }
        }
    }
    let ledger = Ledger::open(&root)?;
    let Some(pending) = ledger.pending()? else {
        return Err(Failure::new(
            NO,
            "nothing waits to be confirmed; what is confirmed ends by twinlock pam disable",
        ));
    };
    let outcome = put_back(&root, &ledger, &pending, !options.boot)?;
    let services = outcome.services();
    for service in &services {
        if options.boot {
            announce::write(false, service, "undone at boot: nobody confirmed");
        } else {
            announce::tell(runtime_dir, false, service, "undone").await;
        }
    }
    say(&outcome.notes);
    if let Some(failure) = outcome.failure() {
        // The timer of before the reboot is gone.
        if options.boot {
            let _ = arm::arm(&pending.name, AGAIN.as_secs());
        }
        return Err(failure);
    }
    if json {
        return output::json(&serde_json::json!({ "services": services }));
    }
    line(format!("Put back: {}.", services.join(", ")))
}

/// The undo of a change that is due.
async fn due(runtime_dir: &Path, root: &Root, change: &str) -> Result<(), Failure> {
    let ledger = patiently(root).await?;
    // Confirmed in the last moment, or undone already.
    let Some(pending) = ledger.pending()?.filter(|pending| pending.name == *change) else {
        return Ok(());
    };
    let outcome = put_back(root, &ledger, &pending, true)?;
    for service in outcome.services() {
        announce::tell(runtime_dir, false, &service, "undone: nobody confirmed").await;
    }
    say(&outcome.notes);
    outcome.failure().map_or(Ok(()), Err)
}

/// What is no failure, and should be known.
pub fn say(notes: &[String]) {
    for note in notes {
        let _ = writeln!(std::io::stderr(), "twinlock: {}", output::clean(note));
    }
}

/// Puts everything of a change back that can be; it goes from the ledger when that is done, and what cannot stays there, to be
/// tried again.
pub fn put_back(root: &Root, ledger: &Ledger, pending: &Pending, reload: bool) -> Result<Outcome, Failure> {
    let outcome = removal::put_all_back(root, &pending.entries, reload);
    if !outcome.failed.is_empty() {
        ledger.set_pending(Some(&Pending { entries: outcome.failed.clone(), ..pending.clone() }))?;
        return Ok(outcome);
    }
    let mut enabled = ledger::enabled(root)?;
    enabled.retain(|entry| entry.copies != pending.name);
    ledger.set_enabled(&enabled)?;
    ledger.set_pending(None)?;
    arm::disarm(&pending.name);
    Ok(outcome)
}

/// Waits in a session of its own, so that the end of a shell is not ours; whether the change is still to be undone.
async fn wait(root: &Root, change: &str) -> Result<bool, Failure> {
    nix::unistd::setsid().map_err(|errno| Failure::new(NO, format!("cannot leave this session: {errno}")))?;
    write!(std::io::stdout(), "{}", arm::READY)?;
    std::io::stdout().flush()?;
    let pending = || ledger::pending(root).map(|found| found.filter(|pending| pending.name == change));
    let Some(first) = pending()? else { return Ok(false) };
    let seconds = first.deadline.map_or(0, |deadline| deadline.saturating_sub(when::seconds()));
    // From here on without the wall clock, which somebody may set meanwhile.
    let unwanted = async {
        while pending()?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    };
    let due = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    tokio::time::timeout(due, unwanted).await.unwrap_or(Ok(true))
}

/// Nobody else will do it: whoever is at work is waited for.
async fn patiently(root: &Root) -> Result<Ledger, Failure> {
    for _ in 0..PATIENCE {
        match Ledger::open(root) {
            Err(failure) if failure.code == LATER => tokio::time::sleep(LOOK).await,
            opened => return opened,
        }
    }
    Ledger::open(root)
}
