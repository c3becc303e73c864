//! `[[role]]` and `[[exempt]]`: who needs a second factor where, and who is let in without.

use std::time::Duration;

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::Finding;
use crate::{
    clock::Timestamp,
    engine::policy::{self, ENROLL_WITHIN, Enrollment, Ids, Method, Requirement, Rules},
};

/// The group that everyone is in.
const EVERYONE: &str = "*";

/// `[[role]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Role {
    /// Unique.
    pub name: String,
    /// Unix groups; `*` is everyone, root included.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Users.
    #[serde(default)]
    pub users: Vec<String>,
    /// What it demands.
    pub second_factor: Requirement,
    /// What its members may use, in order of preference.
    #[serde(default = "all_methods")]
    pub methods: Vec<Method>,
    /// Whether recovery codes count.
    #[serde(default = "yes")]
    pub recovery: bool,
    /// Only these PAM services; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// What a member meets who must have a factor and has none.
    #[serde(default)]
    pub enrollment: Enrollment,
    /// How long a password alone may enroll, from the first time that the rule is in force; up to 30 days.
    #[serde(default = "enroll_within", with = "humantime_serde")]
    pub enroll_within: Duration,
    /// Whether members who need no factor are asked at their login if they want one.
    #[serde(default)]
    pub offer_enrollment: bool,
    /// False: its members are let in, and the trail says what it would have done.
    #[serde(default = "yes")]
    pub enforce: bool,
}

/// `[[exempt]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exempt {
    /// Users.
    #[serde(default)]
    pub users: Vec<String>,
    /// Unix groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// PAM services.
    #[serde(default)]
    pub services: Vec<String>,
    /// Networks, or single addresses.
    #[serde(default)]
    pub networks: Vec<String>,
    /// A date (to its end, host time) or an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<toml::value::Datetime>,
    /// Why there is one: it stands in the trail and in explanations.
    pub reason: String,
}

fn all_methods() -> Vec<Method> {
    Method::ALL.to_vec()
}

const fn enroll_within() -> Duration {
    ENROLL_WITHIN
}

const fn yes() -> bool {
    true
}

impl Role {
    fn check(&self, findings: &mut Vec<Finding>) {
        let mut error = |key: &str, sentence: &str, remedy: &str| {
            let sentence = format!("{sentence} in role \"{}\"", self.name);
            findings.push(Finding::error(&format!("role.{key}"), &sentence, remedy));
        };
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            error("name", "is empty or not printable", "give the role a name");
        }
        if self.groups.is_empty() && self.users.is_empty() {
            error("groups", "are missing, and users too", "say who it is about; \"*\" is everyone");
        }
        if self.users.iter().any(|user| user == EVERYONE) {
            error("users", "has \"*\"", "write groups = [\"*\"]");
        }
        if self.services.as_ref().is_some_and(Vec::is_empty) {
            error("services", "are none", "leave the key out: absent means all services");
        }
        if self.methods.is_empty() && self.second_factor != Requirement::Off {
            error("methods", "are none", "name what members may use, or leave the key out");
        }
        if self.enroll_within.is_zero() || self.enroll_within > policy::LONGEST {
            error(
                "enroll-within",
                "is nothing or over 30 days",
                "write a time up to 30d: until then a stolen password can enroll",
            );
        }
        let enrolls = self.enrollment != Enrollment::Admin;
        if (enrolls || self.offer_enrollment) && !self.methods.contains(&Method::Totp) {
            error(
                "methods",
                "have no totp, which is what a login can enroll",
                "add totp, or leave enrollment to an administrator",
            );
        }
        let mut warning = |key: &str, sentence: &str, remedy: &str| {
            let sentence = format!("{sentence} in role \"{}\"", self.name);
            findings.push(Finding::warning(&format!("role.{key}"), &sentence, remedy));
        };
        if enrolls && self.second_factor != Requirement::Required {
            warning(
                "enrollment",
                "is for members who must have a factor, and they need not",
                "write offer-enrollment = true, or second-factor = \"required\"",
            );
        }
        if self.offer_enrollment && self.second_factor != Requirement::Optional {
            warning(
                "offer-enrollment",
                "is for members who need no factor",
                "write enrollment = \"at-login\", or second-factor = \"optional\"",
            );
        }
        let restricted = |method: &Method| matches!(method, Method::Sms | Method::Call | Method::Email);
        if !self.methods.is_empty() && self.methods.iter().all(restricted) {
            findings.push(Finding::warning(
                "role.methods",
                &format!("of role \"{}\" are all restricted ones (SMS, calls) or mail", self.name),
                "add totp or hotp: codes that are sent can be intercepted",
            ));
        }
    }
}

