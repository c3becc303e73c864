mod account;
mod distributions;
mod files;
mod search;

use std::{collections::BTreeMap, io};

use super::*;
use crate::doctor::finding::{Severity, once};

/// Stack files by name, and modules that are not installed.
#[derive(Default)]
struct Map {
    files: BTreeMap<String, String>,
    missing: Vec<&'static str>,
}

impl Files for Map {
    fn read(&self, name: &str) -> io::Result<(String, String)> {
        let path = if name.starts_with('/') { name.to_owned() } else { format!("/etc/pam.d/{name}") };
        let text = self.files.get(&path).ok_or(io::ErrorKind::NotFound)?;
        Ok((path, text.clone()))
    }

    fn has_module(&self, module: &str) -> bool {
        !self.missing.contains(&module)
    }
}

fn map(files: &[(&str, &str)]) -> Map {
    let mut map = Map::default();
    for (name, text) in
        [("other", "auth required pam_deny.so\naccount required pam_deny.so\n")].iter().chain(files)
    {
        map.files.insert(format!("/etc/pam.d/{name}"), (*text).to_owned());
    }
    map
}

fn report(service: &str, files: &[(&str, &str)]) -> Report {
    judge(service, &map(files))
}

fn only(text: &str) -> Report {
    report("sshd", &[("sshd", text)])
}

