//! What became of each secret: for people line by line, for scripts at the end.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use twinlock_proto::v1::{Migration, migration::Outcome};

use crate::{
    failure::{Failure, NO},
    output::{self, clean, line},
};

/// What became of one secret. Scripts rely on these names.
#[derive(Serialize)]
struct MigrationJson {
    user: String,
    line: Option<u32>,
    outcome: &'static str,
    factor: Option<String>,
    label: Option<String>,
    kind: Option<String>,
    digits: Option<u32>,
    period: Option<u32>,
    notes: Vec<String>,
    reason: Option<String>,
}

impl From<Migration> for MigrationJson {
    fn from(migration: Migration) -> Self {
        let outcome = match migration.outcome() {
            Outcome::Taken => "taken",
            Outcome::Present => "present",
            Outcome::Refused => "refused",
            Outcome::Unspecified => "unknown",
        };
        let Migration { line, user, factor, label, kind, digits, period_s, notes, reason, .. } = migration;
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let number = |number: u32| Some(number).filter(|number| *number != 0);
        Self {
            user,
            line: number(line),
            outcome,
            factor: text(factor),
            label: text(label),
            kind: text(kind),
            digits: number(digits),
            period: number(period_s),
            notes,
            reason: text(reason),
        }
    }
}

/// Tells people line by line, and scripts at the end.
pub struct Report {
    json: bool,
    dry_run: bool,
    watched: bool,
    told: Vec<MigrationJson>,
}

impl Report {
    pub fn new(json: bool, dry_run: bool) -> Self {
        Self { json, dry_run, watched: io::stderr().is_terminal() && !json, told: Vec::new() }
    }

    pub fn progress(&self, n: usize, total: usize) {
        if self.watched && total > 1 {
            let _ = write!(io::stderr(), "\rLooking {} %", n * 100 / total);
        }
    }

    /// A line for people.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        if self.json { Ok(()) } else { line(text) }
    }

    pub fn warn(&self, text: &str) -> Result<(), Failure> {
        self.say(&format!("warning: {}", clean(text)))
    }

    pub fn refuse(&mut self, user: &str, reason: String) -> Result<(), Failure> {
        let mut migration = Migration { user: user.to_owned(), reason, ..Migration::default() };
        migration.set_outcome(Outcome::Refused);
        self.add(migration)
    }

    pub fn add(&mut self, migration: Migration) -> Result<(), Failure> {
        let told = MigrationJson::from(migration);
        self.say(&clean(&self.sentence(&told)))?;
        self.told.push(told);
        Ok(())
    }

    fn sentence(&self, told: &MigrationJson) -> String {
        let place = told.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let user = if told.user.is_empty() { String::new() } else { format!("{}: ", told.user) };
        let said = match told.outcome {
            "taken" => {
                let kind = told.kind.as_deref().unwrap_or_default().to_uppercase();
                let period = told.period.map(|period| format!(", {period} s")).unwrap_or_default();
                let taken = if self.dry_run { "would be taken over" } else { "taken over" };
                let notes: String = told.notes.iter().map(|note| format!("; {note}")).collect();
                format!("{taken} ({kind}, {} digits{period}){notes}", told.digits.unwrap_or_default())
            }
            "present" => format!("already there, as \"{}\"", told.label.as_deref().unwrap_or_default()),
            _ => format!("refused: {}", told.reason.as_deref().unwrap_or_default()),
        };
        format!("{place}{user}{said}")
    }

    /// What was done before it failed: people were told.
    pub fn so_far(&self) -> Result<(), Failure> {
        if self.json && !self.told.is_empty() { output::json(&self.told) } else { Ok(()) }
    }

    /// The sum, and what is to be done next.
    pub fn end(self, module: &str) -> Result<(), Failure> {
        let count = |outcome: &str| self.told.iter().filter(|told| told.outcome == outcome).count();
        let (taken, present, refused) = (count("taken"), count("present"), count("refused"));
        if self.json {
            output::json(&self.told)?;
        } else {
            let would = if self.dry_run { "Nothing is stored. It would be: " } else { "" };
            self.say(&format!("{would}{taken} taken over, {present} already there, {refused} refused."))?;
            if taken > 0 && !self.dry_run {
                line(format!(
                    "Next: log in with a code while another session stays open; then put pam_twinlock.so in the place of {module}."
                ))?;
                line(
                    "What was used there stays used, but from now on each counts for itself: do not keep both.",
                )?;
                line(
                    "Keep the old files until everybody has logged in. To undo it for one: twinlock user reset NAME",
                )?;
            }
        }
        if refused > 0 { Err(Failure::new(NO, "")) } else { Ok(()) }
    }
}
