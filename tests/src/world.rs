//! The system that a test runs in: artefacts installed, users made, a syslog that can be read.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use crate::{daemon::Daemon, phone::Phone, ssh::Sshd, wait};

/// The password of every user.
pub const PASSWORD: &str = "correct horse";
/// Where syslog's AUTHPRIV goes.
pub const AUTH_LOG: &str = "/var/log/auth.log";

/// A private system. One a process: nextest runs each test in a box of its own.
pub struct World {
    syslog: Child,
}

impl World {
    /// Installs what was built, makes alice and bob, starts syslog.
    #[must_use]
    pub fn new() -> Self {
        assert!(
            Path::new("/etc/twinlock-box").exists(),
            "not in a box: this would change the machine's own logins. Run tests/run.sh"
        );
        install();
        for user in ["alice", "bob"] {
            sh(&format!("useradd --create-home --shell /bin/bash {user}"));
        }
        sh(&format!("printf 'alice:{PASSWORD}\\nbob:{PASSWORD}\\nroot:{PASSWORD}\\n' | chpasswd"));
        fs::write("/etc/rsyslog.conf", format!("module(load=\"imuxsock\")\n*.* {AUTH_LOG}\n")).unwrap();
        let syslog =
            Command::new("rsyslogd").arg("-n").stderr(Stdio::null()).spawn().expect("rsyslog is installed");
        wait::until("syslog", 10, || Path::new("/dev/log").exists().then_some(()));
        Self { syslog }
    }

    /// Starts the daemon.
    #[must_use]
    pub fn daemon(&self) -> Daemon {
        Daemon::start(&[])
    }

    /// Starts sshd with this PAM stack and these lines of configuration.
    #[must_use]
    pub fn sshd(&self, stack: &str, config: &str) -> Sshd {
        Sshd::start(stack, config)
    }

    /// Gives a user an app, by the administrator.
    #[must_use]
    pub fn enroll(&self, user: &str) -> Phone {
        enroll(user)
    }

    /// What syslog has so far; waits until it has `marker`.
    #[must_use]
    pub fn log_with(&self, marker: &str) -> String {
        wait::until(&format!("{marker:?} in the log"), 10, || {
            Some(self.log()).filter(|log| log.contains(marker))
        })
    }

    /// What syslog has so far, without the times: their microseconds look like codes.
    #[must_use]
    pub fn log(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(AUTH_LOG).unwrap_or_default()).into_owned();
        text.lines()
            .map(|line| line.split_once(' ').map_or(line, |(_, said)| said).to_owned() + "\n")
            .collect()
    }

    /// The audit trail of a user: outcome and reason of each login.
    #[must_use]
    pub fn logins(&self, user: &str) -> Vec<String> {
        let out = root(&["audit", "--user", user, "--event", "login", "--json"]);
        assert!(out.status.success(), "{out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines()
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                let reason = entry["reason"].as_str().unwrap();
                match entry["outcome"].as_str().unwrap() {
                    "granted" => "granted".to_owned(),
                    outcome => format!("{outcome} {reason}").trim().to_owned(),
                }
            })
            .collect()
    }

    /// Failures that are charged to a user.
    #[must_use]
    pub fn failures(&self, user: &str) -> u64 {
        let out = root(&["user", "show", user, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        json["failures_since_success"].as_u64().unwrap()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            eprint_lines(&tail);
        }
        let _ = self.syslog.kill();
        let _ = self.syslog.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows the log that explains it")]
fn eprint_lines(lines: &[&str]) {
    for line in lines.iter().rev() {
        eprintln!("log: {line}");
    }
}

/// The folder of what was built.
#[must_use]
pub fn artefacts() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release");
    std::env::var_os("TWINLOCK_ARTEFACTS").map_or_else(|| default.into(), PathBuf::from)
}

fn install() {
    let built = artefacts();
    let library = fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("security"))
        .find(|path| path.join("pam_unix.so").exists())
        .expect("libpam-modules is installed");
    fs::copy(built.join("libpam_twinlock.so"), library.join("pam_twinlock.so"))
        .expect("the module was built");
    symlink(built.join("twinlockd"), "/usr/sbin/twinlockd").unwrap();
    symlink(built.join("twinlock"), "/usr/bin/twinlock").unwrap();
    symlink(built.join("twinlock-web"), "/usr/sbin/twinlock-web").unwrap();
    let presets = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/providers");
    sh(&format!(
        "mkdir -p /usr/share/twinlock && cp -r {presets} /usr/share/twinlock/providers.d && chmod 0644 /usr/share/twinlock/providers.d/*"
    ));
    let service = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/pam/twinlock-password");
    fs::copy(service, "/etc/pam.d/twinlock-password").unwrap();
}

/// Runs a shell command as root; panics if it fails.
#[track_caller]
pub fn sh(command: &str) -> String {
    let out = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(out.status.success(), "{command}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Gives a user an app, by the administrator.
#[must_use]
#[track_caller]
pub fn enroll(user: &str) -> Phone {
    let app = json(&["user", "enroll", user, "totp", "--activate", "--json"]);
    Phone::with_key(app["secret"].as_str().unwrap())
}

/// A code for one login, of which there are more than an app has in a minute.
#[must_use]
#[track_caller]
pub fn bypass(user: &str) -> String {
    json(&["user", "bypass", user, "--reason", "test", "--json"])["code"].as_str().unwrap().to_owned()
}

/// What `twinlock` says with `--json`; panics if it fails.
#[must_use]
#[track_caller]
pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&done(&root(arguments))).unwrap()
}

/// What a command that must succeed printed.
#[must_use]
#[track_caller]
pub fn done(out: &Output) -> String {
    assert!(out.status.success(), "{out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Runs `twinlock` as root.
#[must_use]
pub fn root(arguments: &[&str]) -> Output {
    Command::new("twinlock").args(arguments).output().expect("twinlock is installed")
}

/// A command, run as a user with the user's own environment.
#[must_use]
pub fn as_user(user: &str, program: &str) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--", program]).current_dir("/");
    command
}

/// Writes a PAM stack.
pub fn stack(service: &str, lines: &str) {
    fs::write(format!("/etc/pam.d/{service}"), lines).unwrap();
}

/// Writes an executable script.
pub fn script(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