impl Exempt {
    fn check(&self, name: &str, findings: &mut Vec<Finding>) {
        let mut error = |key: &str, sentence: &str, remedy: &str| {
            findings.push(Finding::error(&format!("exempt.{key}"), &format!("{sentence} in {name}"), remedy));
        };
        if self.reason.trim().is_empty() {
            error("reason", "is empty", "say why: an auditor will ask");
        }
        if self.users.is_empty()
            && self.groups.is_empty()
            && self.services.is_empty()
            && self.networks.is_empty()
        {
            error(
                "users",
                "has no condition",
                "it would release everybody: name users, groups, services or networks",
            );
        }
        if self.users.iter().chain(&self.groups).any(|name| name == EVERYONE) {
            error(
                "groups",
                "has \"*\"",
                "leave users and groups out: the other conditions then count for everyone",
            );
        }
        for network in &self.networks {
            if parse_network(network).is_none() {
                error(
                    "networks",
                    &format!("\"{network}\" is no network"),
                    "write 10.20.0.0/16, 2001:db8::/32 or an address",
                );
            }
        }
        if self.until.is_some() && self.end().is_none() {
            error(
                "until",
                "is no date and no time with an offset",
                "write 2027-01-31 or 2027-01-31T18:00:00+01:00",
            );
        }
        if self.users.is_empty()
            && self.groups.is_empty()
            && self.services.is_empty()
            && !self.networks.is_empty()
        {
            findings.push(Finding::warning(
                "exempt.networks",
                &format!("{name} is by network alone"),
                "add users or services: whoever is in that network needs no second factor anywhere",
            ));
        }
    }

    /// When it ends.
    fn end(&self) -> Option<Timestamp> {
        let text = self.until?.to_string();
        let seconds = if let Ok(time) = text.parse::<jiff::Timestamp>() {
            time.as_second()
        } else {
            let day: Date = text.parse().ok()?;
            // To the end of that day, host time; a time without an offset is neither.
            (text.len() == 10).then_some(())?;
            day.tomorrow().ok()?.to_zoned(TimeZone::system()).ok()?.timestamp().as_second()
        };
        Some(Timestamp::from_secs(seconds))
    }
}

/// An address alone is a network of one.
pub(super) fn parse_network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
}

/// What is wrong with the roles and exemptions of one file.
pub(super) fn check_each(roles: &[Role], exemptions: &[Exempt], findings: &mut Vec<Finding>) {
    for role in roles {
        role.check(findings);
    }
    for (n, exempt) in exemptions.iter().enumerate() {
        exempt.check(&format!("[[exempt]] number {} of this file", n + 1), findings);
    }
}

/// What is wrong with the roles of all files together.
pub(super) fn check_together(roles: &[Role], findings: &mut Vec<Finding>) {
    for (n, role) in roles.iter().enumerate() {
        if roles.iter().take(n).any(|other| other.name == role.name) {
            let sentence = format!("\"{}\" is there twice", role.name);
            findings.push(Finding::error("role.name", &sentence, "give each role its own name"));
        }
    }
    let demands = |role: &Role| role.second_factor != Requirement::Off;
    if !roles.is_empty() && !roles.iter().any(demands) {
        findings.push(Finding::error(
            "role",
            "disables the second factor for everyone: every role says off",
            "add a role with second-factor = \"optional\" or \"required\"",
        ));
    } else if !roles.is_empty() && !roles.iter().any(|role| demands(role) && role.enforce) {
        findings.push(Finding::warning(
            "role",
            "is enforced nowhere: everybody is let in, and the trail says what would have happened",
            "take enforce = false out when the trail shows what you want",
        ));
    }
}

/// What keeps members from the links that they are to be sent.
pub(super) fn check_links(roles: &[Role], (page, mail): (bool, bool), findings: &mut Vec<Finding>) {
    for role in roles.iter().filter(|role| role.enrollment == Enrollment::Link) {
        for (there, key, what) in [(page, "[web] url", "page"), (mail, "[email] from", "mail")] {
            if !there {
                let sentence = format!(
                    "of role \"{}\" is \"link\", and there is no {what}: members without a factor are denied",
                    role.name
                );
                findings.push(Finding::warning("role.enrollment", &sentence, &format!("set {key}")));
            }
        }
    }
}

fn exemption_name(index: usize) -> String {
    format!("exempt {}", index + 1)
}

/// The rules that these make; exemptions release nobody by name until they are pinned.
pub(super) fn rules(roles: &[Role], exemptions: &[Exempt]) -> Rules {
    let of_role = |role: &Role| policy::Role {
        name: policy::Role::named(&role.name),
        everyone: role.groups.iter().any(|group| group == EVERYONE),
        groups: role.groups.iter().filter(|group| *group != EVERYONE).cloned().collect(),
        users: role.users.clone(),
        requirement: role.second_factor,
        methods: role.methods.clone(),
        recovery: role.recovery,
        services: role.services.clone(),
        enrollment: role.enrollment,
        enroll_within: role.enroll_within,
        offer_enrollment: role.offer_enrollment,
        enforce: role.enforce,
        pinned: Ids::default(),
    };
    let of_exempt = |(n, exempt): (usize, &Exempt)| policy::Exemption {
        name: exemption_name(n),
        users: exempt.users.clone(),
        groups: exempt.groups.clone(),
        services: exempt.services.clone(),
        networks: exempt.networks.iter().filter_map(|text| parse_network(text)).collect(),
        until: exempt.end(),
        reason: exempt.reason.clone(),
        pinned: Ids::default(),
    };
    let mut rules = Rules::default();
    if !roles.is_empty() {
        rules.roles = roles.iter().map(of_role).collect();
    }
    rules.exemptions = exemptions.iter().enumerate().map(of_exempt).collect();
    rules
}
