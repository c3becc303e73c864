//! `twinlock pam status`: where a second factor is asked, and who wrote that.

use std::path::Path;

use serde::Serialize;

use super::{
    entry::Entry,
    file::Root,
    ledger::{self, Pending},
    lines::{self, First},
    sshd,
};
use crate::{
    doctor::{
        Severity,
        stack::{Files, Folders, judge, places},
    },
    failure::{Failure, NO},
    output::{self, clean, line},
};

/// A service with lines of ours. Scripts rely on these names.
#[derive(Debug, Serialize)]
struct Service {
    service: String,
    file: String,
    /// command, hand, or the file that brings our lines in
    written_by: String,
    /// password or key; null where that cannot be told
    first_factor: Option<&'static str>,
    /// confirmed, waiting, or null where the command did not write it
    state: Option<&'static str>,
    /// somebody changed the file after the command did
    changed: bool,
    /// well, warning or error
    doctor: &'static str,
}

#[derive(Debug, Serialize)]
struct Waiting {
    services: Vec<String>,
    undone_at: Option<String>,
    whole: bool,
    claimed_by: String,
}

/// Shows it. With a name: exit 1 if nothing of ours is there.
pub fn run(service: Option<&str>, root: &Path, json: bool) -> Result<(), Failure> {
    let root = Root::new(root);
    let folders = Folders::below(root.folder(), &[]);
    let (enabled, pending) = (ledger::enabled(&root)?, ledger::pending(&root)?);
    let mut services = Vec::new();
    for name in folders.services() {
        if service.is_none_or(|wanted| wanted == name) {
            services.extend(look(&name, &root, &folders, &enabled, pending.as_ref())?);
        }
    }
    let drop_in = root.at(sshd::DROP_IN).exists();
    if json {
        let waiting = pending.as_ref().map(|pending| Waiting {
            services: pending.entries.iter().map(|entry| entry.service.clone()).collect(),
            undone_at: pending.deadline.map(output::time),
            whole: pending.made,
            claimed_by: pending.claimed_by.clone(),
        });
        output::json(
            &serde_json::json!({ "services": services, "waiting": waiting, "sshd_drop_in": drop_in }),
        )?;
    } else {
        print(&services, drop_in, pending.as_ref())?;
    }
    if service.is_some() && services.is_empty() { Err(Failure::new(NO, "")) } else { Ok(()) }
}

fn look(
    name: &str,
    root: &Root,
    folders: &Folders,
    enabled: &[Entry],
    pending: Option<&Pending>,
) -> Result<Option<Service>, Failure> {
    let Some(places) = places(name, folders).filter(|at| !(at.ours.is_empty() && at.elsewhere.is_empty()))
    else {
        return Ok(None);
    };
    let text = folders.read(name).map(|(_, text)| text).unwrap_or_default();
    let of = |entries: &[Entry]| entries.iter().find(|entry| entry.service == name).cloned();
    let (waits, confirmed) = (pending.and_then(|pending| of(&pending.entries)), of(enabled));
    let state = match (&waits, &confirmed) {
        (Some(_), _) => Some("waiting"),
        (None, Some(_)) => Some("confirmed"),
        (None, None) => None,
    };
    let mut changed = false;
    if let Some(entry) = waits.or(confirmed) {
        for path in &entry.files {
            changed |= entry.changed(root, path)?;
        }
    }
    let report = judge(name, folders);
    let worst = |severity| report.findings.iter().any(|finding| finding.severity == severity);
    let first_factor = match lines::first(&text) {
        Some(First::Password) => Some("password"),
        Some(First::Key) => Some("key"),
        None if report.after_key => Some("key"),
        None => None,
    };
    let elsewhere = places.elsewhere.first().and_then(|place| Some(place.rsplit_once(':')?.0.to_owned()));
    Ok(Some(Service {
        service: name.to_owned(),
        file: places.path,
        written_by: match (lines::written(&text), elsewhere) {
            (true, _) => "command".to_owned(),
            (false, Some(file)) if places.ours.is_empty() => file,
            (false, _) => "hand".to_owned(),
        },
        first_factor,
        state,
        changed,
        doctor: match (worst(Severity::Error), worst(Severity::Warning)) {
            (true, _) => "error",
            (false, true) => "warning",
            (false, false) => "well",
        },
    }))
}

fn print(services: &[Service], drop_in: bool, pending: Option<&Pending>) -> Result<(), Failure> {
    if services.is_empty() {
        line("No stack asks for a second factor.")?;
    } else {
        line(format!("{:<16} {:<24} {:<12} {:<10} DOCTOR", "SERVICE", "WRITTEN BY", "AFTER", "STATE"))?;
    }
    for Service { service, written_by, first_factor, state, changed, doctor, .. } in services {
        let state = if *changed { "changed" } else { state.unwrap_or("-") };
        let after = first_factor.unwrap_or("-");
        let (service, written_by) = (clean(service), clean(written_by));
        line(format!("{service:<16} {written_by:<24} {after:<12} {state:<10} {doctor}"))?;
    }
    if drop_in {
        line(format!("sshd's methods: {}", sshd::DROP_IN))?;
    }
    pending.map_or(Ok(()), |pending| line(clean(&pending.sentence())))
}
