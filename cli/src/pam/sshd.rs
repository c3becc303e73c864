//! sshd's part: the methods that show a prompt, in a file of their own, checked before sshd hears of it.

use std::{
    fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::{Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::lines::First;
use crate::{
    doctor::{self, Finding, SSHD, Severity, complaint, program, stack::Folders, systemd},
    failure::{Failure, NO},
};

/// The first file that names a key wins, and distributions ship such files under higher numbers.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-twinlock.conf";

/// What comes before the code, as sshd says it.
const fn methods(first: First) -> &'static str {
    match first {
        First::Password => "keyboard-interactive:pam",
        First::Key => "publickey,keyboard-interactive:pam",
    }
}

/// What stands in the file.
#[must_use]
pub fn drop_in(first: First) -> String {
    format!(
        "# Written by \"twinlock pam enable\", taken out by \"twinlock pam disable\".\n\
         # Change nothing here; Match blocks belong into another file of this folder.\n\
         UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods {}\n",
        methods(first)
    )
}

/// The file without what the command wrote; nothing if that was all of it. Below a Match every line is somebody else's.
#[must_use]
pub fn without(text: &str) -> Option<String> {
    let known = [First::Password, First::Key].map(drop_in);
    let mut matched = false;
    let stays = |line: &&str| {
        matched |= line.trim_start().to_ascii_lowercase().starts_with("match");
        matched || !known.iter().any(|each| each.lines().any(|ours| ours == line.trim()))
    };
    let rest: String = text.split_inclusive('\n').filter(stays).collect();
    (!rest.trim().is_empty()).then_some(rest)
}

/// Runs sshd to ask it something, with this as its input.
pub fn ask(arguments: &[&str], input: &str) -> Result<Output, Failure> {
    let run = || {
        let mut command = program(SSHD);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // It may end without reading.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
        child.wait_with_output()
    };
    let run = || run().map_err(|error| Failure::new(NO, format!("cannot run {SSHD}: {error}")));
    let out = run()?;
    // Where systemd listens for sshd, its folder is made with the first connection.
    let missing = said(&out).strip_prefix("Missing privilege separation directory: /run/").map(str::to_owned);
    let Some(name) = missing.filter(|_| !out.status.success()) else { return Ok(out) };
    let folder = Path::new("/run").join(name);
    let made = fs::DirBuilder::new().mode(0o755).create(&folder);
    made.map_err(|error| Failure::of_file(format!("cannot make {}: {error}", folder.display()), &error))?;
    run()
}

/// Its first sentence of complaint.
pub fn said(out: &Output) -> String {
    complaint(&out.stderr)
}

/// Has sshd read its configuration as it is now, and doctor look at what holds: what to be warned of.
pub fn check(first: First, files: &Folders, account_services: &[String]) -> Result<Vec<Finding>, Failure> {
    let refused = |why: String| Failure::new(NO, why);
    let tested = ask(&["-t"], "")?;
    if !tested.status.success() {
        return Err(refused(format!("sshd -t refuses the new configuration: {}", said(&tested))));
    }
    let effective = ask(&["-T"], "")?;
    let wanted = format!("authenticationmethods {}", methods(first));
    if !String::from_utf8_lossy(&effective.stdout).lines().any(|line| line == wanted) {
        return Err(refused(format!(
            "sshd does not take what {DROP_IN} says: /etc/ssh/sshd_config has no \"Include \
             /etc/ssh/sshd_config.d/*.conf\" at its beginning, or says AuthenticationMethods before it"
        )));
    }
    // What concerns root alone is a warning of doctor's to act on, not a reason to keep everybody else without.
    let findings = doctor::sshd(files, account_services, false);
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(error) => Err(refused(error.to_string())),
        None => Ok(findings),
    }
}

/// Has a running sshd read its configuration again. Who is logged in stays so.
pub fn reload() -> Result<(), Failure> {
    if systemd() {
        for unit in ["ssh.service", "sshd.service"] {
            let active = program("systemctl").args(["is-active", "--quiet", unit]).status();
            if active.is_ok_and(|status| status.success()) {
                let done = program("systemctl").args(["reload", unit]).status();
                return if done.is_ok_and(|status| status.success()) {
                    Ok(())
                } else {
                    Err(Failure::new(NO, format!("systemctl reload {unit} failed; see journalctl -u {unit}")))
                };
            }
        }
    }
    let pid = fs::read_to_string("/run/sshd.pid").ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(pid) = pid.filter(|pid| *pid > 1) else { return Ok(()) };
    // The number may be another's by now.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() == "sshd" {
        let signalled = kill(Pid::from_raw(pid), Signal::SIGHUP);
        signalled.map_err(|errno| {
            Failure::new(NO, format!("cannot have sshd (process {pid}) read its configuration: {errno}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_did_not_write_stays() {
        for first in [First::Password, First::Key] {
            assert_eq!(without(&drop_in(first)), None);
        }
        let theirs = "LogLevel VERBOSE\nMatch User backup\n    PasswordAuthentication no\n";
        let edited = format!("{}{theirs}", drop_in(First::Key));
        assert_eq!(without(&edited).as_deref(), Some(theirs));
        assert_eq!(without(theirs).as_deref(), Some(theirs));
    }
}
