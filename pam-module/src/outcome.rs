//! What a login came to, and the PAM code for it: the only place where a code is chosen (product.md section 2).
#![deny(clippy::wildcard_enum_match_arm)]

use pam::constants::PamResultCode;

use crate::{authority::Fault, options::Unavailable};

/// How an attempt to authenticate ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A fresh positive verdict of the daemon, for this user and this conversation.
    Granted,
    /// Policy asks for no second factor here.
    NotNeeded,
    /// The daemon said no.
    Denied,
    /// Account phase: policy needs a second factor, and the auth phase was not ours.
    Skipped,
    /// Account phase: not a service that it is for.
    NotConcerned,
    /// The daemon said no because of too many failures.
    Throttled,
    /// The person took too long.
    Expired,
    /// No verdict could be had.
    Unavailable(Fault),
    /// The application's conversation failed.
    ConversationFailed,
    /// PAM_USER changed while we talked (authd CVE-2024-9313).
    UserChanged,
    /// PAM did not give us what a login needs; the text is for the log.
    NoContext(&'static str),
    /// A module argument is not understood.
    BadArgument,
    /// A panic was caught.
    Panicked,
}

/// Whether `unavailable=ignore` may release this login: see [`Standing::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An ordinary user, or nobody from the network.
    Ordinary,
    /// Root or an unknown user, and the login comes from the network: never released.
    Guarded,
}

impl Standing {
    /// `uid` is that of PAM_USER, `None` if there is no such user.
    #[must_use]
    pub fn of(uid: Option<u32>, rhost: &str, service: &str) -> Self {
        let from_network = !rhost.is_empty() || service == "sshd";
        if from_network && matches!(uid, None | Some(0)) { Self::Guarded } else { Self::Ordinary }
    }
}

/// The PAM code for an outcome. `standing` is asked for only where `unavailable=ignore` could apply.
pub fn code(
    outcome: &Outcome,
    unavailable: Unavailable,
    standing: impl FnOnce() -> Standing,
) -> PamResultCode {
    match outcome {
        Outcome::Granted => PamResultCode::PAM_SUCCESS,
        Outcome::NotNeeded | Outcome::NotConcerned => PamResultCode::PAM_IGNORE,
        Outcome::Skipped => PamResultCode::PAM_PERM_DENIED,
        Outcome::Denied | Outcome::Expired => PamResultCode::PAM_AUTH_ERR,
        Outcome::Throttled => PamResultCode::PAM_MAXTRIES,
        Outcome::Unavailable(Fault::Absent)
            if unavailable == Unavailable::Ignore && standing() == Standing::Ordinary =>
        {
            PamResultCode::PAM_IGNORE
        }
        Outcome::Unavailable(Fault::Absent | Fault::Late | Fault::Broken | Fault::Untrusted(_)) => {
            PamResultCode::PAM_AUTHINFO_UNAVAIL
        }
        Outcome::ConversationFailed => PamResultCode::PAM_CONV_ERR,
        Outcome::BadArgument => PamResultCode::PAM_SERVICE_ERR,
        Outcome::UserChanged | Outcome::NoContext(_) | Outcome::Panicked => PamResultCode::PAM_SYSTEM_ERR,
    }
}

/// The same in the account phase, where "not needed" is a yes.
pub fn account_code(
    outcome: &Outcome,
    unavailable: Unavailable,
    standing: impl FnOnce() -> Standing,
) -> PamResultCode {
    if *outcome == Outcome::NotNeeded {
        return PamResultCode::PAM_SUCCESS;
    }
    code(outcome, unavailable, standing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PamResultCode as Pam;

    #[test]
    fn each_outcome_has_the_code_of_the_contract() {
        for (outcome, expected) in [
            (Outcome::Granted, Pam::PAM_SUCCESS),
            (Outcome::NotNeeded, Pam::PAM_IGNORE),
            (Outcome::Denied, Pam::PAM_AUTH_ERR),
            (Outcome::Expired, Pam::PAM_AUTH_ERR),
            (Outcome::Throttled, Pam::PAM_MAXTRIES),
            (Outcome::Skipped, Pam::PAM_PERM_DENIED),
            (Outcome::NotConcerned, Pam::PAM_IGNORE),
            (Outcome::Unavailable(Fault::Absent), Pam::PAM_AUTHINFO_UNAVAIL),
            (Outcome::Unavailable(Fault::Late), Pam::PAM_AUTHINFO_UNAVAIL),
            (Outcome::Unavailable(Fault::Broken), Pam::PAM_AUTHINFO_UNAVAIL),
            (Outcome::Unavailable(Fault::Untrusted(String::new())), Pam::PAM_AUTHINFO_UNAVAIL),
            (Outcome::ConversationFailed, Pam::PAM_CONV_ERR),
            (Outcome::BadArgument, Pam::PAM_SERVICE_ERR),
            (Outcome::UserChanged, Pam::PAM_SYSTEM_ERR),
            (Outcome::NoContext("x"), Pam::PAM_SYSTEM_ERR),
            (Outcome::Panicked, Pam::PAM_SYSTEM_ERR),
        ] {
            assert_eq!(code(&outcome, Unavailable::Deny, || Standing::Ordinary), expected, "{outcome:?}");
        }
    }

    #[test]
    fn in_the_account_phase_not_needed_is_a_yes_and_nothing_else_changes() {
        let of = |outcome| account_code(&outcome, Unavailable::Deny, || Standing::Ordinary);
        assert_eq!(of(Outcome::NotNeeded), Pam::PAM_SUCCESS);
        assert_eq!(of(Outcome::NotConcerned), Pam::PAM_IGNORE);
        assert_eq!(of(Outcome::Skipped), Pam::PAM_PERM_DENIED);
        assert_eq!(of(Outcome::Unavailable(Fault::Absent)), Pam::PAM_AUTHINFO_UNAVAIL);
    }

    #[test]
    fn ignore_covers_an_absent_daemon_and_nothing_else() {
        let ignore = |fault, standing| code(&Outcome::Unavailable(fault), Unavailable::Ignore, || standing);
        assert_eq!(ignore(Fault::Absent, Standing::Ordinary), Pam::PAM_IGNORE);
        for fault in [Fault::Late, Fault::Broken, Fault::Untrusted(String::new())] {
            assert_eq!(ignore(fault, Standing::Ordinary), Pam::PAM_AUTHINFO_UNAVAIL);
        }
        assert_eq!(ignore(Fault::Absent, Standing::Guarded), Pam::PAM_AUTHINFO_UNAVAIL);
    }

    #[test]
    fn root_and_unknown_users_from_the_network_are_never_released() {
        assert_eq!(Standing::of(Some(0), "192.0.2.7", "ftpd"), Standing::Guarded);
        assert_eq!(Standing::of(Some(0), "", "sshd"), Standing::Guarded);
        assert_eq!(Standing::of(None, "", "sshd"), Standing::Guarded);
        assert_eq!(Standing::of(Some(0), "", "login"), Standing::Ordinary);
        assert_eq!(Standing::of(Some(1000), "192.0.2.7", "sshd"), Standing::Ordinary);
    }
}
