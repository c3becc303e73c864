//! The drawing in docs/architecture.md, as a table: which top-level module may use which.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path};

/// A module, and what it may name of ours.
const ALLOWED: [(&str, &[&str]); 20] = [
    ("clock", &[]),
    ("random", &[]),
    ("secret", &[]),
    ("names", &[]),
    ("texts", &[]),
    ("tokens", &["factor", "names", "secret"]),
    ("migration", &["clock", "factor", "secret", "tokens"]),
    ("audit", &["clock", "names"]),
    ("factor", &["clock", "random", "secret"]),
    ("engine", &["audit", "clock", "factor", "names", "secret"]),
    ("config", &["clock", "engine", "factor", "texts"]),
    ("store", &["audit", "clock", "engine", "factor", "names", "seal", "secret"]),
    ("delivery", &["clock", "config", "engine", "names", "secret", "texts"]),
    ("seal", &["names", "random", "secret", "store"]),
    ("accounts", &["engine", "names"]),
    ("access", &["names"]),
    ("options", &["accounts", "config"]),
    ("telemetry", &["audit", "options"]),
    ("metrics", &["audit", "clock", "store"]),
    (
        "grpc",
        &[
            "access",
            "accounts",
            "audit",
            "clock",
            "config",
            "delivery",
            "engine",
            "factor",
            "migration",
            "names",
            "random",
            "seal",
            "secret",
            "store",
            "tokens",
        ],
    ),
];

/// What decisions must not know.
const PURE: [&str; 2] = ["engine", "factor"];
const EFFECTS: [&str; 7] =
    ["tokio", "tonic", "rusqlite", "std::fs", "std::net", "std::process", "SystemTime"];

/// The sources of a module, tests at their foot left out.
fn sources(module: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let single = folder.join(format!("{module}.rs"));
    if single.exists() {
        found.push(single);
    }
    let mut folders = vec![folder.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("test")
            {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there is no module {module}");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            let code =
                code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (path.display().to_string(), code)
        })
        .filter(|(path, _)| !path.contains("conformance"))
        .collect()
}

/// The modules of ours that a source names, by `crate::x` and `use crate::{ x, y::z }`.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(rest.to_owned());
        }
    }
    let first = |name: String| {
        name.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>()
    };
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_module_names_only_what_the_drawing_allows() {
    for (module, allowed) in ALLOWED {
        for (path, code) in sources(module) {
            for name in named(&code) {
                assert!(name == module || allowed.contains(&name.as_str()), "{path} uses {name}");
            }
        }
    }
}

#[test]
fn decisions_know_no_effects() {
    for module in PURE {
        for (path, code) in sources(module) {
            for effect in EFFECTS {
                assert!(!code.contains(effect), "{path} mentions {effect}");
            }
        }
    }
}

#[test]
fn every_top_level_module_is_in_the_table() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared.filter(|module| *module != "app") {
        assert!(ALLOWED.iter().any(|(known, _)| *known == module), "{module} has no row");
    }
}
