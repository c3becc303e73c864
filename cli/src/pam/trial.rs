//! Tries a new stack before it is put in place: libpam runs it, with the first factor taken as passed, and is given a
//! wrong code. It must ask, and refuse.
//!
//! libpam reads /etc/pam.d; so a child process of this command sees a copy there, in a mount namespace of its own that
//! ends with it. PAM modules leave things in a process, another reason for a child.

use std::{
    cell::Cell,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use nonstick::{
    AuthnFlags, ConversationAdapter, EnvironMapMut, ErrorCode, PamShared, Transaction, TransactionBuilder,
};

use super::{
    file::{self, failed},
    ledger,
};
use crate::{
    doctor::stack::{Class, Files, Words, class_of},
    failure::{Failure, NO},
};

/// The name by which the child is called.
const NAME: &str = "twinlock-try-stack";
/// How long it may take: modules delay failures by seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where stacks are.
const STACKS: &str = "/etc/pam.d";
/// A code that is nobody's but for one in a million tries.
const WRONG: &str = "000000";

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How often something was asked.
    pub asked: usize,
    /// Whether a wrong code let in.
    pub passed: bool,
    /// libpam's word.
    pub word: String,
}

/// What is tried.
pub struct Trial<'a> {
    pub service: &'a str,
    pub user: &'a str,
    /// A key came before.
    pub key: bool,
}

impl Trial<'_> {
    /// Runs it; `files` are the stacks as they will be, `names` those that there are.
    pub async fn run(&self, files: &dyn Files, names: &[String]) -> Result<Verdict, Failure> {
        let folder = Folder::make()?;
        for name in names {
            let Ok((_, text)) = files.read(name) else { continue };
            let path = folder.0.join(name);
            fs::write(&path, passed(&text)).map_err(|error| failed("write", &path, &error))?;
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).arg(&folder.0).args([
            self.service,
            self.user,
            if self.key { "key" } else { "password" },
        ]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|error| untried(&format!("no process for it could be started: {error}")))?;
        let stdout = child.stdout.take();
        let said = tokio::task::spawn_blocking(move || {
            let mut said = String::new();
            stdout.map(|mut out| out.read_to_string(&mut said)).transpose().map(|_| said)
        });
        let said = tokio::time::timeout(PATIENCE, said).await;
        let _ = child.kill();
        let _ = child.wait();
        let Ok(Ok(Ok(said))) = said else { return Err(untried("it did not end within a minute")) };
        understood(&said).ok_or_else(|| untried(said.trim()))
    }
}

fn untried(why: &str) -> Failure {
    let why = if why.is_empty() { "the process for it ended" } else { why };
    Failure::new(
        NO,
        format!("the new stack cannot be tried ({}); nothing has changed", crate::output::clean(why)),
    )
}

fn understood(said: &str) -> Option<Verdict> {
    let mut words = said.trim().splitn(3, ' ');
    let passed = match words.next()? {
        "passed" => true,
        "refused" => false,
        _ => return None,
    };
    Some(Verdict {
        passed,
        asked: words.next()?.parse().ok()?,
        word: words.next().unwrap_or_default().to_owned(),
    })
}

/// A folder for the copy, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let path = Path::new(ledger::FOLDER).join("try");
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path, &error));
            }
            _ => {}
        }
        file::private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A stack in which everybody has the first factor, and nothing happens on the side: no failure is counted for a person,
/// no home is mounted.
fn passed(text: &str) -> String {
    let line = |line: &str| {
        let module = Words::of(line.split('#').next().unwrap_or_default()).nth(2)?;
        let name = module.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".so").unwrap_or(name);
        let stands_in = match class_of(name) {
            Class::Password | Class::FirstFactor | Class::Tally | Class::SideEffect => "pam_permit.so",
            // This process is root's, and whoever is tried is not.
            Class::RootOk => "pam_deny.so",
            _ => return None,
        };
        Some(line.replacen(&module, stands_in, 1))
    };
    text.lines().map(|each| line(each).unwrap_or_else(|| each.to_owned()) + "\n").collect()
}

