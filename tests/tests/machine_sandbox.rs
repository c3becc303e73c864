//! Everything that people and administrators do, with the daemon and its helpers in the sandbox of their units; and what that
//! sandbox forbids.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use twinlock_tests::{
    delivery,
    machine::{Machine, drop_in, property, systemctl},
    mail::{code_in, mail},
    phone::{Phone, early_in_a_step},
    ssh::{at_the_prompt, client, outcome},
    terminal::Terminal,
    wait,
    world::{self, PASSWORD, as_user, bypass, done, enroll, root, sh},
};

const DAEMON: &str = "twinlockd.service";
const PROMPT: &str = "Verification code: ";
const UNITS: [&str; 2] = [DAEMON, "twinlock-web.service"];

fn installed(packages: &[&str]) -> Machine {
    let machine = Machine::new();
    machine.install(&[&["libpam-twinlock", "twinlock"], packages].concat());
    machine.ssh_asks_for_codes();
    machine
}

/// A drop-in of the configuration, in force.
fn configure(text: &str) {
    fs::write("/etc/twinlock/twinlock.d/test.toml", text).unwrap();
    sh("chmod 0640 /etc/twinlock/twinlock.d/test.toml");
    let reloads = || sh("journalctl --sync; journalctl -u twinlockd -o cat | grep -cx reloaded || true");
    let before = reloads();
    systemctl("reload twinlockd"); // it only sends the signal
    wait::until("reloaded", 10, || (reloads() != before).then_some(()));
}

fn gets_in(user: &str, code: &str) {
    let mut ssh = at_the_prompt(user);
    ssh.type_line(code);
    let (inside, said) = outcome(ssh, user);
    assert!(inside, "{said}");
}

fn alice(arguments: &[&str]) -> Command {
    let mut command = as_user("alice", "twinlock");
    command.args(arguments);
    command
}

/// `twinlock enroll totp`, behind these passwords, the last of which is right.
fn enroll_at_the_terminal(passwords: &[&str]) -> Phone {
    let mut terminal = Terminal::run(alice(&["enroll", "totp"]));
    for password in passwords {
        terminal.answer("Login password of alice: ", password);
    }
    terminal.expect("Key:  ");
    let phone = Phone::with_key(terminal.expect("Add this").trim());
    early_in_a_step(15); // two more codes come, of this step and of the next
    terminal.answer("then type the code it shows: ", &phone.code(-1));
    terminal.answer("Press Enter when you have saved them: ", "");
    let (said, code) = terminal.finish();
    assert!(code == 0 && said.contains("counts from now on"), "{said}");
    phone
}

