//! `twinlock pam disable`: needs no daemon, no module, and no ledger.

use std::path::Path;

use super::{
    announce, arm, authselect, debian, diff,
    entry::{Entry, Manner},
    file::{self, Root},
    ledger::{self, Ledger},
    removal::{self, Change},
    sshd, undo,
};
use crate::{
    args::PamDisable,
    doctor::stack::{Files, Folders, places},
    failure::{Failure, NO},
    output::{self, clean, line},
    terminal,
};

/// What is to be taken out.
#[derive(Default)]
struct Work {
    /// What the ledger knows.
    entries: Vec<Entry>,
    /// What it does not: the service, and its files.
    unknown: Vec<(String, Vec<Change>)>,
    /// What was written by hand and has to be taken out so.
    refused: Option<Failure>,
}

/// Carries it out.
pub async fn run(runtime_dir: &Path, options: &PamDisable, json: bool) -> Result<(), Failure> {
    let root = Root::new(&options.root);
    let work = Work::find(&root, options)?;
    if work.is_empty() {
        if ledger::broken(&root) {
            undo::say(&Ledger::open(&root)?.set_broken_aside()?);
        }
        if let Some(failure) = work.refused {
            return Err(failure);
        }
        left(&root, options)?;
        return if json {
            output::json(&serde_json::json!({ "services": [] }))
        } else {
            line("No line of ours is there; nothing has changed.")
        };
    }
    if !json {
        work.show(&root)?;
    }
    if !options.yes {
        terminal::agree_unless(json, "Type yes to go on: ").await?;
    }
    let ledger = Ledger::open(&root)?;
    undo::say(&ledger.set_broken_aside()?);
    let services = Work::find(&root, options)?.carry_out(&root, &ledger, options)?;
    for service in services.iter().filter(|_| root.is_host()) {
        announce::tell(runtime_dir, false, service, "disabled").await;
    }
    if json {
        return output::json(&serde_json::json!({ "services": services }));
    }
    line(format!("No second factor is asked any more at: {}.", clean(&services.join(", "))))
}

impl Work {
    fn find(root: &Root, options: &PamDisable) -> Result<Self, Failure> {
        let folders = Folders::below(root.folder(), &[]);
        // A ledger that cannot be understood is set aside before anything is taken out; the comments in the files do then.
        let mut entries = ledger::enabled(root).unwrap_or_default();
        // What waits is undone whole: its files are one change.
        let waits = ledger::pending(root).ok().flatten().map(|pending| pending.entries).unwrap_or_default();
        let wanted = |service: &str| options.all || options.service.iter().any(|each| each == service);
        // sshd's methods came with the profile that makes its stack ask, and go with it.
        let profiles: Vec<String> = entries
            .iter()
            .filter(|entry| entry.manner == Manner::Profile && wanted(&entry.service))
            .map(|entry| entry.copies.clone())
            .collect();
        let methods = |entry: &Entry| entry.files == [sshd::DROP_IN] && profiles.contains(&entry.copies);
        let touched = |entry: &Entry| {
            wanted(&entry.service) || methods(entry) || matches!(entry.manner, Manner::Authselect { .. })
        };
        entries.retain(|entry| !waits.iter().any(|each| each.service == entry.service) && touched(entry));
        entries.extend(waits);
        let mut names = if options.all { folders.names() } else { options.service.clone() };
        names.retain(|name| !entries.iter().any(|entry| entry.service == *name));
        let mut work = Self { entries, ..Self::default() };
        for name in names {
            match work.look_at(root, &folders, &name) {
                // One service by hand does not keep the others in.
                Err(failure) if options.all => work.refused = work.refused.or(Some(failure)),
                looked => looked?,
            }
        }
        Ok(work)
    }

