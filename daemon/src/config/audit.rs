//! `[audit]`: the trail.

use std::time::Duration;

use humantime_serde::re::humantime;
use serde::{Deserialize, Serialize};

use super::Finding;

const DAY: Duration = Duration::from_secs(86_400);
/// Whoever looks only once a month must still find what happened.
const SHORTEST: Duration = DAY.saturating_mul(30);

/// `[audit]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Audit {
    /// How long entries are kept.
    pub retention: Retention,
}

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Retention {
    /// For so long.
    For(Duration),
    /// `forever`.
    Forever,
}

impl Default for Retention {
    fn default() -> Self {
        // A year, for whoever reviews once a year, and some weeks for doing it. Names and addresses of people stand there:
        // for ever must be somebody's decision.
        Self::For(DAY.saturating_mul(400))
    }
}

impl TryFrom<String> for Retention {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let duration = humantime::parse_duration(&text);
        duration.map(Self::For).map_err(|error| format!("{error}; write a time like 400d, or forever"))
    }
}

impl From<Retention> for String {
    fn from(retention: Retention) -> Self {
        match retention {
            Retention::For(duration) => humantime::format_duration(duration).to_string(),
            Retention::Forever => "forever".to_owned(),
        }
    }
}

impl Audit {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        if let Retention::For(duration) = self.retention
            && duration < SHORTEST
        {
            findings.push(Finding::error("audit.retention", "is under 30d", "write 30d or more, or forever"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_read_as_it_was_written() {
        let read = |text: &str| Retention::try_from(text.to_owned());
        assert_eq!(read("400d"), Ok(Retention::default()));
        assert_eq!(read("forever"), Ok(Retention::Forever));
        assert!(read("never").is_err_and(|error| error.contains("write a time like 400d")));
        for retention in [Retention::default(), Retention::Forever, Retention::For(DAY * 3650)] {
            assert_eq!(read(&String::from(retention)), Ok(retention));
        }
    }
}