#[test]
fn people_log_in_and_look_after_their_accounts() {
    let machine = installed(&[]);
    configure(
        "[[role]]\nname = 'new'\nusers = ['bob']\nsecond-factor = 'required'\nenrollment = 'at-login'\n\
         [[role]]\nname = 'all'\ngroups = ['*']\nsecond-factor = 'optional'\n",
    );
    let phone = enroll_at_the_terminal(&["wrong horse", PASSWORD]);
    assert_eq!(
        machine.journal(&["--grep", "Started twinlock-password@"]).len(),
        2,
        "by the unit, and not by a child"
    );
    gets_in("alice", &phone.code(0));
    let renewed = Terminal::run(alice(&["recovery"]));
    let recovery = {
        let mut terminal = renewed;
        terminal.answer("code", &phone.code(1));
        terminal.expect("01-");
        let code = format!("01-{}", terminal.expect("02-").split_whitespace().next().unwrap());
        drop(terminal);
        code
    };
    sh(
        "sed -i 's/^@include common-auth/&\\nauth required pam_twinlock.so after_first_factor/' /etc/pam.d/sudo && \
        echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/alice && chmod 0440 /etc/sudoers.d/alice",
    );
    let mut sudo = as_user("alice", "sudo");
    sudo.args(["id", "-un"]);
    let mut sudo = Terminal::run(sudo);
    sudo.answer("password for alice: ", PASSWORD);
    sudo.answer(PROMPT, &recovery);
    sudo.expect("root");
    assert_eq!(sudo.finish().1, 0);
    // bob has nothing, and sets it up at his login.
    let mut ssh = client("bob", &["-tt"]);
    ssh.answer("Password: ", PASSWORD);
    ssh.expect("Key: ");
    let phone = Phone::with_key(ssh.expect("Add this").trim());
    ssh.answer("then type the code it shows: ", &phone.code(0));
    ssh.answer("Press Enter when you have saved them: ", "");
    assert!(outcome(ssh, "bob").0);
    // All that is true of this host is that nobody sets its clock. (Debian's default for root is worth a warning.)
    fs::write("/etc/ssh/sshd_config.d/root.conf", "PermitRootLogin no\n").unwrap();
    let doctor = root(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let places: Vec<_> =
        findings.as_array().unwrap().iter().map(|finding| finding["place"].as_str().unwrap()).collect();
    assert_eq!((doctor.status.code(), &places[..]), (Some(0), &["clock"][..]), "{findings:#}");
    let all = machine.journal(&[]);
    assert!(!serde_json::Value::from(all).to_string().contains(PASSWORD), "no password in any line");
}

#[test]
fn a_password_helper_that_does_not_answer_confirms_nothing_and_is_for_root_alone() {
    let _machine = installed(&[]);
    let unit = "twinlock-password@.service";
    drop_in(unit, "[Service]\nExecStart=\nExecStart=/bin/true\n");
    let mut terminal = Terminal::run(alice(&["enroll", "totp"]));
    terminal.answer("Login password of alice: ", PASSWORD);
    let (said, code) = terminal.finish();
    assert!(code == 75 || code == 69, "{code}: {said}");
    assert!(sh("journalctl -u twinlockd -o cat").contains("no decision"));
    // Who may not, cannot; and where the mode was loosened, the helper says nothing to them.
    sh(&format!("rm -r /etc/systemd/system/{unit}.d && systemctl daemon-reload"));
    let question = format!(
        "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un('/run/twinlock/password.sock')) or exit 3;
         syswrite S, qq({{\"user\":\"alice\",\"password\":\"{PASSWORD}\"}}\\n); print <S>"
    );
    let ask = |user: &str| as_user(user, "perl").args(["-e", &question]).output().unwrap();
    assert_eq!((ask("alice").status.code(), done(&ask("root")).trim()), (Some(3), "\"right\""));
    sh("chmod 0666 /run/twinlock/password.sock");
    assert_eq!(done(&ask("alice")), "");
    let _phone = enroll_at_the_terminal(&[PASSWORD]);
}

#[test]
fn codes_go_by_mail_through_the_server_of_the_host_and_its_sendmail() {
    let machine = installed(&[]);
    let postfix = "compatibility_level = 3.6\nmyhostname = localhost\nmydestination = localhost, example.com\n\
                   inet_interfaces = loopback-only\ninet_protocols = ipv4\nhome_mailbox = Maildir/\n\
                   mynetworks = 127.0.0.0/8\nalias_maps =\n";
    fs::write("/etc/postfix/main.cf", postfix).unwrap();
    systemctl("restart postfix");
    wait::until("postfix", 20, || TcpStream::connect("127.0.0.1:25").ok());
    configure("[email]\nfrom = 'Login <login@example.com>'\n");
    assert!(root(&["user", "contact", "bob", "--email", "bob@example.com", "--verified"]).status.success());
    let by_mail = |number| {
        let mut ssh = delivery::bob();
        ssh.answer("Press Enter: ", "");
        ssh.expect("Code sent by email");
        ssh.type_line(&code_in(&mail("bob", number)));
        assert!(outcome(ssh, "bob").0);
    };
    by_mail(1);
    sh("sed -i '/^smtp  *inet/d' /etc/postfix/master.cf && systemctl restart postfix");
    assert!(TcpStream::connect("127.0.0.1:25").is_err());
    by_mail(2);
    assert_eq!(machine.journal(&["--grep", "Started twinlock-sendmail@"]).len(), 1);
    // Its socket does not go with the daemon.
    systemctl("restart twinlockd");
    by_mail(3);
    assert_eq!(delivery::sends(), ["email granted accepted"; 3]);
}

#[test]
fn administrators_keep_the_store_the_rules_and_the_figures() {
    let _machine = installed(&[]);
    let phone = enroll("bob");
    // Rules.
    configure("[[role]]\nname = 'all'\ngroups = ['*']\nsecond-factor = 'required'\n");
    let explained = done(&root(&["policy", "explain", "alice", "--service", "sshd", "--json"]));
    assert!(explained.contains("\"deny\""), "{explained}");
    // Figures, in the folder of Debian's node_exporter, which came after the daemon.
    sh("install -d /var/lib/prometheus/node-exporter");
    systemctl("restart twinlockd");
    let file = "/var/lib/prometheus/node-exporter/twinlock.prom";
    configure(&format!("[metrics]\nfile = '{file}'\n"));
    let figures = wait::until("figures", 20, || fs::read_to_string(file).ok());
    assert!(figures.contains("twinlock_accounts_enrolled 1"), "{figures}");
    // Another program's secret, in a home that the daemon cannot see.
    let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    fs::write("/home/alice/.google_authenticator", format!("{key}\n\" TOTP_AUTH\n")).unwrap();
    sh("chown alice: /home/alice/.google_authenticator && chmod 0400 /home/alice/.google_authenticator");
    let migrated = done(&root(&["migrate", "google-authenticator", "--all"]));
    assert!(migrated.contains("alice: taken over"), "{migrated}");
    gets_in("alice", &Phone::with_key(key).code(-1));
    // The store.
    let _ = done(&root(&["key", "rotate"]));
    let _ = done(&root(&["db", "check"]));
    let _ = done(&root(&["db", "backup", "/root/backup"]));
    gets_in("alice", &Phone::with_key(key).code(0));
    let refused = root(&["db", "restore", "/root/backup", "--yes"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("stop it and its sockets first"),
        "{refused:?}"
    );
    systemctl("stop 'twinlockd*'");
    let report = done(&root(&["db", "restore", "/root/backup", "--yes"]));
    assert!(report.contains("systemctl start twinlockd"), "{report}");
    systemctl("start twinlockd");
    let mut ssh = at_the_prompt("alice");
    ssh.type_line(&Phone::with_key(key).code(0));
    ssh.expect("That code was used");
    drop(ssh);
    gets_in("bob", &bypass("bob"));
    drop(phone);
}

#[test]
fn a_program_that_sends_messages_gets_what_it_needs_by_a_drop_in() {
    let _machine = installed(&[]);
    world::script("/usr/local/sbin/send", "#!/bin/sh\ncat > /var/spool/sms/out\n");
    sh("install -d /var/spool/sms");
    configure(
        "[sms]\nregions = ['DE']\n[[provider]]\nname = 'own'\npreset = 'exec'\n\
         values = { program = '/usr/local/sbin/send' }\n",
    );
    let test = || root(&["provider", "test", "own", "--to", "+4915112345678"]);
    assert_eq!(test().status.code(), Some(1));
    drop_in(DAEMON, "[Service]\nReadWritePaths=/var/spool/sms\n");
    systemctl("restart twinlockd");
    let _ = done(&test());
    assert!(fs::read_to_string("/var/spool/sms/out").unwrap().contains("+4915112345678"));
}

/// An answer of the page to a request that a declared proxy passes on.
fn get(path: &str) -> String {
    let Ok(mut page) = TcpStream::connect("127.0.0.1:8480") else { return String::new() };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: twofactor.example.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\
         Connection: close\r\n\r\n"
    );
    page.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = page.read_to_string(&mut answer);
    answer
}

#[test]
fn the_page_is_served_by_its_own_unit() {
    let _machine = installed(&["twinlock-web"]);
    configure(
        "[web]\nurl = 'https://twofactor.example.test'\nlisten = '127.0.0.1:8480'\nproxies = ['127.0.0.1']\n",
    );
    wait::until("the page", 30, || get("/robots.txt").starts_with("HTTP/1.1 200").then_some(()));
    let invited: serde_json::Value =
        serde_json::from_str(&done(&root(&["user", "invite", "bob", "--no-mail", "--json"]))).unwrap();
    let link = invited["link"].as_str().unwrap().strip_prefix("https://twofactor.example.test").unwrap();
    let form = get(link);
    assert!(form.starts_with("HTTP/1.1 200") && form.contains("Binding code"), "{form}");
    // The daemon goes away and comes back: the page's socket stays what it is.
    systemctl("restart twinlockd");
    assert!(get(link).contains("Binding code"));
    systemctl("restart twinlock-web");
    wait::until("the page", 30, || get(link).contains("Binding code").then_some(()));
}

#[test]
fn the_journal_has_each_decision_in_parts() {
    let machine = installed(&[]);
    let phone = enroll("alice");
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer(PROMPT, &phone.wrong_code());
    ssh.answer(PROMPT, &phone.code(-1));
    assert!(outcome(ssh, "alice").0);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer(PROMPT, &phone.wrong_code());
    ssh.expect(PROMPT);
    ssh.kill();
    let told = wait::until("both lines", 10, || {
        Some(machine.journal(&["TWINLOCK_EVENT=login"])).filter(|lines| lines.len() == 2)
    });
    for (line, outcome, message, priority) in [
        (&told[0], "granted", "verification passed: rhost=127.0.0.1 service=sshd user=\"alice\"", "5"),
        (
            &told[1],
            "denied",
            "verification failed: rhost=127.0.0.1 service=sshd reason=wrong user=\"alice\"",
            "4",
        ),
    ] {
        for (field, value) in [
            ("MESSAGE", message),
            ("PRIORITY", priority),
            ("SYSLOG_IDENTIFIER", "twinlockd"),
            ("SYSLOG_FACILITY", "10"),
            ("_SYSTEMD_UNIT", DAEMON),
            ("TWINLOCK_OUTCOME", outcome),
            ("TWINLOCK_USER", "alice"),
            ("TWINLOCK_SERVICE", "sshd"),
            ("TWINLOCK_RHOST", "127.0.0.1"),
        ] {
            assert_eq!(line[field], value, "{field} of {line:#}");
        }
    }
    assert_eq!(told[1]["TWINLOCK_REASON"], "wrong");
}

/// The settings of a unit that a probe can be run with too.
fn settings(unit: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/usr/lib/systemd/system/{unit}")).unwrap();
    let service = text.split("[Service]").nth(1).unwrap().split("[Install]").next().unwrap();
    let not_of_a_probe = ["Type", "Exec", "Sockets", "Restart", "Timeout", "Watchdog", "Load"];
    let lines = service.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let lines = lines.filter(|line| !not_of_a_probe.iter().any(|key| line.starts_with(key)));
    lines.flat_map(|line| ["-p".to_owned(), line.to_owned()]).collect()
}

#[test]
fn what_the_daemon_does_not_need_it_cannot_do() {
    let _machine = installed(&["twinlock-web"]);
    let _phone = enroll("alice"); // looked up by a helper process
    sh("touch /home/alice/secret && install -m 0600 -o alice /dev/null /srv/of-alice");
    let settings = settings(DAEMON);
    let may = |command: &str| {
        let mut probe = Command::new("systemd-run");
        probe.args(["--quiet", "--wait", "--pipe"]).args(&settings).args(["sh", "-c", command]);
        probe.output().unwrap()
    };
    for forbidden in [
        "touch /etc/probe",
        "touch /usr/sbin/probe",
        "touch /run/twinlock/probe",
        "systemctl --quiet is-active twinlockd",
        "systemd-run --quiet --wait touch /etc/probe",
        "ls /home/alice/secret",
        "ls /root",
        "cat /srv/of-alice",
        "chown alice /var/lib/twinlock/twinlock.db",
        "cp /bin/true /var/lib/twinlock/probe && chmod u+s /var/lib/twinlock/probe",
        "mknod /var/lib/twinlock/null c 1 3",
        "mount -t tmpfs none /mnt",
        "unshare --user true",
        "setpriv --reuid=1000 true",
        "date -s '2030-01-01'",
        "hostname probe",
        "ip link",
        "kill -0 $(pidof sshd | tr ' ' '\\n' | head -1) && ls /proc/1/root",
        "strace true",
    ] {
        let out = may(forbidden);
        assert!(!out.status.success(), "{forbidden}: {out:?}");
    }
    for needed in [
        "touch /var/lib/twinlock/probe /tmp/probe",
        "cat /proc/sys/kernel/random/boot_id",
        "getent passwd alice",
    ] {
        let _ = done(&may(needed));
    }
    // The same of the processes themselves: the daemon, and those who look up for it.
    let main = property(DAEMON, "MainPID");
    let cgroup = fs::read_to_string("/sys/fs/cgroup/system.slice/twinlockd.service/cgroup.procs").unwrap();
    assert!(cgroup.lines().count() >= 2 && cgroup.lines().any(|pid| pid == main), "{cgroup}");
    for pid in cgroup.lines() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in [
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.contains(line), "{line} in {status}");
        }
        let out = Command::new("nsenter").args(["-t", pid, "-m", "touch", "/etc/probe"]).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stderr).contains("Read-only file system"), "{out:?}");
    }
    // The gate: twenty is 2.0.
    for unit in UNITS {
        sh(&format!("systemd-analyze security --offline=true --threshold=20 {unit}"));
    }
    sh("systemd-analyze verify --man=no /usr/lib/systemd/system/twinlock*");
}
