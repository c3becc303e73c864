//! What an administrator says of one user: required, exempt, let enroll, to be contacted there.

use std::path::Path;

use jiff::Timestamp;
use twinlock_proto::v1::{Account, ContactRequest, ExemptRequest, OpenAccountRequest, RequireRequest};

use crate::{
    admin::{client, request},
    args::User,
    failure::{Failure, answered},
    output::{self, clean, line},
    when,
};

/// Says it to the daemon, and prints what holds now.
pub async fn set(runtime_dir: &Path, command: &User, json: bool) -> Result<(), Failure> {
    match command {
        User::Contact { name, email, phone, verified, remove } => {
            let message = ContactRequest {
                user: name.clone(),
                email: email.clone().unwrap_or_default(),
                phone: phone.clone().unwrap_or_default(),
                verified: *verified,
                remove: remove.map(|kind| kind.name().to_owned()).unwrap_or_default(),
            };
            let account =
                answered(client(runtime_dir).await?.set_contact(request(message))).await?.into_inner();
            if json { output::json(&output::AccountJson::from(&account)) } else { output::account(&account) }
        }
        User::Require { name, off } => {
            let message = RequireRequest { user: name.clone(), off: *off };
            let account =
                answered(client(runtime_dir).await?.require_account(request(message))).await?.into_inner();
            told(&account, json)
        }
        User::Exempt { name, until, reason, off } => {
            let until = until.as_deref().map(when::future).transpose()?.map_or(0, Timestamp::as_second);
            let reason = reason.clone().unwrap_or_default();
            let message = ExemptRequest { user: name.clone(), until, reason, off: *off };
            let account =
                answered(client(runtime_dir).await?.exempt_account(request(message))).await?.into_inner();
            told(&account, json)
        }
        User::OpenEnrollment { name, until, off } => {
            let until = if *off { 0 } else { when::future(until)?.as_second() };
            let message = OpenAccountRequest { user: name.clone(), until, off: *off };
            let account =
                answered(client(runtime_dir).await?.open_account(request(message))).await?.into_inner();
            told(&account, json)
        }
        User::List { .. }
        | User::Show { .. }
        | User::Enroll { .. }
        | User::Reset { .. }
        | User::Unlock { .. }
        | User::Invite(_)
        | User::Adopt { .. }
        | User::Purge { .. }
        | User::Bypass(_) => Err(Failure::usage("that says nothing of a user")),
    }
}

/// What holds for a user now.
fn told(account: &Account, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&output::AccountJson::from(account));
    }
    let user = clean(&account.user);
    if let Some(until) = account.exempt_until {
        return line(format!("{user}: let in without a second factor until {}.", output::time(until)));
    }
    let enrolled = if account.enrolled { "enrolled" } else { "not enrolled" };
    let open = match account.enrollment_open_until {
        Some(until) => format!(", may enroll at a login until {}", output::time(until)),
        None => String::new(),
    };
    line(format!("{user}: second factor {}, {enrolled}{open}.", output::requirement(account.requirement())))
}
