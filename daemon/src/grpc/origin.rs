//! Where a login comes from and whom it is about: what is believed of that depends on who says it.

use std::net::IpAddr;

use twinlock_proto::v1::Open;

use crate::{
    access::Applicant,
    accounts::Account,
    audit,
    engine::conversation::FirstFactor,
    names::{Source, printable, ssh_client},
};

/// Whether sshd, run as root, says so. PAM_TTY `ssh` is what sshd sets before it authenticates.
pub(super) fn from_sshd(applicant: &Applicant, open: &Open) -> bool {
    matches!(applicant, Applicant::Host(_)) && open.tty == "ssh"
}

/// What is known of the first factor, and where the login comes from. On `user.sock` these are claims, and not
/// believed; not even the service, or a new name would buy a new budget.
pub(super) fn evidence(applicant: &Applicant, open: &Open) -> (FirstFactor, Source) {
    match applicant {
        Applicant::Own(owner) => (FirstFactor::Unknown, Source::local("user.sock", "", owner.uid())),
        Applicant::Host(_) => {
            let known = open.after_first_factor || (open.publickey && from_sshd(applicant, open));
            let source = match client(applicant, open) {
                Some(address) => Source::address(address),
                // A host name, or a local login: by who is there, so that strangers do not share a budget.
                None if !open.rhost.is_empty() => Source::named(&open.rhost),
                None => Source::local(&open.service, &open.ruser, open.caller_uid),
            };
            (if known { FirstFactor::Known } else { FirstFactor::Unknown }, source)
        }
    }
}

/// The address of the client: what sshd says in SSH_CONNECTION (of anybody else that variable may come from a user's
/// file), else what the application does, if that is no name.
pub(super) fn client(applicant: &Applicant, open: &Open) -> Option<IpAddr> {
    let by_sshd = from_sshd(applicant, open).then(|| ssh_client(&open.ssh_connection)).flatten();
    by_sshd.or_else(|| open.rhost.parse().ok())
}

/// Whose code it is, where the one who types is somebody else (su).
pub(super) fn asked_of(applicant: &Applicant, account: Option<&Account>, open: &Open) -> Option<String> {
    let own = account.is_some_and(|account| account.uid == open.caller_uid);
    let elsewhere = matches!(applicant, Applicant::Host(_)) && open.caller_uid != 0 && !own;
    elsewhere.then(|| printable(&open.user, 64))
}

pub(super) fn subject(applicant: &Applicant, account: Option<&Account>, open: &Open) -> audit::Subject {
    let user = printable(account.map_or(open.user.as_str(), |account| &account.name), 64);
    match applicant {
        // A program that runs as root is believed.
        Applicant::Host(_) => {
            let address = client(applicant, open).map(|address| address.to_string());
            audit::Subject {
                user,
                service: printable(&open.service, 32),
                rhost: printable(address.as_deref().unwrap_or(&open.rhost), 255),
                actor: format!("uid {}", open.caller_uid),
                claimed_by: printable(&open.ruser, 64),
            }
        }
        // Anybody else could forge a login of others: what they say is a claim.
        Applicant::Own(owner) => audit::Subject {
            user,
            service: "user.sock".to_owned(),
            rhost: String::new(),
            actor: owner.actor(),
            claimed_by: format!("service={}", printable(&open.service, 32)),
        },
    }
}