/// What the child is asked for.
pub struct Errand {
    folder: OsString,
    service: OsString,
    user: OsString,
    key: bool,
}

/// The errand, in the child; none in a command that somebody called.
pub fn errand() -> Option<Errand> {
    let mut arguments = env::args_os();
    arguments.next().filter(|name| name == NAME)?;
    let (folder, service, user) = (arguments.next()?, arguments.next()?, arguments.next()?);
    Some(Errand { folder, service, user, key: arguments.next()? == "key" })
}

/// Says on standard output what came of it.
pub fn run_errand(errand: &Errand) -> ExitCode {
    let said = match see_copy(Path::new(&errand.folder)) {
        Ok(()) => attempt(errand),
        Err(errno) => format!(
            "the copy cannot be put in its place: {}; root of this container may not mount",
            errno.desc()
        ),
    };
    match writeln!(io::stdout(), "{said}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// From here on this process finds the copy where stacks are, and nobody else does.
fn see_copy(folder: &Path) -> nix::Result<()> {
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some(folder), STACKS, nothing, MsFlags::MS_BIND, nothing)
}

fn attempt(errand: &Errand) -> String {
    let asked = Cell::new(0);
    let verdict = || -> Result<(), ErrorCode> {
        let mut transaction = TransactionBuilder::new_with_service(&errand.service)
            .username(&errand.user)
            .build(Mistaken(&asked).into_conversation())?;
        if errand.key {
            // As sshd says it of a key that was right; nobody logs in by this process.
            transaction.environ_mut().insert("SSH_AUTH_INFO_0", "publickey ssh-ed25519 AAAA");
        }
        transaction.authenticate(AuthnFlags::empty())
    };
    let verdict = verdict();
    let asked = asked.get();
    match verdict {
        Ok(()) => format!("passed {asked} success"),
        Err(error) => format!("refused {asked} {error}"),
    }
}

/// Somebody who types a wrong code, then what can be none: that is charged to nobody.
struct Mistaken<'a>(&'a Cell<usize>);

impl ConversationAdapter for Mistaken<'_> {
    fn prompt(&self, _: impl AsRef<OsStr>) -> Result<OsString, ErrorCode> {
        let before = self.0.replace(self.0.get() + 1);
        Ok(OsString::from(if before == 0 { WRONG } else { "x" }))
    }
    fn masked_prompt(&self, request: impl AsRef<OsStr>) -> Result<OsString, ErrorCode> {
        self.prompt(request)
    }
    fn error_msg(&self, _: impl AsRef<OsStr>) {}
    fn info_msg(&self, _: impl AsRef<OsStr>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_factor_is_taken_as_passed_and_ours_is_not() {
        let text = "# pam_unix.so\nauth sufficient pam_rootok.so\nauth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n\
                    auth required /lib/security/pam_sss.so\nauth required pam_faillock.so authsucc\n\
                    auth required pam_twinlock.so after_first_factor\n@include common-auth\n";
        assert_eq!(
            passed(text),
            "# pam_unix.so\nauth sufficient pam_deny.so\nauth [success=1 default=ignore] pam_permit.so nullok\nauth requisite pam_deny.so\n\
             auth required pam_permit.so\nauth required pam_permit.so authsucc\n\
             auth required pam_twinlock.so after_first_factor\n@include common-auth\n"
        );
    }

    #[test]
    fn whatever_the_child_says_it_is_understood_or_refused() {
        assert_eq!(
            understood("refused 4 Authentication failure\n"),
            Some(Verdict { asked: 4, passed: false, word: "Authentication failure".to_owned() })
        );
        assert!(understood("passed 0 success").is_some_and(|verdict| verdict.passed));
        for said in ["", "refused", "refused many x", "the copy cannot be put in its place"] {
            assert_eq!(understood(said), None, "{said:?}");
        }
    }
}
