//! Taking over the secrets of google-authenticator and pam_oath. The command opens the files; the daemon gets what is in
//! them, and says what became of each secret.

mod owned;
mod reader;
mod report;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::User;
use twinlock_proto::v1::{MigrationFile, migration::Outcome};
use zeroize::Zeroizing;

use crate::{
    admin::{client, request},
    args::{GoogleAuthenticator, Migrate},
    failure::{Failure, LATER, NO, answered_at_length},
    output::clean,
};
pub use reader::{errand, read_own};
use report::Report;

/// The largest users file of pam_oath, in bytes.
const USERS_FILE: usize = 4 * 1024 * 1024;
/// Bytes in a message, well under the limit of one.
const PART: usize = 32 * 1024;

/// Carries a command out.
pub async fn run(runtime_dir: &Path, command: &Migrate, json: bool) -> Result<(), Failure> {
    // Before any file is opened: may they, and is there somebody to give it to?
    drop(client(runtime_dir).await?);
    let (Migrate::GoogleAuthenticator(GoogleAuthenticator { dry_run, .. }) | Migrate::Oath { dry_run, .. }) =
        command;
    let mut task = Task { runtime_dir, dry_run: *dry_run, report: Report::new(json, *dry_run) };
    let (done, module) = match command {
        Migrate::GoogleAuthenticator(options) => {
            (task.google_authenticator(options).await, "pam_google_authenticator.so")
        }
        Migrate::Oath { file, .. } => (task.oath(file).await, "pam_oath.so"),
    };
    match done {
        Ok(()) => task.report.end(module),
        Err(failure) => task.report.so_far().and(Err(failure)),
    }
}

/// A command at work.
struct Task<'a> {
    runtime_dir: &'a Path,
    dry_run: bool,
    report: Report,
}

impl Task<'_> {
    async fn oath(&mut self, file: &Path) -> Result<(), Failure> {
        let refused =
            |why: &str| Failure::new(NO, format!("{}: {why}; nothing is taken over", file.display()));
        let found = match owned::look_at(file, 0, USERS_FILE) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(refused("there is no such file")),
            Err(why) => return Err(refused(&why)),
        };
        if found.open {
            let warning = format!("{}: others than root can read it: the keys may be known", file.display());
            self.report.warn(&warning)?;
        }
        self.send(("oath", ""), &found.text, None).await
    }

    async fn google_authenticator(&mut self, options: &GoogleAuthenticator) -> Result<(), Failure> {
        let owner = options.owner.as_deref().map(user_named).transpose()?;
        let (people, everybody) = match &options.user {
            Some(name) => (vec![user_named(name)?], false),
            None => (everybody()?, true),
        };
        for (n, person) in people.iter().enumerate() {
            self.report.progress(n, people.len());
            let Some(path) = place(&options.file, person) else {
                self.report.refuse(&person.name, "its name or home makes no path".to_owned())?;
                continue;
            };
            let holder = owner.as_ref().unwrap_or(person);
            match owned::read(&path, holder.uid, holder.gid).await {
                owned::Found::Absent if everybody => {}
                owned::Found::Absent => {
                    self.report.refuse(&person.name, format!("there is no {}", path.display()))?;
                }
                owned::Found::Refused(why) => {
                    self.report.refuse(&person.name, format!("{}: {why}", path.display()))?;
                }
                owned::Found::File(found) => {
                    let note = found.open.then_some("others could read the file: its key may be known");
                    self.send(("google-authenticator", &person.name), &found.text, note).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives a file to the daemon, and tells what became of what is in it.
    async fn send(
        &mut self,
        (format, user): (&str, &str),
        text: &Zeroizing<Vec<u8>>,
        note: Option<&str>,
    ) -> Result<(), Failure> {
        let (format, user) = (format.to_owned(), user.to_owned());
        let first = MigrationFile { format, user, dry_run: self.dry_run, data: Vec::new() };
        let part = |data: &[u8]| MigrationFile {
            format: String::new(),
            user: String::new(),
            dry_run: false,
            data: data.to_vec(),
        };
        let parts: Vec<MigrationFile> = text.chunks(PART).map(part).collect();
        let messages = tokio_stream::iter(std::iter::once(first).chain(parts));
        // A new connection: one that waits while a home does not answer is closed.
        let mut client = client(self.runtime_dir).await?;
        let mut answers = answered_at_length(client.migrate(request(messages))).await?.into_inner();
        while let Some(mut migration) = answered_at_length(answers.message()).await? {
            if migration.outcome() == Outcome::Taken {
                migration.notes.extend(note.map(ToOwned::to_owned));
            }
            self.report.add(migration)?;
        }
        Ok(())
    }
}

/// An account, as far as its file is concerned.
struct Person {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

fn user_named(name: &str) -> Result<Person, Failure> {
    let found = User::from_name(name)
        .map_err(|error| Failure::new(LATER, format!("users cannot be looked up: {}", error.desc())))?;
    let user = found.ok_or_else(|| Failure::new(NO, format!("there is no user {}", clean(name))))?;
    Ok(Person { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
}

/// Whom getent(1) lists.
fn everybody() -> Result<Vec<Person>, Failure> {
    let failed = |why: String| Failure::new(LATER, format!("users cannot be listed: getent passwd: {why}"));
    let listed = Command::new("getent").arg("passwd").output().map_err(|error| failed(error.to_string()))?;
    if !listed.status.success() {
        return Err(failed(listed.status.to_string()));
    }
    let person = |line: &str| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?.to_owned(), fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Person { name, uid, gid, home: fields.nth(1)?.into() })
    };
    Ok(String::from_utf8_lossy(&listed.stdout).lines().filter_map(person).collect())
}

/// Where a user's file is; `~` counts at the start.
fn place(pattern: &str, person: &Person) -> Option<PathBuf> {
    let home = person.home.to_str()?;
    if person.name.contains('/') || !person.home.is_absolute() {
        return None; // it would lead elsewhere
    }
    let filled = pattern.replace("${USER}", &person.name).replace("${HOME}", home);
    let filled = filled.strip_prefix('~').map_or(filled.clone(), |rest| format!("{home}{rest}"));
    Some(PathBuf::from(filled)).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, home: &str) -> Person {
        Person { name: name.to_owned(), uid: 1000, gid: 1000, home: home.into() }
    }

    #[test]
    fn a_pattern_is_filled_in_as_the_module_does() {
        let of = |pattern: &str| place(pattern, &person("bob", "/home/bob"));
        for (pattern, path) in [
            ("~/.google_authenticator", "/home/bob/.google_authenticator"),
            ("${HOME}/.ssh/ga", "/home/bob/.ssh/ga"),
            ("/var/lib/ga/${USER}", "/var/lib/ga/bob"),
            ("/a~b/${USER}/${USER}", "/a~b/bob/bob"),
        ] {
            assert_eq!(of(pattern), Some(path.into()), "{pattern}");
        }
        assert_eq!(of("ga/${USER}"), None, "not from where the command happens to stand");
        assert_eq!(place("/var/lib/ga/${USER}", &person("../root", "/")), None);
        assert!(["", "home"].iter().all(|home| place("~/x", &person("bob", home)).is_none()));
    }
}
