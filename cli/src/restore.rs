//! A backup takes the place of the store. The daemon is stopped: its program does the work, and the command opens the file.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
};

use nix::fcntl::OFlag;

use crate::{
    admin,
    failure::{Failure, NO, NOT_ALLOWED},
    terminal,
};

/// Asks, then has it done.
pub async fn restore(path: &Path, state_dir: &Path, yes: bool, json: bool) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(NOT_ALLOWED, "this needs root"));
    }
    let file = open(path)?;
    if !yes {
        confirm(path, state_dir).await?;
    }
    let mut command = Command::new("twinlockd");
    command.arg("--restore").arg("--state-dir").arg(state_dir).arg("--claimed-by").arg(admin::claim());
    if json {
        command.arg("--json");
    }
    let status = command.stdin(file).status().map_err(|error| {
        Failure::new(NO, format!("cannot run twinlockd: {error}; it belongs into /usr/sbin"))
    })?;
    if status.success() { Ok(()) } else { Err(Failure::new(NO, "")) }
}

/// A file, and not what a link leads to, or a pipe that somebody else fills.
fn open(path: &Path) -> Result<File, Failure> {
    let refused =
        |why: &dyn std::fmt::Display| Failure::new(NO, format!("cannot use {}: {why}", path.display()));
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|error: io::Error| match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
            refused(&"it is a link: name the file itself")
        }
        _ => refused(&error),
    })?;
    let metadata = file.metadata().map_err(|error| refused(&error))?;
    if metadata.is_file() { Ok(file) } else { Err(refused(&"it is no file")) }
}

async fn confirm(path: &Path, state_dir: &Path) -> Result<(), Failure> {
    let (file, folder) = (path.display(), state_dir.display());
    let question = format!(
        "{file} takes the place of the store in {folder}.\n\
         Whoever enrolled since then is not enrolled any more; recovery and bypass codes become void.\n\
         Type yes to go on: "
    );
    terminal::agree_unless(false, &question).await
}