    fn look_at(&mut self, root: &Root, folders: &Folders, service: &str) -> Result<(), Failure> {
        let known = |entry: &Entry| matches!(entry.manner, Manner::Authselect { .. });
        if authselect::NAMES.contains(&service) && self.entries.iter().any(known) {
            return Ok(());
        }
        // Somebody ran pam-auth-update: it takes its line out itself.
        if service == debian::SERVICE
            && root.is_host()
            && debian::possible(root).is_ok()
            && places(service, folders).is_some_and(|places| !places.ours.is_empty())
        {
            let (service, manner, files) = (service.to_owned(), Manner::Profile, debian::files(root));
            self.entries.push(Entry { service, key: false, manner, files, copies: String::new() });
            return Ok(());
        }
        let changes = removal::unknown(root, folders, service)?;
        if !changes.is_empty() {
            self.unknown.push((service.to_owned(), changes));
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unknown.is_empty()
    }

    fn show(&self, root: &Root) -> Result<(), Failure> {
        let mut changes: Vec<Change> = self.unknown.iter().flat_map(|(_, changes)| changes.clone()).collect();
        for entry in &self.entries {
            for path in &entry.files {
                // What cannot be read is told when the rest is done.
                if let Ok(Some(removal::Back { content, .. })) = removal::back(root, entry, path) {
                    changes.push(Change { path: path.clone(), content });
                }
            }
        }
        changes.iter().try_for_each(|Change { path, content }| {
            diff::show(path, content.now.as_deref(), content.then.as_deref())
        })
    }

    /// Takes all of it out; says of which services.
    fn carry_out(self, root: &Root, ledger: &Ledger, options: &PamDisable) -> Result<Vec<String>, Failure> {
        let outcome = removal::put_all_back(root, &self.entries, true);
        undo::say(&outcome.notes);
        let mut services = outcome.services();
        let mut refused = self.refused;
        for (service, changes) in &self.unknown {
            match put(root, changes) {
                Ok(()) => services.push(service.clone()),
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        let mut enabled = ledger::enabled(root)?;
        enabled.retain(|entry| !services.contains(&entry.service));
        ledger.set_enabled(&enabled)?;
        if let Some(mut pending) = ledger.pending()? {
            pending.entries.retain(|entry| outcome.failed.contains(entry));
            if pending.entries.is_empty() {
                ledger.set_pending(None)?;
                arm::disarm(&pending.name);
            } else {
                ledger.set_pending(Some(&pending))?;
            }
        }
        if let Some(failure) = outcome.failure().or(refused) {
            return Err(failure);
        }
        left(root, options)?;
        services.sort_unstable();
        Ok(services)
    }
}

/// What the ledger does not know. sshd reads at once what holds.
fn put(root: &Root, changes: &[Change]) -> Result<(), Failure> {
    for Change { path, content } in changes {
        file::put(&root.at(path), content.then.as_deref())?;
    }
    let sshd = changes.iter().any(|change| change.path == sshd::DROP_IN);
    if sshd && root.is_host() { sshd::reload() } else { Ok(()) }
}

/// A line of ours that is there still denies every login once the module is gone.
fn left(root: &Root, options: &PamDisable) -> Result<(), Failure> {
    let folders = Folders::below(root.folder(), &[]);
    let all = folders.names();
    let path = |name: &String| folders.read(name).ok().map(|(path, _)| path);
    let names_of_files: Vec<String> = all.iter().filter_map(path).collect();
    for name in if options.all { all } else { options.service.clone() } {
        let Some(places) = places(&name, &folders) else { continue };
        if let Some(number) = places.ours.first() {
            let path = places.path;
            return Err(Failure::new(
                NO,
                format!("{path}:{number} has a line of pam_twinlock.so still: take it out by hand"),
            ));
        }
        // With --all, the service of that name has been seen to; a file outside libpam's folders is none.
        let outside = |place: &&String| {
            place.rsplit_once(':').is_none_or(|(file, _)| !names_of_files.iter().any(|each| each == file))
        };
        if let Some(place) = places.elsewhere.iter().find(|place| !options.all || outside(place)) {
            let what = if options.all {
                "take our line out there by hand"
            } else {
                "run twinlock pam disable for the service of that name"
            };
            return Err(Failure::new(NO, format!("{name} still asks, by {place}; {what}")));
        }
    }
    Ok(())
}
