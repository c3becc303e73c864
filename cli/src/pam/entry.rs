//! What was done for one service, and what has to stand in its files so that it is undone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    file::{self, Root},
    ledger::FOLDER,
    lines, sshd,
};
use crate::failure::Failure;

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
        let mut then = lines::without(&text);
        // Without our comments our lines stay ours, unless some were there before; taken out only where what stays is judged
        // (removal.rs).
        let earlier = before.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let judged = after.is_some() && path.starts_with("/etc/pam.d/");
        if judged && lines::without_by_hand(&earlier) == earlier {
            then = lines::without_by_hand(&then);
        }
        Ok(Some(Content { now, then: Some(then.clone().into_bytes()) }).filter(|_| then != text))
    }
}

/// What a file holds, and is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub now: Option<Vec<u8>>,
    pub then: Option<Vec<u8>>,
}

/// Where a copy lies of a file as it was `before`, is `after`, or was `changed`.
pub fn copy(root: &Root, copies: &str, which: &str, path: &str) -> PathBuf {
    root.at(FOLDER).join(copies).join(which).join(path.trim_start_matches('/'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::ledger::Ledger, *};

    pub fn entry() -> Entry {
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
}
