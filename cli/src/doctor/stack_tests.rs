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
fn fedoras_sshd_with_a_substack_is_safe_without_after_first_factor() {
    let sshd = "auth substack password-auth\nauth required pam_twinlock.so\nauth include postlogin\n";
    clean(&report("sshd", &[("sshd", sshd), ("password-auth", SYSTEM_AUTH), ("postlogin", "")]));
}

#[test]
fn fedoras_substack_calls_our_line_after_a_wrong_password() {
    let sshd = "auth substack password-auth\nauth required pam_twinlock.so after_first_factor\n";
    let report = report("sshd", &[("sshd", sshd), ("password-auth", SYSTEM_AUTH)]);
    one(
        &report,
        Severity::Error,
        &["/etc/pam.d/sshd:2", "is called after a wrong password", "write \"auth required pam_twinlock.so\""],
    );
}

#[test]
fn fedoras_sudo_includes_what_ends_the_whole_stack() {
    let sudo = "auth include system-auth\nauth required pam_twinlock.so\n";
    let report = report("sudo", &[("sudo", sudo), ("system-auth", SYSTEM_AUTH)]);
    let said = said(&report);
    for module in ["pam_fprintd", "pam_unix", "pam_sss"] {
        assert!(
            said.iter().any(|each| each.contains(&format!("{module}.so succeeds, and the stack ends there"))),
            "{said:#?}"
        );
    }
    assert!(
        report.findings[0].remedy.contains("write substack instead of include at /etc/pam.d/sudo:1"),
        "{said:#?}"
    );
    assert_eq!(once(report.findings.clone()).len(), said.len());
}

#[test]
fn an_authselect_profile_with_jumps_is_safe() {
    let profile = "auth required pam_env.so\nauth required pam_faildelay.so delay=2000000\nauth required \
                   pam_faillock.so preauth silent\n\
                   auth [success=3 default=ignore] pam_fprintd.so\nauth [success=2 default=ignore] \
                   pam_unix.so\n\
                   auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\n\
                   auth required pam_twinlock.so after_first_factor\nauth optional pam_gnome_keyring.so \
                   auto_start\n";
    clean(&report("sshd", &[("sshd", "auth substack password-auth\n"), ("password-auth", profile)]));
}

#[test]
fn freeipas_common_auth_on_ubuntu_is_safe() {
    let common = "auth [success=2 default=ignore] pam_unix.so nullok\n\
                  auth [success=1 default=ignore] pam_sss.so use_first_pass\n\
                  auth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_cap.so\n";
    let login = "auth requisite pam_nologin.so\n@include common-auth\n\
                 auth required pam_twinlock.so after_first_factor\nauth optional pam_group.so\n";
    clean(&report("login", &[("login", login), ("common-auth", common)]));
}

#[test]
fn archs_system_auth_with_include_is_safe() {
    let system = "auth required pam_faillock.so preauth\n\
                  -auth [success=2 default=ignore] pam_systemd_home.so\n\
                  auth [success=1 default=bad] pam_unix.so try_first_pass nullok\n\
                  auth [default=die] pam_faillock.so authfail\nauth optional pam_permit.so\n\
                  auth required pam_env.so\nauth required pam_faillock.so authsucc\n";
    let sudo = "auth include system-auth\nauth required pam_twinlock.so after_first_factor\n";
    clean(&report("sudo", &[("sudo", sudo), ("system-auth", system)]));
}

#[test]
fn opensuses_common_auth_goes_on_after_a_wrong_password() {
    let common = "auth required pam_env.so\nauth optional pam_gnome_keyring.so\nauth required pam_unix.so \
                  try_first_pass\n";
    let line = "auth include common-auth\nauth required pam_twinlock.so";
    let files = |text| [("xdm", text), ("common-auth", common)];
    clean(&report("xdm", &files(line)));
    let claim = format!("{line} after_first_factor");
    one(
        &report("xdm", &files(&claim)),
        Severity::Error,
        &["write \"auth requisite pam_unix.so try_first_pass\" at /etc/pam.d/common-auth:3"],
    );
}

