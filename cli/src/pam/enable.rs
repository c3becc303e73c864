//! `twinlock pam enable`: judged, shown, tried, written, and undone unless somebody confirms.

use std::{fs, path::Path, time::Duration};

use twinlock_proto::v1::{ExplainRequest, ShowDaemonRequest, explanation::Outcome};

use super::{
    announce, diff,
    entry::Entry,
    file::Root,
    ledger::{self, Ledger, Pending},
    make::Making,
    methods,
    plan::{Edit, Overlay, Planned},
    trial::Trial,
};
use crate::{
    admin,
    args::PamEnable,
    doctor::{program, stack::Folders, systemd},
    failure::{Failure, NO, answered},
    output::{self, clean, line},
    terminal, when,
};

/// It undoes at boot what nobody confirmed.
const BOOT_UNIT: &str = "twinlock-pam-undo.service";
const QUESTION: &str = "Keep this shell open until you have confirmed. Type yes to go on: ";
/// Nobody's name: whoever is not known is asked as everybody is, and refused.
const NOBODY: &str = "twinlock-trial";

/// Carries it out.
pub async fn run(runtime_dir: &Path, options: &PamEnable, json: bool) -> Result<(), Failure> {
    let undo_after = undo_after(&options.undo_after)?;
    let root = Root::new(Path::new("/"));
    nothing_waits(ledger::pending(&root)?)?;
    let folders = Folders::below(root.folder(), &[]);
    let planned = Planned::make(options, &root, &folders)?;
    if planned.entries.is_empty() {
        return if json {
            report(None, &[], &[], json)
        } else {
            line("It is asked there already; nothing has changed.")
        };
    }
    let warnings = planned.judged(&folders)?;
    let others = planned.others(&folders);
    let methods = match planned.sshd() {
        Some(first) => methods::changes(first, options.passwords, &tried(options))?,
        None => Vec::new(),
    };
    let daemon = Daemon::ask(runtime_dir, options, &planned).await?;
    let warnings = warnings.iter().map(ToString::to_string);
    let mut warnings: Vec<String> =
        warnings.chain(daemon.warnings.clone()).chain(others).chain(methods).collect();
    if !json {
        for Edit { path, before, after } in planned.expected.iter().chain(&planned.edits) {
            diff::show(path, before.as_deref(), after.as_deref())?;
        }
        warnings.iter().try_for_each(|warning| line(clean(warning)))?;
    }
    if !options.yes {
        terminal::agree_unless(json, QUESTION).await?;
    }
    // Not before: a question that nobody answers would keep everybody else from undoing and disabling.
    let ledger = Ledger::open(&root)?;
    nothing_waits(ledger.pending()?)?;
    if !planned.same(&Planned::make(options, &root, &folders)?) {
        let why =
            "a file was changed since the difference was shown; nothing has changed by this: run it again";
        return Err(Failure::new(NO, why));
    }
    try_out(&planned, &folders, options, &daemon).await?;
    let pending = pending(planned.entries.clone(), undo_after);
    let late = Making {
        root: &root,
        ledger: &ledger,
        planned: &planned,
        account_services: &daemon.account_services,
    }
    .run(&pending)?;
    let late: Vec<String> = late.iter().map(ToString::to_string).collect();
    if !json {
        late.iter().try_for_each(|warning| line(clean(warning)))?;
    }
    warnings.extend(late);
    let services: Vec<String> = pending.entries.iter().map(|entry| entry.service.clone()).collect();
    let kept = if pending.deadline.is_some() { "written, waits to be confirmed" } else { "written" };
    for service in &services {
        announce::tell(runtime_dir, true, service, kept).await;
    }
    report(pending.deadline, &services, &warnings, json)
}

fn nothing_waits(pending: Option<Pending>) -> Result<(), Failure> {
    pending.map_or(Ok(()), |pending| Err(Failure::new(NO, pending.sentence())))
}

fn undo_after(text: &str) -> Result<Option<Duration>, Failure> {
    let wrong = || {
        Failure::usage(format!("--undo-after {}: write a time like 10m, from 1s to 24h, or 0", clean(text)))
    };
    if text == "0" {
        return Ok(None);
    }
    let time = humantime::parse_duration(text).map_err(|_| wrong())?;
    let sensible = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    if sensible.contains(&time) { Ok(Some(time)) } else { Err(wrong()) }
}

fn pending(mut entries: Vec<Entry>, undo_after: Option<Duration>) -> Pending {
    let name = format!("{}-{}", when::stamp(), std::process::id());
    for entry in &mut entries {
        entry.copies.clone_from(&name);
    }
    let seconds = undo_after.map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let deadline = seconds.map(|seconds| when::seconds().saturating_add(seconds));
    Pending { name, deadline, made: false, claimed_by: admin::claim(), entries }
}

