//! `[sms]`: which telephones codes are sent to.

use std::collections::BTreeSet;

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

impl Sms {
    /// Whether codes may be sent there.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn admits(&self, line: &Line) -> Result<(), String> {
        match line.kind {
            LineKind::Mobile | LineKind::FixedOrMobile => {}
            LineKind::Voip if self.voip => {}
            LineKind::Voip => {
                return Err("is a number of Internet telephony, which does not count here".to_owned());
            }
            LineKind::Fixed => return Err("is a number of a landline: no SMS reaches it".to_owned()),
        }
        if self.regions.contains(&line.region) {
            return Ok(());
        }
        Err(format!("is a number of a country ({}) to which nothing is sent here", line.region))
    }

    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        for region in &self.regions {
            if region.len() != 2 || !region.bytes().all(|byte| byte.is_ascii_uppercase()) {
                findings.push(Finding::error(
                    "sms.regions",
                    &format!("has \"{region}\", which is no country"),
                    "write two capital letters, like \"DE\"",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_and_kinds_of_lines_are_admitted_by_name() {
        let sms = Sms { regions: ["US".to_owned()].into(), voip: false };
        let admits = |sms: &Sms, region: &str, kind| {
            let line = Line { region: region.to_owned(), kind };
            sms.admits(&line).is_ok()
        };
        assert!(admits(&sms, "US", LineKind::Mobile) && admits(&sms, "US", LineKind::FixedOrMobile));
        assert!(!admits(&sms, "JM", LineKind::Mobile), "Jamaica has +1 too");
        assert!(!admits(&sms, "US", LineKind::Fixed) && !admits(&sms, "US", LineKind::Voip));
        assert!(admits(&Sms { voip: true, ..sms }, "US", LineKind::Voip));
        assert!(!admits(&Sms::default(), "US", LineKind::Mobile));
    }
}
