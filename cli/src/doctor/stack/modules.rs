//! What the known modules can answer, by name, and what each answer says about the person.
//!
//! Answers that libpam treats alike need not be told apart, but a control may name any of them; so every answer that
//! a module's source or manual has is listed. A module that is not known can answer anything.

use super::{
    control::{
        ABORT, ACCT_EXPIRED, AUTH_ERR, AUTHINFO_UNAVAIL, AUTHTOK_EXPIRED, CONV_ERR, CRED_INSUFFICIENT, Code,
        IGNORE, MAXTRIES, MODULE_UNKNOWN, NEW_AUTHTOK_REQD, PERM_DENIED, SERVICE_ERR, SUCCESS, SYSTEM_ERR,
        USER_UNKNOWN,
    },
    line::{Call, Line, Phase},
    read::Files,
};

/// What a module is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `pam_twinlock`
    Ours,
    /// Always fails.
    Deny,
    /// Always succeeds.
    Permit,
    /// Succeeds when the process's real uid is 0.
    RootOk,
    /// Asks the login password.
    Password,
    /// Another proof that stands for the password: a fingerprint, a smart card, a key.
    FirstFactor,
    /// Another product's second factor.
    SecondFactor,
    /// Asks nobody anything: looks at name, time, address, terminal, list.
    Condition,
    /// Counts failures; its answer depends on `preauth`, `authfail`, `authsucc`.
    Tally,
    /// Does something on the side, and may succeed.
    SideEffect,
    /// Answers `PAM_IGNORE` in the auth phase, whatever happens.
    Silent,
    /// Not known here.
    Unknown,
}

const KNOWN: [(Class, &str); 11] = [
    (Class::Ours, "pam_twinlock"),
    (Class::Deny, "pam_deny"),
    (Class::Permit, "pam_permit"),
    (Class::RootOk, "pam_rootok"),
    (
        Class::Password,
        "pam_unix pam_unix2 pam_sss pam_krb5 pam_ldap pam_winbind pam_systemd_home pam_kanidm \
         pam_himmelblau pam_authd pam_authd_exec pam_aad pam_userdb pam_pwdfile pam_mysql pam_pgsql \
         pam_radius_auth pam_tacplus pam_lsass pam_centrifydc pam_vas3 pam_afs_session pam_tcb pam_heimdal",
    ),
    (
        Class::FirstFactor,
        "pam_fprintd pam_howdy pam_pkcs11 pam_p11 pam_ssh_agent_auth pam_rssh pam_usb pam_poldi pam_beid \
         pam_sss_gss pam_ssh pam_thinkfinger",
    ),
    (
        Class::SecondFactor,
        "pam_u2f pam_google_authenticator pam_oath pam_duo pam_yubico pam_otpw pam_privacyidea pam_linotp \
         pam_2fa pam_multiotp pam_authelia pam_totp",
    ),
    (
        Class::Condition,
        "pam_nologin pam_securetty pam_succeed_if pam_localuser pam_access pam_wheel pam_listfile pam_time \
         pam_shells pam_usertype pam_sepermit pam_rhosts pam_timestamp pam_lastlog pam_ftp pam_slurm_adopt \
         pam_tally2 pam_tally pam_abl pam_geoip pam_selinux_permit pam_hbac",
    ),
    (Class::Tally, "pam_faillock"),
    (
        Class::SideEffect,
        "pam_cap pam_gnome_keyring pam_kwallet pam_kwallet5 pam_mount pam_ecryptfs pam_fscrypt pam_echo \
         pam_issue pam_script pam_krb5_migrate pam_smbpass pam_selinux pam_zfs_key",
    ),
    (
        Class::Silent,
        "pam_env pam_faildelay pam_group pam_keyinit pam_mail pam_warn pam_motd pam_limits pam_loginuid \
         pam_systemd pam_umask pam_mkhomedir pam_xauth pam_tty_audit pam_namespace",
    ),
];

/// What a module is for, by its name.
#[must_use]
pub fn class(line: &Line) -> Class {
    class_of(line.name())
}

/// The same, of a name without folder and ending.
#[must_use]
pub fn class_of(module: &str) -> Class {
    KNOWN
        .iter()
        .find(|(_, names)| names.split(' ').any(|name| name == module))
        .map_or(Class::Unknown, |(class, _)| *class)
}

/// What an answer says about the person who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Nothing.
    Nothing,
    /// A password was asked and was not right.
    WrongPassword,
    /// A password or what stands for it was right.
    FirstFactor,
    /// Another product's second factor was right.
    SecondFactor,
    /// Our module: the code was right.
    OursPassed,
    /// Our module: policy asks for none.
    OursReleased,
    /// Our module did not let the person in.
    OursFailed,
}

/// One possible answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The value.
    pub code: Code,
    /// What it means.
    pub fact: Fact,
}

const FAILURES: [Code; 8] =
    [AUTH_ERR, USER_UNKNOWN, AUTHINFO_UNAVAIL, PERM_DENIED, MAXTRIES, SERVICE_ERR, SYSTEM_ERR, CONV_ERR];

/// Programs that are started by their caller, whose real uid they keep: there `pam_rootok` means that root asks.
const KEEPS_THE_CALLER: &str = "su su-l runuser runuser-l chsh chfn passwd chage chpasswd newusers useradd \
                                userdel usermod groupadd groupdel groupmod groupmems chgpasswd polkit-1 \
                                vlock config-util";