fn said(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// Exactly one finding, with all these parts.
#[track_caller]
fn one(report: &Report, severity: Severity, parts: &[&str]) {
    let said = said(report);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(report.findings[0].severity, severity, "{said:#?}");
    for part in parts {
        assert!(said[0].contains(part), "{part:?} is not in {}", said[0]);
    }
}

#[track_caller]
fn clean(report: &Report) {
    assert!(report.findings.is_empty(), "{:#?}", said(report));
    assert!(report.auth_line);
}

const COMMON_AUTH: &str = "auth\t[success=1 default=ignore]\tpam_unix.so nullok\n\
                           auth\trequisite\t\t\tpam_deny.so\n\
                           auth\trequired\t\t\tpam_permit.so\n\
                           auth\toptional\t\t\tpam_cap.so \n";
const COMMON_ACCOUNT: &str = "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so \n\
                              account\trequisite\t\t\tpam_deny.so\n\
                              account\trequired\t\t\tpam_permit.so\n";
const SYSTEM_AUTH: &str = "auth required pam_env.so\n\
                           auth required pam_faildelay.so delay=2000000\n\
                           auth sufficient pam_fprintd.so\n\
                           auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n\
                           auth [default=1 ignore=ignore success=ok] pam_localuser.so\n\
                           auth sufficient pam_unix.so nullok\n\
                           auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n\
                           auth sufficient pam_sss.so forward_pass\n\
                           auth required pam_deny.so\n\
                           account required pam_unix.so\n\
                           account sufficient pam_localuser.so\n\
                           account sufficient pam_usertype.so issystem\n\
                           account [default=bad success=ok user_unknown=ignore] pam_sss.so\n\
                           account required pam_permit.so\n";

#[test]
fn a_line_behind_debians_common_auth_is_safe() {
    for arguments in ["", " after_first_factor", " timeout=60 after_first_factor debug"] {
        let sshd = format!(
            "@include common-auth\nauth required pam_twinlock.so{arguments}\naccount required \
             pam_nologin.so\n"
        );
        clean(&report("sshd", &[("sshd", &sshd), ("common-auth", COMMON_AUTH)]));
    }
}

#[test]
fn a_line_that_pam_auth_update_puts_into_common_auth_is_safe() {
    let common = COMMON_AUTH
        .replace("auth\toptional", "auth required pam_twinlock.so after_first_factor\nauth\toptional");
    for (service, text) in [
        ("sudo", "@include common-auth\n@include common-account\n"),
        (
            "login",
            "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n@include \
             common-auth\nauth optional pam_group.so\n",
        ),
        (
            "gdm-password",
            "auth requisite pam_nologin.so\nauth required pam_succeed_if.so user != root \
             quiet_success\n@include common-auth\nauth optional pam_gnome_keyring.so\n",
        ),
    ] {
        clean(&report(
            service,
            &[(service, text), ("common-auth", &common), ("common-account", COMMON_ACCOUNT)],
        ));
    }
}

#[test]
fn the_recipe_for_a_key_first_is_safe_and_reported_as_such() {
    let report =
        only("auth required pam_twinlock.so after_key hidden timeout=90\nauth required pam_permit.so\n");
    clean(&report);
    assert!(report.after_key && report.hidden);
    assert_eq!(report.timeout, 90);
}

#[test]
fn the_recipe_for_a_password_first_is_safe_but_refuses_nobody_whom_policy_releases() {
    clean(&only("auth requisite pam_unix.so\nauth required pam_twinlock.so after_first_factor\n"));
}

#[test]
fn root_at_su_needs_no_second_factor() {
    let su = "auth sufficient pam_rootok.so\n@include common-auth\nauth required pam_twinlock.so \
              after_first_factor\n";
    clean(&report("su", &[("su", su), ("common-auth", COMMON_AUTH)]));
}

#[test]
fn rootok_in_a_program_that_runs_as_root_lets_everybody_in() {
    let text = "auth sufficient pam_rootok.so\nauth requisite pam_unix.so\nauth required pam_twinlock.so\n";
    let report = only(text);
    let first = report.findings[0].to_string();
    assert!(
        first.starts_with("/etc/pam.d/sshd:1: error: ")
            && first.contains("pam_rootok.so succeeds, and the stack ends there"),
        "{first}"
    );
    assert!(first.contains("delete /etc/pam.d/sshd:1"), "{first}");
}

#[test]
fn a_sufficient_password_before_our_line_is_named_with_the_whole_way_and_a_jump() {
    let text = "auth sufficient pam_unix.so\nauth requisite pam_deny.so\nauth required pam_twinlock.so\n";
    let report = only(text);
    let first = report.findings[0].to_string();
    assert_eq!(
        first,
        "/etc/pam.d/sshd:1: error: a login succeeds without the second factor: /etc/pam.d/sshd:1 sufficient \
         pam_unix.so succeeds, and the stack ends there, so /etc/pam.d/sshd:3 required pam_twinlock.so is \
         not reached; write \"auth [success=1 default=ignore] pam_unix.so\" at /etc/pam.d/sshd:1, so that \
         it lands on /etc/pam.d/sshd:3"
    );
}

#[test]
fn a_remedy_is_one_indeed() {
    let text = "auth sufficient pam_unix.so\nauth required pam_env.so\nauth required pam_twinlock.so \
                after_first_factor\nauth required pam_permit.so\n";
    let report = only(text);
    let remedy = &report.findings[0].remedy;
    assert!(
        remedy.contains("[success=2 default=ignore]") && remedy.contains("auth requisite pam_deny.so"),
        "{remedy}"
    );
    clean(&only(
        "auth [success=2 default=ignore] pam_unix.so\nauth required pam_env.so\nauth requisite pam_deny.so\n\
         auth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n",
    ));
}

#[test]
fn an_optional_sufficient_or_ignored_line_of_ours_is_no_factor() {
    for control in [
        "optional",
        "sufficient",
        "[default=ignore]",
        "[success=ok default=ignore]",
        "[success=done auth_err=die default=ignore]",
    ] {
        let report = only(&format!("auth requisite pam_unix.so\nauth {control} pam_twinlock.so\n"));
        let first = &report.findings[0];
        assert!(
            first.severity == Severity::Error && first.place == "/etc/pam.d/sshd:2",
            "{control}: {first}"
        );
        assert!(
            first.sentence.contains("pam_unix.so succeeds, then /etc/pam.d/sshd:2"),
            "{control}: {first}"
        );
        assert_eq!(first.remedy, "write \"auth required pam_twinlock.so\" there", "{control}");
    }
}

#[test]
fn an_outage_alone_that_is_ignored_is_named_as_such() {
    let report = only(
        "auth requisite pam_unix.so\nauth [success=ok ignore=ignore authinfo_unavail=ignore default=die] \
         pam_twinlock.so\n",
    );
    one(&report, Severity::Error, &["pam_twinlock.so fails (authinfo_unavail), which is ignored"]);
}

#[test]
fn a_control_that_dies_on_every_failure_is_safe() {
    clean(&only("auth requisite pam_unix.so\nauth [success=ok ignore=ignore default=die] pam_twinlock.so\n"));
}

#[test]
fn a_jump_over_our_line_is_shortened() {
    let text = "auth [success=2 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required \
                pam_twinlock.so\nauth required pam_permit.so\n";
    let report = only(text);
    one(&report, Severity::Error, &["succeeds and jumps to /etc/pam.d/sshd:4", "[success=1 default=ignore]"]);
}

#[test]
fn a_condition_that_jumps_over_our_line_is_a_warning_where_a_password_is_still_asked() {
    let text = "auth requisite pam_unix.so\nauth [success=1 default=ignore] pam_succeed_if.so user ingroup \
                nomfa\nauth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n";
    one(
        &only(text),
        Severity::Warning,
        &["/etc/pam.d/sshd:2", "[[exempt]]", "pam_succeed_if.so succeeds and jumps to /etc/pam.d/sshd:4"],
    );
}

#[test]
fn a_condition_that_lets_in_without_anything_is_an_error() {
    let su = "auth sufficient pam_wheel.so trust use_uid\nauth requisite pam_unix.so\nauth required \
              pam_twinlock.so\n";
    one(&report("su", &[("su", su)]), Severity::Error, &["pam_wheel.so succeeds, and the stack ends there"]);
}

#[test]
fn another_second_factor_instead_of_ours_is_a_warning_after_a_password_and_an_error_alone() {
    let after = "auth requisite pam_unix.so\nauth sufficient pam_u2f.so cue\nauth required pam_twinlock.so\n";
    one(&only(after), Severity::Warning, &["pam_u2f.so succeeds, and the stack ends there"]);
    let alone = "auth sufficient pam_u2f.so cue\nauth requisite pam_unix.so\nauth required pam_twinlock.so\n";
    one(&only(alone), Severity::Error, &["/etc/pam.d/sshd:1"]);
}

#[test]
fn a_sufficient_password_right_in_front_of_ours_becomes_requisite() {
    let report =
        only("auth sufficient pam_unix.so\nauth required pam_twinlock.so\nauth required pam_permit.so\n");
    assert_eq!(report.findings[0].remedy, "write \"auth requisite pam_unix.so\" at /etc/pam.d/sshd:1");
}

#[test]
fn a_fingerprint_that_ends_sudo_is_an_error() {
    let sudo = "auth sufficient pam_fprintd.so\n@include common-auth\nauth required pam_twinlock.so\n";
    let report = report("sudo", &[("sudo", sudo), ("common-auth", COMMON_AUTH)]);
    one(&report, Severity::Error, &["/etc/pam.d/sudo:1", "pam_fprintd.so succeeds"]);
}

#[test]
fn a_module_that_is_not_installed_lets_nobody_in() {
    let sudo = "-auth sufficient pam_fprintd.so\n@include common-auth\nauth required pam_twinlock.so\n";
    let files =
        Map { missing: vec!["pam_fprintd.so"], ..map(&[("sudo", sudo), ("common-auth", COMMON_AUTH)]) };
    clean(&judge("sudo", &files));
}

#[test]
fn our_line_in_a_substack_that_is_swallowed_is_found() {
    let files = [
        ("sshd", "auth requisite pam_unix.so\nauth substack codes\nauth required pam_permit.so\n"),
        ("codes", "auth required pam_twinlock.so\nauth [default=reset] pam_env.so\n"),
    ];
    let report = report("sshd", &files);
    let first = report.findings[0].to_string();
    assert!(first.contains("pam_env.so answers ignore, and what was before counts again"), "{first}");
    assert!(first.contains("take reset out"), "{first}");
}

#[test]
fn a_success_before_a_substack_of_ours_skips_it() {
    let files = [
        (
            "sshd",
            "auth [success=1 default=die] pam_unix.so\nauth substack codes\nauth required pam_permit.so\n",
        ),
        ("codes", "auth required pam_env.so\nauth required pam_twinlock.so\n"),
    ];
    let report = report("sshd", &files);
    assert!(report.findings[0].to_string().contains("jumps to /etc/pam.d/sshd:3"), "{:#?}", said(&report));
}

#[test]
fn a_stack_of_our_line_alone_is_open_without_after_key() {
    let report = only("auth required pam_twinlock.so\nauth required pam_permit.so\n");
    one(&report, Severity::Error, &["the stack is open", "\"auth required pam_twinlock.so after_key\""]);
}

#[test]
fn a_sufficient_line_of_ours_makes_one_code_enough() {
    let report = only("auth sufficient pam_twinlock.so\nauth required pam_unix.so\n");
    assert!(said(&report).iter().any(|each| each.contains("the stack is open")), "{:#?}", said(&report));
}

#[test]
fn a_stack_without_anybody_who_says_yes_refuses_whom_policy_releases() {
    let report = only("auth required pam_twinlock.so after_key\n");
    one(
        &report,
        Severity::Warning,
        &["whom policy releases is refused", "\"auth required pam_permit.so\" below it"],
    );
}

#[test]
fn two_lines_of_ours_on_one_way_ask_twice() {
    let line = "auth required pam_twinlock.so after_first_factor\n";
    let text = format!("auth requisite pam_unix.so\n{line}{line}auth required pam_permit.so\n");
    one(
        &only(&text),
        Severity::Warning,
        &[
            "sshd:3: warning: whoever has passed /etc/pam.d/sshd:2 required pam_twinlock.so is asked for a second code here",
        ],
    );
    let said_of = |text: &str| said(&only(text)).join("\n");
    let closed = said_of(&format!("auth requisite pam_unix.so\n{line}{line}auth required pam_deny.so\n"));
    assert!(
        closed.contains("error: no login with the second factor") && closed.contains("second code"),
        "{closed}"
    );
    // One for each way in is another matter.
    let either = "auth [success=2 default=ignore] pam_unix.so\n\
                  auth required pam_twinlock.so\n\
                  auth [success=2 default=die] pam_sss.so use_first_pass\n\
                  auth required pam_twinlock.so after_first_factor\n\
                  auth required pam_permit.so\n";
    assert!(
        !said(&only(either)).iter().any(|each| each.contains("second code")),
        "{:#?}",
        said(&only(either))
    );
}

#[test]
fn arguments_that_the_module_refuses_are_errors() {
    for (argument, remedy) in [
        ("after_first_factr", "write after_first_factor, after_key"),
        ("timeout=0", "write 1 to 3600 seconds"),
        ("timeout=3601", "write 1 to 3600 seconds"),
        ("socket=run/x", "write an absolute path"),
        ("unavailable=open", "write unavailable=deny or unavailable=ignore"),
        ("hidden=yes", "write after_first_factor, after_key"),
    ] {
        let report = only(&format!("auth requisite pam_unix.so\nauth required pam_twinlock.so {argument}\n"));
        one(&report, Severity::Error, &["service_err", argument, remedy]);
    }
    let all = "auth requisite pam_unix.so\nauth required pam_twinlock.so after_first_factor hidden debug \
               socket=/run/x timeout=3600 unavailable=deny\n";
    clean(&only(all));
}

#[test]
fn unavailable_ignore_is_a_warning() {
    let report = only("auth requisite pam_unix.so\nauth required pam_twinlock.so unavailable=ignore\n");
    one(&report, Severity::Warning, &["while twinlockd does not run", "unavailable=deny"]);
}

#[test]
fn a_missing_module_file_is_an_error() {
    let files = Map {
        missing: vec!["pam_twinlock.so"],
        ..map(&[("sshd", "auth requisite pam_unix.so\nauth required pam_twinlock.so\n")])
    };
    one(&judge("sshd", &files), Severity::Error, &["the file of pam_twinlock.so is missing"]);
}
