//! The rules, as an administrator wrote them: roles that demand, exemptions that release.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Enrollment, Facts, Requirement, opening::ENROLL_WITHIN};
use crate::clock::Timestamp;

/// What somebody can prove themselves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// An authenticator app.
    Totp,
    /// A hard token.
    Hotp,
    /// A code by SMS.
    Sms,
    /// A code by phone call.
    Call,
    /// A code by email.
    Email,
}

impl Method {
    /// All of them, in the order that they are offered unless somebody says otherwise.
    pub const ALL: [Self; 5] = [Self::Totp, Self::Hotp, Self::Sms, Self::Call, Self::Email];

    /// The name that is used everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Hotp => "hotp",
            Self::Sms => "sms",
            Self::Call => "call",
            Self::Email => "email",
        }
    }
}

/// All rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// In the order of the file.
    pub roles: Vec<Role>,
    /// In the order of the file.
    pub exemptions: Vec<Exemption>,
}

impl Default for Rules {
    /// Without a role in the files: everyone, optional.
    fn default() -> Self {
        let everyone = Role {
            name: "built-in: everyone".to_owned(),
            everyone: true,
            groups: Vec::new(),
            users: Vec::new(),
            requirement: Requirement::Optional,
            methods: Method::ALL.to_vec(),
            recovery: true,
            services: None,
            enrollment: Enrollment::Admin,
            enroll_within: ENROLL_WITHIN,
            offer_enrollment: false,
            enforce: true,
            pinned: Ids::default(),
        };
        Self { roles: vec![everyone], exemptions: Vec::new() }
    }
}

/// Who needs a second factor where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// How explanations call it.
    pub name: String,
    /// `"*"` is among its groups: everyone, root included.
    pub everyone: bool,
    /// Names of Unix groups.
    pub groups: Vec<String>,
    /// Names of users.
    pub users: Vec<String>,
    /// What it demands.
    pub requirement: Requirement,
    /// What its members may use, in order of preference.
    pub methods: Vec<Method>,
    /// Whether recovery codes count.
    pub recovery: bool,
    /// Only at these PAM services; `None`: at all.
    pub services: Option<Vec<String>>,
    /// What a member meets who must have a factor and has none.
    pub enrollment: Enrollment,
    /// How long members may enroll at their login, from the first time that this rule is in force.
    pub enroll_within: Duration,
    /// Whether members who need no factor are asked at their login if they want one.
    pub offer_enrollment: bool,
    /// False: its members are let in, and what it would have done is told.
    pub enforce: bool,
    /// What its groups meant when an administrator loaded it.
    pub pinned: Ids,
}

/// Who is let in without. Every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// How findings and explanations call it.
    pub name: String,
    /// Names of users.
    pub users: Vec<String>,
    /// Names of Unix groups.
    pub groups: Vec<String>,
    /// PAM services.
    pub services: Vec<String>,
    /// Networks of the client.
    pub networks: Vec<IpNet>,
    /// From then on it does not hold.
    pub until: Option<Timestamp>,
    /// Why there is one.
    pub reason: String,
    /// What its names meant when an administrator loaded it. A name that means another account since then is not meant.
    pub pinned: Ids,
}

/// Names of users and groups that rules use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Users.
    pub users: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
}

/// What names mean: uid and gid. One that is not here means nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// uids.
    pub users: BTreeMap<String, u32>,
    /// gids.
    pub groups: BTreeMap<String, u32>,
}

impl Rules {
    /// Every name that some rule uses.
    #[must_use]
    pub fn named(&self) -> Named {
        let mut named = Named::default();
        for role in &self.roles {
            named.users.extend(role.users.iter().cloned());
            named.groups.extend(role.groups.iter().cloned());
        }
        for exemption in &self.exemptions {
            named.users.extend(exemption.users.iter().cloned());
            named.groups.extend(exemption.groups.iter().cloned());
        }
        named
    }

