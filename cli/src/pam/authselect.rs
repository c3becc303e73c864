//! Red Hat's way: a profile of our own, made of the one that is selected, with two of its files changed.

use std::{fs, io, path::Path};

use super::{
    file::{self, Root, failed},
    redhat,
};
use crate::{
    doctor::{complaint, program},
    failure::{Failure, NO},
};

const TOOL: &str = "authselect";
/// What Fedora's and Red Hat's services include.
pub const SERVICE: &str = "system-auth";
/// Our profile, as it is selected, and where it is.
const OURS: &str = "custom/twinlock";
const FOLDER: &str = "/etc/authselect/custom/twinlock";
/// The files with our line, and what authselect makes of them.
pub const NAMES: [&str; 2] = ["system-auth", "password-auth"];
/// What authselect writes when a profile is selected.
pub const FILES: [&str; 3] =
    ["/etc/authselect/system-auth", "/etc/authselect/password-auth", "/etc/authselect/authselect.conf"];

/// Whether stacks are authselect's here: then a file that is edited by hand is overwritten one day.
pub fn rules(root: &Root) -> bool {
    root.at("/etc/authselect/authselect.conf").exists() && !root.at("/usr/sbin/pam-auth-update").exists()
}

/// What is selected, and what we would select.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As `authselect current --raw` says it.
    pub before: String,
    profile: String,
    features: Vec<String>,
    /// Name and text of the files with our line.
    pub texts: Vec<(String, String)>,
}

impl Plan {
    /// Looks at what is selected, and what its files would be with our line.
    pub fn make(account: bool) -> Result<Self, Failure> {
        let before = run(&["current", "--raw"])?.trim().to_owned();
        let mut words = before.split_whitespace().map(str::to_owned);
        let Some(profile) = words.next() else {
            return Err(Failure::new(NO, "authselect has no profile selected; select one first"));
        };
        if profile == OURS {
            return Err(Failure::new(
                NO,
                format!(
                    "{OURS} is selected already, and does not ask at all of these; run twinlock pam disable first"
                ),
            ));
        }
        let features: Vec<String> = words.collect();
        let mut texts = Vec::new();
        for name in NAMES {
            let path = Path::new("/etc/authselect").join(name);
            let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, &error))?;
            let wanted = redhat::Wanted { account: account && name == "password-auth", features: &features };
            let text = redhat::with(&path.display().to_string(), &text, wanted);
            texts.push((name.to_owned(), text.map_err(|why| Failure::new(NO, why))?));
        }
        Ok(Self { before, profile, features, texts })
    }

    /// Where the files are of which ours are made: doctor looks whether they changed since.
    #[must_use]
    pub fn base(&self) -> String {
        if self.profile.starts_with("custom/") {
            return format!("/etc/authselect/{}", self.profile);
        }
        let vendor = format!("/usr/share/authselect/vendor/{}", self.profile);
        if Path::new(&vendor).exists() {
            vendor
        } else {
            format!("/usr/share/authselect/default/{}", self.profile)
        }
    }

    /// Makes the profile and selects it.
    pub fn apply(&self) -> Result<(), Failure> {
        forget()?;
        let base = format!("--base-on={}", self.profile);
        run(&[
            "create-profile",
            "twinlock",
            &base,
            "--symlink-meta",
            "--symlink-nsswitch",
            "--symlink-dconf",
            "--symlink-pam",
        ])?;
        for (name, text) in &self.texts {
            // A link to the base's own so far.
            file::put(&Path::new(FOLDER).join(name), None)?;
            file::put(&Path::new(FOLDER).join(name), Some(text.as_bytes()))?;
        }
        let features: Vec<&str> = self.features.iter().map(String::as_str).collect();
        run(&[&["select", OURS][..], &features].concat()).map(drop)
    }
}

/// Selects what was selected before, and removes our profile.
pub fn select_again(before: &str) -> Result<(), Failure> {
    let now = run(&["current", "--raw"]).unwrap_or_default();
    // Somebody selected another one since: that is not ours to change.
    if now.split_whitespace().next().is_none_or(|profile| profile == OURS) {
        let words: Vec<&str> = before.split_whitespace().collect();
        run(&[&["select"][..], &words].concat())?;
    }
    forget()
}

fn forget() -> Result<(), Failure> {
    match fs::remove_dir_all(FOLDER) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", Path::new(FOLDER), &error))
        }
        _ => Ok(()),
    }
}

fn run(arguments: &[&str]) -> Result<String, Failure> {
    let out = program(TOOL).args(arguments).output();
    let out = out.map_err(|error| Failure::new(NO, format!("cannot run {TOOL}: {error}")))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Failure::new(NO, format!("{TOOL} {} failed: {}", arguments.join(" "), complaint(&out.stderr))))
}
