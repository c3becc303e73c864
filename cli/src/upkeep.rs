//! The store and its keys: check, backup, rotate.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use twinlock_proto::v1::{BackupStoreRequest, CheckStoreRequest, RotateKeyRequest, Rotation};

use crate::{
    admin::{client, request},
    failure::{Failure, NO, answered_at_length},
    output::{self, clean, line},
};

pub async fn check(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let mut client = client(runtime_dir).await?;
    let report = answered_at_length(client.check_store(request(CheckStoreRequest {}))).await?.into_inner();
    let sound = report.problems.is_empty();
    if json {
        let (accounts, factors, problems) = (report.accounts, report.factors, &report.problems);
        output::json(&serde_json::json!({
            "sound": sound, "accounts": accounts, "factors": factors, "problems": problems,
        }))?;
        return if sound { Ok(()) } else { Err(Failure::new(NO, "")) };
    }
    for problem in &report.problems {
        line(format!("error: {}", clean(problem)))?;
    }
    if sound {
        return line(format!(
            "The store is sound: {} account(s), {} factor(s).",
            report.accounts, report.factors
        ));
    }
    Err(Failure::new(
        NO,
        "the store is damaged: keep a copy of its folder, then bring a backup back (twinlock db restore)",
    ))
}

/// The command opens the file; the daemon gives what is in it.
pub async fn backup(runtime_dir: &Path, path: &Path, json: bool) -> Result<(), Failure> {
    let mut target = Target::open(path)?;
    let mut client = client(runtime_dir).await?;
    let mut chunks =
        answered_at_length(client.backup_store(request(BackupStoreRequest {}))).await?.into_inner();
    let mut bytes = 0;
    while let Some(chunk) = answered_at_length(chunks.message()).await? {
        target.write(&chunk.data)?;
        bytes += chunk.data.len();
    }
    target.finish()?;
    let file = path.display().to_string();
    if matches!(target, Target::Stdout) {
        return Ok(());
    }
    if json {
        return output::json(&serde_json::json!({ "file": file, "bytes": bytes }));
    }
    line(format!("{}: {bytes} bytes.", clean(&file)))?;
    line(
        "The sealing key is not in it (twinlock.key or the state folder's \"key\"): keep a copy of that elsewhere.",
    )
}

/// Where a backup goes. A file stays empty until what it shall hold is whole.
enum Target {
    Stdout,
    File { file: File, draft: PathBuf, path: PathBuf, whole: bool },
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            if io::stdout().is_terminal() {
                return Err(Failure::usage("a backup is no text: send it to a file or a program"));
            }
            return Ok(Self::Stdout);
        }
        let create = |path: &Path| {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.map_err(|error| cannot_write(path, &error))
        };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        drop(create(path)?); // the name is ours from now on
        let file = create(&draft).inspect_err(|_| drop(fs::remove_file(path)))?;
        Ok(Self::File { file, draft, path: path.to_owned(), whole: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => Ok(io::stdout().lock().write_all(bytes)?),
            Self::File { file, draft, .. } => {
                file.write_all(bytes).map_err(|error| cannot_write(draft, &error))
            }
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Stdout => Ok(io::stdout().lock().flush()?),
            Self::File { file, draft, path, whole } => {
                file.sync_all()
                    .and_then(|()| fs::rename(&*draft, &*path))
                    .map_err(|error| cannot_write(path, &error))?;
                *whole = true;
                Ok(())
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { draft, path, whole: false, .. } = self {
            let _ = (fs::remove_file(draft), fs::remove_file(path));
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let path = path.display();
        return Failure::new(NO, format!("{path} is there already and stays as it is: choose another name"));
    }
    Failure::of_file(format!("cannot write {}: {error}; there is no backup", path.display()), error)
}

pub async fn rotate(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let mut client = client(runtime_dir).await?;
    let rotation = answered_at_length(client.rotate_key(request(RotateKeyRequest {}))).await?.into_inner();
    let Rotation { key_version, resealed, sealing_key } = rotation;
    if json {
        return output::json(&serde_json::json!({
            "key_version": key_version, "resealed": resealed, "sealing_key": sealing_key,
        }));
    }
    line(format!("Data key {key_version} seals the store now: {resealed} factor(s) sealed anew."))?;
    if sealing_key {
        return line(
            "The sealing key is new too: copy it to where you keep it. Backups from before need the one from before.",
        );
    }
    line("The sealing key is the credential twinlock.key, which systemd gives: it is as it was.")
}