    /// Names that mean nobody, each with the rule that uses it first: what it is, its name, the rule.
    #[must_use]
    pub fn nobody<'a>(&'a self, ids: &Ids) -> Vec<(&'static str, &'a str, &'a str)> {
        let roles = self.roles.iter().map(|role| (&role.name, &role.users, &role.groups));
        let exemptions = self.exemptions.iter().map(|rule| (&rule.name, &rule.users, &rule.groups));
        let mut found: Vec<(&str, &str, &str)> = Vec::new();
        for (rule, users, groups) in roles.chain(exemptions) {
            let users = users.iter().filter(|name| !ids.users.contains_key(*name)).map(|name| ("user", name));
            let groups = groups.iter().filter(|name| !ids.groups.contains_key(*name));
            for (what, name) in users.chain(groups.map(|name| ("group", name))) {
                if !found.iter().any(|(of, known, _)| *of == what && known == name) {
                    found.push((what, name, rule));
                }
            }
        }
        found
    }

    /// Remembers what the names mean now. Without this exemptions release nobody by name.
    pub fn pin(&mut self, ids: &Ids) {
        for role in &mut self.roles {
            role.pinned = ids.clone();
        }
        for exemption in &mut self.exemptions {
            exemption.pinned = ids.clone();
        }
    }

    /// The rules by which members may enroll at their login, by name.
    #[must_use]
    pub fn enrolling(&self) -> Vec<String> {
        let roles = self.roles.iter().filter(|role| role.enrollment == Enrollment::AtLogin);
        roles.map(|role| role.name.clone()).collect()
    }

    /// The services that some role names, in order.
    #[must_use]
    pub fn services(&self) -> BTreeSet<&str> {
        self.roles.iter().flat_map(|role| role.services.iter().flatten()).map(String::as_str).collect()
    }
}

/// Whether a role is about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Membership {
    /// It is not.
    No,
    /// It may be: what it demands holds, and nothing that it grants.
    Assumed,
    /// It is.
    Sure,
}

impl Role {
    /// How explanations call the role that the configuration calls `name`.
    #[must_use]
    pub fn named(name: &str) -> String {
        format!("role {name}")
    }

    /// Whether it is about this login. Only asked when the directory answered.
    pub(super) fn matches(&self, facts: &Facts<'_>, groups: &[u32], ids: &Ids) -> Membership {
        // At an unknown place every service is possible.
        let here = match (&self.services, facts.service) {
            (Some(services), Some(service)) => services.iter().any(|name| name == service),
            (None, _) | (_, None) => true,
        };
        // Two names of one uid are one person.
        let by_name = self
            .users
            .iter()
            .any(|name| name == facts.user || ids.users.get(name).is_some_and(|uid| *uid == facts.uid));
        let by_group =
            self.groups.iter().any(|name| ids.groups.get(name).is_some_and(|gid| groups.contains(gid)));
        match (here, self.everyone || by_name || by_group) {
            (true, true) => Membership::Sure,
            (true, false) if self.vanished(ids) => Membership::Assumed,
            _ => Membership::No,
        }
    }

    /// A group was there when the rules were loaded and is not there now: a directory that answers nothing, more likely
    /// than a group that was deleted. Only a positive answer says who is no member, so everybody is taken for one.
    fn vanished(&self, ids: &Ids) -> bool {
        self.groups.iter().any(|name| self.pinned.groups.contains_key(name) && !ids.groups.contains_key(name))
    }
}

impl Exemption {
    /// Whether it releases this login. Only what is known for sure does.
    pub(super) fn releases(&self, facts: &Facts<'_>) -> bool {
        // On user.sock service and address are claims: no exemption is for them.
        let Some(service) = facts.service else { return false };
        let ids = facts.ids;
        let same =
            |pinned: &BTreeMap<String, u32>, now: Option<&BTreeMap<String, u32>>, name: &str, id: u32| {
                pinned.get(name) == Some(&id) && now.and_then(|now| now.get(name)) == Some(&id)
            };
        let users = self.users.is_empty()
            || self.users.iter().any(|name| {
                name == facts.user && same(&self.pinned.users, ids.map(|ids| &ids.users), name, facts.uid)
            });
        let groups = self.groups.is_empty()
            || self.groups.iter().any(|name| {
                let of_user = facts.groups.unwrap_or_default();
                of_user.iter().any(|gid| same(&self.pinned.groups, ids.map(|ids| &ids.groups), name, *gid))
            });
        let services = self.services.is_empty() || self.services.iter().any(|name| name == service);
        let networks = self.networks.is_empty() || facts.address.is_some_and(|address| self.covers(address));
        // An end that a clock set back would move is not believed.
        let in_time = self.until.is_none_or(|until| facts.clock_believed && facts.now < until);
        users && groups && services && networks && in_time
    }

    /// Mapped IPv4 is IPv4.
    fn covers(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}
