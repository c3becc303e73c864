//! From what the files say to what is in force.

use std::{collections::BTreeMap, time::Duration};

use super::{Failure, host_name};
use crate::{
    accounts::{self, Directory, Lane},
    config::{self, Config, LastGood, Origin},
    engine::policy::{Ids, Named},
    grpc::InForce,
    names::printable,
    options::Options,
};

/// While the directory fails, each name that rules use is looked up by itself; all of them in this time.
const ONE_BY_ONE: Duration = Duration::from_secs(5);

/// Judges the configuration, names that nobody has too; says whether it can be used.
pub fn check(options: &Options, mut print: impl FnMut(&str)) -> bool {
    let mut outcome = config::load(&options.config);
    if let Some(config) = &outcome.config {
        let rules = config.rules();
        match accounts::helper::resolve(&rules.named()) {
            Ok(ids) => outcome.findings.extend(rules.nobody(&ids).into_iter().map(|(what, name, rule)| {
                let sentence = format!("there is no {what} \"{}\" ({rule})", printable(name, 64));
                config::Finding::error("", &sentence, "make it, or mend the rule that names it")
            })),
            Err(errno) => outcome.findings.push(config::Finding::warning(
                "",
                &format!("users and groups cannot be looked up: {errno}"),
                "check again when the directory answers",
            )),
        }
    }
    if options.json {
        let findings: Vec<_> = outcome.findings.iter().map(config::Finding::json).collect();
        print(&serde_json::Value::from(findings).to_string());
    } else {
        for finding in &outcome.findings {
            print(&finding.to_string());
        }
    }
    !outcome.has_errors()
}

/// What the files say; what is wrong with them goes to the log, and what is good is kept for the day when it is not.
pub fn read(options: &Options) -> config::Outcome {
    let outcome = config::load(&options.config);
    for finding in &outcome.findings {
        match finding.severity {
            config::Severity::Error => tracing::error!("{finding}"),
            config::Severity::Warning => tracing::warn!("{finding}"),
        }
    }
    if let Some(config) = &outcome.config
        && let Err(error) = LastGood::in_folder(&options.state_dir).keep(config)
    {
        tracing::warn!(%error, "the configuration is not kept as the last good one");
    }
    outcome
}

/// What the files say, or else what they said last.
pub fn at_start(options: &Options) -> Result<(Config, Origin), Failure> {
    let outcome = read(options);
    match outcome.config {
        Some(config) => Ok((config, outcome.origin)),
        None => match LastGood::in_folder(&options.state_dir).recall() {
            Some(config) => {
                tracing::error!("the configuration is broken: going on with the last good one");
                Ok((config, Origin::LastGood))
            }
            None => Err(Failure::Config),
        },
    }
}

/// Presets that can be named; what is wrong with them is said where one is used.
pub fn presets(options: &Options) -> BTreeMap<String, config::Preset> {
    config::presets(&options.config, &mut Vec::new())
}

/// Looks up whom the rules mean.
pub async fn prepare(directory: &dyn Directory, config: Config, origin: &Origin) -> InForce {
    let rules = config.rules();
    let ids = match directory.ids(Lane::Admin, &rules.named()).await {
        Ok(ids) => {
            for (what, name, rule) in rules.nobody(&ids) {
                tracing::warn!("there is no {what} \"{}\" ({rule})", printable(name, 64));
            }
            ids
        }
        Err(error) => {
            let ids = one_by_one(directory, &rules.named()).await;
            let known: Vec<&str> = ids.users.keys().chain(ids.groups.keys()).map(String::as_str).collect();
            tracing::error!(
                %error,
                known = known.join(" "),
                "exemptions by user or group release nobody but these until twinlockd is reloaded"
            );
            ids
        }
    };
    let logo = config.web.read_logo().unwrap_or_else(|error| {
        tracing::warn!(%error, "the enrollment page shows no logo");
        Vec::new()
    });
    InForce { logo, ..InForce::new(config, describe(origin), &host_name(), &ids) }
}

/// What can be looked up while the directory fails: root at the console stands in /etc/passwd, and is exempt again as soon as the
/// directory answers.
async fn one_by_one(directory: &dyn Directory, named: &Named) -> Ids {
    let users = named.users.iter().map(|name| Named { users: [name.clone()].into(), ..Named::default() });
    let groups = named.groups.iter().map(|name| Named { groups: [name.clone()].into(), ..Named::default() });
    let mut known = Ids::default();
    let all = async {
        for one in users.chain(groups) {
            if let Ok(ids) = directory.ids(Lane::Admin, &one).await {
                known.users.extend(ids.users);
                known.groups.extend(ids.groups);
            }
        }
    };
    // Logins wait for the start.
    let _ = tokio::time::timeout(ONE_BY_ONE, all).await;
    known
}

/// In the trail, and for administrators.
pub fn describe(origin: &Origin) -> String {
    match origin {
        Origin::Defaults => "defaults".to_owned(),
        Origin::Files(files) => files.join(", "),
        Origin::LastGood => "last good one, the files are broken".to_owned(),
    }
}
