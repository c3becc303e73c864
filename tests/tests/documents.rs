//! What the documents say: links lead somewhere, commands are commands, files and tests that are named are there.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use twinlock_tests::{
    command_line::{Known, commands, flags, subcommands},
    manual_page::source,
    world::sh,
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// README, SECURITY, CHANGELOG, and all of docs.
fn documents() -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("{ROOT}/docs")).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<PathBuf> = ["README.md", "SECURITY.md", "CHANGELOG.md"]
        .into_iter()
        .map(|name| Path::new(ROOT).join(name))
        .chain(folder.filter(|path| path.extension().is_some_and(|kind| kind == "md")))
        .collect();
    assert!(all.len() > 7, "{all:?}");
    all
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    heading.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|text| text.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
            assert!(target.exists(), "{}: {link}", document.display());
            let there = || fs::read_to_string(&target).unwrap().lines().any(|line| anchor(line) == part);
            assert!(part.is_empty() || there(), "{}: no heading for {link}", document.display());
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}

/// What a text tells people to type: what stands between backticks, and lines that are set off.
fn typed(text: &str) -> Vec<&str> {
    let between = text.split('`').skip(1).step_by(2);
    let lines = text.lines().filter(|line| line.starts_with("    ")).map(str::trim);
    let alone = |text: &str| text.starts_with("twinlock ") || text.starts_with("sudo twinlock ");
    let part = |text| str::split(text, [';', '&', '|', '#', '\n']);
    lines.chain(between).flat_map(part).map(str::trim).filter(|text| alone(text)).collect()
}

/// Why this is no command line of `twinlock`, if it is none.
fn wrong(line: &str, known: &[Known]) -> Option<String> {
    let mut command = &known[0];
    for word in line.split_whitespace().skip_while(|word| *word != "twinlock").skip(1) {
        let below = subcommands(&command.help);
        if below.is_empty() || word.starts_with('-') {
            break;
        }
        let longer = format!("{} {word}", command.typed);
        let is =
            |known: &&Known| known.typed == longer.trim() || known.typed == format!("{} NAME", longer.trim());
        match known.iter().find(is) {
            Some(found) => command = found,
            None if command.typed == "user enroll NAME" => {}
            None if word.chars().all(|c| c.is_ascii_lowercase() || c == '-') => {
                return Some(format!("there is no command {}", longer.trim()));
            }
            None => break,
        }
    }
    let all = flags(&command.help);
    let flag = flags(line).into_iter().find(|flag| !all.contains(flag))?;
    Some(format!("{} has no {flag}", command.typed))
}

#[test]
fn every_command_that_people_are_told_to_type_is_one() {
    let known = commands();
    let mut lines = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for line in typed(&text) {
            let fault = wrong(line, &known);
            assert_eq!(fault, None, "{}: {line}", document.display());
            lines += 1;
        }
    }
    assert!(lines > 100, "{lines}");
    for page in [
        "twinlock.1",
        "twinlock.7",
        "twinlock.toml.5",
        "twinlock-providers.5",
        "twinlockd.8",
        "pam_twinlock.8",
    ] {
        let text = source(&format!("packaging/man/{page}")).replace("\\-", "-");
        let bold =
            text.lines().filter_map(|line| line.strip_prefix(".B ").or_else(|| line.split('"').nth(1)));
        for line in bold.filter(|line| line.starts_with("twinlock ")) {
            assert_eq!(wrong(line, &known), None, "{page}: {line}");
        }
    }
    assert!(wrong("twinlock user lits", &known).is_some());
    assert!(wrong("sudo twinlock audit --sinse 7d", &known).is_some());
}

/// The names of all functions, among them those of tests.
fn functions() -> BTreeSet<String> {
    let crates =
        ["proto", "pam-module", "daemon", "cli", "web", "tests"].map(|name| format!("{ROOT}/{name}"));
    let found = sh(&format!("grep -rhoE --include='*.rs' 'fn [a-z0-9_]+' {}", crates.join(" ")));
    found.lines().filter_map(|line| line.strip_prefix("fn ")).map(ToOwned::to_owned).collect()
}

#[test]
fn every_known_attack_names_tests_that_there_are() {
    let functions = functions();
    let attacks = source("docs/known-attacks.md");
    let rows: Vec<&str> = attacks.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 90, "{}", rows.len());
    for row in rows {
        let tests: Vec<&str> = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let name = test.rsplit([':', ' ']).next().unwrap();
            assert!(name.ends_with(".rs") || functions.contains(name), "{test}: {row}");
        }
    }
}

#[test]
fn every_file_and_test_that_the_map_and_the_threats_name_is_there() {
    let (functions, files) =
        (functions(), sh(&format!("cd {ROOT} && find . -type f -not -path './target*'")));
    let mut named = 0;
    for document in ["docs/architecture.md", "docs/threat-model.md", "docs/conversation.md"] {
        let text = source(document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let (path, test) = quoted.split_once(": ").unwrap_or((quoted, ""));
            let kinds = [".rs", ".sql", ".proto", ".md"];
            if !kinds.iter().any(|kind| path.ends_with(kind)) || path.contains(['{', '*', '<']) {
                continue;
            }
            let there = files.lines().any(|file| file.ends_with(&format!("/{path}")));
            assert!(there, "{document}: {path}");
            assert!(test.is_empty() || functions.contains(test), "{document}: {quoted}");
            named += 1;
        }
    }
    assert!(named > 60, "{named}");
}
