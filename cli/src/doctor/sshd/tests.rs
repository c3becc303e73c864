mod matching;

use std::{collections::BTreeMap, io};

use super::{matching::Probe, source::Source, *};
use crate::doctor::finding::{Finding, Severity};

/// What `sshd -T` of OpenSSH 9.2 prints by default on Debian, as far as it matters here.
const DEFAULTS: &str = "port 22\nusepam yes\nlogingracetime 120\nmaxauthtries 6\npermitrootlogin \
                        without-password\n\
    hostbasedauthentication no\npubkeyauthentication yes\ngssapiauthentication no\ngssapikeyexchange no\n\
    passwordauthentication yes\nkbdinteractiveauthentication no\npermitemptypasswords no\nforcecommand none\n\
    chrootdirectory none\nauthenticationmethods any\nhostkey /etc/ssh/ssh_host_rsa_key\n\
    hostkey /etc/ssh/ssh_host_ed25519_key\nacceptenv LANG\nacceptenv LC_*\n";

/// The recipe of the manual.
const RECIPE: [(&str, &str); 4] = [
    ("kbdinteractiveauthentication", "yes"),
    ("passwordauthentication", "no"),
    ("authenticationmethods", "publickey,keyboard-interactive:pam"),
    ("permitrootlogin", "no"),
];

fn effective(changes: &[(&str, &str)]) -> Effective {
    let mut text = String::new();
    for line in DEFAULTS.lines() {
        let key = line.split(' ').next().unwrap();
        if !changes.iter().any(|(changed, _)| *changed == key) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (key, value) in changes {
        text.push_str(&format!("{key} {value}\n"));
    }
    Effective::parse(&text)
}

fn recipe(changes: &[(&str, &str)]) -> Effective {
    let mut all: Vec<(&str, &str)> =
        RECIPE.into_iter().filter(|(key, _)| !changes.iter().any(|(changed, _)| changed == key)).collect();
    all.extend(changes);
    effective(&all)
}

fn pam() -> Pam {
    Pam {
        service: "sshd".to_owned(),
        auth_line: true,
        after_key: false,
        hidden: false,
        timeout: 110,
        account: false,
        asks_root: true,
    }
}

fn probe(name: &str, root: bool) -> Probe {
    Probe { name: name.to_owned(), spec: String::new(), root }
}

fn judged(effective: &Effective, pam: &Pam) -> Vec<Finding> {
    judge(&[(probe("all others", true), effective.clone())], pam)
}

/// Each part is in a finding of its own, and there are no more findings.
#[track_caller]
fn said(findings: &[Finding], parts: &[(Severity, &str)]) {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), parts.len(), "{texts:#?}");
    for (severity, part) in parts {
        let hit = findings.iter().any(|each| each.severity == *severity && each.to_string().contains(part));
        assert!(hit, "no {severity:?} with {part:?} in {texts:#?}");
    }
}

use Severity::{Error, Warning};

#[test]
fn the_recipe_is_clean() {
    said(&judged(&recipe(&[]), &pam()), &[]);
    said(&judged(&recipe(&[]), &Pam { after_key: true, ..pam() }), &[]);
    said(&judged(&recipe(&[("authenticationmethods", "keyboard-interactive:pam")]), &pam()), &[]);
    said(&judged(&recipe(&[("permitrootlogin", "yes")]), &pam()), &[]);
}

#[test]
fn debians_defaults_let_a_key_in_and_ask_nobody() {
    said(
        &judged(&effective(&[]), &pam()),
        &[
            (Error, "KbdInteractiveAuthentication yes"),
            (Error, "AuthenticationMethods any allows publickey"),
            (Warning, "the password method cannot show a prompt"),
        ],
    );
}

#[test]
fn use_pam_no_is_the_only_thing_said() {
    said(&judged(&effective(&[("usepam", "no")]), &pam()), &[(Error, "UsePAM is off")]);
}

