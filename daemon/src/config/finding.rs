//! Something wrong with the configuration.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, and an administrator should know.
    Warning,
}

/// One thing that is wrong: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// File and line, or file, once known.
    pub place: String,
    /// The key, dotted; empty if it is about a whole file.
    pub key: String,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// An error about a key; its file is filled in by the loader.
    #[must_use]
    pub fn error(key: &str, sentence: &str, remedy: &str) -> Self {
        Self::about(Severity::Error, key, sentence, remedy)
    }

    /// A warning about a key.
    #[must_use]
    pub fn warning(key: &str, sentence: &str, remedy: &str) -> Self {
        Self::about(Severity::Warning, key, sentence, remedy)
    }

    fn about(severity: Severity, key: &str, sentence: &str, remedy: &str) -> Self {
        let (key, sentence, remedy) = (key.to_owned(), sentence.to_owned(), remedy.to_owned());
        Self { severity, place: String::new(), key, sentence, remedy }
    }

    /// For scripts.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let sentence = format!("{} {}", self.key, self.sentence);
        serde_json::json!({
            "severity": severity, "place": self.place, "sentence": sentence.trim_start(), "remedy": self.remedy,
        })
    }

    /// The same, with its place.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Self {
        Self { place: place.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: ", if self.place.is_empty() { "configuration" } else { &self.place })?;
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        write!(f, "{}; {}", self.sentence, self.remedy)
    }
}
