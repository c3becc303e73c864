//! What the manual pages say is what there is: every flag, key and argument, and no dead ones among the keys.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{collections::BTreeSet, fs, process::Command};

use twinlock_tests::world::{self, artefacts};

fn page(name: &str) -> String {
    let path = format!("{}/../packaging/man/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap().replace("\\-", "-")
}

fn help(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(artefacts().join(program)).args(arguments).arg("--help").output().unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// `--flag` wherever it starts an option.
fn flags(help: &str) -> BTreeSet<String> {
    help.split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.trim_end_matches([',', ']', ')']).to_owned())
        .collect()
}

/// The subcommands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

/// Every path of subcommands, with its help.
fn tree(path: &[&str], found: &mut Vec<(String, String)>) {
    // `user enroll NAME totp`: the name stands between.
    let with_names: Vec<&str> = path
        .iter()
        .enumerate()
        .flat_map(|(i, word)| {
            if i > 0 && path[..=i] == ["user", "enroll"] { vec![*word, "someone"] } else { vec![*word] }
        })
        .collect();
    let text = help("twinlock", &with_names);
    for command in commands(&text) {
        tree(&[path, &[command.as_str()]].concat(), found);
    }
    found.push((path.join(" "), text));
}

#[test]
fn every_flag_and_command_of_twinlock_is_in_its_page() {
    let page = page("twinlock.1");
    let mut found = Vec::new();
    tree(&[], &mut found);
    assert!(found.len() > 12, "{} commands", found.len());
    for (path, text) in &found {
        if let Some(last) = path.rsplit(' ').next() {
            assert!(page.contains(last), "the command {path}");
        }
        for flag in flags(text) {
            assert!(page.contains(&flag), "{flag} of {path}");
        }
    }
}

#[test]
fn every_flag_of_twinlockd_is_in_its_page() {
    let page = page("twinlockd.8");
    let flags = flags(&help("twinlockd", &[]));
    assert!(flags.len() > 5);
    for flag in flags {
        assert!(page.contains(&flag), "{flag}");
    }
}

#[test]
fn every_flag_of_twinlock_web_is_in_its_page() {
    let page = page("twinlock-web.8");
    let flags = flags(&help("twinlock-web", &[]));
    assert!(flags.len() >= 5, "{flags:?}");
    for flag in flags {
        assert!(page.contains(&flag), "{flag}");
    }
}

#[test]
fn every_key_of_the_shipped_file_is_in_its_page_and_is_known() {
    let page = page("twinlock.toml.5");
    let path = format!("{}/../packaging/config/twinlock.toml", env!("CARGO_MANIFEST_DIR"));
    let shipped = fs::read_to_string(path).unwrap();
    let keys: Vec<&str> = shipped
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    assert!(keys.len() > 8, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("\n.B {key}\n")), "{key}");
    }
    // Every key commented in, the daemon knows all of them.
    let commented_in = |line: &str| {
        let text = line.strip_prefix("# ").unwrap_or(line);
        let key = text.split(" = ").next().unwrap_or_default();
        let setting = text.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if setting || text.starts_with("[[") { text.to_owned() } else { line.to_owned() }
    };
    let all = shipped.lines().map(commented_in).collect::<Vec<_>>().join("\n").replace("wheel", "adm");
    assert_eq!(all.matches("\n[[").count(), 5, "{all}");
    world::sh(concat!(
        "cp -r ",
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/providers /root/providers.d && chmod 0644 /root/providers.d/*"
    ));
    fs::write("/root/all.toml", all).unwrap();
    fs::set_permissions("/root/all.toml", std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let out =
        Command::new(artefacts().join("twinlockd")).args(["--check", "--config", "/root/all.toml"]).output();
    let out = out.unwrap();
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
}

#[test]
fn every_key_of_a_preset_and_every_place_is_in_its_page() {
    let page = page("twinlock-providers.5");
    let read = |file: &str| {
        fs::read_to_string(format!("{}/../daemon/src/config/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let (preset, provider) = (read("preset.rs"), read("provider.rs"));
    let keys: Vec<String> = [&preset, &provider]
        .into_iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "))
        .filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(|(key, _)| key.replace('_', "-"))
        .collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("\n.B {key}\n")), "{key}");
    }
    let places = preset.split("pub const PLACES").nth(1).unwrap().split(';').nth(1).unwrap();
    let places: Vec<&str> = places.split('"').skip(1).step_by(2).collect();
    assert!(places.len() >= 11, "{places:?}");
    for place in places {
        assert!(page.contains(&format!("{{{place}}}")), "{place}");
    }
}

#[test]
fn every_module_argument_is_in_its_page() {
    let page = page("pam_twinlock.8");
    let source =
        fs::read_to_string(format!("{}/../pam-module/src/options.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let known = source.split("known are ").nth(1).unwrap().split(" (see").next().unwrap();
    let names: Vec<&str> = known.split([',', ' ', '\\', '\n']).filter(|word| !word.is_empty()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let name = name.split('=').next().unwrap();
        assert!(page.contains(name), "{name}");
    }
}
