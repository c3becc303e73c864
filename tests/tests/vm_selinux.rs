//! SELinux in enforcing mode, on a Debian machine with a kernel of its own: the policy module hinders nothing that is done
//! every day, and holds. Debian's reference policy, that is: Fedora's is not to be had here.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::PathBuf, process::Command};

use twinlock_tests::{confined, machine::Machine, world::sh};

/// What the kernel refused to our domains, or to others that wanted something of ours.
fn refused() -> String {
    sh("ausearch -m avc,user_avc,selinux_err --input-logs 2>/dev/null | grep denied | grep twinlock || true")
}

/// The context of the first process of a unit.
fn context(unit: &str) -> String {
    let pid = sh(&format!("systemctl show -P MainPID {unit}"));
    let context = fs::read_to_string(format!("/proc/{}/attr/current", pid.trim())).unwrap();
    context.trim_end_matches('\0').to_owned()
}

/// Whether the policy in force has a rule by which a domain reaches the daemon's sockets.
fn may_ask(domain: &str) -> bool {
    let rules = format!(
        "import setools; policy = setools.SELinuxPolicy()
rule = lambda target, kind, right: any(setools.TERuleQuery(policy, ruletype=['allow'], source='{domain}', target=target,
    tclass=[kind], perms=[right], source_indirect=True, target_indirect=True).results())
print(rule('twinlockd_t', 'unix_stream_socket', 'connectto') and rule('twinlock_run_t', 'sock_file', 'write'))"
    );
    let out = Command::new("python3").args(["-c", &rules]).output().unwrap();
    assert!(out.status.success(), "{domain}: {out:?}");
    out.stdout == b"True\n"
}

#[test]
fn what_is_done_every_day_is_allowed_and_the_hosts_passwords_are_not() {
    let machine = Machine::new();
    // The module first: the packages' files get their labels from it.
    let module = PathBuf::from(std::env::var("TWINLOCK_PACKAGES").unwrap()).join("twinlock.pp");
    // semodule may not read just anywhere.
    sh(&format!("cp {} /root/ && semodule -i /root/twinlock.pp", module.display()));
    confined::install(&machine);
    sh("restorecon -RF /usr/sbin /etc/twinlock /var/lib/prometheus /var/lib/twinlock /run/twinlock");
    sh(
        "systemctl restart twinlockd.socket twinlockd-user.socket twinlockd-web.socket twinlock-password.socket twinlockd",
    );
    assert_eq!(sh("getenforce").trim(), "Enforcing");
    confined::every_day();
    assert_eq!(context("twinlockd"), "system_u:system_r:twinlockd_t:s0");
    assert_eq!(context("twinlock-web"), "system_u:system_r:twinlock_web_t:s0");
    assert_eq!(refused(), "");

    // Whoever lets people in by PAM may ask, also where each confined user's program has a domain of its own; others may not.
    for domain in [
        "sshd_t",
        "local_login_t",
        "xdm_t",
        "staff_sudo_t",
        "staff_su_t",
        "user_su_t",
        "user_t",
        "unconfined_t",
    ] {
        assert!(may_ask(domain), "{domain}");
    }
    for domain in ["httpd_t", "postfix_master_t", "cupsd_t"] {
        assert!(!may_ask(domain), "{domain}");
    }

    // A program that is started in the daemon's domain finds people, and not their passwords.
    sh("cp /usr/bin/getent /usr/local/bin/intruder && chcon -t twinlockd_exec_t /usr/local/bin/intruder");
    let getent = |database: &str| {
        let out = Command::new("systemd-run")
            .args(["--wait", "--quiet", "/usr/local/bin/intruder", database, "alice"])
            .output();
        out.unwrap().status.success()
    };
    assert!(getent("passwd"));
    assert!(!getent("shadow"));
    assert!(refused().contains("shadow_t"), "{}", refused());
}
