//! The stacks of distributions, and of those who build on them.

use super::*;

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
