//! What `twinlock pam enable` wrote: whether it waits, was changed since, or was made of what is another now.

use std::path::Path;

use super::finding::Finding;
use crate::pam;

/// Looks at the command's ledger.
pub fn look(root: &Path) -> Vec<Finding> {
    let doubts = match pam::doubts(root) {
        Ok(doubts) => doubts,
        Err(failure) => {
            return vec![Finding::warning(
                pam::FOLDER,
                failure.to_string(),
                "run twinlock pam disable, which goes by the files, then enable again",
            )];
        }
    };
    let finding = |doubt: pam::Doubt| match doubt {
        pam::Doubt::Waits(sentence) => Finding::warning("twinlock pam", sentence, "see twinlock pam status"),
        pam::Doubt::Interrupted(sentence) => {
            Finding::error("twinlock pam", sentence, "run twinlock pam undo")
        }
        pam::Doubt::Changed { service, path } => Finding::warning(
            path,
            format!("it is not as \"twinlock pam enable\" wrote it for {service}"),
            "see whether that was meant; twinlock pam disable takes out our lines alone then",
        ),
        pam::Doubt::OldBase(path) => Finding::warning(
            path,
            "authselect's profile is another than the one that ours was made of: what an update brought is missing",
            "run twinlock pam disable, then twinlock pam enable again",
        ),
    };
    doubts.into_iter().map(finding).collect()
}
