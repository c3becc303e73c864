//! Who needs a second factor: facts and rules in, a decision and the rules behind it out.

mod opening;
mod rules;

use core::net::IpAddr;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

pub use opening::{ENROLL_WITHIN, Enrollment, LONGEST};
use rules::Membership;

pub use rules::{Exemption, Ids, Method, Named, Role, Rules};

/// PAM service under which passwords are confirmed for self-service: there the second factor is never asked,
/// or confirming a password would need what is about to be enrolled.
pub const PASSWORD_SERVICE: &str = "twinlock-password";

/// How much a second factor is needed; the stricter is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Not asked.
    Off,
    /// Asked from those who enrolled.
    Optional,
    /// No login without.
    Required,
}

impl Requirement {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// What an administrator said of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Required, whatever the roles say.
    pub required: bool,
    /// Released until then, and why.
    pub exempt: Option<(Timestamp, String)>,
    /// May enroll at a login until then, whatever the roles say of enrollment.
    pub enroll_until: Option<Timestamp>,
}

/// One of them, to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// See [`Flags::required`].
    Required(bool),
    /// See [`Flags::exempt`].
    Exempt(Option<(Timestamp, String)>),
    /// See [`Flags::enroll_until`].
    EnrollUntil(Option<Timestamp>),
}

/// What the policy knows of a login.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// PAM service; `None` where it is not known or not believed: the strictest of all counts.
    pub service: Option<&'a str>,
    /// Canonical name.
    pub user: &'a str,
    /// uid.
    pub uid: u32,
    /// gids of all groups; `None` when they could not be looked up: never read as "not a member".
    pub groups: Option<&'a [u32]>,
    /// What the names in the rules mean now; `None` when they could not be looked up.
    pub ids: Option<&'a Ids>,
    /// Where the client is, if that is a literal address.
    pub address: Option<IpAddr>,
    /// What the user has that counts.
    pub methods: &'a [Method],
    /// What waits for its first code: whoever must have a factor may give it at a login.
    pub pending: &'a [Method],
    /// An administrator has handed out a bypass code, which counts always.
    pub bypass: bool,
    /// What an administrator said of this user.
    pub flags: &'a Flags,
    /// Since when the members of a role may enroll at their login, by the rule's name.
    pub openings: &'a BTreeMap<String, Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// Whether `now` is believed.
    pub clock_believed: bool,
}

/// What happens to a login, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// The requirement behind it.
    pub requirement: Requirement,
    /// What may be used, in order of preference.
    pub methods: Vec<Method>,
    /// Whether recovery codes count.
    pub recovery: bool,
    /// The rules that had a say, in order.
    pub because: Vec<Because>,
    /// What would have happened if every role were enforced, where that is something else: a word for the trail.
    pub rehearsed: Option<&'static str>,
    /// What every role lets count that demands something of this user, at this place: methods, and whether recovery codes.
    pub everywhere: Vec<(Vec<Method>, bool)>,
}

/// One rule and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// The rule's name.
    pub rule: String,
    /// What it did.
    pub effect: String,
}

/// What happens to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A code is asked.
    Ask,
    /// The login goes on without: only this value releases anybody, and only this file makes it.
    Skip(Release),
    /// A factor is required and there is none: denied.
    Deny,
    /// A factor is required and there is none: it may be set up now, if the first factor is known.
    Enroll,
    /// A factor is required and there is none: a link to set one up is mailed, if the first factor is known.
    Invite,
    /// Let in without; first asked whether to set one up, if the first factor is known.
    Offer(Release),
}

/// Proof that policy asks nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(());

#[cfg(test)]
impl Release {
    /// For the tests of those who are given one.
    pub(super) const fn for_tests() -> Self {
        Self(())
    }
}

/// Somebody whom NSS does not know, or whose account is none of the caller's business: walks the same way as
/// an enrolled user, and arrives nowhere.
#[must_use]
pub fn stranger() -> Decision {
    let mut decision = Decision::of(Requirement::Required, None, true);
    decision.verdict = Verdict::Ask;
    decision.note("built-in: unknown user", "asked, and denied");
    decision
}