#[test]
fn a_profile_with_one_jump_too_far_is_caught() {
    let profile = "auth [success=4 default=ignore] pam_fprintd.so\nauth [success=2 default=ignore] \
                   pam_unix.so\n\
                   auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\n\
                   auth required pam_twinlock.so\nauth required pam_permit.so\n";
    one(
        &only(profile),
        Severity::Error,
        &["/etc/pam.d/sshd:1 [success=4 default=ignore] pam_fprintd.so succeeds and jumps to \
           /etc/pam.d/sshd:6"],
    );
}

#[test]
fn a_line_at_the_top_of_a_freeipa_profile_is_asked_before_the_password() {
    // authselect's with-pam-u2f-2fa puts its module there; for ours it would be the wrong place.
    let profile = "auth required pam_env.so\nauth required pam_twinlock.so after_first_factor\n\
                   auth [default=1 ignore=ignore success=ok] pam_localuser.so\nauth sufficient \
                   pam_unix.so\nauth sufficient pam_sss.so forward_pass\nauth required pam_deny.so\n";
    one(&only(profile), Severity::Error, &["no password has been asked when it is reached", "put it behind"]);
    clean(&only(&profile.replace(" after_first_factor", "")));
}

#[test]
fn a_required_password_before_our_line_lets_strangers_have_codes_sent() {
    let report = only("auth required pam_unix.so\nauth required pam_twinlock.so after_first_factor\n");
    one(
        &report,
        Severity::Error,
        &[
            "pam_unix.so fails (auth_err), and libpam goes on",
            "write \"auth requisite pam_unix.so\" at /etc/pam.d/sshd:1",
        ],
    );
    clean(&only("auth required pam_unix.so\nauth required pam_twinlock.so\n"));
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

#[test]
fn a_stack_without_our_line_is_no_business_of_ours() {
    let report = report("cron", &[("cron", "@include common-auth\n"), ("common-auth", COMMON_AUTH)]);
    assert!(!report.auth_line && !report.account_line && report.findings.is_empty());
}

#[test]
fn folders_are_read_in_libpams_order_and_fragments_are_no_services() {
    let root = std::env::temp_dir().join(format!("twinlock-doctor-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("etc/pam.d/sshd", "auth requisite pam_unix.so\nauth include system-auth\n");
    write("etc/pam.d/sshd.rpmsave", "");
    write("usr/lib/pam.d/sshd", "auth required pam_permit.so\n");
    write("usr/lib/pam.d/vlock", "auth required pam_permit.so\n");
    write("usr/lib/pam.d/system-auth", "auth required pam_twinlock.so\n");
    write("lib/x86_64-linux-gnu/security/pam_unix.so", "");
    write("opt/pam/pam_twinlock.so", "");
    let folders = Folders::below(&root, &[root.join("opt/pam")]);
    assert_eq!(folders.services(), ["sshd", "vlock"]);
    assert_eq!(folders.read("sshd").unwrap().0, "/etc/pam.d/sshd");
    assert_eq!(folders.read("vlock").unwrap().0, "/usr/lib/pam.d/vlock");
    assert!(folders.has_module("pam_unix.so") && folders.has_module("/opt/pam/pam_twinlock.so"));
    assert!(!folders.has_module("pam_permit.so"));
    clean(&judge("sshd", &folders));
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_service_without_a_file_is_judged_by_other() {
    let report = report("smtp", &[("other", "auth requisite pam_unix.so\nauth optional pam_twinlock.so\n")]);
    assert!(report.auth_line);
    assert_eq!(report.findings[0].place, "/etc/pam.d/other:2");
}

#[test]
fn what_libpam_cannot_read_is_named_with_its_line() {
    for (text, place, part) in [
        ("auth requird pam_unix.so\n", ":1", "the control \"requird\" cannot be read"),
        ("\n# x\nauth [success=0 default=ignore] pam_unix.so\n", ":3", "a jump number above 0"),
        ("auth \\\n required\n", ":1", "the line names no module"),
        ("auth\n", ":1", "the line has no control"),
        ("atuh required pam_unix.so\n", ":1", "\"atuh\" is no phase"),
        ("auth include system-atuh\n", ":1", "\"system-atuh\" cannot be included"),
        ("@include common-atuh\n", ":1", "libpam refuses the whole service"),
        ("auth required pam_unix.so \\", ":1", "the file ends behind a \"\\\""),
        ("auth include sshd\n", ":1", "too deep, or in a circle"),
        ("auth required pam_unix.so\r\n", "", "line ends of another system"),
        ("session required [] x\n", ":1", "is no name of a module"),
    ] {
        let report = only(text);
        let found = report.findings.iter().any(|each| {
            each.severity == Severity::Error
                && each.place == format!("/etc/pam.d/sshd{place}")
                && each.sentence.contains(part)
        });
        assert!(found, "{text:?}: {:#?}", said(&report));
    }
}

#[test]
fn a_broken_line_closes_the_stack_and_is_told() {
    let report = only("auth requisite pam_unix.so\nauth required\nauth required pam_twinlock.so\n");
    let said = said(&report);
    assert!(
        said.iter().any(|each| each.contains("no login with the second factor can succeed")),
        "{said:#?}"
    );
}

#[test]
fn words_are_cut_as_libpam_cuts_them() {
    let words = |text| text::Words::of(text).collect::<Vec<_>>();
    assert_eq!(
        words("auth\t[success=1 default=ignore]\tpam_unix.so nullok"),
        ["auth", "success=1 default=ignore", "pam_unix.so", "nullok"]
    );
    assert_eq!(words(r"x [a b\]c]d [open"), ["x", "a b]c", "d", "open"]);
    let (lines, unfinished) = text::lines("a \\\n# between\n\n b # c \\\nd\n");
    assert_eq!(
        lines.iter().map(|line| (line.number, line.text.as_str())).collect::<Vec<_>>(),
        [(1, "a  b "), (5, "d")]
    );
    assert!(unfinished.is_none());
}

#[test]
fn an_account_line_in_front_holds() {
    let sshd = "auth required pam_twinlock.so after_key\nauth required pam_permit.so\naccount required \
                pam_twinlock.so\n@include common-account\n";
    let report = report("sshd", &[("sshd", sshd), ("common-account", COMMON_ACCOUNT)]);
    clean(&report);
    assert!(report.account_line && report.account_holds);
}

#[test]
fn an_account_line_behind_debians_common_account_misses_expired_passwords() {
    let sshd = "auth requisite pam_unix.so\nauth required pam_twinlock.so\n@include common-account\naccount \
                required pam_twinlock.so\n";
    let report = report("sshd", &[("sshd", sshd), ("common-account", COMMON_ACCOUNT)]);
    one(&report, Severity::Warning, &["whose password has expired", "in front of /etc/pam.d/sshd:3"]);
    assert!(report.account_holds);
}

#[test]
fn an_account_line_behind_fedoras_include_is_skipped_for_local_users() {
    let sshd = "auth substack password-auth\nauth required pam_twinlock.so\naccount required \
                pam_nologin.so\naccount include password-auth\naccount required pam_twinlock.so\n";
    let report = report("sshd", &[("sshd", sshd), ("password-auth", SYSTEM_AUTH)]);
    assert!(report.account_line && !report.account_holds);
    let said = said(&report);
    assert!(
        said.iter().any(|each| each.contains("pam_localuser.so succeeds, and the stack ends there")),
        "{said:#?}"
    );
    // default=bad makes an expired password the answer of the whole stack, whatever ours says.
    let expired = report.findings.iter().find(|each| each.sentence.contains("password has expired")).unwrap();
    assert!(expired.sentence.contains("pam_sss.so fails (new_authtok_reqd)"), "{expired}");
    assert_eq!(expired.remedy, "put \"account required pam_twinlock.so\" in front of /etc/pam.d/sshd:3");
}

#[test]
fn a_long_stack_is_searched_in_a_moment() {
    let mut text = String::from("auth requisite pam_unix.so\n");
    for _ in 0..60 {
        text.push_str(
            "auth [success=2 auth_err=1 user_unknown=ignore default=reset] pam_succeed_if.so x\nauth \
             sufficient pam_mystery.so\n",
        );
    }
    text.push_str("auth required pam_twinlock.so\n");
    let report = only(&text);
    assert!(report.findings.len() >= 60);
}

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    /// Some lines of known modules, ours among them.
    fn stack(&mut self) -> String {
        let controls = [
            "required",
            "requisite",
            "sufficient",
            "optional",
            "[success=1 default=ignore]",
            "[default=die success=ok ignore=ignore]",
            "[success=2 auth_err=1 default=reset]",
            "[default=1 success=done]",
            "[success=ok ignore=ignore authinfo_unavail=ignore default=bad]",
            "substack",
            "include",
        ];
        let modules = [
            "pam_unix.so",
            "pam_twinlock.so",
            "pam_succeed_if.so",
            "pam_env.so",
            "pam_permit.so",
            "pam_deny.so",
            "pam_u2f.so",
        ];
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            let control = self.pick(&controls);
            let module = if control.ends_with(['k', 'e']) && control.len() < 9 && !control.ends_with("site") {
                "inner"
            } else {
                self.pick(&modules)
            };
            text.push_str(&format!("auth {control} {module}\n"));
        }
        text
    }
}

/// Everything that any combination of answers comes to: success, and what became of our lines and the first factor.
fn by_trying(
    lines: &[line::Line],
    files: &Map,
    at: usize,
    machine: &dispatch::Machine,
    told: (usize, bool),
    all: &mut Vec<(bool, usize, bool)>,
) {
    let Some(line) = lines.get(at) else {
        return all.push((machine.verdict() == control::SUCCESS, told.0, told.1));
    };
    let answers = if line.call == line::Call::Substack {
        vec![(None, modules::Fact::Nothing)]
    } else {
        modules::answers(line, Phase::Auth, "sshd", files)
            .into_iter()
            .map(|each| (Some(each.code), each.fact))
            .collect()
    };
    for (code, fact) in answers {
        let mut machine = machine.clone();
        let next = machine.step(lines, at, code);
        let rank = match fact {
            modules::Fact::OursFailed => 1,
            modules::Fact::OursReleased => 2,
            modules::Fact::OursPassed => 3,
            _ => 0,
        };
        by_trying(
            lines,
            files,
            next,
            &machine,
            (told.0.max(rank), told.1 || fact == modules::Fact::FirstFactor),
            all,
        );
    }
}

#[test]
fn the_search_finds_what_trying_everything_finds() {
    let mut numbers = Numbers(1);
    for _ in 0..300 {
        let (outer, mut inner) = (numbers.stack(), numbers.stack());
        inner = inner
            .lines()
            .filter(|line| !line.contains("inner"))
            .take(2)
            .map(|line| format!("{line}\n"))
            .collect();
        let files = map(&[("sshd", &outer), ("inner", &inner)]);
        let stacks = read("sshd", &files);
        let lines = stacks.phase(Phase::Auth);
        if lines.iter().filter(|line| line.call == line::Call::Module).count() > 5 {
            continue;
        }
        let mut tried = Vec::new();
        by_trying(lines, &files, 0, &dispatch::Machine::start(), (0, false), &mut tried);
        let mut tried: Vec<_> =
            tried.into_iter().filter(|each| each.0).map(|(_, ours, first)| (ours, first)).collect();
        let ways = explore(lines, Phase::Auth, "sshd", &files);
        let mut found: Vec<_> = ways
            .successes(Phase::Auth)
            .into_iter()
            .map(|(_, node)| {
                let ours = match node.facts.ours {
                    search::Ours::NotReached => 0,
                    search::Ours::Failed(_) => 1,
                    search::Ours::Released(_) => 2,
                    search::Ours::Passed(_) => 3,
                };
                (ours, node.facts.first)
            })
            .collect();
        for all in [&mut tried, &mut found] {
            all.sort_unstable();
            all.dedup();
        }
        assert_eq!(found, tried, "{outer}--\n{inner}");
    }
}
