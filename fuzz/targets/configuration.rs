//! Two files of configuration, a drop-in behind the first: never a panic, and an error never leaves a configuration.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use twinlockd::config::{Source, evaluate};

fuzz_target!(|texts: (&str, &str)| {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let outcome =
        evaluate(&[source("a.toml", texts.0), source("b.toml", texts.1)], BTreeMap::new(), Vec::new());
    assert_eq!(outcome.config.is_none(), outcome.has_errors());
    for finding in &outcome.findings {
        let line = finding.to_string();
        assert!(!line.contains('\u{1b}') && !line.contains('\n'), "{line:?}");
    }
});
