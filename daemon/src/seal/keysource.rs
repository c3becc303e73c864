//! Where the sealing key is: a systemd credential, else a root-only file beside the store.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use zeroize::{Zeroize, Zeroizing};

use super::{KEY, Sealer};
use crate::{
    random::{NoRandomness, Random},
    secret::Secret,
    store::WrappedKey,
};

/// Name of the credential (`LoadCredentialEncrypted=twinlock.key`).
const CREDENTIAL: &str = "twinlock.key";
/// Name of the file in the state folder.
pub const KEY_FILE: &str = "key";

/// Name of the file with the key that replaces it, from before the store is sealed with that one until it is done.
const NEXT: &str = "key.next";

/// Why there is no sealing key.
#[derive(Debug)]
pub enum KeySourceError {
    /// The file cannot be read or made.
    Io(PathBuf, io::Error),
    /// Others could read it.
    Loose(PathBuf, u32),
    /// It is not 32 bytes long.
    Length(PathBuf),
    /// The store was sealed with a key that is gone.
    Lost(PathBuf),
    /// The store was sealed with another key.
    Foreign,
    /// There were no random bytes for a new one.
    NoRandomness(NoRandomness),
}

impl fmt::Display for KeySourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read the sealing key {}: {error}", path.display()),
            Self::Loose(path, mode) => {
                write!(f, "the sealing key {p} has mode {mode:04o}: chmod 0600 {p}", p = path.display())
            }
            Self::Length(path) => write!(f, "the sealing key {} is not {KEY} bytes long", path.display()),
            Self::Lost(path) => write!(
                f,
                "the store was sealed with a key, but there is neither a credential {CREDENTIAL} nor {}: bring that \
                 key back from where it was kept; without it every user has to enroll again (move the store away)",
                path.display()
            ),
            Self::Foreign => f.write_str(
                "the sealing key does not open the store: it is not the key that this store was sealed with; bring \
                 that one back",
            ),
            Self::NoRandomness(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeySourceError {}

/// Where the sealing key is looked for.
#[derive(Debug, Clone)]
pub struct KeySource {
    credentials: Option<PathBuf>,
    state: PathBuf,
}

impl KeySource {
    /// `credentials` is systemd's CREDENTIALS_DIRECTORY, if there is one.
    #[must_use]
    pub fn new(credentials: Option<&Path>, state: &Path) -> Self {
        Self { credentials: credentials.map(Path::to_owned), state: state.to_owned() }
    }

    /// The key that opens this keyring; made now if there is none and nothing was sealed yet. A change of keys that the
    /// daemon did not live to finish is finished, or undone.
    ///
    /// # Errors
    ///
    /// See [`KeySourceError`].
    pub fn current(
        &self,
        ring: &[WrappedKey],
        random: &dyn Random,
    ) -> Result<Secret<[u8; KEY]>, KeySourceError> {
        let key = self.load(!ring.is_empty(), random)?;
        let next = self.state.join(NEXT);
        if Sealer::unwrap(&key, ring).is_ok() {
            let _ = fs::remove_file(next); // it ended before its commit
            return Ok(key);
        }
        if next.exists() {
            let key = read(&next)?;
            if Sealer::unwrap(&key, ring).is_ok() {
                self.adopt_next()?; // it ended behind its commit
                return Ok(key);
            }
        }
        Err(KeySourceError::Foreign)
    }

    /// The key that opens this keyring, of a store that is not in its place yet: no key is made, put in the place of another or
    /// removed.
    ///
    /// # Errors
    ///
    /// See [`KeySourceError`].
    pub fn opening(
        &self,
        ring: &[WrappedKey],
        random: &dyn Random,
    ) -> Result<Secret<[u8; KEY]>, KeySourceError> {
        let opens = |key: &Secret<[u8; KEY]>| Sealer::unwrap(key, ring).is_ok();
        let key = self.load(true, random)?;
        if opens(&key) {
            return Ok(key);
        }
        let next = self.state.join(NEXT);
        if next.exists() { read(&next).ok().filter(opens) } else { None }.ok_or(KeySourceError::Foreign)
    }

    fn load(&self, sealed_before: bool, random: &dyn Random) -> Result<Secret<[u8; KEY]>, KeySourceError> {
        if let Some(path) = self.credential() {
            return read(&path); // systemd gives its modes
        }
        let path = self.state.join(KEY_FILE);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.mode() & 0o177 != 0 || !metadata.is_file() => {
                Err(KeySourceError::Loose(path, metadata.mode() & 0o7777))
            }
            Ok(_) => read(&path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeySourceError::Io(path, error)),
            Err(_) if sealed_before => Err(KeySourceError::Lost(path)),
            Err(_) => make(&path, random),
        }
    }
}

impl KeySource {
    /// Makes the key that will replace the file; `None` when the key is a credential, which is not ours to change.
    ///
    /// # Errors
    ///
    /// See [`KeySourceError`].
    pub fn make_next(&self, random: &dyn Random) -> Result<Option<Secret<[u8; KEY]>>, KeySourceError> {
        if self.credential().is_some() {
            return Ok(None);
        }
        make(&self.state.join(NEXT), random).map(Some)
    }

