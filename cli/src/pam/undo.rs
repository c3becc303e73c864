//! The end of a change that nobody has confirmed: confirmed, or undone.

use std::{io::Write, path::Path, time::Duration};

use super::{
    arm,
    file::Root,
    ledger::{self, Ledger, Pending},
    out, sshd, told,
};
use crate::{
    args::PamUndo,
    failure::{Failure, LATER, NO},
    output::{self, line},
    when,
};

/// How often whoever waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);
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
        told::tell(runtime_dir, true, service, "confirmed").await;
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
        let ledger = patiently(&root).await?;
        // Confirmed in the last moment, or undone already.
        let Some(pending) = ledger.pending()?.filter(|pending| pending.name == *change) else {
            return Ok(());
        };
        let services = put_back(&root, &ledger, &pending, !options.boot)?;
        return tell(runtime_dir, &services, "undone: nobody confirmed").await;
    }
    let ledger = Ledger::open(&root)?;
    let Some(pending) = ledger.pending()? else {
        return Err(Failure::new(
            NO,
            "nothing waits to be confirmed; what is confirmed ends by twinlock pam disable",
        ));
    };
    let services = put_back(&root, &ledger, &pending, !options.boot)?;
    tell(runtime_dir, &services, if options.boot { "undone at boot: nobody confirmed" } else { "undone" })
        .await?;
    if json {
        return output::json(&serde_json::json!({ "services": services }));
    }
    line(format!("Put back: {}.", services.join(", ")))
}

async fn tell(runtime_dir: &Path, services: &[String], reason: &str) -> Result<(), Failure> {
    for service in services {
        told::tell(runtime_dir, false, service, reason).await;
    }
    Ok(())
}

/// Puts everything of a change back; it goes from the ledger when that is done.
pub fn put_back(
    root: &Root,
    ledger: &Ledger,
    pending: &Pending,
    reload: bool,
) -> Result<Vec<String>, Failure> {
    let mut sshd_changed = false;
    for entry in pending.entries.iter().rev() {
        sshd_changed |= out::put_back(root, entry)?;
    }
    let services: Vec<String> = pending.entries.iter().map(|entry| entry.service.clone()).collect();
    let mut enabled = ledger::enabled(root)?;
    enabled.retain(|entry| entry.copies != pending.name);
    ledger.set_enabled(&enabled)?;
    ledger.set_pending(None)?;
    arm::disarm(&pending.name);
    if sshd_changed && reload && root.is_host() {
        sshd::reload()?;
    }
    Ok(services)
}

/// Waits in a session of its own, so that the end of a shell is not ours; whether the change is still to be undone.
async fn wait(root: &Root, change: &str) -> Result<bool, Failure> {
    nix::unistd::setsid().map_err(|errno| Failure::new(NO, format!("cannot leave this session: {errno}")))?;
    write!(std::io::stdout(), "{}", arm::READY)?;
    std::io::stdout().flush()?;
    loop {
        let Some(pending) = ledger::pending(root)?.filter(|pending| pending.name == change) else {
            return Ok(false);
        };
        if pending.deadline.is_none_or(|deadline| when::seconds() >= deadline) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
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