/// Decides.
#[must_use]
pub fn decide(rules: &Rules, facts: &Facts<'_>) -> Decision {
    if facts.service == Some(PASSWORD_SERVICE) {
        return released("built-in: password confirmation", "never asked");
    }
    if let Some((until, reason)) = &facts.flags.exempt
        && facts.clock_believed
        && facts.now < *until
    {
        return released("user exempt", &format!("released: {reason}"));
    }
    if let Some(exemption) = rules.exemptions.iter().find(|exemption| exemption.releases(facts)) {
        return released(&exemption.name, &format!("released: {}", exemption.reason));
    }
    let (Some(groups), Some(ids)) = (facts.groups, facts.ids) else {
        return in_the_dark(rules, facts);
    };
    let membership = |role: &'_ Role| role.matches(facts, groups, ids);
    let roles: Vec<(&Role, Membership)> = rules
        .roles
        .iter()
        .map(|role| (role, membership(role)))
        .filter(|(_, membership)| *membership != Membership::No)
        .collect();
    let strictest = |enforced_only: bool| {
        // The first of the strictest: max_by_key gives the last, so from behind.
        let counting = roles.iter().rev().filter(|(role, _)| role.enforce || !enforced_only);
        counting.max_by_key(|(role, membership)| (role.requirement, *membership)).copied()
    };
    let mut decision = by_role(strictest(true), facts);
    for (role, membership) in &roles {
        let mut effect = match (role.enforce, role.requirement) {
            (true, requirement) => requirement.name().to_owned(),
            (false, requirement) => format!("would be {} (enforce = false)", requirement.name()),
        };
        if *membership == Membership::Assumed {
            effect
                .push_str(": a group of it is gone since it was loaded, so everybody is taken for a member");
        }
        decision.note(&role.name, &effect);
    }
    if roles.is_empty() {
        decision.note("built-in: no role", "off: no role matches");
    }
    decision.everywhere = roles
        .iter()
        .filter(|(role, _)| role.requirement != Requirement::Off)
        .map(|(role, _)| (role.methods.clone(), role.recovery))
        .collect();
    let rehearsal = by_role(strictest(false), facts);
    decision.rehearsed = (rehearsal.verdict != decision.verdict).then(|| rehearsal.verdict.word());
    if facts.flags.required {
        decision.note("user require", "required");
    }
    if matches!(decision.verdict, Verdict::Deny | Verdict::Enroll | Verdict::Invite) {
        decision.because.extend(opening::explain(facts, strictest(true).and_then(sure)));
    }
    decision
}

/// Nobody knows which roles are meant: only what every one of them lets count does.
fn in_the_dark(rules: &Rules, facts: &Facts<'_>) -> Decision {
    let demanding = || rules.roles.iter().filter(|role| role.requirement != Requirement::Off);
    let counts = |method: &Method| demanding().all(|role| role.methods.contains(method));
    let methods: Vec<Method> = Method::ALL.into_iter().filter(counts).collect();
    let can_pass = facts.bypass || facts.methods.iter().chain(facts.pending).any(|has| methods.contains(has));
    let mut decision = Decision::of(Requirement::Required, None, can_pass);
    decision.methods = methods;
    decision.recovery = demanding().all(|role| role.recovery);
    decision.everywhere = demanding().map(|role| (role.methods.clone(), role.recovery)).collect();
    decision.note("built-in: directory error", "required: groups could not be looked up");
    decision
}

/// Only who is a member for sure is granted what a role grants.
fn sure((role, membership): (&Role, Membership)) -> Option<&Role> {
    (membership == Membership::Sure).then_some(role)
}