    /// The store is sealed with the next key: it takes the place of the file.
    ///
    /// # Errors
    ///
    /// See [`KeySourceError`].
    pub fn adopt_next(&self) -> Result<(), KeySourceError> {
        put(&self.state.join(NEXT), &self.state.join(KEY_FILE))
    }

    fn credential(&self) -> Option<PathBuf> {
        self.credentials.as_ref().map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists())
    }
}

fn read(path: &Path) -> Result<Secret<[u8; KEY]>, KeySourceError> {
    let failed = |error| KeySourceError::Io(path.to_owned(), error);
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY + 1));
    fs::File::open(path).map_err(failed)?.take(KEY as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let mut key: [u8; KEY] =
        bytes.as_slice().try_into().map_err(|_| KeySourceError::Length(path.to_owned()))?;
    let secret = Secret::new(key);
    key.zeroize();
    Ok(secret)
}

/// Written beside its place and moved there, so that a crash leaves a whole key or none.
fn make(path: &Path, random: &dyn Random) -> Result<Secret<[u8; KEY]>, KeySourceError> {
    let failed = |error| KeySourceError::Io(path.to_owned(), error);
    let mut key = Zeroizing::new([0; KEY]);
    random.fill(&mut *key).map_err(KeySourceError::NoRandomness)?;
    let draft = path.with_extension("draft");
    let _ = fs::remove_file(&draft);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(&*key).and_then(|()| file.sync_all()).map_err(failed)?;
    put(&draft, path)?;
    Ok(Secret::new(*key))
}

/// Moves a file to its place, durably.
fn put(draft: &Path, path: &Path) -> Result<(), KeySourceError> {
    let failed = |error| KeySourceError::Io(path.to_owned(), error);
    fs::rename(draft, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let source = KeySource::new(None, folder.path());
        let first = source.load(false, &SystemRandom).unwrap();
        assert_eq!(source.load(true, &SystemRandom).unwrap().expose(), first.expose());
        assert_eq!(fs::metadata(folder.path().join("key")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_lost_key_is_not_replaced_behind_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let error = KeySource::new(None, folder.path()).load(true, &SystemRandom).err().unwrap();
        assert!(matches!(error, KeySourceError::Lost(_)), "{error}");
        assert!(!folder.path().join("key").exists());
    }

    /// A keyring under `key`.
    fn ring(key: &Secret<[u8; KEY]>) -> [WrappedKey; 1] {
        [Sealer::first_key(key, &SystemRandom).unwrap()]
    }

    #[test]
    fn a_change_of_keys_that_was_cut_off_is_finished_or_undone() {
        let folder = tempfile::tempdir().unwrap();
        let source = KeySource::new(None, folder.path());
        let first = source.current(&[], &SystemRandom).unwrap();
        let next = source.make_next(&SystemRandom).unwrap().unwrap();
        // Before the commit: the store is still under the first.
        assert_eq!(source.current(&ring(&first), &SystemRandom).unwrap().expose(), first.expose());
        assert!(!folder.path().join(NEXT).exists());
        // Behind it: the store is under the next.
        let next = source.make_next(&SystemRandom).unwrap().unwrap_or(next);
        assert_eq!(source.current(&ring(&next), &SystemRandom).unwrap().expose(), next.expose());
        assert_eq!(source.current(&ring(&next), &SystemRandom).unwrap().expose(), next.expose());
        assert!(!folder.path().join(NEXT).exists());
        assert!(matches!(source.current(&ring(&first), &SystemRandom), Err(KeySourceError::Foreign)));
    }

    #[test]
    fn the_key_of_a_store_that_is_not_there_yet_changes_none() {
        let folder = tempfile::tempdir().unwrap();
        let source = KeySource::new(None, folder.path());
        let first = source.current(&[], &SystemRandom).unwrap();
        let next = source.make_next(&SystemRandom).unwrap().unwrap();
        let third = Secret::new([7; KEY]);
        for key in [&first, &next] {
            assert_eq!(source.opening(&ring(key), &SystemRandom).unwrap().expose(), key.expose());
        }
        assert!(matches!(source.opening(&ring(&third), &SystemRandom), Err(KeySourceError::Foreign)));
        assert!(folder.path().join(NEXT).exists());
        assert_eq!(read(&folder.path().join(KEY_FILE)).unwrap().expose(), first.expose());
    }

    #[test]
    fn a_credential_is_not_ours_to_change() {
        let (state, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(credentials.path().join("twinlock.key"), [9; KEY]).unwrap();
        let source = KeySource::new(Some(credentials.path()), state.path());
        assert!(source.make_next(&SystemRandom).unwrap().is_none());
    }

    #[test]
    fn a_readable_or_cut_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, [1; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let load = || KeySource::new(None, folder.path()).load(true, &SystemRandom).err().unwrap();
        assert!(matches!(load(), KeySourceError::Length(_)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(), KeySourceError::Loose(_, 0o640)));
    }

    #[test]
    fn a_credential_comes_before_the_file() {
        let (state, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(credentials.path().join("twinlock.key"), [9; KEY]).unwrap();
        let source = KeySource::new(Some(credentials.path()), state.path());
        assert_eq!(source.load(true, &SystemRandom).unwrap().expose(), &[9; KEY]);
        assert!(!state.path().join("key").exists());
    }
}