/// Whether `pam_rootok` in this service means that the caller is root already. Daemons and `sudo` run as root
/// themselves; there it lets everybody in.
#[must_use]
pub fn root_means_the_caller(service: &str) -> bool {
    KEEPS_THE_CALLER.split(' ').any(|name| name == service)
}

/// Everything a line can answer in a phase. `None` as a code stands for a line that opens a substack.
pub fn answers(line: &Line, phase: Phase, service: &str, files: &dyn Files) -> Vec<Answer> {
    if line.call == Call::MustFail {
        return plain(&[PERM_DENIED]);
    }
    // A module that cannot be loaded answers so, with "-" in front of the line too: that only hides the log entry.
    if !files.has_module(&line.module) && class(line) != Class::Ours {
        return plain(&[MODULE_UNKNOWN]);
    }
    match (phase, class(line)) {
        (_, Class::Ours) => ours(phase),
        (_, Class::Deny) => plain(&[AUTH_ERR]),
        (_, Class::Permit) => plain(&[SUCCESS]),
        // A caller who is root already needs no factor to get what is asked: not a way around.
        (_, Class::RootOk) if root_means_the_caller(service) => plain(&[AUTH_ERR]),
        (_, Class::RootOk) => plain(&[SUCCESS, AUTH_ERR]),
        (Phase::Auth, Class::Password) => password(line),
        (Phase::Auth, Class::FirstFactor) => factor(Fact::FirstFactor),
        (Phase::Auth, Class::SecondFactor) => factor(Fact::SecondFactor),
        (Phase::Auth, Class::Tally) => tally(line),
        (Phase::Auth, Class::Silent) => plain(&[IGNORE]),
        (_, Class::Silent | Class::SideEffect) => plain(&[SUCCESS, IGNORE, SERVICE_ERR, SYSTEM_ERR]),
        (Phase::Auth, Class::Condition) => condition(line),
        (Phase::Auth, Class::Unknown) => {
            let mut all = factor(Fact::FirstFactor);
            all.extend(plain(&[MAXTRIES, ABORT]));
            all
        }
        _ => {
            let mut all = plain(&[SUCCESS, NEW_AUTHTOK_REQD, ACCT_EXPIRED, AUTHTOK_EXPIRED, IGNORE]);
            all.extend(plain(&FAILURES));
            all
        }
    }
}

fn plain(codes: &[Code]) -> Vec<Answer> {
    codes.iter().map(|code| Answer { code: *code, fact: Fact::Nothing }).collect()
}

fn ours(phase: Phase) -> Vec<Answer> {
    let failures: &[Code] = match phase {
        Phase::Auth => &[
            AUTH_ERR,
            AUTHINFO_UNAVAIL,
            MAXTRIES,
            CONV_ERR,
            SERVICE_ERR,
            SYSTEM_ERR,
            PERM_DENIED,
            MODULE_UNKNOWN,
        ],
        _ => &[PERM_DENIED, AUTHINFO_UNAVAIL, SERVICE_ERR, SYSTEM_ERR, MODULE_UNKNOWN],
    };
    let mut all: Vec<Answer> =
        failures.iter().map(|code| Answer { code: *code, fact: Fact::OursFailed }).collect();
    all.push(Answer { code: SUCCESS, fact: Fact::OursPassed });
    all.push(Answer { code: IGNORE, fact: Fact::OursReleased });
    all
}

fn password(line: &Line) -> Vec<Answer> {
    let mut all = vec![Answer { code: SUCCESS, fact: Fact::FirstFactor }];
    let wrong = FAILURES.iter().chain(&[CRED_INSUFFICIENT, ACCT_EXPIRED, AUTHTOK_EXPIRED, ABORT]);
    all.extend(wrong.map(|code| Answer { code: *code, fact: Fact::WrongPassword }));
    // Directory modules ignore users who are not theirs (pam_sss ignore_unknown_user, pam_krb5 minimum_uid).
    if line.name() != "pam_unix" {
        all.extend(plain(&[IGNORE]));
    }
    all
}

fn factor(right: Fact) -> Vec<Answer> {
    let mut all = vec![Answer { code: SUCCESS, fact: right }];
    all.extend(plain(&[IGNORE]));
    all.extend(plain(&FAILURES));
    all
}

fn condition(line: &Line) -> Vec<Answer> {
    let mut all = plain(&[IGNORE, AUTH_ERR, PERM_DENIED, USER_UNKNOWN, SERVICE_ERR, ABORT]);
    // pam_nologin only ever refuses, unless it is told to succeed.
    if line.name() != "pam_nologin" || line.has("successok") {
        all.extend(plain(&[SUCCESS]));
    }
    all
}

/// pam_faillock.c: `authfail` ignores, but for a locked account, and for a user who is not local under
/// `local_users_only`.
fn tally(line: &Line) -> Vec<Answer> {
    let mut all = plain(&[AUTH_ERR, USER_UNKNOWN, SYSTEM_ERR]);
    if line.has("authfail") {
        all.extend(plain(&[IGNORE]));
    }
    if !line.has("authfail") || line.has("local_users_only") {
        all.extend(plain(&[SUCCESS]));
    }
    all
}
