//! What becomes of an account: a lost device, failures, another uid, its end.

use std::path::Path;

use tonic::Request;
use twinlock_proto::v1::{AccountRequest, BypassRequest};

use crate::{
    admin::{client, request},
    args::Bypass,
    failure::{Failure, NO, answered},
    output::{self, clean, line},
};

fn of(name: &str) -> Request<AccountRequest> {
    request(AccountRequest { user: name.to_owned() })
}

/// A lost device: all factors go.
pub async fn reset(runtime_dir: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let reset = answered(client(runtime_dir).await?.reset_account(of(name))).await?.into_inner();
    let removed = reset.factors_removed;
    if json {
        return output::json(&serde_json::json!({ "user": name, "factors_removed": removed }));
    }
    line(format!("{}: {removed} factor(s) removed; the user is not enrolled now.", clean(name)))
}

/// Forgets failures.
pub async fn unlock(runtime_dir: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let unlocked = answered(client(runtime_dir).await?.unlock_account(of(name))).await?.into_inner();
    let forgotten = unlocked.failures_forgotten;
    if json {
        return output::json(&serde_json::json!({ "user": name, "failures_forgotten": forgotten }));
    }
    line(format!("{}: {forgotten} failure(s) forgotten.", clean(name)))
}

/// A code for an emergency.
pub async fn bypass(runtime_dir: &Path, options: &Bypass, json: bool) -> Result<(), Failure> {
    let Bypass { name, reason, lifetime, uses } = options;
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

/// The same person, another uid.
pub async fn adopt(runtime_dir: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let account = answered(client(runtime_dir).await?.adopt_account(of(name))).await?.into_inner();
    if json {
        return output::json(&output::AccountJson::from(&account));
    }
    line(format!("{}: what is known here belongs to uid {} now.", clean(&account.user), account.uid))
}

/// The end.
pub async fn purge(runtime_dir: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let purged = answered(client(runtime_dir).await?.purge_account(of(name))).await?.into_inner().purged;
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
