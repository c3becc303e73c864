//! What becomes of an account: a lost device, failures, another uid, its end.

use std::path::Path;

use twinlock_proto::v1::{AccountRequest, BypassRequest};

use crate::{
    admin::{client, request},
    args::User,
    failure::{Failure, NO, answered},
    output::{self, clean, line},
};

/// Carries a command out.
pub async fn run(runtime_dir: &Path, command: &User, json: bool) -> Result<(), Failure> {
    let of = |name: &str| request(AccountRequest { user: name.to_owned() });
    match command {
        User::Reset { name } => {
            let reset = answered(client(runtime_dir).await?.reset_account(of(name))).await?.into_inner();
            let removed = reset.factors_removed;
            if json {
                return output::json(&serde_json::json!({ "user": name, "factors_removed": removed }));
            }
            line(format!("{}: {removed} factor(s) removed; the user is not enrolled now.", clean(name)))
        }
        User::Unlock { name } => {
            let unlocked = answered(client(runtime_dir).await?.unlock_account(of(name))).await?.into_inner();
            let forgotten = unlocked.failures_forgotten;
            if json {
                return output::json(&serde_json::json!({ "user": name, "failures_forgotten": forgotten }));
            }
            line(format!("{}: {forgotten} failure(s) forgotten.", clean(name)))
        }
        User::Bypass { .. } => bypass(runtime_dir, command, json).await,
        User::Adopt { name } => {
            let account = answered(client(runtime_dir).await?.adopt_account(of(name))).await?.into_inner();
            if json {
                return output::json(&output::AccountJson::from(&account));
            }
            line(format!("{}: what is known here belongs to uid {} now.", clean(&account.user), account.uid))
        }
        User::Purge { name } => {
            let purged =
                answered(client(runtime_dir).await?.purge_account(of(name))).await?.into_inner().purged;
            if json {
                output::json(&serde_json::json!({ "user": name, "purged": purged }))?;
            } else if purged {
                line(format!("{}: forgotten. The audit trail stays.", clean(name)))?;
            }
            match purged {
                true => Ok(()),
                false => Err(Failure::new(NO, format!("nothing is known of {} here", clean(name)))),
            }
        }
        User::List { .. }
        | User::Show { .. }
        | User::Enroll { .. }
        | User::Contact { .. }
        | User::Invite { .. }
        | User::Require { .. }
        | User::Exempt { .. }
        | User::OpenEnrollment { .. } => Err(Failure::usage("that ends nothing")),
    }
}

async fn bypass(runtime_dir: &Path, command: &User, json: bool) -> Result<(), Failure> {
    let User::Bypass { name, reason, lifetime, uses } = command else {
        return Err(Failure::usage("that is no bypass code"));
    };
    let message = BypassRequest {
        user: name.clone(),
        reason: reason.clone(),
        lifetime_s: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
        uses: *uses,
    };
    let bypass = answered(client(runtime_dir).await?.issue_bypass(request(message))).await?.into_inner();
    let expires = output::time(bypass.expires);
    if json {
        return output::json(&serde_json::json!({ "code": bypass.code, "expires": expires }));
    }
    line(format!("Bypass code for {}: {}", clean(name), bypass.code))?;
    line(format!("It lets in {uses} time(s) until {expires} and is not shown again."))
}
