//! `[sms]` and `[call]`: which telephones codes are sent to, and how often.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::engine::delivery::{Line, LineKind};

/// `[sms]`. Nothing is sent before an administrator said to which countries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sms {
    /// Countries, by the two letters of ISO 3166-1. By country and not by calling code: `+1` is 25 countries, some of them
    /// expensive.
    pub regions: BTreeSet<String>,
    /// Whether numbers of Internet telephony will do. NIST SP 800-63B section 5.1.3.3 does not take them.
    pub voip: bool,
}

/// `[call]`. Calls cost more than messages, so there are fewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Call {
    /// Countries, by the two letters of ISO 3166-1.
    pub regions: BTreeSet<String>,
    /// Whether numbers of Internet telephony will do.
    pub voip: bool,
    /// How long it rings, 10 to 60 seconds: an answering machine should not come on, it would keep the code.
    #[serde(with = "humantime_serde")]
    pub ring: Duration,
    /// Calls a day to one user, and to one number.
    pub per_day: u32,
    /// Calls an hour in all.
    pub all_per_hour: u32,
    /// Calls a day in all.
    pub all_per_day: u32,
}

impl Default for Call {
    fn default() -> Self {
        // Machines answer after 25 to 30 seconds. A fifth of what may be sent otherwise.
        let ring = Duration::from_secs(22);
        Self { regions: BTreeSet::new(), voip: false, ring, per_day: 3, all_per_hour: 12, all_per_day: 60 }
    }
}

impl Sms {
    /// Whether codes may be sent there.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn admits(&self, line: &Line) -> Result<(), String> {
        if line.kind == LineKind::Fixed {
            return Err("is a number of a landline: no SMS reaches it".to_owned());
        }
        admits(&self.regions, self.voip, line)
    }

    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        check("sms", &self.regions, findings);
    }
}

impl Call {
    /// Whether it may be called.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn admits(&self, line: &Line) -> Result<(), String> {
        admits(&self.regions, self.voip, line)
    }

    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        check("call", &self.regions, findings);
        let mut refuse = |wrong: bool, key: &str, sentence: &str, remedy: &str| {
            if wrong {
                findings.push(Finding::error(&format!("call.{key}"), sentence, remedy));
            }
        };
        let (shortest, longest) = (Duration::from_secs(10), Duration::from_secs(60));
        refuse(self.ring < shortest || self.ring > longest, "ring", "is out of range", "write 10s to 60s");
        refuse(self.per_day == 0, "per-day", "is 0", "write 1 or more, or leave the method out of the roles");
        refuse(self.all_per_hour == 0, "all-per-hour", "is 0", "write 1 or more");
        refuse(self.all_per_day < self.all_per_hour, "all-per-day", "is below all-per-hour", "write more");
    }
}

fn admits(regions: &BTreeSet<String>, voip: bool, line: &Line) -> Result<(), String> {
    match line.kind {
        LineKind::Voip if !voip => {
            return Err("is a number of Internet telephony, which does not count here".to_owned());
        }
        LineKind::Mobile | LineKind::Fixed | LineKind::FixedOrMobile | LineKind::Voip => {}
    }
    if regions.contains(&line.region) {
        return Ok(());
    }
    Err(format!("is a number of a country ({}) to which nothing is sent here", line.region))
}

fn check(table: &str, regions: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    for region in regions {
        if region.len() != 2 || !region.bytes().all(|byte| byte.is_ascii_uppercase()) {
            findings.push(Finding::error(
                &format!("{table}.regions"),
                &format!("has \"{region}\", which is no country"),
                "write two capital letters, like \"DE\"",
            ));
        } else if region == "UK" {
            let sentence = "has \"UK\", which no number is of";
            findings.push(Finding::error(&format!("{table}.regions"), sentence, "write \"GB\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_and_kinds_of_lines_are_admitted_by_name() {
        let sms = Sms { regions: ["US".to_owned()].into(), voip: false };
        let line = |region: &str, kind| Line { region: region.to_owned(), kind };
        let admits = |sms: &Sms, region: &str, kind| sms.admits(&line(region, kind)).is_ok();
        assert!(admits(&sms, "US", LineKind::Mobile) && admits(&sms, "US", LineKind::FixedOrMobile));
        assert!(!admits(&sms, "JM", LineKind::Mobile), "Jamaica has +1 too");
        assert!(!admits(&sms, "US", LineKind::Fixed) && !admits(&sms, "US", LineKind::Voip));
        assert!(admits(&Sms { voip: true, ..sms }, "US", LineKind::Voip));
        assert!(!admits(&Sms::default(), "US", LineKind::Mobile));
        let call = Call { regions: ["US".to_owned()].into(), ..Call::default() };
        assert!(call.admits(&line("US", LineKind::Fixed)).is_ok(), "a landline rings");
        assert!(
            call.admits(&line("US", LineKind::Voip)).is_err()
                && call.admits(&line("DE", LineKind::Mobile)).is_err()
        );
    }
}
