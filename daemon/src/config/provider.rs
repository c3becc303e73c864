//! `[[provider]]`: who carries messages, in the order that they are tried.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Finding,
    preset::{Preset, Recipe},
};
use crate::{engine::policy::Method, texts::fill};

/// Shipped presets.
pub const SHIPPED: &str = "/usr/share/twinlock/providers.d";

/// `[[provider]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    /// Unique; the trail calls it so.
    pub name: String,
    /// How it is spoken to: the name of a preset.
    pub preset: String,
    /// What it is asked to carry: `sms`, `call`; absent: everything that its preset can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<Method>>,
    /// The name of the credential, like in `[email]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Who calls or writes: a number, or a name where the country has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who logs in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What else the preset asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// A file with the certificate of the authority that is trusted, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// A proxy: `http://HOST:PORT`. None is taken from the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Whether it may be spoken to without TLS, where it is not on this host.
    #[serde(default)]
    pub allow_http: bool,
}

impl Provider {
    /// What stands for one of the preset's values. A default may be made of others.
    #[must_use]
    pub fn value(&self, preset: &Preset, name: &str) -> Option<String> {
        let default = || {
            let default = preset.values.get(name)?.default.as_deref()?;
            let others: Vec<(&str, &str)> = preset
                .values
                .iter()
                .filter_map(|(name, value)| {
                    let own = self.values.get(name).map(String::as_str);
                    Some((name.as_str(), own.or(value.default.as_deref())?))
                })
                .collect();
            Some(fill(default, &others))
        };
        self.values.get(name).cloned().or_else(default)
    }

    /// What is wrong with it, with its preset.
    fn faults(&self, preset: &Preset) -> Vec<(&'static str, String, String)> {
        let mut faults = Vec::new();
        let Ok(places) = preset.places() else { return faults };
        let mut needs = |key: &'static str, given: bool, what: &str| {
            if places.contains(key) && !given {
                faults.push((key, "is missing: its preset wants it".to_owned(), what.to_owned()));
            }
        };
        needs(
            "secret",
            self.secret.is_some(),
            "write the name of a credential, a file in /etc/twinlock/credentials",
        );
        needs("from", self.from.is_some(), "write the number or name that messages come from");
        needs("user", self.user.is_some(), "write who logs in there");
        for (name, value) in &preset.values {
            if self.value(preset, name).is_none() {
                faults.push((
                    "values",
                    format!("lack {name}, which its preset wants"),
                    format!("write {name} = …: {}", value.about),
                ));
            }
        }
        for name in self.values.keys().filter(|name| !preset.values.contains_key(*name)) {
            let known: Vec<&str> = preset.values.keys().map(String::as_str).collect();
            let remedy = format!(
                "its preset knows {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            );
            faults.push(("values", format!("have {name}, which means nothing"), remedy));
        }
        if self
            .proxy
            .as_ref()
            .is_some_and(|proxy| !proxy.starts_with("http://") && !proxy.starts_with("https://"))
        {
            faults.push(("proxy", "is no URL".to_owned(), "write http://HOST:PORT".to_owned()));
        }
        for method in self.channels.iter().flatten().filter(|method| preset.recipe(**method).is_none()) {
            let sentence = format!("have {}, which its preset cannot carry", method.name());
            faults.push(("channels", sentence, "leave it out".to_owned()));
        }
        for recipe in preset.recipes() {
            self.check_way(preset, recipe, &mut faults);
        }
        faults
    }

    /// Where messages go: not through the open, unless an administrator wants that.
    fn check_way(&self, preset: &Preset, recipe: &Recipe, faults: &mut Vec<(&'static str, String, String)>) {
        match recipe {
            Recipe::Http(http) => {
                let url = self.origin(preset, &http.url);
                let authority = url
                    .split_once("://")
                    .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
                if authority.is_some_and(|authority| authority.contains('@')) {
                    faults.push((
                        "values",
                        "put a user or a password into the URL".to_owned(),
                        "write user and secret, and a preset that uses them".to_owned(),
                    ));
                } else if !url.starts_with("https://") && !url.starts_with("http://") {
                    faults.push((
                        "values",
                        "make no URL of its preset".to_owned(),
                        "write https://…".to_owned(),
                    ));
                } else if url.starts_with("http://") && !is_local(&url) && !self.allow_http {
                    faults.push((
                        "values",
                        format!("lead to {} without TLS", authority.unwrap_or_default()),
                        "write https://, or allow-http = true: everybody between can read the codes"
                            .to_owned(),
                    ));
                }
            }
            Recipe::Program(program) => {
                let path = self.origin(preset, &program.path);
                if !path.starts_with('/') {
                    faults.push((
                        "values",
                        format!("name the program \"{path}\""),
                        "write an absolute path".to_owned(),
                    ));
                }
            }
        }
    }

    /// The value that a text begins with, as it is, and the rest of the text.
    #[must_use]
    pub fn beginning<'a>(&self, preset: &Preset, text: &'a str) -> (String, &'a str) {
        let first = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        first.map_or((String::new(), text), |(name, rest)| {
            (self.value(preset, name.trim()).unwrap_or_default(), rest)
        })
    }

