//! Passwords and keys for others' servers: systemd's credentials, or files that only root can read.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use crate::secret::Secret;

/// Folders of credentials, first found wins. They are read each time, so that a new one counts at once.
#[derive(Clone)]
pub(super) struct Credentials(Vec<PathBuf>);

impl Credentials {
    pub(super) const fn new(folders: Vec<PathBuf>) -> Self {
        Self(folders)
    }

    /// The first line of a credential, or the whole of a key in PEM. One that others may read is none: it is to be made anew.
    pub(super) fn get(&self, name: &str) -> Option<Secret<String>> {
        let path = self.0.iter().map(|folder| folder.join(name)).find(|path| path.exists())?;
        let mode = fs::metadata(&path).map_or(0o777, |about| about.mode());
        if mode & 0o077 != 0 {
            tracing::error!(path = %path.display(), "others may read this credential: chmod 0600, and change what it holds");
            return None;
        }
        let text = Secret::new(fs::read_to_string(path).ok()?);
        if text.expose().starts_with("-----BEGIN ") {
            return Some(text);
        }
        Some(Secret::new(text.expose().lines().next().unwrap_or_default().to_owned()))
    }
}
