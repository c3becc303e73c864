//! Reading the files: each by itself, so that an error names its line; then merged key by key in name order.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, Finding, Preset, SHIPPED, Severity, provider};

/// Where the configuration is unless somebody says otherwise; it need not be there.
pub const DEFAULT_FILE: &str = "/etc/twinlock/twinlock.toml";

/// A file's name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is called in findings.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Where the configuration in force came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// There is no file: everything has its default.
    Defaults,
    /// The files, in order.
    Files(Vec<String>),
    /// The last good one, because of the errors among the findings.
    LastGood,
}

/// What loading came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The configuration, if there is one to use.
    pub config: Option<Config>,
    /// Where it is from.
    pub origin: Origin,
    /// What is wrong, with the files or with what they say.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// Whether the files can be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads `path` and the `*.toml` files of the folder beside it (`twinlock.toml`, `twinlock.d`).
#[must_use]
pub fn load(path: &Path) -> Outcome {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for file in files(path, &mut findings) {
        match read(&file, &mut findings) {
            Ok(text) => sources.push(Source { name: file.display().to_string(), text }),
            Err(error) => findings.push(
                Finding::error("", &format!("cannot be read: {error}"), "mend it or remove it")
                    .at(file.display().to_string()),
            ),
        }
    }
    let presets = presets(path, &mut findings);
    evaluate(&sources, presets, findings)
}

/// Every preset that a provider may name: the shipped ones, and over them those beside the configuration.
#[must_use]
pub fn presets(path: &Path, findings: &mut Vec<Finding>) -> BTreeMap<String, Preset> {
    let own = path.with_file_name("providers.d");
    let all: BTreeMap<String, Option<Preset>> = [Path::new(SHIPPED), &own]
        .into_iter()
        .flat_map(|folder| provider::presets_in(folder, findings))
        .collect();
    all.into_iter().filter_map(|(name, preset)| Some((name, preset?))).collect()
}

/// What these files say, in this order; `findings` are what is wrong with the files themselves.
#[must_use]
pub fn evaluate(
    sources: &[Source],
    presets: BTreeMap<String, Preset>,
    mut findings: Vec<Finding>,
) -> Outcome {
    let origin = if sources.is_empty() {
        Origin::Defaults
    } else {
        Origin::Files(sources.iter().map(|source| source.name.clone()).collect())
    };
    let config = merge(sources, presets, &mut findings);
    let mut outcome = Outcome { config, origin, findings };
    if outcome.has_errors() {
        outcome.config = None;
    }
    outcome
}

fn files(path: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    // Only "there is none" means none, and only where nobody named a file: what cannot be looked at is tried, and fails.
    let absent = fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if !absent || path != Path::new(DEFAULT_FILE) {
        files.push(path.to_owned());
    }
    let folder = path.with_extension("d");
    match fs::read_dir(&folder) {
        Ok(entries) => {
            let mut dropins: Vec<_> = entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
                .collect();
            dropins.sort();
            files.extend(dropins);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => findings.push(
            Finding::error("", &format!("cannot be listed: {error}"), "mend its permissions")
                .at(folder.display().to_string()),
        ),
    }
    files
}

fn read(path: &Path, findings: &mut Vec<Finding>) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    let place = path.display().to_string();
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        let sentence = format!("belongs to uid {owner}, who could change it");
        findings.push(Finding::error("", &sentence, &format!("chown root {place}")).at(&place));
    } else if metadata.mode() & 0o022 != 0 {
        let sentence = format!("has mode {:04o}: others can write it", metadata.mode() & 0o7777);
        findings.push(Finding::error("", &sentence, &format!("chmod 0640 {place}")).at(&place));
    } else if metadata.mode() & 0o007 != 0 {
        let sentence = format!("has mode {:04o}: everybody can read it", metadata.mode() & 0o7777);
        findings.push(Finding::warning("", &sentence, &format!("chmod 0640 {place}")).at(&place));
    }
    fs::read_to_string(path)
}

