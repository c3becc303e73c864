//! Who needs a second factor: judging the rules, explaining them, opening enrollment.

use std::{path::Path, process::Command};

use twinlock_proto::v1::{ExplainRequest, OpenRoleRequest, explanation::Outcome};

use crate::{
    admin::{client, request},
    args::Policy,
    failure::{Failure, NO, answered},
    output::{self, clean, line},
};

pub async fn run(runtime_dir: &Path, command: &Policy, json: bool) -> Result<(), Failure> {
    match command {
        Policy::Check { file } => check(file, json),
        Policy::OpenEnrollment { role } => open(runtime_dir, role, json).await,
        Policy::Explain { name, service, rhost } => explain(runtime_dir, name, service, rhost, json).await,
    }
}

async fn explain(
    runtime_dir: &Path,
    name: &str,
    service: &str,
    rhost: &str,
    json: bool,
) -> Result<(), Failure> {
    let (user, service, rhost) = (name.to_owned(), service.to_owned(), rhost.to_owned());
    let message = ExplainRequest { user, service, rhost };
    let answer = answered(client(runtime_dir).await?.explain_policy(request(message))).await?.into_inner();
    let outcome = match answer.outcome() {
        Outcome::Ask => "ask",
        Outcome::Skip => "skip",
        Outcome::Enroll => "enroll",
        Outcome::Deny => "deny",
        Outcome::Unspecified => "unknown",
    };
    let requirement = output::requirement(answer.requirement());
    if json {
        return output::json(&serde_json::json!({
            "user": answer.user, "service": answer.service, "rhost": answer.rhost, "outcome": outcome,
            "requirement": requirement, "methods": answer.methods,
            "because": answer.because.iter().map(output::BecauseJson::from).collect::<Vec<_>>(),
        }));
    }
    line(format!(
        "{} at {}: {outcome} (second factor {requirement})",
        clean(&answer.user),
        clean(&answer.service)
    ))?;
    for because in &answer.because {
        line(format!("  {} - {}", clean(&because.rule), clean(&because.effect)))?;
    }
    Ok(())
}

async fn open(runtime_dir: &Path, role: &str, json: bool) -> Result<(), Failure> {
    let message = OpenRoleRequest { role: role.to_owned() };
    let opening = answered(client(runtime_dir).await?.open_role(request(message))).await?.into_inner();
    let until = output::time(opening.until);
    if json {
        return output::json(&serde_json::json!({ "role": opening.role, "until": until }));
    }
    line(format!("Members of role {} may enroll at their login until {until}.", clean(&opening.role)))
}

/// twinlockd reads and judges the files; no daemon needs to run.
fn check(file: &Path, json: bool) -> Result<(), Failure> {
    let mut command = Command::new("twinlockd");
    command.arg("--check").arg("--config").arg(file);
    if json {
        command.arg("--json");
    }
    let status = command.status().map_err(|error| {
        Failure::new(NO, format!("cannot run twinlockd: {error}; it belongs into /usr/sbin"))
    })?;
    if status.success() { Ok(()) } else { Err(Failure::new(NO, "")) }
}
