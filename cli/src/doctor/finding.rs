//! Something wrong with this installation.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody gets in without the second factor, or nobody gets in.
    Error,
    /// It works, and an administrator should know.
    Warning,
}

impl Severity {
    /// The word in front of the sentence, and in `--json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong: where, what happens, and what to write where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// File and line, or the configuration it is about.
    pub place: String,
    /// What happens.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// An error.
    #[must_use]
    pub fn error(place: impl Into<String>, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::about(Severity::Error, place.into(), sentence.into(), remedy.into())
    }

    /// A warning.
    #[must_use]
    pub fn warning(place: impl Into<String>, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::about(Severity::Warning, place.into(), sentence.into(), remedy.into())
    }

    const fn about(severity: Severity, place: String, sentence: String, remedy: String) -> Self {
        Self { severity, place, sentence, remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.place, self.severity.word(), self.sentence, self.remedy)
    }
}

/// Says everything once: stacks that include one file share what is wrong with it.
#[must_use]
pub fn once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut said: Vec<Finding> = Vec::new();
    for finding in findings {
        let again = |each: &Finding| {
            (&each.place, &each.remedy, each.severity) == (&finding.place, &finding.remedy, finding.severity)
        };
        if !said.iter().any(again) {
            said.push(finding);
        }
    }
    said
}
