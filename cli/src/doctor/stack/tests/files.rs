//! Which files there are, and how libpam reads them.

use super::*;

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
