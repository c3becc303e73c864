//! `twinlock doctor`: what a PAM stack does with our line.
//!
//! The files are read as libpam reads them, every combination of answers is followed through libpam's own rules
//! (pam_dispatch.c), and each way in past the second factor is named.

mod arguments;
mod control;
mod describe;
mod dispatch;
mod folders;
mod line;
mod modules;
mod places;
mod questions;
mod read;
mod search;
mod text;

#[cfg(test)]
mod tests;

pub use self::{
    folders::Folders,
    modules::{Class, class_of},
    places::{Bare, Places, bare, places},
    read::Files,
    text::{Words, lines},
};

use self::{
    arguments::Options,
    control::{Action, Code, MODULE_UNKNOWN, SERVICE_ERR, SUCCESS, name},
    line::{Line, Phase},
    questions::Stack,
    read::{Stacks, read},
    search::explore,
};
use super::finding::Finding;

/// What there is to say about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub service: String,
    /// Whether our line is in its auth phase.
    pub auth_line: bool,
    /// Whether every auth line of ours says `after_key`.
    pub after_key: bool,
    /// Whether an auth line of ours says `hidden`.
    pub hidden: bool,
    /// How long our conversation may take, in seconds.
    pub timeout: u64,
    /// Whether our line is in its account phase.
    pub account_line: bool,
    /// Whether that line refuses for good: no other line lets the login go on all the same.
    pub account_holds: bool,
    /// Whether root gets in without our line's yes: past it, or while twinlockd is down.
    pub root_passes: bool,
    /// What is wrong, errors in the files first.
    pub findings: Vec<Finding>,
}

/// Judges a service: `sshd`, `login`, `sudo`, as [`Folders::services`] lists them.
///
/// Files that are broken are reported for every service; the rest only where our line is. A way past our line that
/// needs `pam_rootok` to succeed is none in `su` and its like, where it means that the caller is root already.
pub fn judge(service: &str, files: &dyn Files) -> Report {
    let stacks = read(service, files);
    let (auth, account) = (stacks.phase(Phase::Auth), stacks.phase(Phase::Account));
    let options: Vec<Options> =
        auth.iter().filter(|line| line.is_ours()).map(|line| Options::parse(&line.arguments).0).collect();
    let mut report = Report {
        service: service.to_owned(),
        auth_line: !options.is_empty(),
        after_key: !options.is_empty() && options.iter().all(|each| each.after_key),
        hidden: options.iter().any(|each| each.hidden),
        timeout: options
            .iter()
            .filter_map(|each| each.timeout)
            .max()
            .unwrap_or_else(|| default_timeout(service)),
        account_line: account.iter().any(Line::is_ours),
        account_holds: false,
        root_passes: options.iter().all(|each| each.unavailable_ignore) || auth.iter().any(passes_root),
        findings: stacks.findings.clone(),
    };
    for line in auth.iter().chain(account).filter(|line| line.is_ours()) {
        report.findings.extend(line_findings(line, files));
    }
    if !stacks.refused && report.auth_line {
        report.findings.extend(auth_findings(service, &stacks, files));
    }
    if !stacks.refused && report.account_line {
        let ways = explore(account, Phase::Account, service, files);
        let stack = Stack { phase: Phase::Account, lines: account, ways: &ways };
        report.account_holds = stack.holds();
        report.findings.extend(stack.bypasses());
    }
    report
}

/// A line that goes past others for root alone.
fn passes_root(line: &Line) -> bool {
    let arguments = line.arguments.join(" ");
    line.name() == "pam_succeed_if"
        && ["uid = 0", "uid eq 0", "user = root"].iter().any(|condition| arguments.ends_with(condition))
        && matches!(line.control.action(SUCCESS), Action::Jump(_) | Action::Done)
}

/// As the module has it (pam-module/src/options.rs).
fn default_timeout(service: &str) -> u64 {
    match service {
        "sshd" => 110,
        "login" => 50,
        _ => 240,
    }
}

fn auth_findings(service: &str, stacks: &Stacks, files: &dyn Files) -> Vec<Finding> {
    let lines = stacks.phase(Phase::Auth);
    let ways = explore(lines, Phase::Auth, service, files);
    let stack = Stack { phase: Phase::Auth, lines, ways: &ways };
    let mut findings = stack.bypasses();
    findings.extend(stack.claims());
    findings.extend(stack.open());
    // Where everybody goes past our line, nobody passes it: that is said already.
    if findings.is_empty() {
        findings.extend(stack.closed());
    }
    findings.extend(stack.twice());
    if ways.cut {
        findings.push(Finding::warning(
            service,
            "the stack has too many ways to follow all of them",
            "make it shorter, and try a wrong code by hand",
        ));
    }
    findings
}

fn line_findings(line: &Line, files: &dyn Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    let outcome = |code: Code| match line.control.action(code) {
        Action::Bad | Action::Die => format!("every login is denied ({})", name(code)),
        _ => format!("nobody is asked ({})", name(code)),
    };
    if !files.has_module(&line.module) {
        findings.push(Finding::error(
            &line.place,
            format!("the file of {} is missing, and {}", line.module, outcome(MODULE_UNKNOWN)),
            "install the module again, or delete the line",
        ));
    }
    let (options, refused) = Options::parse(&line.arguments);
    for each in refused {
        findings.push(Finding::error(
            &line.place,
            format!("the module refuses the argument \"{}\", and {}", each.argument, outcome(SERVICE_ERR)),
            each.remedy,
        ));
    }
    if options.unavailable_ignore {
        findings.push(Finding::warning(
            &line.place,
            "unavailable=ignore: while twinlockd does not run, whoever has the first factor gets in without \
             the second (not root or unknown users from the network)",
            "write unavailable=deny, unless this is meant",
        ));
    }
    findings
}
