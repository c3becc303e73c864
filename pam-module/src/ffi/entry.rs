//! The entry points of libpam. pam-bindings turns arguments into slices and keeps panics inside too; here a
//! panic becomes PAM_SYSTEM_ERR and stays silent.

use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Once,
};

use nix::unistd::User;
use pam::{
    constants::{PamFlag, PamResultCode},
    module::{PamHandle, PamHooks},
};
use twinlock_proto::{LOGIN_SOCKET, RUNTIME_DIR, USER_SOCKET, limit};

use super::{handle::Host, sys};
use crate::{
    application::Circumstances,
    dialogue::{self, Phase},
    options::Options,
    outcome::{self, Outcome, Standing},
    record::{self, Level},
    wire::Daemon,
};

struct Twinlock;
pam::pam_hooks!(Twinlock);

impl PamHooks for Twinlock {
    fn sm_authenticate(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guarded(|| authenticate(Host { handle, flags }, &arguments))
    }

    /// A login that skipped the auth phase (an SSH key alone) comes by here.
    fn acct_mgmt(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guarded(|| account(Host { handle, flags }, &arguments))
    }

    /// Nothing to establish; but a stack whose modules all ignore `setcred` fails it.
    fn sm_setcred(_: &mut PamHandle, arguments: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guarded(|| harmless(&arguments))
    }

    fn sm_open_session(_: &mut PamHandle, arguments: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guarded(|| harmless(&arguments))
    }

    fn sm_close_session(_: &mut PamHandle, arguments: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        guarded(|| harmless(&arguments))
    }
}

fn authenticate(mut host: Host<'_>, arguments: &[&CStr]) -> PamResultCode {
    host.forget_granted(); // whatever happens from here on, an earlier pass does not speak for it
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (outcome, login) = match host.circumstances() {
        Ok(login) => (attempt(Phase::Auth, &mut host, &login, &options), login),
        Err(outcome) => (outcome, Circumstances::default()),
    };
    if outcome == Outcome::Granted {
        host.remember_granted(&login.user);
    }
    tell(Phase::Auth, &outcome, &login, &options);
    outcome::code(&outcome, options.unavailable, || standing(&login))
}

fn account(mut host: Host<'_>, arguments: &[&CStr]) -> PamResultCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (outcome, login) = match host.circumstances() {
        Ok(login) if host.granted() == Some(login.user.as_str()) => return PamResultCode::PAM_SUCCESS,
        Ok(login) => (attempt(Phase::Account, &mut host, &login, &options), login),
        Err(outcome) => (outcome, Circumstances::default()),
    };
    tell(Phase::Account, &outcome, &login, &options);
    outcome::account_code(&outcome, options.unavailable, || standing(&login))
}

/// The arguments of the line; one that is not understood denies.
fn parse(arguments: &[&CStr]) -> Result<Options, PamResultCode> {
    match Options::parse(arguments.iter().map(|argument| argument.to_bytes())) {
        Ok(options) => {
            fault_injection(&options);
            Ok(options)
        }
        Err(bad) => {
            sys::syslog(Level::Error, &format!("pam_twinlock: {bad}; denied"));
            let (outcome, deny) = (Outcome::BadArgument, crate::options::Unavailable::Deny);
            Err(outcome::code(&outcome, deny, || Standing::Guarded))
        }
    }
}

fn tell(phase: Phase, outcome: &Outcome, login: &Circumstances, options: &Options) {
    if let Some((level, text)) = record::line(phase, outcome, login)
        && (level != Level::Debug || options.debug)
    {
        sys::syslog(level, &text);
    }
}

fn standing(login: &Circumstances) -> Standing {
    let uid = User::from_name(&login.user).ok().flatten().map(|user| user.uid.as_raw());
    Standing::of(uid, &login.rhost, &login.service)
}

fn attempt(phase: Phase, host: &mut Host<'_>, login: &Circumstances, options: &Options) -> Outcome {
    let socket = match &options.socket {
        Some(path) => path.clone(),
        None => default_socket(login.euid),
    };
    let mut nonce = [0; limit::NONCE];
    #[expect(
        clippy::disallowed_methods,
        reason = "the module's one use of randomness; tests pass a nonce below"
    )]
    if getrandom::fill(&mut nonce).is_err() {
        return Outcome::NoContext("no randomness for the nonce");
    }
    dialogue::converse(phase, host, &mut Daemon::at(&socket), login, options, nonce)
}

fn default_socket(euid: u32) -> PathBuf {
    Path::new(RUNTIME_DIR).join(if euid == 0 { LOGIN_SOCKET } else { USER_SOCKET })
}

fn harmless(arguments: &[&CStr]) -> PamResultCode {
    if let Ok(options) = Options::parse(arguments.iter().map(|argument| argument.to_bytes())) {
        fault_injection(&options);
    }
    PamResultCode::PAM_SUCCESS
}

/// Runs an entry point. std's panic hook would write to the host's standard error, with a backtrace if the
/// user of su or sudo asks for one by RUST_BACKTRACE; ours is the copy of std in this object alone.
fn guarded(entry: impl FnOnce() -> PamResultCode) -> PamResultCode {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or_else(|payload| {
        std::mem::forget(payload); // dropping it could panic again
        if let Some((level, text)) = record::line(Phase::Auth, &Outcome::Panicked, &Circumstances::default())
        {
            sys::syslog(level, &text);
        }
        outcome::code(&Outcome::Panicked, crate::options::Unavailable::Deny, || Standing::Guarded)
    })
}

#[cfg(feature = "fault-injection")]
fn fault_injection(options: &Options) {
    #[expect(clippy::panic, reason = "this is what the feature is for")]
    if options.panic {
        panic!("asked to");
    }
}

#[cfg(not(feature = "fault-injection"))]
const fn fault_injection(_: &Options) {}
