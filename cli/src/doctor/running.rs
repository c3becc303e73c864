//! The daemon, its configuration, and what its policy says of root.

use std::path::Path;

use serde::Deserialize;
use twinlock_proto::v1::{
    DaemonState, ExplainRequest, ListProvidersRequest, Provider, ShowDaemonRequest, explanation::Outcome,
};

use super::{finding::Finding, host, page, stack::Report};
use crate::{
    admin::{client, request},
    failure::{Failure, answered, answered_slowly},
    output::clean,
};

/// What was seen of the daemon.
pub struct Seen {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// PAM services whose account phase refuses; the default when the daemon does not say.
    pub account_services: Vec<String>,
    /// Whether root would be asked at sshd.
    pub asks_root_at_sshd: bool,
    /// Whether there is to be an enrollment page.
    pub page: bool,
}

/// A finding as `twinlockd --check --json` prints it.
#[derive(Deserialize)]
struct Checked {
    severity: String,
    place: String,
    sentence: String,
    remedy: String,
}

/// What keeps somebody who carries codes from doing it.
fn delivery(provider: &Provider) -> Option<Finding> {
    let name = clean(&provider.name);
    let remedy = format!("mend it, then try it: twinlock provider test {name} --to CONTACT");
    let (problem, last) = (clean(&provider.problem), clean(&provider.last_outcome));
    match (problem.as_str(), provider.open_for_s) {
        ("", 0) => None,
        ("", seconds) => {
            let sentence =
                format!("provider {name} is not asked for {seconds} s, because it failed ({last})");
            Some(Finding::warning("delivery", sentence, remedy))
        }
        (problem, _) => Some(Finding::error("delivery", format!("provider {name}: {problem}"), remedy)),
    }
}

/// Asks the daemon, and has it check its files.
pub async fn look(runtime_dir: &Path, reports: &[Report]) -> Seen {
    let mut findings = check();
    let mut seen = match ask(runtime_dir, reports).await {
        Ok(seen) => seen,
        Err(failure) => {
            let used = reports.iter().any(|report| report.auth_line || report.account_line);
            let what = if used { ", so every login of a stack with its line is denied" } else { "" };
            let sentence = format!("the daemon does not answer ({failure}){what}");
            let remedy = "start it (systemctl start twinlockd) and see its log";
            findings.push(Finding::error("twinlockd", sentence, remedy));
            Seen {
                findings: Vec::new(),
                account_services: vec!["sshd".to_owned()],
                asks_root_at_sshd: true,
                page: false,
            }
        }
    };
    findings.append(&mut seen.findings);
    findings.extend(console(reports));
    Seen { findings, ..seen }
}

async fn ask(runtime_dir: &Path, reports: &[Report]) -> Result<Seen, Failure> {
    let mut client = client(runtime_dir).await?;
    let state = answered(client.show_daemon(request(ShowDaemonRequest {}))).await?.into_inner();
    let page = page::look(runtime_dir, &state);
    let wants_page = !state.page_url.is_empty();
    let version = version(&state.version);
    let DaemonState { clock_believed, clock, account_services, policy_services, .. } = state;
    let mut findings: Vec<Finding> = policy_services
        .iter()
        .filter(|service| reports.iter().any(|report| report.service == **service && !report.auth_line))
        .map(|service| {
            Finding::warning(
                "policy",
                format!("a role is about service {service}, and its stack has no line of pam_twinlock.so: nobody is asked there"),
                format!("run twinlock pam enable --service {service}, or take the service out of the role"),
            )
        })
        .collect();
    findings.extend(page);
    findings.extend(version);
    if !clock_believed {
        findings.push(Finding::error(
            "twinlockd",
            format!("the clock is not believed ({clock}), so time codes are refused"),
            "set the clock right; if it is right already, run twinlock clock accept",
        ));
    }
    let providers =
        answered_slowly(client.list_providers(request(ListProvidersRequest {}))).await?.into_inner();
    findings.extend(providers.providers.iter().filter_map(delivery));
    let mut asks = async |service: &str| -> Result<bool, Failure> {
        let (user, service) = ("root".to_owned(), service.to_owned());
        let message = ExplainRequest { user, service, rhost: String::new() };
        let explained = answered(client.explain_policy(request(message))).await?.into_inner();
        Ok(explained.outcome() != Outcome::Skip)
    };
    let at_login = reports.iter().any(|report| report.service == "login" && report.auth_line);
    if at_login && asks("login").await? {
        findings.push(Finding::warning(
            "policy",
            "root needs a second factor at the console too: whoever lost theirs cannot mend this host there",
            "exempt root in service login ([[exempt]], with a reason), as the shipped file does",
        ));
    }
    Ok(Seen { asks_root_at_sshd: asks("sshd").await?, findings, account_services, page: wants_page })
}

/// The way in to mend a host whose daemon is down. An exemption is no such way: the daemon decides it.
fn console(reports: &[Report]) -> Option<Finding> {
    let login = reports.iter().find(|report| report.service == "login" && report.auth_line)?;
    (!login.root_passes).then(|| {
        Finding::warning(
            "/etc/pam.d/login",
            "while twinlockd does not run, root cannot log in at the console either: an [[exempt]] is the daemon's to \
             decide",
            "put \"auth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\" in front of our line and \"auth \
             required pam_permit.so\" behind it, as twinlock pam enable --service login does",
        )
    })
}

/// A daemon that was started before its program was replaced.
fn version(runs: &str) -> Option<Finding> {
    let out = host::program("twinlockd").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let installed = text.split_whitespace().last()?.to_owned();
    let own = env!("CARGO_PKG_VERSION");
    let (sentence, remedy) = if installed != runs {
        (
            format!("version {} runs, and {installed} is installed", clean(runs)),
            "run systemctl restart twinlockd",
        )
    } else if own != installed {
        (format!("it is version {installed}, and this command is {own}"), "install both in one version")
    } else {
        return None;
    };
    Some(Finding::warning("twinlockd", sentence, remedy))
}

/// What twinlockd says of its files; no daemon needs to run.
fn check() -> Vec<Finding> {
    let broken = |what: String| {
        vec![Finding::error("twinlockd", what, "install the package again; it belongs into /usr/sbin")]
    };
    let out = match host::program("twinlockd").args(["--check", "--json"]).output() {
        Ok(out) => out,
        Err(error) => return broken(format!("the program cannot be run: {error}")),
    };
    let Ok(found) = serde_json::from_slice::<Vec<Checked>>(&out.stdout) else {
        return broken("it says nothing of its configuration".to_owned());
    };
    let finding = |Checked { severity, place, sentence, remedy }: Checked| {
        let place = if place.is_empty() { "configuration".to_owned() } else { place };
        match severity.as_str() {
            "error" => Finding::error(place, sentence, remedy),
            _ => Finding::warning(place, sentence, remedy),
        }
    };
    found.into_iter().map(finding).collect()
}
