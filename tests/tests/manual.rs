//! What the manual pages say is what there is, in both directions: each command, flag, argument, result, event and exit
//! code is explained, and nothing is explained that is not there. The keys of the configuration: settings.rs.

use std::collections::BTreeSet;

use twinlock_tests::{
    command_line::{Known, commands, flags, help, subcommands, values},
    manual_page::{Item, Page, source},
};

/// Flags of other programs, which our pages speak of.
const OF_OTHERS: [&str; 6] = ["--collector", "--name", "--tpm", "--now", "--pipe", "--wait"];
/// Flags of every command, which the page has under OPTIONS.
const OF_ALL: [&str; 4] = ["--runtime-dir", "--json", "--help", "--version"];

/// Every command that does something.
fn doing() -> Vec<Known> {
    let mut all = commands();
    all.retain(|command| subcommands(&command.help).is_empty());
    all
}

/// The items of twinlock(1) that are commands.
fn explained() -> Vec<Item> {
    let page = Page::read("twinlock.1");
    [page.items("Own account"), page.items("Administration (root)")].into_iter().flatten().collect()
}

/// Whether an item is about this command; "enroll sms NUMBER, enroll call NUMBER" is about two.
fn about(item: &Item, command: &str) -> bool {
    item.heading.split(", ").any(|heading| heading == command || heading.starts_with(&format!("{command} ")))
}

#[test]
fn every_command_of_twinlock_is_explained_with_its_flags_and_values() {
    let items = explained();
    let found = doing();
    assert!(found.len() > 40, "{} commands", found.len());
    for Known { typed: command, help: text } in &found {
        let about: Vec<&Item> = items.iter().filter(|item| about(item, command)).collect();
        assert!(!about.is_empty(), "{command} has no item");
        let said: String = about.iter().flat_map(|item| [&item.heading, " ", &item.said]).collect();
        // Whose account: told before the first item.
        let own = text.contains("say `root` if you mean root's own account");
        for flag in flags(text).iter().filter(|flag| !OF_ALL.contains(&flag.as_str())) {
            assert!(said.contains(flag) || (own && flag == "--user"), "{flag} of {command}");
        }
        for value in values(text) {
            assert!(said.contains(&value), "{value} of {command}");
        }
    }
}

#[test]
fn nothing_is_explained_that_twinlock_does_not_have() {
    let found = doing();
    for item in explained() {
        let of: Vec<&Known> = found.iter().filter(|command| about(&item, &command.typed)).collect();
        assert!(!of.is_empty(), "there is no command {}", item.heading);
        let known: String = of.iter().map(|command| command.help.as_str()).collect();
        for flag in flags(&item.heading) {
            assert!(known.contains(&flag), "{} has no {flag}", item.heading);
        }
    }
    let known: String = found.iter().map(|command| command.help.as_str()).collect();
    let known = known + &help("twinlockd", &[]) + &help("twinlock-web", &[]) + &OF_OTHERS.join(" ");
    for page in PAGES {
        for flag in flags(&Page::read(page).text()) {
            assert!(known.contains(&flag), "{page} speaks of {flag}");
        }
    }
}

/// All of them.
const PAGES: [&str; 7] = [
    "twinlock.1",
    "twinlock.7",
    "twinlock.toml.5",
    "twinlock-providers.5",
    "twinlockd.8",
    "twinlock-web.8",
    "pam_twinlock.8",
];

#[test]
fn every_flag_of_the_daemons_is_in_their_pages_and_no_other() {
    for program in ["twinlockd", "twinlock-web"] {
        let (page, text) = (Page::read(&format!("{program}.8")), help(program, &[]));
        let headings: String = page.items("OPTIONS").iter().map(|item| item.heading.clone() + " ").collect();
        // The help names flags within sentences, too.
        let known: String =
            text.lines().filter(|line| line.trim_start().starts_with('-')).collect::<Vec<_>>().join("\n");
        assert_eq!(flags(&headings), flags(&known), "{program}");
        for value in values(&text) {
            assert!(page.section("OPTIONS").contains(&value), "{value} of {program}");
        }
        let shown = page.section("SYNOPSIS");
        for flag in flags(&shown) {
            assert!(known.contains(&flag), "{program} has no {flag}");
        }
    }
}