/// Every file by itself, for errors with a line; then all of them in one.
fn merge(
    sources: &[Source],
    presets: BTreeMap<String, Preset>,
    findings: &mut Vec<Finding>,
) -> Option<Config> {
    let mut merged = Table::new();
    let mut set_by = BTreeMap::new();
    for source in sources {
        match toml::from_str::<Config>(&source.text) {
            Ok(config) => {
                findings.extend(config.check_entries().into_iter().map(|finding| finding.at(&source.name)));
            }
            Err(error) => {
                findings.push(describe(source, &error));
                continue;
            }
        }
        if let Ok(table) = source.text.parse::<Table>() {
            lay_over(&mut merged, table, "", &source.name, &mut set_by);
        }
    }
    let mut config: Config = Value::Table(merged).try_into().ok()?;
    let named = |name: &String| config.provider.iter().any(|provider| provider.preset == *name);
    let presets: Vec<_> = presets.into_iter().filter(|(name, _)| named(name)).collect();
    for (name, preset) in presets {
        config.preset.entry(name).or_insert(preset);
    }
    findings.extend(config.check().into_iter().map(|finding| {
        let name = set_by
            .iter()
            .find(|(key, _)| **key == finding.key || key.starts_with(&format!("{}.", finding.key)))
            .or_else(|| set_by.iter().find(|(key, _)| finding.key.starts_with(&format!("{key}."))));
        let place = name.map_or_else(String::new, |(_, name)| name.clone());
        finding.at(place)
    }));
    Some(config)
}

/// A later file wins key by key; arrays of tables append.
fn lay_over(under: &mut Table, over: Table, prefix: &str, name: &str, set_by: &mut BTreeMap<String, String>) {
    for (key, value) in over {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over, &path, name, set_by),
            (Some(Value::Array(under)), Value::Array(over)) if over.iter().all(Value::is_table) => {
                under.extend(over);
                set_by.remove(&path); // it is of several files
            }
            (None, Value::Table(over)) => {
                let mut table = Table::new();
                lay_over(&mut table, over, &path, name, set_by);
                under.insert(key, Value::Table(table));
            }
            (_, value) => {
                set_by.insert(path, name.to_owned());
                under.insert(key, value);
            }
        }
    }
}

