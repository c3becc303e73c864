//! The RPM packages: what their scriptlets say, and what becomes of a tree where rpm and dnf really install, upgrade and remove
//! them. Not on their own ground: no distribution with RPM is to be had here (docs/guide.md says so).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use twinlock_tests::{
    rpms::{TREE, called, dnf, done, files, inside, prepare},
    world::sh,
};

const MODULE: &str = "/usr/lib64/security/pam_twinlock.so";
const CONFIG: &str = "/etc/twinlock/twinlock.toml";

/// Without our line the second one would jump over the end.
const JUMPED_OVER: &str = "\
auth requisite pam_unix.so
auth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0
auth required pam_twinlock.so after_first_factor
auth required pam_permit.so
account required pam_unix.so
";
/// Password and code.
const LAST: &str = "\
auth requisite pam_unix.so
auth required pam_twinlock.so after_first_factor
account required pam_unix.so
";

fn there(path: &str) -> bool {
    Path::new(&format!("{TREE}{path}")).exists()
}

/// Every stack as it is, but for the one that comes with the packages.
fn stacks() -> String {
    done("cd /etc/pam.d && for stack in *; do [ $stack = twinlock-password ] || sha256sum $stack; done")
}

fn installed() -> Vec<String> {
    let all = done("rpm -qa --qf '%{name}-%{release}\\n'");
    let mut ours: Vec<String> =
        all.lines().filter(|name| name.starts_with("twinlock")).map(str::to_owned).collect();
    ours.sort();
    ours
}

