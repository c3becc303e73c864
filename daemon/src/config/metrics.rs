//! `[metrics]`: figures for Prometheus.

use std::path::{Component, PathBuf};

use serde::{Deserialize, Serialize};

use super::Finding;

/// `[metrics]`. Off unless there is a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metrics {
    /// Where the textfile collector of node_exporter looks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

impl Metrics {
    /// What can be said of the path; whether the folder can be used is seen when it is.
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let Some(file) = &self.file else { return };
        let mut refuse = |sentence: &str, remedy: &str| {
            findings.push(Finding::error("metrics.file", sentence, remedy));
        };
        let straight =
            file.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !file.is_absolute() || !straight {
            refuse("is no absolute path", "write one, without ..");
        } else if file.extension().is_none_or(|extension| extension != "prom") {
            refuse("does not end in .prom", "node_exporter reads no other files: write NAME.prom");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &str) -> Vec<String> {
        let mut findings = Vec::new();
        Metrics { file: Some(file.into()) }.check(&mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_a_file_that_node_exporter_reads_is_taken() {
        assert!(said("/tmp/twinlock.prom").is_empty());
        for (file, expected) in [
            ("twinlock.prom", "error: metrics.file is no absolute path"),
            ("/tmp/../etc/twinlock.prom", "error: metrics.file is no absolute path"),
            ("/tmp/twinlock.txt", "error: metrics.file does not end in .prom"),
            ("/tmp/.prom", "error: metrics.file does not end in .prom"),
        ] {
            assert!(said(file).join("").contains(expected), "{file}: {:?}", said(file));
        }
    }
}
