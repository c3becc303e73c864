//! What the programs say of themselves: commands, flags and values, from their help.

use std::{collections::BTreeSet, process::Command};

use crate::world::artefacts;

/// A command of `twinlock`, as it is typed, and its help. The first one is `twinlock` itself, typed as nothing.
pub struct Known {
    /// `user enroll NAME totp`
    pub typed: String,
    /// What `--help` says.
    pub help: String,
}

/// What a program says when it is asked for help.
#[must_use]
pub fn help(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(artefacts().join(program)).args(arguments).arg("--help").output().unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// Each `--flag` of a text.
#[must_use]
pub fn flags(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let flag = |word: &&str| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c != '-'));
    text.split(ends).filter(flag).map(ToOwned::to_owned).collect()
}

/// The subcommands that a help text lists.
#[must_use]
pub fn subcommands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

/// The values that a help text allows, which clap writes in one of two forms.
#[must_use]
pub fn values(help: &str) -> Vec<String> {
    let short = help.split("[possible values: ").skip(1).filter_map(|text| text.split(']').next());
    let short = short.flat_map(|list| list.split(", "));
    let long = help.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next());
    short.chain(long).map(ToOwned::to_owned).collect()
}

/// Every command of `twinlock`, also those that are only there for what is below them.
#[must_use]
pub fn commands() -> Vec<Known> {
    let mut found = Vec::new();
    descend(&[], &mut found);
    found
}

fn descend(path: &[&str], found: &mut Vec<Known>) {
    // `user enroll NAME totp`: the name stands between.
    let named = path.starts_with(&["user", "enroll"]);
    let typed: Vec<&str> = if named { [&path[..2], &["NAME"], &path[2..]].concat() } else { path.to_vec() };
    let help = help("twinlock", &typed);
    let below = subcommands(&help);
    found.push(Known { typed: typed.join(" "), help });
    for command in &below {
        descend(&[path, &[command.as_str()]].concat(), found);
    }
}
