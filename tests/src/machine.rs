//! A host where systemd was booted, fresh but for what a test installs: for packages and units.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    ssh::KEYBOARD_INTERACTIVE,
    wait,
    world::{PASSWORD, sh},
};

/// A booted host. One a process: nextest boots each test one of its own (`tests/bed/box.sh machine`).
pub struct Machine(());

impl Machine {
    /// Makes alice and bob on the host that was booted.
    #[must_use]
    pub fn new() -> Self {
        assert!(
            Path::new("/etc/twinlock-box").exists() && Path::new("/run/systemd/system").exists(),
            "not in a booted box: this would change the machine's own packages. Run tests/run.sh"
        );
        for user in ["alice", "bob"] {
            sh(&format!("useradd --create-home --shell /bin/bash {user}"));
        }
        sh(&format!("printf 'alice:{PASSWORD}\\nbob:{PASSWORD}\\nroot:{PASSWORD}\\n' | chpasswd"));
        Self(())
    }

    /// Has the host's own sshd ask for a password, then for a code.
    pub fn ssh_asks_for_codes(&self) {
        sh("sed -i 's/^@include common-auth/&\\nauth required pam_twinlock.so after_first_factor/; \
            s/^@include common-account/account required pam_twinlock.so\\n&/' /etc/pam.d/sshd");
        fs::write("/etc/ssh/sshd_config.d/twinlock.conf", KEYBOARD_INTERACTIVE).unwrap();
        sh("systemctl restart ssh");
        wait::until("sshd", 10, || std::net::TcpStream::connect("127.0.0.1:22").ok());
    }

    /// What the journal has, one JSON object a line: `-u twinlockd`.
    #[must_use]
    pub fn journal(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        sh("journalctl --sync");
        let out =
            Command::new("journalctl").args(["-o", "json", "--no-pager"]).args(arguments).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Installs packages that packaging/deb.sh built, as a person does: `apt install ./*.deb`.
    pub fn install(&self, packages: &[&str]) {
        let out = self.try_install(&packages.iter().map(|name| package(name)).collect::<Vec<_>>());
        assert!(out.status.success(), "{out:?}");
    }

    /// The same with files of one's own; what apt said.
    #[must_use]
    pub fn try_install(&self, files: &[PathBuf]) -> Output {
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(files)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log that explains it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let out = Command::new("journalctl").args(["-b", "--no-pager", "-n", "40"]).output();
            for line in out.iter().flat_map(|out| out.stdout.split(|byte| *byte == b'\n')) {
                eprintln!("log: {}", String::from_utf8_lossy(line));
            }
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `systemctl`; panics if it fails.
#[track_caller]
pub fn systemctl(arguments: &str) {
    sh(&format!("systemctl {arguments} 2>&1"));
}

/// A property of a unit.
#[must_use]
#[track_caller]
pub fn property(unit: &str, name: &str) -> String {
    sh(&format!("systemctl show --value -p {name} {unit}")).trim().to_owned()
}

/// More settings of a unit, in place of those that a test set before.
pub fn drop_in(unit: &str, text: &str) {
    let folder = format!("/etc/systemd/system/{unit}.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(format!("{folder}/test.conf"), text).unwrap();
    systemctl("daemon-reload");
}

/// The file of a package that packaging/deb.sh built.
///
/// # Panics
///
/// When there is none, or several versions.
#[must_use]
pub fn package(name: &str) -> PathBuf {
    let folder =
        std::env::var("TWINLOCK_PACKAGES").expect("TWINLOCK_PACKAGES: run tests/run.sh, or packaging/deb.sh");
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            file.starts_with(&format!("{name}_")) && path.extension().is_some_and(|end| end == "deb")
        })
        .collect();
    assert_eq!(files.len(), 1, "{name} in {folder}: {files:?}");
    files.into_iter().next().unwrap()
}