#[test]
fn every_module_argument_is_in_its_page_and_no_other() {
    let options = source("pam-module/src/options.rs");
    let known = options.split("known are ").nth(1).unwrap().split(" (see").next().unwrap();
    let name = |argument: &str| argument.split('=').next().unwrap().to_owned();
    let known: BTreeSet<String> =
        known.split([',', ' ', '\\', '\n']).filter(|word| !word.is_empty()).map(name).collect();
    assert!(known.len() >= 7, "{known:?}");
    let headings = Page::read("pam_twinlock.8").names("ARGUMENTS");
    let explained: BTreeSet<String> = headings.iter().map(|heading| name(heading)).collect();
    assert_eq!(explained, known);
}

#[test]
fn every_result_of_the_module_is_in_its_page_and_no_other() {
    let outcome = source("pam-module/src/outcome.rs");
    let code = outcome.split("#[cfg(test)]").next().unwrap();
    let known: BTreeSet<String> = code
        .split("PamResultCode::")
        .skip(1)
        .map(|text| text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).next().unwrap().to_owned())
        .collect();
    assert!(known.len() >= 9, "{known:?}");
    assert_eq!(Page::read("pam_twinlock.8").names("RETURN VALUES"), known);
}

#[test]
fn every_event_of_the_trail_is_in_the_page_and_no_other() {
    let audit = source("daemon/src/audit/mod.rs");
    let names = audit.split("pub const fn name(self)").nth(1).unwrap().split("\n    }").next().unwrap();
    let known: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(known.len() >= 35, "{known:?}");
    let items = explained();
    let audit = items.iter().find(|item| about(item, "audit")).unwrap();
    let listed = audit.said.split("Events: ").nth(1).unwrap().split('.').next().unwrap();
    assert_eq!(listed.split(", ").map(str::trim).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_figure_is_in_the_page_and_no_other() {
    let figures = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        words.filter(|word| word.starts_with("twinlock_")).map(ToOwned::to_owned).collect()
    };
    // The test there compares the whole file with what it lists.
    let known = figures(source("daemon/src/metrics/mod.rs").split("#[cfg(test)]").nth(1).unwrap());
    assert!(known.len() >= 13, "{known:?}");
    assert_eq!(figures(&Page::read("twinlockd.8").section("METRICS")), known);
}

#[test]
fn every_exit_code_is_in_the_page_and_no_other() {
    // 0, and 2 of clap for usage, are in no source of ours.
    for (page, file, more) in [
        ("twinlock.1", "cli/src/failure.rs", &[0][..]),
        ("twinlockd.8", "daemon/src/main.rs", &[0, 2]),
        ("twinlock-web.8", "web/src/main.rs", &[0, 2]),
    ] {
        let constants = source(file);
        let known = constants.lines().filter_map(|line| {
            let (_, value) = line.trim_start_matches("pub ").strip_prefix("const ")?.split_once(": u8 = ")?;
            value.trim_end_matches(';').parse().ok()
        });
        let known: BTreeSet<u8> = known.chain(more.iter().copied()).collect();
        assert!(known.len() > 3, "{known:?}");
        let said = Page::read(page).section("EXIT STATUS");
        let said = said.split("; ").filter_map(|clause| clause.split_whitespace().next()?.parse().ok());
        assert_eq!(said.collect::<BTreeSet<u8>>(), known, "{page}");
    }
}

#[test]
fn every_page_has_its_name_and_points_to_pages_that_there_are() {
    for page in PAGES {
        let (name, section) = page.rsplit_once('.').unwrap();
        let title = format!(".TH {} {section} ", name.to_uppercase());
        assert!(source(&format!("packaging/man/{page}")).starts_with(&title), "{page}");
        let read = Page::read(page);
        assert!(read.section("NAME").starts_with(&format!("{name} - ")), "{page}");
        assert_eq!(read.sections().last(), Some(&"SEE ALSO"), "{page}");
        let text = read.text();
        for (before, behind) in text.match_indices('(').map(|(at, _)| text_around(&text, at)) {
            let ours = before.starts_with("twinlock") || before == "pam_twinlock";
            if ours && behind.starts_with(|c: char| c.is_ascii_digit()) {
                assert!(PAGES.contains(&format!("{before}.{behind}").as_str()), "{page}: {before}({behind})");
            }
        }
    }
}

/// The word before a parenthesis, and what is in it.
fn text_around(text: &str, at: usize) -> (String, String) {
    let before = text[..at].rsplit([' ', '"']).next().unwrap_or_default();
    let behind = text[at + 1..].split(')').next().unwrap_or_default();
    (before.to_owned(), behind.to_owned())
}
