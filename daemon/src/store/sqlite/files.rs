//! The files of the store: made with their final modes, refused with looser ones.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::store::StoreError;

/// The lock on a state folder.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        Self::take_if_free(folder)?.ok_or_else(|| {
            StoreError::Unavailable(format!("{}: another twinlockd uses this folder", folder.display()))
        })
    }

    /// None if somebody else has it.
    pub(super) fn take_if_free(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| cannot("open", &path, &error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(cannot("lock", &path, &errno.into())),
        }
    }
}

/// Makes an empty file, 0600 from its first moment, if there is none.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(cannot("create", path, &error)),
        _ => Ok(()),
    }
}

/// Length that the log is kept at: some 200 commits.
const LOG: usize = 4 * 1024 * 1024;

/// Makes a log of its usual length where there is none, full of zeros, which SQLite reads as an empty one (its header
/// does not hold: fileformat2 section 4.1). A commit then overwrites blocks that are on the disk already, which takes
/// half the time of making new ones, and finds room when the disk is full.
pub(super) fn prepare_log(store: &Path) -> Result<(), StoreError> {
    let path = store.with_extension("db-wal");
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    create(&path)?;
    let failed = |error| cannot("make", &path, &error);
    let mut log = OpenOptions::new().write(true).open(&path).map_err(failed)?;
    let written = log.write_all(&vec![0; LOG]).and_then(|()| log.sync_all());
    if written.is_err() {
        // No room for that much: SQLite will say so when it needs any.
        log.set_len(0).map_err(failed)?;
    }
    Ok(())
}

/// The sealing key (unless systemd has it) and the generation are made behind the first store: where they are and the store is
/// not, the store was lost. A new one would let everybody in with the first factor alone.
pub(super) fn check_not_lost(path: &Path, witnesses: &[PathBuf]) -> Result<(), StoreError> {
    let left: Vec<_> = witnesses.iter().filter(|path| path.exists()).collect();
    if is_there(path) || left.is_empty() {
        return Ok(());
    }
    let left = left.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
    Err(StoreError::Unavailable(format!(
        "{} is gone or empty, but {left} says that there was one: bring it back from a backup (twinlock db restore); to \
         begin anew with nobody enrolled, remove {left}",
        path.display(),
    )))
}

/// Whether there is a store, and something in it.
pub(super) fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

pub(super) fn check_folder(path: &Path) -> Result<(), StoreError> {
    check(path, 0o077, "0700")
}

pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    check(path, 0o177, "0600")
}

/// What holds no secret may be read by others.
pub(super) fn check_writers(path: &Path) -> Result<(), StoreError> {
    check(path, 0o022, "0600")
}

fn check(path: &Path, forbidden: u32, wanted: &str) -> Result<(), StoreError> {
    let metadata = fs::symlink_metadata(path).map_err(|error| cannot("look at", path, &error))?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_symlink() || mode & forbidden != 0 || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(StoreError::Unavailable(format!(
            "{path} has mode {mode:04o} and owner {owner}; it must belong to the daemon's user with mode {wanted} \
             or tighter: chmod {wanted} {path}",
            path = path.display(),
            owner = metadata.uid(),
        )));
    }
    Ok(())
}

pub(super) fn cannot(verb: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {verb} {}: {error}", path.display()))
}
