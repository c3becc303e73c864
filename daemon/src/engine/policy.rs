//! Who needs a second factor. For now there is one rule, the built-in one: everyone, optional (asked once
//! enrolled). Roles and exemptions take its place.

/// PAM service under which passwords are confirmed for self-service: there the second factor is never asked,
/// or confirming a password would need what is about to be enrolled.
pub const PASSWORD_SERVICE: &str = "twinlock-password";

/// How much a second factor is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// No login without.
    Required,
    /// Asked from those who enrolled.
    Optional,
    /// Not asked.
    Off,
}

/// What the policy knows of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// PAM service.
    pub service: &'a str,
    /// The user has an active factor.
    pub enrolled: bool,
    /// The user's groups could not be looked up: never read as "not a member".
    pub directory_failed: bool,
}

/// What happens to a login, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// The requirement behind it.
    pub requirement: Requirement,
    /// The rules that had a say, in order.
    pub because: Vec<Because>,
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
}

/// Proof that policy asks nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(());

/// Somebody whom NSS does not know, or whose account is none of the caller's business: walks the same way as
/// an enrolled user, and arrives nowhere.
#[must_use]
pub fn stranger() -> Decision {
    let because = vec![Because { rule: "built-in: unknown user".into(), effect: "asked, and denied".into() }];
    Decision { verdict: Verdict::Ask, requirement: Requirement::Required, because }
}

/// Decides.
#[must_use]
pub fn decide(facts: Facts<'_>) -> Decision {
    let (requirement, because) = requirement(facts);
    let verdict = match requirement {
        Requirement::Off => Verdict::Skip(Release(())),
        Requirement::Optional if !facts.enrolled => Verdict::Skip(Release(())),
        Requirement::Required if !facts.enrolled => Verdict::Deny,
        Requirement::Optional | Requirement::Required => Verdict::Ask,
    };
    Decision { verdict, requirement, because }
}

fn requirement(facts: Facts<'_>) -> (Requirement, Vec<Because>) {
    let because = |rule: &str, effect: &str| vec![Because { rule: rule.into(), effect: effect.into() }];
    if facts.service == PASSWORD_SERVICE {
        return (Requirement::Off, because("built-in: password confirmation", "never asked"));
    }
    if facts.directory_failed {
        return (Requirement::Required, because("built-in: directory error", "required"));
    }
    let effect =
        if facts.enrolled { "optional: enrolled, so asked" } else { "optional: not enrolled, so not asked" };
    (Requirement::Optional, because("built-in: everyone", effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(service: &str, enrolled: bool, directory_failed: bool) -> Verdict {
        decide(Facts { service, enrolled, directory_failed }).verdict
    }

    #[test]
    fn the_built_in_rule_asks_those_who_enrolled() {
        assert_eq!(verdict("sshd", true, false), Verdict::Ask);
        assert!(matches!(verdict("sshd", false, false), Verdict::Skip(_)));
    }

    #[test]
    fn a_directory_error_means_required() {
        assert_eq!(verdict("sshd", true, true), Verdict::Ask);
        assert_eq!(verdict("sshd", false, true), Verdict::Deny);
    }

    #[test]
    fn confirming_a_password_never_asks_for_a_code() {
        assert!(matches!(verdict(PASSWORD_SERVICE, true, false), Verdict::Skip(_)));
        assert!(matches!(verdict(PASSWORD_SERVICE, true, true), Verdict::Skip(_)));
    }
}
