//! The configuration file, its page and the code know the same keys; what the shipped file shows is what holds without it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
};

use twinlock_tests::{
    manual_page::{Page, source},
    world::{self, World, artefacts},
};

/// Sections that are explained in twinlock-providers(5).
const OF_PROVIDERS: &str = "preset";

fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

/// The fields of each public struct of a source: name, and type.
fn structs(source: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut found = BTreeMap::new();
    for text in source.split("\npub struct ").skip(1) {
        let Some((name, body)) = text.split_once(" {\n") else { continue };
        let body = body.split("\n}").next().unwrap();
        let fields = body.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
        let fields = fields.map(|(field, kind)| (field.to_owned(), kind.trim_end_matches(',').to_owned()));
        found.insert(name.to_owned(), fields.collect());
    }
    found
}

/// What the code reads: the keys of each section, whose name is as in the file: `[totp]`, `[[role]]`, empty at the top.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = structs(&source("daemon/src/config/mod.rs"));
    for file in ["account", "audit", "codes", "email", "enrollment", "hotp", "limits", "metrics"] {
        all.extend(structs(&source(&format!("daemon/src/config/{file}.rs"))));
    }
    for file in ["policy", "provider", "recovery", "telephone", "totp", "web"] {
        all.extend(structs(&source(&format!("daemon/src/config/{file}.rs"))));
    }
    let keys = |kind: &str| all[kind].iter().map(|(field, _)| kebab(field)).collect::<BTreeSet<_>>();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (field, kind) in &all["Config"] {
        if field == OF_PROVIDERS {
            continue;
        }
        if let Some(kind) = kind.strip_prefix("Vec<") {
            known.insert(format!("[[{field}]]"), keys(kind.trim_end_matches('>')));
        } else if all.contains_key(kind) {
            known.insert(format!("[{field}]"), keys(kind));
        } else {
            known.entry(String::new()).or_default().insert(kebab(field));
        }
    }
    known
}

/// The keys of each section that the shipped file shows, commented out or not.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in source("packaging/config/twinlock.toml").lines() {
        let line = line.trim_start_matches("# ");
        let word = line.split_whitespace().next().unwrap_or_default();
        if word.starts_with('[') && word.ends_with(']') {
            section = word.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        {
            shown.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    shown
}

#[test]
fn the_page_has_every_key_of_every_section_and_no_other() {
    let page = Page::read("twinlock.toml.5");
    let explained = page.sections().into_iter().filter(|name| name.starts_with('[') || *name == "KEYS");
    let explained: BTreeMap<String, BTreeSet<String>> = explained
        .map(|name| (if name == "KEYS" { String::new() } else { name.to_owned() }, page.names(name)))
        .collect();
    let known = known();
    assert!(known.len() > 15, "{known:?}");
    assert_eq!(explained, known);
}

#[test]
fn the_shipped_file_shows_every_key_and_no_other() {
    assert_eq!(shown(), known());
}

#[test]
fn every_word_that_a_key_can_be_is_in_the_page() {
    let text = Page::read("twinlock.toml.5").text();
    let mut words = 0;
    for file in [
        "config/email.rs",
        "config/enrollment.rs",
        "engine/policy/mod.rs",
        "engine/policy/rules.rs",
        "engine/policy/opening.rs",
    ] {
        for choice in source(&format!("daemon/src/{file}")).split("Deserialize)]\n").skip(1) {
            let Some((head, body)) = choice.split_once(" {\n") else { continue };
            if !head.contains("pub enum ") {
                continue;
            }
            let body = body.split("\n}").next().unwrap();
            for name in body.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(',')) {
                let word = dashed(name);
                assert!(text.contains(&word), "{word} of {head}");
                words += 1;
            }
        }
    }
    assert!(words >= 9, "{words}");
}

/// `AtLogin` as it is written in the file.
fn dashed(name: &str) -> String {
    let mut word = String::new();
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

#[test]
fn every_key_of_the_shipped_file_is_taken_when_it_is_commented_in() {
    let commented_in = |line: &str| {
        let text = line.strip_prefix("# ").unwrap_or(line);
        let key = text.split(" = ").next().unwrap_or_default();
        let setting = text.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if setting || text.starts_with("[[") { text.to_owned() } else { line.to_owned() }
    };
    let shipped = source("packaging/config/twinlock.toml");
    let all = shipped.lines().map(commented_in).collect::<Vec<_>>().join("\n").replace("wheel", "adm");
    assert_eq!(all.matches("\n[[").count(), 5, "{all}");
    world::sh(concat!(
        "cp -r ",
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/providers /root/providers.d && chmod 0644 /root/providers.d/*"
    ));
    fs::write("/root/all.toml", all).unwrap();
    fs::set_permissions("/root/all.toml", PermissionsExt::from_mode(0o640)).unwrap();
    let out =
        Command::new(artefacts().join("twinlockd")).args(["--check", "--config", "/root/all.toml"]).output();
    let out = out.unwrap();
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
}

#[test]
fn what_the_shipped_file_shows_is_what_holds_without_it() {
    let world = World::new();
    let in_force = |config: &str| {
        world::sh("rm -rf /var/lib/twinlock && install -d /etc/twinlock");
        fs::write("/etc/twinlock/twinlock.toml", config).unwrap();
        fs::set_permissions("/etc/twinlock/twinlock.toml", PermissionsExt::from_mode(0o640)).unwrap();
        drop(world.daemon());
        fs::read_to_string("/var/lib/twinlock/last-good.toml").unwrap()
    };
    let shipped = source("packaging/config/twinlock.toml");
    let (head, tail) = shipped.split_once("\n[[exempt]]\n").unwrap();
    let (_break_glass, tail) = tail.split_once("\n\n").unwrap();
    assert_eq!(in_force(&format!("{head}\n{tail}")), in_force("[totp]\n"));
}

#[test]
fn every_key_of_a_preset_and_every_place_is_in_its_page() {
    let page = Page::read("twinlock-providers.5");
    let text = page.text();
    let (preset, provider) = (source("daemon/src/config/preset.rs"), source("daemon/src/config/provider.rs"));
    let keys: BTreeSet<String> = [structs(&preset), structs(&provider)]
        .into_iter()
        .flat_map(BTreeMap::into_values)
        .flatten()
        .map(|(field, _)| kebab(&field))
        .collect();
    assert!(keys.len() > 20, "{keys:?}");
    let explained: BTreeSet<String> =
        page.sections().iter().flat_map(|section| page.names(section)).collect();
    for key in &keys {
        assert!(explained.contains(key), "{key}");
    }
    let places = preset.split("pub const PLACES").nth(1).unwrap().split(';').nth(1).unwrap();
    let places: Vec<&str> = places.split('"').skip(1).step_by(2).collect();
    assert!(places.len() >= 11, "{places:?}");
    for place in places {
        assert!(text.contains(&format!("{{{place}}}")), "{place}");
    }
}
