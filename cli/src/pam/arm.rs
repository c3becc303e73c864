//! The undo that comes by itself: it outlives the shell. That it outlives a reboot is twinlock-pam-undo.service's part.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::{
    doctor::{complaint, program, systemd},
    failure::{Failure, NO},
};

fn unit(change: &str) -> String {
    format!("twinlock-pam-undo-{change}")
}

/// Has a change undone in so many seconds.
pub fn arm(change: &str, seconds: u64) -> Result<(), Failure> {
    let unarmed = |why: String| {
        Failure::new(NO, format!("nothing would undo this by itself ({why}); --undo-after 0 goes without"))
    };
    let own = env::current_exe().map_err(|error| unarmed(error.to_string()))?;
    if !systemd() {
        return detach(Command::new(own).args(["pam", "undo", "--change", change, "--later"]))
            .map_err(unarmed);
    }
    let mut command = program("systemd-run");
    command.args(["--quiet", "--collect", "--timer-property=AccuracySec=1s"]);
    // A disk may be full just then.
    command.args(["--property=Restart=on-failure", "--property=RestartSec=30s"]);
    command.args([format!("--on-active={seconds}s"), format!("--unit={}", unit(change))]);
    command.arg("--description=Undo of a PAM change that nobody confirmed");
    command.arg(own).args(["pam", "undo", "--change", change]);
    let out = command.output().map_err(|error| unarmed(format!("systemd-run: {error}")))?;
    if out.status.success() {
        return Ok(());
    }
    Err(unarmed(format!("systemd-run: {}", complaint(&out.stderr))))
}

/// A process of its own, which says when it has left our session.
fn detach(command: &mut Command) -> Result<(), String> {
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        let _ = BufReader::new(out).read_line(&mut said);
    }
    if said == READY { Ok(()) } else { Err("the process for it ended".to_owned()) }
}

/// What the process says then.
pub const READY: &str = "ready\n";

/// Nothing is undone by itself any more. A process that waits sees that, and ends.
pub fn disarm(change: &str) {
    if systemd() {
        let _ = program("systemctl").args(["--quiet", "stop", &format!("{}.timer", unit(change))]).output();
    }
}