#[test]
fn scriptlets_name_units_that_are_there_and_never_start_a_socket_anew() {
    sh(&format!("mkdir -p {TREE}/root/first"));
    for file in files() {
        sh(&format!("cp {} {TREE}/root/first/", file.display()));
    }
    let units =
        done("cd /root/first && rpm -qpl *.rpm 2>/dev/null | grep '/systemd/system/' | sed 's|.*/||'");
    let mut seen = 0;
    for package in ["twinlock-0*", "twinlock-pam-*", "twinlock-web-*", "twinlock-selinux-*"] {
        let said = done(&format!("rpm -qp --scripts /root/first/{package} 2>/dev/null"));
        assert!(!said.contains("%{") && !said.contains("%systemd"), "a macro that nobody expanded: {said}");
        for line in said.lines().filter(|line| line.contains("-system-units ")) {
            for word in
                line.split_whitespace().filter(|word| word.starts_with("twinlock") && word.contains('.'))
            {
                assert!(units.lines().any(|unit| unit == word), "{word} is in no package: {units}");
                seen += 1;
            }
            assert!(!(line.contains("mark-restart") && line.contains(".socket")), "{line}");
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn debians_script_and_rpms_pass_over_the_same_names() {
    let expression = |file: &str| {
        let text = fs::read_to_string(format!("{}/../packaging/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let line = text.lines().find(|line| line.contains("grep -Ev '")).unwrap().to_owned();
        line.split('\'').nth(1).unwrap().replace("\\\\", "\\")
    };
    assert_eq!(expression("debian/stacks.sh"), expression("rpm/twinlock.spec"));
}

/// How many calls begin so.
fn of(calls: &[String], start: &str) -> usize {
    calls.iter().filter(|call| call.starts_with(start)).count()
}

/// Where taking our line out would make another jump too far, a package stays; a comment is no line.
fn not_removed_while_a_stack_asks() {
    fs::write(format!("{TREE}/etc/pam.d/ours"), JUMPED_OVER).unwrap();
    done("echo '# pam_twinlock.so' >>/etc/pam.d/login");
    let out = inside(&dnf("/root/later", "remove twinlock-pam"));
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(
        !out.status.success() && said.contains("twinlock-pam is not removed: these PAM stacks"),
        "{said}"
    );
    assert!(said.contains("/etc/pam.d/ours") && !said.contains("/etc/pam.d/login"), "{said}");
    assert!(there(MODULE));
    let out = inside("rpm -e --nodeps twinlock");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("twinlock is not removed: these PAM stacks"), "{said}");
    assert!(!inside("rpm -e twinlock").status.success(), "the module needs the daemon");
    // All at once: what SELinux needs to let the daemon be reached stays in force.
    assert!(!inside("rpm -e twinlock twinlock-pam twinlock-web twinlock-selinux").status.success());
    assert!(there(MODULE) && there("/usr/sbin/twinlockd"));
    assert_eq!(of(&called(), "semodule -n -s targeted -X 200 -r"), 0);
    done(&dnf("/root/later", "install twinlock-web twinlock-selinux"));
    let _ = called();
}

#[test]
fn installed_upgraded_and_removed_they_leave_stacks_and_data_alone() {
    prepare();
    let before = stacks();

    // Installed: modes, the page's user, no unit but by systemd's program, and nobody is asked for a code.
    let said = done(&dnf("/root/first", "install twinlock twinlock-pam twinlock-web"));
    assert!(said.contains("twinlock pam enable"), "{said}");
    assert_eq!(
        installed(),
        ["twinlock-1", "twinlock-pam-1", "twinlock-selinux-1", "twinlock-web-1"],
        "the policy comes along"
    );
    for (path, mode) in [
        (CONFIG, 0o640),
        ("/etc/twinlock", 0o755),
        ("/etc/twinlock/credentials", 0o700),
        ("/etc/twinlock/providers.d", 0o755),
        ("/etc/pam.d/twinlock-password", 0o644),
        ("/usr/sbin/twinlockd", 0o755),
        ("/usr/bin/twinlock", 0o755),
        (MODULE, 0o755),
        ("/usr/share/twinlock/providers.d/twilio.toml", 0o644),
        ("/usr/lib/systemd/system/twinlockd.service", 0o644),
    ] {
        let found = fs::metadata(format!("{TREE}{path}")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
    assert_eq!(stacks(), before);
    done("id twinlock-web && twinlockd --check");
    let calls = called();
    assert_eq!(of(&calls, "systemd-update-helper install-system-units"), 2, "{calls:?}");
    assert_eq!(of(&calls, "make"), 1, "{calls:?}");
    assert_eq!(of(&calls, "semodule -n -s targeted -X 200 -i"), 1, "{calls:?}");
    assert!(calls.last().unwrap().starts_with("restorecon"), "{calls:?}");

    // Upgraded: what an administrator wrote stays, services are marked and sockets are not.
    done(&format!(
        "echo '# ours' >>{CONFIG} && mkdir -p /var/lib/twinlock && echo store >/var/lib/twinlock/twinlock.db"
    ));
    done(&dnf("/root/later", "upgrade"));
    assert_eq!(installed(), ["twinlock-2", "twinlock-pam-2", "twinlock-selinux-2", "twinlock-web-2"]);
    assert!(done(&format!("tail -1 {CONFIG}")).contains("# ours"));
    assert!(done(&format!("tail -1 {CONFIG}.rpmnew")).contains("# later"));
    let calls = called();
    assert_eq!(
        of(&calls, "systemd-update-helper mark-restart-system-units twinlockd.service"),
        1,
        "{calls:?}"
    );
    assert_eq!(
        of(&calls, "systemd-update-helper mark-restart-system-units twinlock-web.service"),
        1,
        "{calls:?}"
    );
    assert_eq!(of(&calls, "systemd-update-helper"), 2, "{calls:?}");
    assert_eq!(of(&calls, "semodule -n -s targeted -X 200 -r"), 0, "{calls:?}");
    assert_eq!(stacks(), before);

    not_removed_while_a_stack_asks();

    // A line that can be taken out is.
    fs::write(format!("{TREE}/etc/pam.d/ours"), LAST).unwrap();
    // Removed: the store stays, and what an administrator wrote.
    done(&dnf("/root/later", "remove twinlock twinlock-pam twinlock-web twinlock-selinux"));
    assert!(installed().is_empty());
    for gone in [MODULE, CONFIG, "/usr/sbin/twinlockd", "/usr/lib/systemd/system/twinlockd.service"] {
        assert!(!there(gone), "{gone}");
    }
    assert!(done(&format!("tail -1 {CONFIG}.rpmsave")).contains("# ours"));
    assert!(there("/var/lib/twinlock/twinlock.db"));
    let calls = called();
    assert_eq!(of(&calls, "systemd-update-helper remove-system-units"), 2, "{calls:?}");
    assert_eq!(of(&calls, "semodule -n -s targeted -X 200 -r twinlock"), 1, "{calls:?}");
    let left = fs::read_to_string(format!("{TREE}/etc/pam.d/ours")).unwrap();
    assert!(left.contains("pam_unix.so") && !left.contains("pam_twinlock.so"), "{left}");
}