#[test]
fn a_forgotten_authentication_methods_is_named_with_its_remedies() {
    let findings = judged(&recipe(&[("authenticationmethods", "any")]), &pam());
    said(&findings, &[(Error, "allows publickey: it reaches a shell without the second factor")]);
    assert_eq!(
        findings[0].to_string(),
        "sshd (all others): error: AuthenticationMethods any allows publickey: it reaches a shell without \
         the second factor, since sshd does not call the auth lines of PAM for it; write \
         \"AuthenticationMethods publickey,keyboard-interactive:pam\" in sshd_config, or \"account required \
         pam_twinlock.so\" as the first account line of /etc/pam.d/sshd"
    );
}

#[test]
fn an_account_line_closes_it() {
    let pam = Pam { account: true, ..pam() };
    said(
        &judged(&recipe(&[("authenticationmethods", "any")]), &pam),
        &[(Warning, "the account line of pam_twinlock.so refuses")],
    );
}

#[test]
fn every_list_is_looked_at() {
    let lists = "publickey,keyboard-interactive:pam publickey,password publickey gssapi-with-mic,hostbased";
    let on = [
        ("authenticationmethods", lists),
        ("passwordauthentication", "yes"),
        ("gssapiauthentication", "yes"),
        ("hostbasedauthentication", "yes"),
    ];
    said(
        &judged(&recipe(&on), &pam()),
        &[
            (Warning, "publickey,password: the password method cannot show a prompt"),
            (Error, "a list of AuthenticationMethods allows publickey:"),
            (Error, "a list of AuthenticationMethods allows gssapi-with-mic,hostbased"),
        ],
    );
}

#[test]
fn a_list_with_a_method_that_is_off_is_no_way() {
    let lists = "publickey,keyboard-interactive:pam password hostbased keyboard-interactive:bsdauth";
    said(&judged(&recipe(&[("authenticationmethods", lists)]), &pam()), &[]);
    said(
        &judged(&recipe(&[("authenticationmethods", "password")]), &pam()),
        &[(Error, "so no login succeeds")],
    );
}

#[test]
fn gssapi_and_hostbased_go_past_pam() {
    let on = [
        ("authenticationmethods", "any"),
        ("pubkeyauthentication", "no"),
        ("gssapiauthentication", "yes"),
        ("gssapikeyexchange", "yes"),
        ("hostbasedauthentication", "yes"),
    ];
    said(
        &judged(&recipe(&on), &pam()),
        &[
            (Error, "\"GSSAPIAuthentication no\""),
            (Error, "\"GSSAPIKeyExchange no\""),
            (Error, "\"HostbasedAuthentication no\""),
        ],
    );
    said(
        &judged(
            &recipe(&[
                ("gssapikeyexchange", "yes"),
                ("authenticationmethods", "any"),
                ("pubkeyauthentication", "no"),
            ]),
            &pam(),
        ),
        &[],
    );
}

#[test]
fn a_forced_command_or_a_chroot_is_no_way_around_and_no_protection() {
    said(&judged(&recipe(&[("forcecommand", "internal-sftp"), ("chrootdirectory", "/srv")]), &pam()), &[]);
    let sftp = [("forcecommand", "internal-sftp"), ("authenticationmethods", "publickey")];
    said(&judged(&recipe(&sftp), &pam()), &[(Error, "allows publickey")]);
}

#[test]
fn the_password_method_gives_the_password_to_a_hidden_prompt() {
    let on = recipe(&[
        ("authenticationmethods", "any"),
        ("pubkeyauthentication", "no"),
        ("passwordauthentication", "yes"),
    ]);
    said(&judged(&on, &Pam { hidden: true, ..pam() }), &[(Warning, "gets it as a code")]);
}

#[test]
fn after_key_without_a_key_in_front_is_named() {
    let pam = Pam { after_key: true, ..pam() };
    for list in ["keyboard-interactive:pam", "keyboard-interactive,publickey"] {
        said(&judged(&recipe(&[("authenticationmethods", list)]), &pam), &[(Error, "always refused")]);
    }
    let both = "publickey,keyboard-interactive keyboard-interactive";
    said(&judged(&recipe(&[("authenticationmethods", both)]), &pam), &[(Warning, "always refused")]);
}

