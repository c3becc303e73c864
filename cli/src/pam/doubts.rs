//! What doctor says of changes that were made: whether they wait, were cut off, or are not as they were written.

use std::{fs, path::Path};

use super::{
    authselect,
    entry::Manner,
    file::Root,
    ledger::{enabled, pending},
};
use crate::{failure::Failure, when};

/// Seconds by which an undo may be late.
const LATE: i64 = 60;

/// What an administrator should know of what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It waits to be confirmed.
    Waits(String),
    /// It was interrupted, or its undo was.
    Interrupted(String),
    /// Somebody changed a file since.
    Changed { service: String, path: String },
    /// What authselect's profile was made of is another by now.
    OldBase(String),
}

/// Everything that doctor should say.
pub fn doubts(root: &Path) -> Result<Vec<Doubt>, Failure> {
    let root = Root::new(root);
    let mut doubts = Vec::new();
    let pending = pending(&root)?;
    if let Some(pending) = &pending {
        let sentence = pending.sentence();
        let late = pending.deadline.is_none_or(|deadline| when::seconds() > deadline + LATE);
        doubts.push(if pending.made && !late {
            Doubt::Waits(sentence)
        } else {
            Doubt::Interrupted(sentence)
        });
    }
    for entry in enabled(&root)?.into_iter().chain(pending.into_iter().flat_map(|pending| pending.entries)) {
        for path in &entry.files {
            if entry.changed(&root, path)? {
                doubts.push(Doubt::Changed { service: entry.service.clone(), path: path.clone() });
            }
        }
        let Manner::Authselect { base, .. } = &entry.manner else { continue };
        for name in authselect::NAMES {
            let path = format!("{base}/{name}");
            let kept = entry.copy(&root, "before", &path)?;
            // Links are as good as files there.
            if kept.is_some() && kept != fs::read(root.at(&path)).ok() {
                doubts.push(Doubt::OldBase(path));
            }
        }
    }
    Ok(doubts)
}
