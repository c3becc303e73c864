//! Takes our lines out: of what the ledger knows, of what the command wrote, of what somebody wrote by hand.

use super::{
    authselect, debian,
    file::{self, Root},
    ledger::{Content, Entry, Manner},
    plan, sshd,
};
use crate::{
    doctor::stack::{Bare, Files, Folders, bare, places},
    failure::{Failure, NO},
};

/// One file that changes.
#[derive(Debug, Clone)]
pub struct Change {
    pub path: String,
    pub content: Content,
}

/// Puts back what an entry of the ledger knows; says whether sshd has to read its configuration again. PAM's file goes
/// first: with sshd's methods alone nobody gets in with less than before.
pub fn put_back(root: &Root, entry: &Entry) -> Result<bool, Failure> {
    let tool = match &entry.manner {
        Manner::Profile if root.is_host() => debian::switch(false),
        Manner::Authselect { before, .. } if root.is_host() => authselect::select_again(before),
        Manner::Lines | Manner::Profile | Manner::Authselect { .. } => Ok(()),
    };
    let mut sshd = false;
    for path in &entry.files {
        if let Some(content) = entry.restored(root, path)? {
            file::put(&root.at(path), content.then.as_deref())?;
            sshd |= path == sshd::DROP_IN;
        }
    }
    // What the tool could not do, its files as they were may have done.
    let folders = Folders::below(root.folder(), &[]);
    let left = places(&entry.service, &folders).is_some_and(|places| !places.ours.is_empty());
    match tool {
        Err(failure) if left => Err(failure),
        _ => Ok(sshd),
    }
}

/// What has to change in the files of a service that the ledger does not know; empty if nothing of ours is there.
pub fn unknown(root: &Root, folders: &Folders, service: &str) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let drop_in = root.at(sshd::DROP_IN);
    if service == "sshd"
        && let Some(now) = file::read(&drop_in)?
        && now.starts_with(sshd::drop_in(plan::First::Password).lines().next().unwrap_or_default().as_bytes())
    {
        changes
            .push(Change { path: sshd::DROP_IN.to_owned(), content: Content { now: Some(now), then: None } });
    }
    let Some(places) = places(service, folders) else { return Ok(changes) };
    let Some(now) = file::read(&root.at(&places.path))? else { return Ok(changes) };
    let text = String::from_utf8_lossy(&now).into_owned();
    let mut then = plan::without(&text);
    let by_hand = plan::without_by_hand(&then);
    if by_hand != then {
        stays_a_stack(service, &places.path, folders, (&then, &by_hand))?;
        then = by_hand;
    }
    if then != text {
        let content = Content { now: Some(now), then: Some(then.into_bytes()) };
        changes.insert(0, Change { path: places.path, content });
    }
    Ok(changes)
}

/// The stacks with the text of one file in place of what it holds.
struct With<'a> {
    folders: &'a Folders,
    service: &'a str,
    text: &'a str,
}

impl Files for With<'_> {
    fn read(&self, name: &str) -> std::io::Result<(String, String)> {
        let read = self.folders.read(name);
        if name == self.service { read.map(|(path, _)| (path, self.text.to_owned())) } else { read }
    }

    fn has_module(&self, module: &str) -> bool {
        // Whether ours is there or not, the stack is judged as if it were.
        self.folders.has_module(module) || module.ends_with("pam_twinlock.so")
    }
}

fn stays_a_stack(
    service: &str,
    path: &str,
    folders: &Folders,
    (before, after): (&str, &str),
) -> Result<(), Failure> {
    let (before, after) = (With { folders, service, text: before }, With { folders, service, text: after });
    let why = match bare(service, &before, &after) {
        Bare::Sound => return Ok(()),
        Bare::Open => "without our line it lets everybody in, with no password and no key: put back the line that asks the \
                       password (on Debian: @include common-auth), and take ours out then"
            .to_owned(),
        Bare::Closed => "without our line nobody gets in: put back the lines that were before, by hand".to_owned(),
        Bare::Jumped(place) => format!("the jump at {place} counts our line: correct its number and take our line out, by hand"),
    };
    Err(Failure::new(NO, format!("{path} was written by hand, and {why}")))
}