fn by_role(strictest: Option<(&Role, Membership)>, facts: &Facts<'_>) -> Decision {
    let of_role = strictest.map_or(Requirement::Off, |(role, _)| role.requirement);
    let role = strictest.map(|(role, _)| role);
    let requirement = if facts.flags.required { Requirement::Required } else { of_role };
    let mut decision = Decision::of(requirement, role, can_pass(facts, requirement, role));
    decision.verdict = match decision.verdict {
        Verdict::Deny if opening::is_open(facts, strictest.and_then(sure)) => Verdict::Enroll,
        Verdict::Deny if opening::is_by_link(facts, strictest.and_then(sure)) => Verdict::Invite,
        Verdict::Skip(release)
            if requirement == Requirement::Optional && opening::offers(facts, strictest.and_then(sure)) =>
        {
            Verdict::Offer(release)
        }
        verdict => verdict,
    };
    decision
}

/// Whether the user has something that the role lets count.
fn can_pass(facts: &Facts<'_>, requirement: Requirement, role: Option<&Role>) -> bool {
    let pending = if requirement == Requirement::Required { facts.pending } else { &[] };
    let mut has = facts.methods.iter().chain(pending);
    (requirement == Requirement::Required && facts.bypass)
        || has.any(|method| role.is_none_or(|role| role.methods.contains(method)))
}

fn released(rule: &str, effect: &str) -> Decision {
    let mut decision = Decision::of(Requirement::Off, None, true);
    decision.note(rule, effect);
    decision
}

impl Decision {
    fn of(requirement: Requirement, role: Option<&Role>, can_pass: bool) -> Self {
        let verdict = match requirement {
            Requirement::Off => Verdict::Skip(Release(())),
            Requirement::Optional if !can_pass => Verdict::Skip(Release(())),
            Requirement::Required if !can_pass => Verdict::Deny,
            Requirement::Optional | Requirement::Required => Verdict::Ask,
        };
        Self {
            verdict,
            requirement,
            methods: role.map_or_else(|| Method::ALL.to_vec(), |role| role.methods.clone()),
            recovery: role.is_none_or(|role| role.recovery),
            because: Vec::new(),
            rehearsed: None,
            everywhere: Vec::new(),
        }
    }

    /// Whether who has proven one method may add another: only if the one counts wherever the other would, so that nobody comes
    /// by a weak method to a door that does not take it.
    #[must_use]
    pub fn vouches(&self, by: Method, new: Method) -> bool {
        self.methods.contains(&by)
            && self.everywhere.iter().all(|(methods, _)| methods.contains(&by) || !methods.contains(&new))
    }

    /// Whether a recovery code may add something that serves these methods: only if it counts wherever they do.
    #[must_use]
    pub fn recovery_vouches(&self, new: &[Method]) -> bool {
        let takes = |methods: &[Method]| new.iter().any(|new| methods.contains(new));
        self.recovery && self.everywhere.iter().all(|(methods, recovery)| *recovery || !takes(methods))
    }

    /// The methods by which new recovery codes may be made: those that count wherever recovery codes do.
    #[must_use]
    pub fn renewing(&self) -> Vec<Method> {
        let counts =
            |by: &Method| self.everywhere.iter().all(|(methods, recovery)| !recovery || methods.contains(by));
        self.methods.iter().copied().filter(counts).collect()
    }

    /// The same, but that nothing can be set up: there are factors of somebody who had the name before.
    #[must_use]
    pub fn without_enrollment(self) -> Self {
        let verdict = match self.verdict {
            Verdict::Enroll | Verdict::Invite => Verdict::Deny,
            Verdict::Offer(release) => Verdict::Skip(release),
            verdict => verdict,
        };
        Self { verdict, ..self }
    }

    /// Whether it denies, or would if every role were enforced.
    #[must_use]
    pub fn would_deny(&self) -> bool {
        self.verdict == Verdict::Deny || self.rehearsed == Some(Verdict::Deny.word())
    }

    fn note(&mut self, rule: &str, effect: &str) {
        self.because.push(Because { rule: rule.to_owned(), effect: effect.to_owned() });
    }
}

impl Verdict {
    /// For the trail.
    const fn word(&self) -> &'static str {
        match self {
            Self::Ask => "would-ask",
            Self::Skip(_) => "would-skip",
            Self::Deny => "would-deny",
            Self::Enroll => "would-enroll",
            Self::Invite => "would-invite",
            Self::Offer(_) => "would-offer",
        }
    }
}

#[cfg(test)]
mod tests;
