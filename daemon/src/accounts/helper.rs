//! What runs in the child processes: questions on standard input (a socket), answers back on it.

use std::{
    collections::BTreeSet,
    ffi::{CString, OsStr, OsString},
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::Command,
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Gid, Group, Uid, User, geteuid, getgrouplist},
};
use nonstick::{AuthnFlags, ConversationAdapter, ErrorCode, Transaction, TransactionBuilder};
use zeroize::Zeroizing;

use super::{Account, Confirmation, Confirmed, Question, Reply};
use crate::engine::policy::{Ids, Named, PASSWORD_SERVICE};

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Looks up users and groups, until the line ends.
    Accounts,
    /// Confirms one password.
    Password,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Password => "password",
        }
    }
}

/// Serves until the daemon closes the line.
///
/// # Errors
///
/// When the line breaks, or somebody else is at its other end.
pub fn serve(kind: Kind) -> io::Result<()> {
    // A look-up that hangs must not outlive a daemon that was killed.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut line = UnixStream::from(stdin);
    if getsockopt(&line, PeerCredentials)?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // Passwords come here: nobody looks in.
    let _ = nix::sys::prctl::set_dumpable(false);
    let mut reader = BufReader::new(line.try_clone()?);
    loop {
        let mut question = Zeroizing::new(Vec::new());
        if reader.read_until(b'\n', &mut question)? == 0 {
            return Ok(());
        }
        let mut answer = match kind {
            Kind::Accounts => serde_json::to_vec(&look_up(&serde_json::from_slice(&question)?)),
            Kind::Password => serde_json::to_vec(&confirm(&serde_json::from_slice(&question)?)),
        }?;
        answer.push(b'\n');
        line.write_all(&answer)?;
        if kind == Kind::Password {
            return Ok(());
        }
    }
}

fn look_up(question: &Question) -> Reply {
    let (found, named) = match question {
        Question::Name(name, named) => (User::from_name(name), named),
        Question::Uid(uid, named) => (User::from_uid(Uid::from_raw(*uid)), named),
        Question::Everybody(named) => {
            return everybody(named).map_or_else(|error| Reply::Failed(error.to_string()), Reply::Everybody);
        }
        Question::Ids(named) => {
            return resolve(named).map_or_else(|errno| Reply::Failed(errno.desc().to_owned()), Reply::Ids);
        }
    };
    match found {
        Ok(Some(user)) => {
            let groups = CString::new(user.name.as_str())
                .ok()
                .and_then(|name| getgrouplist(&name, user.gid).ok())
                .map(|groups| groups.into_iter().map(Gid::as_raw).collect());
            let ids = resolve(named).ok();
            Reply::Found(Account { name: user.name, uid: user.uid.as_raw(), groups, ids })
        }
        Ok(None) => Reply::Absent,
        Err(errno) => Reply::Failed(errno.desc().to_owned()),
    }
}

/// What names mean. One that nobody has is left out; one that cannot be looked up fails all of them.
///
/// # Errors
///
/// What NSS says.
pub fn resolve(named: &Named) -> nix::Result<Ids> {
    let mut ids = Ids::default();
    for name in &named.users {
        ids.users.extend(User::from_name(name)?.map(|user| (name.clone(), user.uid.as_raw())));
    }
    for name in &named.groups {
        ids.groups.extend(Group::from_name(name)?.map(|group| (name.clone(), group.gid.as_raw())));
    }
    Ok(ids)
}

/// Everybody who can log in: whom getent(1) lists, users of these names, members of these groups.
fn everybody(named: &Named) -> io::Result<BTreeSet<String>> {
    let listed = Command::new("getent").arg("passwd").output()?;
    if !listed.status.success() {
        return Err(io::Error::other(format!("getent passwd: {}", listed.status)));
    }
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let can_log_in =
        |line: &&str| !["nologin", "false", "sync"].iter().any(|shell| line.ends_with(&format!("/{shell}")));
    let mut names: BTreeSet<String> =
        text.lines().filter(can_log_in).filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect();
    names.extend(named.users.iter().cloned());
    for group in &named.groups {
        names.extend(Group::from_name(group)?.into_iter().flat_map(|group| group.mem));
    }
    Ok(names)
}

/// Authentication and account management, as a login would do.
fn confirm(confirmation: &Confirmation) -> Confirmed {
    let attempt = || -> Result<(), ErrorCode> {
        let mut transaction = TransactionBuilder::new_with_service(PASSWORD_SERVICE)
            .username(&confirmation.user)
            .build(OnePassword(confirmation).into_conversation())?;
        transaction.authenticate(AuthnFlags::empty())?;
        transaction.account_management(AuthnFlags::empty())
    };
    match attempt() {
        Ok(()) => Confirmed::Right,
        Err(ErrorCode::AuthenticationError | ErrorCode::UserUnknown | ErrorCode::MaxTries) => {
            Confirmed::Wrong
        }
        Err(error) => Confirmed::Failed(error.to_string()),
    }
}

/// Answers hidden prompts with the password, and no others.
struct OnePassword<'a>(&'a Confirmation);

impl ConversationAdapter for OnePassword<'_> {
    fn prompt(&self, _: impl AsRef<OsStr>) -> Result<OsString, ErrorCode> {
        Err(ErrorCode::ConversationError)
    }
    fn masked_prompt(&self, _: impl AsRef<OsStr>) -> Result<OsString, ErrorCode> {
        Ok(OsString::from(&self.0.password))
    }
    fn error_msg(&self, _: impl AsRef<OsStr>) {}
    fn info_msg(&self, _: impl AsRef<OsStr>) {}
}
