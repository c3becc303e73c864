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
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{
    authselect, enable,
    file::{self, Root, failed},
    plan, sshd,
};
use crate::{
    failure::{Failure, LATER, NO},
    when,
};

/// Where it is.
pub const FOLDER: &str = "/var/lib/twinlock/pam";
const PENDING: &str = "pending.json";
/// Seconds by which an undo may be late.
const LATE: i64 = 60;
const ENABLED: &str = "enabled.json";

/// How our lines came into a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "manner")]
pub enum Manner {
    /// Into its own file.
    Lines,
    /// By Debian's pam-auth-update, into common-auth.
    Profile,
    /// By a profile of authselect; `before` is what was selected, as `authselect current --raw` says it.
    Authselect {
        /// The profile and its features.
        before: String,
        /// The folder of the profile that ours was made of.
        base: String,
    },
}

/// What was done for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The PAM service.
    pub service: String,
    /// Whether a key comes before the code.
    pub key: bool,
    /// How.
    #[serde(flatten)]
    pub manner: Manner,
    /// The files that it concerns.
    pub files: Vec<String>,
    /// The folder below [`FOLDER`] with `before` and `after`.
    pub copies: String,
}

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
            let copy = copy(&self.root, copies, which, path);
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
        let sentence = enable::waiting(pending);
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

fn copy(root: &Root, copies: &str, which: &str, path: &str) -> PathBuf {
    root.at(FOLDER).join(copies).join(which).join(path.trim_start_matches('/'))
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

impl Entry {
    /// Whether sshd's methods are part of it.
    pub fn has_drop_in(&self) -> bool {
        self.files.iter().any(|path| path == sshd::DROP_IN)
    }

    /// What a file of it was before, or is after.
    pub fn copy(&self, root: &Root, which: &str, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        file::read(&copy(root, &self.copies, which, path))
    }

    /// Keeps what somebody made of a file, where it cannot stay; says where.
    pub fn set_aside(&self, root: &Root, path: &str, text: &[u8]) -> Result<PathBuf, Failure> {
        let copy = copy(root, &self.copies, "changed", path);
        file::private_folder(copy.parent().unwrap_or(&copy))?;
        file::put(&copy, Some(text))?;
        Ok(copy)
    }

    /// Whether somebody changed a file since the command wrote it.
    pub fn changed(&self, root: &Root, path: &str) -> Result<bool, Failure> {
        let after = self.copy(root, "after", path)?;
        // A link in its place is a change too.
        Ok(after.is_some() && file::read(&root.at(path)).ok() != Some(after))
    }

    /// What has to stand in a file so that our lines are out of it: what was before, byte for byte, where nobody changed
    /// it since; else what is there, without our lines. `None`: it is as it should be.
    pub fn restored(&self, root: &Root, path: &str) -> Result<Option<Content>, Failure> {
        let now = file::read(&root.at(path))?;
        let (before, after) = (self.copy(root, "before", path)?, self.copy(root, "after", path)?);
        if now == before {
            return Ok(None);
        }
        if now == after {
            return Ok(Some(Content { now, then: before }));
        }
        // Removed by somebody, or changed: what they did stays.
        let Some(text) = now.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()) else {
            return Ok(None);
        };
        if path == sshd::DROP_IN {
            let then = sshd::without(&text).map(String::into_bytes);
            return Ok(Some(Content { now, then }).filter(|content| content.now != content.then));
        }
        let mut then = plan::without(&text);
        // Without our comments our lines stay ours, unless some were there before.
        let earlier = before.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        if plan::without_by_hand(&earlier) == earlier {
            then = plan::without_by_hand(&then);
        }
        Ok(Some(Content { now, then: Some(then.into_bytes()) }).filter(|content| content.now != content.then))
    }
}

/// What a file holds, and is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub now: Option<Vec<u8>>,
    pub then: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let (service, manner) = ("sshd".to_owned(), Manner::Lines);
        let files = vec!["/etc/pam.d/sshd".to_owned()];
        Entry { service, key: false, manner, files, copies: "1".to_owned() }
    }

    #[test]
    fn what_was_before_comes_back_byte_for_byte_unless_somebody_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let ledger = Ledger::open(&root).unwrap();
        let (path, entry) = ("/etc/pam.d/sshd", entry());
        let before = b"auth requisite pam_unix.so\n\xff".to_vec();
        ledger.keep("1", path, Some(&before), Some(b"after")).unwrap();
        std::fs::create_dir_all(root.at("/etc/pam.d")).unwrap();
        file::put(&root.at(path), Some(b"after")).unwrap();
        let then = entry.restored(&root, path).unwrap().unwrap().then;
        assert_eq!(then.as_ref(), Some(&before));
        file::put(&root.at(path), then.as_deref()).unwrap();
        assert_eq!(entry.restored(&root, path).unwrap(), None);
        file::put(&root.at(path), Some(b"somebody else's")).unwrap();
        assert_eq!(entry.restored(&root, path).unwrap(), None);
        file::put(&root.at(path), None).unwrap();
        assert_eq!(entry.restored(&root, path).unwrap(), None);
    }

    #[test]
    fn our_lines_go_without_our_comments_too_unless_some_were_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let ledger = Ledger::open(&root).unwrap();
        let (path, entry) = ("/etc/pam.d/sshd", entry());
        let tidied = b"auth requisite pam_unix.so\nauth required pam_twinlock.so after_first_factor\n";
        std::fs::create_dir_all(root.at("/etc/pam.d")).unwrap();
        file::put(&root.at(path), Some(tidied)).unwrap();
        ledger.keep("1", path, Some(b"auth requisite pam_unix.so\n#"), Some(b"after")).unwrap();
        let then = entry.restored(&root, path).unwrap().unwrap().then.unwrap();
        assert_eq!(then, b"auth requisite pam_unix.so\n");
        ledger.keep("1", path, Some(b"account required pam_twinlock.so\n"), None).unwrap();
        assert_eq!(entry.restored(&root, path).unwrap(), None);
    }

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
