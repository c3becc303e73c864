//! One's own account: status, verify, recovery codes, removing, preferring.

use std::path::Path;

use tonic::transport::Channel;
use twinlock_proto::{
    USER_SOCKET, connect, limit,
    v1::{
        PreferRequest, RecoveryCodes, RemoveRequest, StatusRequest, VerifyRequest, VerifyResult,
        self_service_client::SelfServiceClient, verify_result::Outcome,
    },
};

use crate::{
    args::Whose,
    failure::{Failure, LATER, NO, NOT_ALLOWED, answered},
    output::{self, clean, line},
    terminal,
};

pub async fn client(runtime_dir: &Path) -> Result<SelfServiceClient<Channel>, Failure> {
    let channel = connect::channel(&runtime_dir.join(USER_SOCKET)).await?;
    Ok(SelfServiceClient::new(channel).max_decoding_message_size(limit::MESSAGE))
}

/// Under sudo the caller is root, and the person may well mean themselves.
pub fn check_whose(whose: &Whose) -> Result<(), Failure> {
    let uid = nix::unistd::getuid();
    match whose.user.as_deref() {
        Some("root") if uid.is_root() => Ok(()),
        Some(name) => Err(Failure::usage(format!(
            "--user {} is not possible here: these commands are about your own account (administrators: twinlock user)",
            clean(name)
        ))),
        None if std::env::var_os("SUDO_USER").is_some() => Err(Failure::new(
            NOT_ALLOWED,
            "under sudo this would be another account than yours: run it without sudo (for root's own, say --user root)",
        )),
        None => Ok(()),
    }
}

pub async fn status(runtime_dir: &Path, whose: &Whose, json: bool) -> Result<(), Failure> {
    check_whose(whose)?;
    let account = answered(client(runtime_dir).await?.status(StatusRequest {})).await?.into_inner();
    if json { output::json(&output::AccountJson::from(&account)) } else { output::account(&account) }
}

pub async fn verify(runtime_dir: &Path, whose: &Whose, json: bool) -> Result<(), Failure> {
    check_whose(whose)?;
    let (mut client, code) = ask_for_code(runtime_dir).await?;
    let result = answered(client.verify(VerifyRequest { code })).await?.into_inner();
    if json {
        output::json(
            &serde_json::json!({ "outcome": word(&result), "retry_after_s": result.retry_after_s }),
        )?;
        return if result.outcome() == Outcome::Right {
            Ok(())
        } else {
            Err(Failure::new(code_of(&result), ""))
        };
    }
    right(&result)?;
    line("Right. That code is spent now; a login needs the next one.")
}

pub async fn recovery(runtime_dir: &Path, whose: &Whose, json: bool) -> Result<(), Failure> {
    check_whose(whose)?;
    let (mut client, code) = ask_for_code(runtime_dir).await?;
    let result = answered(client.renew_recovery(VerifyRequest { code })).await?.into_inner();
    right(&result.verified.unwrap_or_default())?;
    let codes = result.recovery.ok_or_else(|| Failure::new(LATER, "twinlockd gave no codes; try again"))?;
    if json { output::json(&serde_json::json!({ "codes": codes.codes })) } else { show_recovery(&codes) }
}

pub async fn remove(runtime_dir: &Path, whose: &Whose, factor: &str, json: bool) -> Result<(), Failure> {
    check_whose(whose)?;
    let (mut client, code) = ask_for_code(runtime_dir).await?;
    let request = RemoveRequest { factor: factor.to_owned(), code };
    let result = answered(client.remove_factor(request)).await?.into_inner();
    right(&result)?;
    if json {
        return output::json(&serde_json::json!({ "removed": factor }));
    }
    line(format!("Factor {} is removed.", clean(factor)))
}

/// The word that takes a preference back.
const DEFAULT: &str = "default";

pub async fn prefer(runtime_dir: &Path, whose: &Whose, method: &str, json: bool) -> Result<(), Failure> {
    check_whose(whose)?;
    let method = if method == DEFAULT { "" } else { method };
    let request = PreferRequest { method: method.to_owned() };
    let account = answered(client(runtime_dir).await?.prefer(request)).await?.into_inner();
    if json {
        return output::json(&output::AccountJson::from(&account));
    }
    match account.preferred.as_str() {
        "" => line("You are offered your methods in the order of the policy."),
        preferred => line(format!("You are offered {} first.", clean(preferred))),
    }
}

/// Asks for a code, where there is somebody to give it to. The daemon closes a connection on which nothing is asked for some
/// seconds, and a person takes longer: the one for the code is made afterwards.
async fn ask_for_code(runtime_dir: &Path) -> Result<(SelfServiceClient<Channel>, String), Failure> {
    drop(client(runtime_dir).await?);
    let code = terminal::ask("Verification code: ").await?.as_str().to_owned();
    Ok((client(runtime_dir).await?, code))
}

/// Recovery codes, for paper or a password manager.
pub fn show_recovery(codes: &RecoveryCodes) -> Result<(), Failure> {
    line("Recovery codes: each lets you in once without your phone. They are not shown again.")?;
    for code in &codes.codes {
        line(format!("    {}", clean(code)))?;
    }
    Ok(())
}

/// Nothing, or what was wrong with the code.
fn right(result: &VerifyResult) -> Result<(), Failure> {
    let wait = if result.retry_after_s > 0 {
        format!("try again in {} s", result.retry_after_s)
    } else {
        "ask your administrator (twinlock user unlock)".to_owned()
    };
    let text = match result.outcome() {
        Outcome::Right => return Ok(()),
        Outcome::Wrong => "wrong code".to_owned(),
        Outcome::Used => "that code was used before; wait for the next".to_owned(),
        Outcome::Throttled => format!("too many wrong codes; {wait}"),
        Outcome::NotEnrolled => "you have no factor; add one: twinlock enroll totp".to_owned(),
        Outcome::Malformed => {
            "that cannot be a code: type the 6 to 8 digits that the app shows, or a recovery code".to_owned()
        }
        Outcome::NoSuchFactor => "you have no such factor; see twinlock status".to_owned(),
        Outcome::LastFactor => {
            "policy requires a factor and this is your last: add another one first".to_owned()
        }
        Outcome::Unspecified => "twinlockd gave an answer of a newer version; finish the upgrade".to_owned(),
    };
    Err(Failure::new(code_of(result), text))
}

fn code_of(result: &VerifyResult) -> u8 {
    if result.outcome() == Outcome::Throttled { LATER } else { NO }
}

fn word(result: &VerifyResult) -> &'static str {
    match result.outcome() {
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::Used => "used",
        Outcome::Throttled => "throttled",
        Outcome::NotEnrolled => "not-enrolled",
        Outcome::Malformed => "malformed",
        Outcome::NoSuchFactor => "no-such-factor",
        Outcome::LastFactor => "last-factor",
        Outcome::Unspecified => "unknown",
    }
}
