//! `twinlock doctor`: everything that is wrong with this installation, and the remedy.

mod enabled;
mod finding;
mod host;
mod page;
mod running;
mod sshd;
pub mod stack;
mod units;

use std::path::{Path, PathBuf};

use finding::once;
pub use finding::{Finding, Severity};
pub use host::{complaint, program, systemd};
use sshd::{Disk, Pam};
pub use sshd::{Effective, Way, ways};
use stack::{Folders, Report};

use crate::{
    failure::{Failure, NO, NOT_ALLOWED},
    output::{self, clean, line},
};

/// Where everything is looked for.
const ROOT: &str = "/";
/// The server whose methods are looked at.
pub const SSHD: &str = "/usr/sbin/sshd";
/// What it reads.
pub const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";

/// Looks at everything and prints what is wrong: exit 1 if there is an error, warnings alone are 0.
pub async fn run(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(NOT_ALLOWED, "doctor reads files that only root can read: run it as root"));
    }
    let files = Folders::below(Path::new(ROOT), &[]);
    let reports: Vec<Report> = files.services().iter().map(|service| stack::judge(service, &files)).collect();
    let mut findings: Vec<Finding> = reports.iter().flat_map(|report| report.findings.clone()).collect();
    let daemon = running::look(runtime_dir, &reports).await;
    findings.extend(daemon.findings);
    findings.extend(sshd(&files, &daemon.account_services, daemon.asks_root_at_sshd));
    findings.extend(host::look(runtime_dir, &files.ours()));
    findings.extend(enabled::look(Path::new(ROOT)));
    let asked = reports.iter().any(|report| report.auth_line || report.account_line);
    findings.extend(units::look(asked, daemon.page));
    let findings = once(findings);
    print(&reports, &findings, json)?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Failure::new(NO, ""));
    }
    Ok(())
}

/// What `sshd -T` says for each kind of connection, if there is an sshd.
pub fn sshd(files: &Folders, account_services: &[String], asks_root: bool) -> Vec<Finding> {
    if !Path::new(SSHD).exists() {
        return Vec::new();
    }
    let (probes, mut findings) =
        sshd::probes(SSHD_CONFIG, &Disk::below(PathBuf::from(ROOT)), &host::People::read());
    let mut answers = Vec::new();
    for probe in probes {
        match host::program(SSHD).args(["-T", "-C", &probe.spec]).output() {
            Ok(out) if out.status.success() => {
                answers.push((probe, Effective::parse(&String::from_utf8_lossy(&out.stdout))));
            }
            Ok(out) => findings.push(sshd::unanswered(&probe, &out.stderr)),
            Err(error) => findings.push(sshd::unanswered(&probe, error.to_string().as_bytes())),
        }
    }
    findings.extend(host::other_servers());
    let mut services: Vec<String> = answers.iter().map(|(_, each)| each.pam_service().to_owned()).collect();
    services.sort_unstable();
    services.dedup();
    for service in services {
        let report = stack::judge(&service, files);
        let acting = account_services.contains(&service);
        let of_service: Vec<_> =
            answers.iter().filter(|(_, each)| each.pam_service() == service).cloned().collect();
        findings.extend(sshd::judge(&of_service, &Pam { asks_root, ..Pam::of(&report, acting) }));
    }
    findings
}

fn print(reports: &[Report], findings: &[Finding], json: bool) -> Result<(), Failure> {
    if json {
        let findings: Vec<_> = findings
            .iter()
            .map(|Finding { severity, place, sentence, remedy }| {
                let severity = severity.word();
                serde_json::json!({ "severity": severity, "place": place, "sentence": sentence, "remedy": remedy })
            })
            .collect();
        return output::json(&findings);
    }
    for finding in findings {
        line(clean(&finding.to_string()))?;
    }
    let ours: Vec<String> = reports
        .iter()
        .filter_map(|report| match (report.auth_line, report.account_line) {
            (true, true) => Some(format!("{} (auth, account)", report.service)),
            (true, false) => Some(report.service.clone()),
            (false, true) => Some(format!("{} (account only)", report.service)),
            (false, false) => None,
        })
        .collect();
    let ours = if ours.is_empty() { "no service".to_owned() } else { ours.join(", ") };
    line(format!("The second factor is asked at: {}.", clean(&ours)))?;
    line("One-time codes do not resist phishing; FIDO keys do (ssh-keygen -t ed25519-sk).")?;
    if findings.is_empty() { line("Nothing is wrong.") } else { Ok(()) }
}
