//! A host where systemd was booted, fresh but for what a test installs: for packages and units.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::world::{PASSWORD, sh};

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

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
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