/// What the daemon says before anything changes.
struct Daemon {
    account_services: Vec<String>,
    /// Whose account is tried, where policy asks them for a code.
    user: Option<String>,
    warnings: Vec<String>,
}

impl Daemon {
    async fn ask(runtime_dir: &Path, options: &PamEnable, planned: &Planned) -> Result<Self, Failure> {
        let mut client = admin::client(runtime_dir).await?;
        let state = answered(client.show_daemon(admin::request(ShowDaemonRequest {}))).await?.into_inner();
        let named = options.try_as.clone();
        let user = tried(options);
        let mut all = true;
        let mut warnings = Vec::new();
        for service in &planned.tried {
            let message =
                ExplainRequest { user: user.clone(), service: service.clone(), rhost: String::new() };
            let explained = answered(client.explain_policy(admin::request(message))).await?.into_inner();
            let name = clean(&user);
            let said = match explained.outcome() {
                Outcome::Ask => continue,
                Outcome::Skip => {
                    format!("policy asks {name} for no second factor at {service}: others may be asked")
                }
                Outcome::Enroll => format!("{name} has no second factor, and is to set one up at {service}"),
                Outcome::Deny | Outcome::Unspecified => {
                    format!(
                        "{name} has no second factor and is refused at {service}: run twinlock enroll totp first"
                    )
                }
            };
            all = false;
            warnings.push(said);
        }
        if let (Some(name), false) = (&named, all) {
            return Err(Failure::new(
                NO,
                format!("policy does not ask {} everywhere there; try another account", clean(name)),
            ));
        }
        let user = Some(user).filter(|_| all && !planned.tried.is_empty());
        Ok(Self { account_services: state.account_services, user, warnings })
    }
}

/// Whose account is tried.
fn tried(options: &PamEnable) -> String {
    options.try_as.clone().unwrap_or_else(caller)
}

/// The person who stands behind root.
fn caller() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse::<u32>().ok().filter(|uid| *uid != u32::MAX);
    let login = login.and_then(|uid| nix::unistd::User::from_uid(uid.into()).ok().flatten());
    std::env::var("SUDO_USER").ok().or(login.map(|user| user.name)).unwrap_or_else(|| "root".to_owned())
}

/// Every new stack asks for a code, and refuses a wrong one.
async fn try_out(
    planned: &Planned,
    folders: &Folders,
    options: &PamEnable,
    daemon: &Daemon,
) -> Result<(), Failure> {
    let overlay = Overlay { folders, texts: &planned.texts };
    for service in &planned.tried {
        // Root passes at the console without being asked.
        let user =
            daemon.user.as_deref().filter(|user| *user != "root" || options.ask_root || service != "login");
        let user = user.unwrap_or(NOBODY);
        let trial = Trial { service, user, key: options.key };
        let verdict = trial.run(&overlay, &folders.names()).await?;
        let wrong = if verdict.passed {
            "it let a wrong code in"
        } else if verdict.asked == 0 {
            "it asked for no code"
        } else {
            continue;
        };
        let word = clean(&verdict.word);
        let text = format!(
            "the new stack of {service} was tried as {}, and {wrong} ({word}); nothing has changed; run twinlock doctor, or \
             write the lines by hand, as pam_twinlock(8) shows",
            clean(user)
        );
        return Err(Failure::new(NO, text));
    }
    Ok(())
}

fn report(
    deadline: Option<i64>,
    services: &[String],
    warnings: &[String],
    json: bool,
) -> Result<(), Failure> {
    if json {
        let undone_at = deadline.map(output::time);
        return output::json(
            &serde_json::json!({ "services": services, "undone_at": undone_at, "warnings": warnings }),
        );
    }
    line(format!("A second factor is asked now at: {}.", services.join(", ")))?;
    let Some(deadline) = deadline else {
        return line(
            "Try it from another terminal before you leave this one; twinlock pam disable takes it out.",
        );
    };
    line("Leave this shell open. Log in from another terminal, with a code; with a wrong one too. Then:")?;
    line("    twinlock pam confirm")?;
    line("twinlock doctor names what else there is to do.")?;
    let time = when::local(deadline);
    if at_boot() {
        return line(format!("Else all of this is undone at {time}, and at a reboot."));
    }
    line(format!(
        "Else all of this is undone at {time}, but not by a reboot before that ({BOOT_UNIT} is not enabled here): \
         after one, run twinlock pam undo."
    ))
}

/// Whether a reboot undoes what nobody confirmed.
fn at_boot() -> bool {
    let enabled = || program("systemctl").args(["is-enabled", "--quiet", BOOT_UNIT]).status();
    systemd() && enabled().is_ok_and(|status| status.success())
}
