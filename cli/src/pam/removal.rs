//! Takes our lines out: of what the ledger knows, of what the command wrote, of what somebody wrote by hand.

use super::{
    authselect, debian,
    entry::{Content, Entry, Manner},
    file::{self, Root},
    lines, sshd,
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

/// What a file is to hold, and what becomes of what somebody wrote into it since.
#[derive(Debug)]
pub struct Back {
    pub content: Content,
    /// What they wrote cannot stay: without our lines it would let in whom it should not, or nobody.
    pub set_aside: bool,
}

/// What has to stand in a file of an entry, judged where somebody changed it: else what they wrote around our lines might
/// let in without them whoever proved nothing.
pub fn back(root: &Root, entry: &Entry, path: &str) -> Result<Option<Back>, Failure> {
    let Some(content) = entry.restored(root, path)? else { return Ok(None) };
    let service = path.strip_prefix("/etc/pam.d/").filter(|_| entry.changed(root, path).unwrap_or(true));
    let (Some(service), Some(then)) = (service, &content.then) else {
        return Ok(Some(Back { content, set_aside: false }));
    };
    let before = entry.copy(root, "before", path)?;
    // Behind a key it was sshd that asked first: nobody passed with nothing, whatever the stack said.
    let old = if entry.key { before.clone() } else { content.now.clone() };
    let old = old.map(|bytes| lines::without_jump(&String::from_utf8_lossy(&bytes)));
    let old = old.unwrap_or_else(|| ASKS.to_owned());
    let folders = Folders::below(root.folder(), &[]);
    let after = String::from_utf8_lossy(then).into_owned();
    // The line that asks the password stood there as a comment, which somebody tidied away.
    let asks = |text: &str| {
        places(service, &With { folders: &folders, service, text })
            .is_some_and(|at| !at.first_factor.is_empty())
    };
    let lost = entry.key && asks(&old) && !asks(&after);
    if !lost && without_us(service, &folders, (&old, &after)) == Bare::Sound {
        return Ok(Some(Back { content, set_aside: false }));
    }
    Ok(Some(Back { content: Content { now: content.now, then: before }, set_aside: true }))
}

/// Puts back what an entry of the ledger knows. PAM's file goes first: with sshd's methods alone nobody gets in with less
/// than before.
fn put_back(root: &Root, entry: &Entry, notes: &mut Vec<String>) -> Result<(), Failure> {
    let tool = match &entry.manner {
        Manner::Profile if root.is_host() => debian::switch(false),
        Manner::Authselect { before, .. } if root.is_host() => authselect::select_again(before),
        Manner::Lines | Manner::Profile | Manner::Authselect { .. } => Ok(()),
    };
    for path in &entry.files {
        let Some(Back { content, set_aside }) = back(root, entry, path)? else { continue };
        if set_aside {
            let aside = entry.set_aside(root, path, content.now.as_deref().unwrap_or_default())?;
            notes.push(format!(
                "{path} is as it was before: with what somebody wrote into it since, it would let in whom it should not, or \
                 nobody; that text is {}",
                aside.display()
            ));
        } else if path == sshd::DROP_IN && content.then.is_some() && entry.changed(root, path)? {
            notes.push(format!("{path}: what somebody else wrote there stays; look at it"));
        }
        file::put(&root.at(path), content.then.as_deref())?;
    }
    // What the tool could not do, its files as they were may have done; and what it says that it did, it may not have done.
    let folders = Folders::below(root.folder(), &[]);
    let left = places(&entry.service, &folders).and_then(|at| Some((at.path.clone(), *at.ours.first()?)));
    // A line in a file that the entry has no part in is somebody's own.
    let Some((path, number)) =
        left.filter(|(path, _)| entry.manner != Manner::Lines || entry.files.contains(path))
    else {
        return Ok(());
    };
    let left = format!("{path}:{number} has a line of pam_twinlock.so still: take it out by hand");
    Err(tool.err().unwrap_or_else(|| Failure::new(NO, left)))
}

/// What became of entries that were to be put back.
#[derive(Default)]
pub struct Outcome {
    pub done: Vec<Entry>,
    pub failed: Vec<Entry>,
    first_failure: Option<Failure>,
    /// What the administrator should know.
    pub notes: Vec<String>,
}

impl Outcome {
    pub fn services(&self) -> Vec<String> {
        self.done.iter().map(|entry| entry.service.clone()).collect()
    }

    /// What could not be done, and for whom.
    pub fn failure(self) -> Option<Failure> {
        let services: Vec<&str> = self.failed.iter().map(|entry| entry.service.as_str()).collect();
        let services = services.join(", ");
        self.first_failure
            .map(|failure| Failure::new(failure.code, format!("not put back: {services}: {failure}")))
    }
}

/// Puts back all of them, the last first; one that cannot be put back does not keep the others in. sshd reads what holds
/// before anything else may fail, and again when this is done again.
pub fn put_all_back(root: &Root, entries: &[Entry], reload: bool) -> Outcome {
    let mut outcome = Outcome::default();
    for entry in entries.iter().rev() {
        let mut done = put_back(root, entry, &mut outcome.notes);
        if done.is_ok() && entry.has_drop_in() && reload && root.is_host() {
            done = sshd::reload();
        }
        match done {
            Ok(()) => outcome.done.insert(0, entry.clone()),
            Err(failure) => {
                outcome.failed.insert(0, entry.clone());
                outcome.first_failure = outcome.first_failure.or(Some(failure));
            }
        }
    }
    outcome
}

/// What has to change in the files of a service that the ledger does not know; empty if nothing of ours is there.
pub fn unknown(root: &Root, folders: &Folders, service: &str) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let drop_in = root.at(sshd::DROP_IN);
    if service == "sshd"
        && let Some(now) = file::read(&drop_in)?
        && now
            .starts_with(sshd::drop_in(lines::First::Password).lines().next().unwrap_or_default().as_bytes())
    {
        let then = sshd::without(&String::from_utf8_lossy(&now)).map(String::into_bytes);
        changes.push(Change { path: sshd::DROP_IN.to_owned(), content: Content { now: Some(now), then } });
    }
    let Some(places) = places(service, folders) else { return Ok(changes) };
    let Some(now) = file::read(&root.at(&places.path))? else { return Ok(changes) };
    let text = String::from_utf8_lossy(&now).into_owned();
    let mut then = lines::without(&text);
    if then != text {
        let old =
            if lines::first(&text) == Some(lines::First::Key) { ASKS } else { &lines::without_jump(&text) };
        stays_a_stack(service, &places.path, folders, (old, &then))?;
    }
    let by_hand = lines::without_by_hand(&then);
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
        // A disk that was mounted may show no modules at all.
        self.folders.has_module(module)
            || module.ends_with("pam_twinlock.so")
            || !self.folders.has_module("pam_unix.so")
    }
}

/// A stack that lets nobody in with nothing.
const ASKS: &str = "auth required pam_unix.so\n";

/// Judges what a stack becomes without our lines.
fn without_us(service: &str, folders: &Folders, (before, after): (&str, &str)) -> Bare {
    let (before, after) = (With { folders, service, text: before }, With { folders, service, text: after });
    bare(service, &before, &after)
}

fn stays_a_stack(service: &str, path: &str, folders: &Folders, texts: (&str, &str)) -> Result<(), Failure> {
    let why = match without_us(service, folders, texts) {
        Bare::Sound => return Ok(()),
        Bare::Open => "without our line it lets everybody in, with no password and no key: put back the line that asks the \
                       password (on Debian: @include common-auth), and take ours out then"
            .to_owned(),
        Bare::Closed => "without our line nobody gets in: put back the lines that were before, by hand".to_owned(),
        Bare::Jumped(place) => format!("the jump at {place} counts our line: correct its number and take our line out, by hand"),
    };
    Err(Failure::new(NO, format!("{path} was written by hand, and {why}")))
}
