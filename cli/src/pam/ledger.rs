//! What the command did to this host, in /var/lib/twinlock/pam: which services, the files before and after, and what
//! nobody has confirmed yet.
//!
//! `pending.json` is written before the first file is touched and goes when the change is confirmed or undone: whoever is
//! killed in between leaves it, and it says how to go back. `enabled.json` has what was confirmed. The files themselves lie
//! beside them, so that a person finds them too.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{
    entry::{self, Entry},
    file::{self, Root, failed},
};
use crate::{
    failure::{Failure, LATER, NO},
    when,
};

/// Where it is.
pub const FOLDER: &str = "/var/lib/twinlock/pam";
const PENDING: &str = "pending.json";
const ENABLED: &str = "enabled.json";

/// A change that is under way, or waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its name: that of the folder with the copies.
    pub name: String,
    /// When it is undone, in Unix seconds; `None` with `--undo-after 0`.
    pub deadline: Option<i64>,
    /// Whether all files were written.
    pub made: bool,
    /// Who made it.
    pub claimed_by: String,
    /// What was done.
    pub entries: Vec<Entry>,
}

impl Pending {
    /// What is to be known of it, and done about it.
    pub fn sentence(&self) -> String {
        let services: Vec<&str> = self.entries.iter().map(|entry| entry.service.as_str()).collect();
        let services = services.join(", ");
        match (self.made, self.deadline) {
            (true, Some(deadline)) => format!(
                "{services} waits to be confirmed, and {} at {}: run twinlock pam confirm, or twinlock pam undo",
                if when::seconds() > deadline { "should have been undone" } else { "is undone" },
                when::local(deadline)
            ),
            _ => format!(
                "a change of {services} was interrupted: run twinlock pam undo, which puts back what was before"
            ),
        }
    }
}

/// Who holds this is the only one that changes stacks.
pub struct Ledger {
    root: Root,
    _lock: Flock<File>,
}

impl Ledger {
    /// Opens it; whoever comes second is told so.
    pub fn open(root: &Root) -> Result<Self, Failure> {
        let folder = root.at(FOLDER);
        file::private_folder(&folder)?;
        let path = folder.join("lock");
        let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|error| failed("open", &path, &error))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { root: root.clone(), _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(Failure::new(LATER, "another \"twinlock pam\" is at work; try again when it is done"))
            }
            Err((_, errno)) => Err(failed("lock", &path, &errno.into())),
        }
    }

    /// The change that nobody has confirmed.
    pub fn pending(&self) -> Result<Option<Pending>, Failure> {
        pending(&self.root)
    }

    pub fn set_pending(&self, pending: Option<&Pending>) -> Result<(), Failure> {
        let text = pending.map(json).transpose()?;
        file::put(&self.root.at(FOLDER).join(PENDING), text.as_deref())
    }

    pub fn set_enabled(&self, entries: &[Entry]) -> Result<(), Failure> {
        let text = if entries.is_empty() { None } else { Some(json(&entries)?) };
        file::put(&self.root.at(FOLDER).join(ENABLED), text.as_deref())
    }

    /// Moves what cannot be understood out of the way: the files have our comments, which are enough to go by. Says so.
    pub fn set_broken_aside(&self) -> Result<Vec<String>, Failure> {
        let mut notes = Vec::new();
        for name in unread(&self.root) {
            let path = self.root.at(FOLDER).join(name);
            let aside = path.with_file_name(format!("{name}.broken-{}", when::stamp()));
            fs::rename(&path, &aside).map_err(|error| failed("move", &path, &error))?;
            notes.push(format!(
                "{} cannot be understood and is {} now; the comments in the files say what to take out",
                path.display(),
                aside.display()
            ));
        }
        Ok(notes)
    }

    /// Keeps a file as it is and as it will be.
    pub fn keep(
        &self,
        copies: &str,
        path: &str,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<(), Failure> {
        for (which, content) in [("before", before), ("after", after)] {
            let Some(content) = content else { continue };
            let copy = entry::copy(&self.root, copies, which, path);
            file::private_folder(copy.parent().unwrap_or(&copy))?;
            file::put(&copy, Some(content))?;
        }
        Ok(())
    }
}

/// The change that nobody has confirmed.
pub fn pending(root: &Root) -> Result<Option<Pending>, Failure> {
    load(&root.at(FOLDER).join(PENDING))
}

/// What was confirmed.
pub fn enabled(root: &Root) -> Result<Vec<Entry>, Failure> {
    Ok(load(&root.at(FOLDER).join(ENABLED))?.unwrap_or_default())
}

/// Whether something is there that cannot be understood.
pub fn broken(root: &Root) -> bool {
    !unread(root).is_empty()
}

fn unread(root: &Root) -> Vec<&'static str> {
    let mut names = Vec::new();
    if pending(root).is_err() {
        names.push(PENDING);
    }
    if enabled(root).is_err() {
        names.push(ENABLED);
    }
    names
}

fn load<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(text) = file::read(path)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let what = "twinlock pam disable goes without it, by the comments in the files (see twinlock doctor)";
        Failure::new(NO, format!("{} cannot be understood ({error}); {what}", path.display()))
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::from(io::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::{
        super::entry::{Manner, tests::entry},
        *,
    };

    #[test]
    fn one_at_a_time_and_what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let ledger = Ledger::open(&root).unwrap();
        assert!(Ledger::open(&root).err().unwrap().to_string().contains("another"));
        let change = Pending {
            name: "1".to_owned(),
            deadline: Some(5),
            made: false,
            claimed_by: String::new(),
            entries: vec![
                entry(),
                Entry {
                    manner: Manner::Authselect { before: "sssd with-x".to_owned(), base: "/usr".to_owned() },
                    ..entry()
                },
            ],
        };
        ledger.set_pending(Some(&change)).unwrap();
        assert_eq!(ledger.pending().unwrap(), Some(change.clone()));
        ledger.set_pending(None).unwrap();
        assert_eq!(ledger.pending().unwrap(), None);
        ledger.set_enabled(&change.entries).unwrap();
        assert_eq!(enabled(&root).unwrap(), change.entries);
        std::fs::write(root.at(FOLDER).join(PENDING), "{").unwrap();
        assert!(ledger.pending().unwrap_err().to_string().contains("cannot be understood"));
    }
}