    /// A text with the value that it begins with.
    #[must_use]
    pub fn origin(&self, preset: &Preset, text: &str) -> String {
        let (value, rest) = self.beginning(preset, text);
        format!("{value}{rest}")
    }
}

/// Whether what it says goes no further than this host.
#[must_use]
pub fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url).split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return false; // what stands before it is a user, and the host behind it
    }
    let host = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// What is wrong with the providers of all files together.
pub(super) fn check(providers: &[Provider], presets: &BTreeMap<String, Preset>, findings: &mut Vec<Finding>) {
    for (name, preset) in presets {
        for fault in preset.faults() {
            findings.push(Finding::error(
                "",
                &format!("preset \"{name}\": {fault}"),
                "mend the preset; see twinlock-providers(5)",
            ));
        }
    }
    for (n, provider) in providers.iter().enumerate() {
        let mut error = |key: &str, sentence: &str, remedy: &str| {
            let sentence = format!("{sentence} in provider \"{}\"", provider.name);
            findings.push(Finding::error(&format!("provider.{key}"), &sentence, remedy));
        };
        let plain = |name: &str| {
            !name.is_empty()
                && name.len() <= 32
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !name.starts_with('.')
        };
        if !plain(&provider.name) || provider.name == "email" {
            error(
                "name",
                "is no short word of letters, digits and hyphens, or it is email",
                "give it another name",
            );
        }
        if providers.iter().take(n).any(|other| other.name == provider.name) {
            error("name", "is there twice", "give each provider its own name");
        }
        if provider.secret.as_ref().is_some_and(|name| !plain(name)) {
            error(
                "secret",
                "is no name of a credential",
                "write the name of a file in /etc/twinlock/credentials",
            );
        }
        match presets.get(&provider.preset) {
            None => error(
                "preset",
                &format!("\"{}\" is nowhere", provider.preset),
                "write one that `twinlock provider list --presets` names, or make a file for it in /etc/twinlock/providers.d",
            ),
            Some(preset) => {
                for (key, sentence, remedy) in provider.faults(preset) {
                    error(key, &sentence, &remedy);
                }
            }
        }
    }
}

/// A folder's presets, `None` for a file that cannot be used: it hides a shipped one of its name all the same.
pub(super) fn presets_in(folder: &Path, findings: &mut Vec<Finding>) -> BTreeMap<String, Option<Preset>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
        Err(error) => {
            let sentence = format!("cannot be listed: {error}");
            findings.push(
                Finding::warning("", &sentence, "mend its permissions").at(folder.display().to_string()),
            );
            return found;
        }
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    for file in files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
    {
        let place = file.display().to_string();
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match read(&file) {
            Ok(preset) => {
                found.insert(name, Some(preset));
            }
            // Who names it is told that it is nowhere: one that nobody uses harms nobody.
            Err((sentence, remedy)) => {
                findings.push(Finding::warning("", &sentence, &remedy).at(place));
                found.insert(name, None);
            }
        }
    }
    found
}

fn read(file: &Path) -> Result<Preset, (String, String)> {
    let unreadable =
        |error: io::Error| (format!("cannot be read: {error}"), "mend it or remove it".to_owned());
    let about = fs::metadata(file).map_err(unreadable)?;
    let owner = about.uid();
    if (owner != 0 && owner != nix::unistd::geteuid().as_raw()) || about.mode() & 0o022 != 0 {
        // It says where passwords are sent.
        return Err((
            "can be changed by others than root".to_owned(),
            format!("chown root {0}; chmod 0644 {0}", file.display()),
        ));
    }
    let text = fs::read_to_string(file).map_err(unreadable)?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().lines().next().unwrap_or_default();
        (format!("line {line}: {message}"), "see twinlock-providers(5)".to_owned())
    })
}
