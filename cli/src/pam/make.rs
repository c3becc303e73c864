//! The files are written. Before the first of them is touched it stands in the ledger how to go back, and something will.

use std::fs;

use super::{
    arm, authselect, debian,
    entry::Manner,
    file::{self, Root},
    ledger::{Ledger, Pending},
    lines::First,
    plan::{Edit, Planned},
    sshd, undo,
};
use crate::{
    doctor::{
        Finding, Severity,
        stack::{Folders, judge},
    },
    failure::{Failure, NO},
    when,
};

/// A change at work.
pub struct Making<'a> {
    pub root: &'a Root,
    pub ledger: &'a Ledger,
    pub planned: &'a Planned,
    /// PAM services whose account phase refuses.
    pub account_services: &'a [String],
}

impl Making<'_> {
    /// Does all of it, or nothing.
    pub fn run(&self, pending: &Pending) -> Result<Vec<Finding>, Failure> {
        self.as_planned()?;
        self.keep(pending)?;
        self.ledger.set_pending(Some(pending))?;
        let failure = match self.arm_and_write(pending) {
            Ok(warnings) => return Ok(warnings),
            Err(failure) => failure,
        };
        let undone = undo::put_back(self.root, self.ledger, pending, true).and_then(|outcome| {
            undo::say(&outcome.notes);
            outcome.failure().map_or(Ok(()), Err)
        });
        match undone {
            Ok(()) => Err(Failure::new(failure.code, format!("{failure}; everything is as it was"))),
            Err(worse) => Err(Failure::new(
                failure.code,
                format!("{failure}; and putting it back failed: {worse}; run twinlock pam undo"),
            )),
        }
    }

    /// The new stack was tried meanwhile, which takes seconds.
    fn as_planned(&self) -> Result<(), Failure> {
        self.planned.edits.iter().try_for_each(|edit| self.untouched(edit))
    }

    fn untouched(&self, Edit { path, before, .. }: &Edit) -> Result<(), Failure> {
        if file::read(&self.root.at(path))? == *before {
            return Ok(());
        }
        Err(Failure::new(NO, format!("{path} was changed by somebody meanwhile; run it again")))
    }

    /// Copies of everything, as it is and as it will be.
    fn keep(&self, pending: &Pending) -> Result<(), Failure> {
        let name = &pending.name;
        for entry in &pending.entries {
            for path in &entry.files {
                let edit = self.planned.edits.iter().find(|edit| edit.path == *path);
                let (before, after) = match edit {
                    Some(edit) => (edit.before.clone(), edit.after.clone()),
                    None => (file::read(&self.root.at(path))?, None),
                };
                self.ledger.keep(name, path, before.as_deref(), after.as_deref())?;
            }
            let Manner::Authselect { base, .. } = &entry.manner else { continue };
            // Of these our profile is made: doctor sees when they are others.
            for path in authselect::NAMES.map(|each| format!("{base}/{each}")) {
                if let Ok(text) = fs::read(&path) {
                    self.ledger.keep(name, &path, Some(&text), None)?;
                }
            }
        }
        Ok(())
    }

    fn arm_and_write(&self, pending: &Pending) -> Result<Vec<Finding>, Failure> {
        if let Some(deadline) = pending.deadline {
            arm::arm(&pending.name, u64::try_from(deadline - when::seconds()).unwrap_or(1))?;
        }
        self.write(pending)?;
        let warnings = self.look(pending)?;
        let made = Pending { made: true, ..pending.clone() };
        if pending.deadline.is_none() {
            undo::settle(self.root, self.ledger, &made)?;
        } else {
            self.ledger.set_pending(Some(&made))?;
        }
        Ok(warnings)
    }

    fn write(&self, pending: &Pending) -> Result<(), Failure> {
        for edit in &self.planned.edits {
            self.untouched(edit)?;
            file::put(&self.root.at(&edit.path), edit.after.as_deref())?;
        }
        for entry in &pending.entries {
            match &entry.manner {
                Manner::Lines => continue,
                Manner::Profile => debian::switch(true)?,
                Manner::Authselect { .. } => {
                    self.planned.authselect.as_ref().map_or(Ok(()), authselect::Plan::apply)?;
                }
            }
            for path in &entry.files {
                let after = file::read(&self.root.at(path))?;
                self.ledger.keep(&pending.name, path, None, after.as_deref())?;
            }
        }
        Ok(())
    }

    /// Judges what stands there now, and not what was meant to; sshd hears of it last.
    fn look(&self, pending: &Pending) -> Result<Vec<Finding>, Failure> {
        let folders = Folders::below(self.root.folder(), &[]);
        for service in &self.planned.tried {
            let report = judge(service, &folders);
            let error = report.findings.into_iter().find(|finding| finding.severity == Severity::Error);
            let why = error.map(|error| error.to_string());
            let why = why.or((!report.auth_line).then(|| format!("{service} has no line of ours after all")));
            if let Some(why) = why {
                return Err(Failure::new(NO, why));
            }
        }
        if let Some(entry) = pending.entries.iter().find(|entry| entry.has_drop_in()) {
            let warnings = sshd::check(First::of(entry.key), &folders, self.account_services)?;
            sshd::reload()?;
            return Ok(warnings);
        }
        Ok(Vec::new())
    }
}
