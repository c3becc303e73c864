//! What the daemon takes: time to be ready, memory; and the size of the module.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use twinlock_tests::{daemon::Daemon, world};

use super::{driver, report::median};

/// Memory in KiB.
#[derive(Clone, Copy)]
pub struct Resident {
    /// VmRSS of the daemon.
    pub daemon: f64,
    /// VmRSS of its helpers.
    pub helpers: f64,
    /// Pss of all of them: what they share is counted once.
    pub together: f64,
}

/// Milliseconds from the start to READY=1, with the store as it is.
pub fn start_to_ready() -> f64 {
    let path = "/run/bench-notify";
    let _ = fs::remove_file(path);
    let notified = UnixDatagram::bind(path).unwrap();
    median((0..7).map(|_| {
        let begin = Instant::now();
        let mut child = Command::new("twinlockd")
            .args(["--log-to", "syslog", "--log-level", "info"])
            .env("NOTIFY_SOCKET", path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut buffer = [0; 512];
        loop {
            let length = notified.recv(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
                break;
            }
        }
        let ready = begin.elapsed().as_secs_f64() * 1000.0;
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
        ready
    }))
}

pub fn resident(daemon: &Daemon) -> Resident {
    let children = world::sh(&format!("pgrep -P {} || true", daemon.pid()));
    let own = daemon.pid().to_string();
    let helpers: Vec<&str> = children.split_whitespace().collect();
    let field = |pid: &str, file: &str, name: &str| -> f64 {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    Resident {
        daemon: field(&own, "status", "VmRSS:"),
        helpers: helpers.iter().map(|pid| field(pid, "status", "VmRSS:")).sum(),
        together: helpers.iter().chain([&own.as_str()]).map(|pid| field(pid, "smaps_rollup", "Pss:")).sum(),
    }
}

pub fn module_kib() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a megabyte")]
    let bytes = fs::metadata(driver::path("pam_twinlock.so")).unwrap().len() as f64;
    bytes / 1024.0
}