/// serde's sentence with the line and, for an unknown key, the nearest valid one.
fn describe(source: &Source, error: &toml::de::Error) -> Finding {
    let before = error.span().and_then(|span| source.text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let (sentence, remedy) = match unknown_key(&message) {
        Some((key, known)) => {
            let nearest = known
                .iter()
                .map(|name| (strsim::jaro_winkler(key, name), *name))
                .filter(|(likeness, _)| *likeness > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let remedy = match nearest {
                Some((_, name)) => format!("did you mean {name}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            (format!("unknown key {key}"), remedy)
        }
        None => (message, "see twinlock.toml(5)".to_owned()),
    };
    Finding::error("", &sentence, &remedy).at(format!("{}:{line}", source.name))
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart; a test holds its form.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut names = rest.split('`').skip(1).step_by(2);
    Some((names.next()?, names.collect()))
}

/// The last configuration that had no errors, kept in the state folder.
#[derive(Debug, Clone)]
pub struct LastGood(PathBuf);

impl LastGood {
    /// In this state folder.
    #[must_use]
    pub fn in_folder(state: &Path) -> Self {
        Self(state.join("last-good.toml"))
    }

    /// Keeps `config`, if it is not the one kept already.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep(&self, config: &Config) -> io::Result<()> {
        let text = toml::to_string(config).map_err(io::Error::other)?;
        if fs::read_to_string(&self.0).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        let draft = self.0.with_extension("new");
        let _ = fs::remove_file(&draft);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, &self.0)
    }

    /// The kept one, if there is one that this version can use.
    #[must_use]
    pub fn recall(&self) -> Option<Config> {
        let config: Config = toml::from_str(&fs::read_to_string(&self.0).ok()?).ok()?;
        let mut findings = config.check().into_iter().chain(config.check_entries());
        let usable = findings.all(|finding| finding.severity == Severity::Warning);
        usable.then_some(config)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn of(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("twinlock.d")).unwrap();
            for (name, text) in files {
                let path = folder.path().join(name);
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            }
            Self(folder)
        }

        fn load(&self) -> Outcome {
            load(&self.0.path().join("twinlock.toml"))
        }

        fn findings(&self) -> String {
            let lines: Vec<String> = self.load().findings.iter().map(ToString::to_string).collect();
            lines.join("\n").replace(&format!("{}/", self.0.path().display()), "")
        }
    }

    #[test]
    fn an_empty_file_means_defaults_and_a_named_file_must_be_there() {
        let outcome = Files::of(&[("twinlock.toml", "")]).load();
        assert_eq!((outcome.config, outcome.findings.len()), (Some(Config::default()), 0));
        let missing = Files::of(&[]);
        assert!(
            missing.findings().contains("twinlock.toml: error: cannot be read"),
            "{}",
            missing.findings()
        );
        assert_eq!(missing.load().config, None);
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        let files = Files::of(&[
            ("twinlock.toml", "issuer = 'A'\n[limits]\nfree-failures = 3\nstop = 50\n"),
            ("twinlock.d/10-b.toml", "[limits]\nstop = 60\n"),
            ("twinlock.d/20-c.toml", "[limits]\nstop = 70\n"),
            ("twinlock.d/ignored.txt", "nonsense"),
        ]);
        let config = files.load().config.unwrap();
        assert_eq!((config.limits.free_failures, config.limits.stop), (3, 70));
        assert_eq!(config.issuer.as_deref(), Some("A"));
    }

    #[test]
    fn roles_of_two_files_stand_in_one_list_and_a_mistake_names_its_file() {
        let role =
            |name: &str| format!("[[role]]\nname = '{name}'\ngroups = ['*']\nsecond-factor = 'optional'\n");
        let (one, two) = (role("one"), role("two"));
        let files = Files::of(&[("twinlock.toml", &one), ("twinlock.d/10.toml", &two)]);
        let names: Vec<_> = files.load().config.unwrap().role.into_iter().map(|role| role.name).collect();
        assert_eq!(names, ["one", "two"]);
        let twice = Files::of(&[("twinlock.toml", &one), ("twinlock.d/10.toml", &one)]);
        assert!(twice.findings().contains("role.name \"one\" is there twice"), "{}", twice.findings());
        let exempt = "[[exempt]]\nusers = ['root']\nreason = ''\n";
        let bad = Files::of(&[("twinlock.toml", &one), ("twinlock.d/10.toml", exempt)]);
        assert!(
            bad.findings().starts_with("twinlock.d/10.toml: error: exempt.reason is empty"),
            "{}",
            bad.findings()
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_valid_one() {
        let files = Files::of(&[("twinlock.toml", "issuer = 'A'\n\n[totp]\ndigts = 6\n")]);
        assert_eq!(files.findings(), "twinlock.toml:4: error: unknown key digts; did you mean digits?");
        assert_eq!(files.load().config, None);
        let files = Files::of(&[("twinlock.toml", "zzz = 1")]);
        assert!(
            files.findings().contains("unknown key zzz; known here: issuer, totp, hotp, limits"),
            "{}",
            files.findings()
        );
    }

    #[test]
    fn values_of_the_wrong_type_or_range_are_named() {
        for (text, expected) in [
            ("[totp]\ndigits = 'six'", "twinlock.toml:2: error: invalid type: string \"six\", expected u8"),
            ("[totp]\nalgorithm = 'MD5'", "twinlock.toml:2: error: unknown variant `MD5`"),
            ("[totp]\ndigits = 9", "twinlock.toml: error: totp.digits is 9; write 6 to 8"),
            ("[limits]\nfirst-delay = '0s'", "twinlock.toml: error: limits.first-delay is under 1s"),
            ("[limits]\nstop = 1000", "limits.stop is out of range; write 10 to 100"),
            ("issuer = ''", "twinlock.toml: error: issuer is empty"),
            ("[totp", "twinlock.toml:1: error: "),
        ] {
            let findings = Files::of(&[("twinlock.toml", text)]).findings();
            assert!(findings.contains(expected), "{text}: {findings}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let files = Files::of(&[("twinlock.toml", "")]);
        let path = files.0.path().join("twinlock.toml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o662)).unwrap();
        assert!(files.findings().contains("chmod 0640"));
        assert_eq!(files.load().config, None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(files.findings().contains("warning") && files.load().config.is_some());
    }

    #[test]
    fn the_last_good_one_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let last_good = LastGood::in_folder(folder.path());
        assert_eq!(last_good.recall(), None);
        let mut config = Config { issuer: Some("Example \"Corp\"".into()), ..Config::default() };
        config.limits.longest_delay = std::time::Duration::from_secs(90);
        let policy = "[[role]]\nname = 'a'\nusers = ['x']\nsecond-factor = 'required'\nservices = ['sshd']\n\
                      [[exempt]]\nnetworks = ['10.0.0.0/8']\nusers = ['x']\nuntil = 2027-01-31\nreason = 'r'\n";
        let policy: Config = toml::from_str(policy).unwrap();
        (config.role, config.exempt) = (policy.role, policy.exempt);
        last_good.keep(&config).unwrap();
        assert_eq!(last_good.recall(), Some(config));
        fs::write(folder.path().join("last-good.toml"), "[totp]\ndigits = 99").unwrap();
        assert_eq!(last_good.recall(), None);
    }
}
