//! The account phase.

use super::*;

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