#[test]
fn root_with_key_and_code_needs_permit_root_login_yes() {
    for value in ["prohibit-password", "without-password", "forced-commands-only"] {
        let findings = judged(&recipe(&[("permitrootlogin", value)]), &pam());
        said(&findings, &[(Error, "by junk")]);
        assert!(
            findings[0].remedy.contains("PermitRootLogin yes") && findings[0].remedy.contains("[[exempt]]")
        );
        let alone =
            recipe(&[("permitrootlogin", value), ("authenticationmethods", "keyboard-interactive:pam")]);
        said(&judged(&alone, &pam()), &[(Warning, "the only way there is")]);
    }
    let others = [(probe("all others", false), recipe(&[("permitrootlogin", "prohibit-password")]))];
    said(&judge(&others, &pam()), &[]);
    let key = recipe(&[("permitrootlogin", "prohibit-password"), ("authenticationmethods", "any")]);
    said(&judged(&key, &Pam { account: true, ..pam() }), &[(Error, "by junk"), (Warning, "account line")]);
}

#[test]
fn a_service_without_our_line_says_so_once() {
    let none = Pam { auth_line: false, ..pam() };
    said(&judged(&recipe(&[]), &none), &[(Warning, "has no line of pam_twinlock.so")]);
    said(&judged(&recipe(&[]), &Pam { account: true, ..none }), &[(Error, "refused and never asked")]);
}

#[test]
fn too_little_time_and_too_few_tries_are_warnings() {
    said(&judged(&recipe(&[("logingracetime", "60")]), &pam()), &[(Warning, "LoginGraceTime 120")]);
    said(&judged(&recipe(&[("logingracetime", "1m30s")]), &pam()), &[(Warning, "timeout=80")]);
    said(&judged(&recipe(&[("logingracetime", "0")]), &pam()), &[]);
    said(&judged(&recipe(&[("maxauthtries", "1")]), &pam()), &[(Warning, "MaxAuthTries 6")]);
    said(
        &judged(&recipe(&[("permitemptypasswords", "yes")]), &pam()),
        &[(Warning, "PermitEmptyPasswords no")],
    );
}

#[test]
fn the_spellings_of_old_and_new_versions_are_understood() {
    // OpenSSH 8.4 prints both, and the newer key counts; before, there was one.
    assert!(
        !Effective::parse("challengeresponseauthentication yes\nkbdinteractiveauthentication no\n")
            .keyboard_interactive()
    );
    assert!(Effective::parse("challengeresponseauthentication yes\n").keyboard_interactive());
    assert_eq!(Effective::parse("pamservicename ssh-otp\n").pam_service(), "ssh-otp");
    assert_eq!(effective(&[]).pam_service(), "sshd");
    assert_eq!(recipe(&[("authenticationmethods", "a,b c")]).lists(), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn an_sshd_that_refuses_its_configuration_is_quoted() {
    let probe = Probe { spec: "user=root".to_owned(), ..probe("root", true) };
    let finding = unanswered(
        &probe,
        b"\n/etc/ssh/sshd_config line 7: \"any\" must appear alone in AuthenticationMethods\n",
    );
    said(
        &[finding],
        &[(
            Error,
            "line 7: \"any\" must appear alone in AuthenticationMethods; run \"sshd -T -C user=root\"",
        )],
    );
}

#[test]
fn what_several_connections_share_is_said_once() {
    let open = recipe(&[("authenticationmethods", "any")]);
    let answers = [
        (probe("all others", false), open.clone()),
        (probe("f:3 Match User a", false), recipe(&[])),
        (probe("f:5 Match Group b", false), open.clone()),
        (probe("f:3 Match User a and f:5 Match Group b", false), open),
    ];
    let findings = judge(&answers, &pam());
    said(&findings, &[(Error, "sshd (all others, f:5 Match Group b): error")]);
}

#[test]
fn root_whom_policy_releases_is_refused_all_the_same_where_no_other_way_is() {
    let released = Pam { asks_root: false, ..pam() };
    let only = "root is refused at keyboard-interactive, the only way there is";
    let alone = recipe(&[
        ("permitrootlogin", "without-password"),
        ("authenticationmethods", "keyboard-interactive:pam"),
    ]);
    said(&judged(&alone, &released), &[(Warning, only)]);
    let with_key = recipe(&[("permitrootlogin", "without-password")]);
    said(&judged(&with_key, &released), &[(Warning, only)]);
}
