//! Who needs a second factor where: roles, exemptions, what is said of one user; changed while the daemon runs.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, process::Output};

use nix::sys::signal::Signal;
use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    wait,
    world::{self, World, as_user, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const FILE: &str = "/etc/twinlock/twinlock.toml";
const ADMINS: &str = "[[role]]\nname = 'admins'\ngroups = ['sudo']\nsecond-factor = 'required'\n";
const EVERYONE: &str = "[[role]]\nname = 'everyone'\ngroups = ['*']\nsecond-factor = 'optional'\n";

fn configure(text: &str) {
    fs::create_dir_all("/etc/twinlock").unwrap();
    fs::write(FILE, text).unwrap();
    world::sh(&format!("chmod 0640 {FILE}"));
}

fn reload(daemon: &Daemon, outcome: &str) {
    let reloads = || text(&root(&["audit", "--event", "reload"]).stdout).matches(outcome).count();
    let before = reloads();
    daemon.signal(Signal::SIGHUP);
    wait::until("the reload in the trail", 10, || (reloads() > before).then_some(()));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(out: &Output) -> serde_json::Value {
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A login at a service, from an address. A stack with nothing else: who is let in without is ignored, and libpam then
/// says PAM_PERM_DENIED.
fn log_in(user: &str, service: &str, rhost: &str, code: &str) -> i32 {
    world::stack(service, OURS);
    pamhost::run(&["-s", service, "-u", user, "-r", rhost, code]).code
}

const LET_IN: i32 = pam::PERM_DENIED;

fn explain(user: &str, service: &str, rhost: &str) -> String {
    let answer = json(&root(&["policy", "explain", user, "--service", service, "--rhost", rhost, "--json"]));
    let because = answer["because"].as_array().unwrap();
    let because: Vec<_> = because
        .iter()
        .map(|b| format!("{}: {}", b["rule"].as_str().unwrap(), b["effect"].as_str().unwrap()))
        .collect();
    format!("{} ({})", answer["outcome"].as_str().unwrap(), because.join("; "))
}

#[test]
fn roles_and_exemptions_decide_who_is_asked_where() {
    let world = World::new();
    world::sh("groupadd -f sudo && usermod -aG sudo alice && useradd backup2");
    configure(&format!(
        "{ADMINS}services = ['sshd', 'sudo']\n{EVERYONE}[[exempt]]\nusers = ['backup2', 'alice']\nservices = ['sshd']\n\
         networks = ['10.20.0.0/16', '2001:db8::/32']\nreason = 'ticket 4711'\n"
    ));
    let _daemon = world.daemon();
    // A member without a factor: required at sshd and sudo, optional elsewhere.
    assert_eq!(log_in("alice", "sshd", "192.0.2.7", ""), pam::AUTH_ERR);
    assert_eq!(log_in("alice", "sudo", "", ""), pam::AUTH_ERR);
    assert_eq!(log_in("alice", "su", "", ""), LET_IN);
    assert_eq!(log_in("bob", "sshd", "192.0.2.7", ""), LET_IN);
    // From the network of the exemption, and not from where only a name says so.
    for (rhost, expected) in [
        ("10.20.1.2", LET_IN),
        ("::ffff:10.20.1.2", LET_IN),
        ("2001:db8::7", LET_IN),
        ("10.21.0.1", pam::AUTH_ERR),
        ("backup.example", pam::AUTH_ERR),
        ("", pam::AUTH_ERR),
    ] {
        assert_eq!(log_in("alice", "sshd", rhost, ""), expected, "{rhost}");
    }
    assert_eq!(log_in("alice", "sudo", "10.20.1.2", ""), pam::AUTH_ERR, "another service");
    // SSH_CONNECTION is sshd's word, and nobody else's: pam_env may set it from a file of the user's.
    let saying = |tty: &str| {
        let variable = "SSH_CONNECTION=10.20.1.2 50000 192.0.2.1 22";
        pamhost::run(&["-s", "sshd", "-u", "alice", "-t", tty, "-e", variable, ""]).code
    };
    assert_eq!((saying("ssh"), saying("/dev/pts/0")), (LET_IN, pam::AUTH_ERR));
    assert_eq!(explain("alice", "sshd", "10.20.1.2"), "skip (exempt 1: released: ticket 4711)");
    assert_eq!(explain("alice", "sshd", ""), "deny (role admins: required; role everyone: optional)");
    assert_eq!(explain("bob", "sshd", ""), "skip (role everyone: optional)");

    let phone = world.enroll("alice");
    assert_eq!(log_in("alice", "sshd", "192.0.2.7", &phone.code(0)), pam::SUCCESS);
    let shown = json(&root(&["user", "show", "alice", "--json"]));
    assert_eq!(shown["requirement"], "required");
    assert_eq!(shown["requirements"][0], serde_json::json!({ "service": "sshd", "requirement": "required" }));
    let required = json(&root(&["user", "list", "--required", "--json"]));
    assert_eq!(required.as_array().unwrap().len(), 1);
    // The last factor stays while policy requires one.
    let id = shown["factors"][0]["id"].as_str().unwrap().to_owned();
    let mut remove = as_user("alice", "sh");
    let out =
        remove.args(["-c", &format!("echo {} | twinlock remove {id}", phone.code(1))]).output().unwrap();
    assert!(text(&out.stderr).contains("policy requires a factor and this is your last"), "{out:?}");
}

#[test]
fn groups_and_files_that_change_are_seen_without_a_restart() {
    let world = World::new();
    world::sh("groupadd -f sudo");
    configure(&format!("{ADMINS}{EVERYONE}"));
    let daemon = world.daemon();
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN);
    world::sh("usermod -aG sudo alice");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "a member since the last login");
    world::sh("gpasswd -d alice sudo && usermod -g sudo alice");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "by the primary group");

    configure("nonsense = 1\n");
    reload(&daemon, "denied");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "a broken file changes nothing");
    configure(EVERYONE);
    reload(&daemon, "granted");
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN);
    configure(&format!("{ADMINS}enforce = false\n{EVERYONE}"));
    reload(&daemon, "granted");
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN, "not enforced");
    wait::until("what would have happened", 10, || {
        world.logins("alice").last().filter(|login| login.contains("would-deny")).cloned()
    });
    // An exemption is for the group that was meant when it was loaded.
    configure(&format!("{ADMINS}[[exempt]]\ngroups = ['ops']\nreason = 'x'\n"));
    reload(&daemon, "granted");
    world::sh("groupadd ops && usermod -aG ops alice");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "a group that was not there then");
    reload(&daemon, "granted");
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN);
    world::sh("groupdel ops && groupadd -g 4711 ops && usermod -aG ops alice");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "another group of that name");
}

#[test]
fn an_administrator_requires_and_exempts_one_user() {
    let world = World::new();
    let _daemon = world.daemon();
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN);
    let out = root(&["user", "require", "alice"]);
    assert_eq!(text(&out.stdout), "alice: second factor required, not enrolled.\n");
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR);

    let nothing = root(&["user", "exempt", "alice", "--until", "7d"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    let over = root(&["user", "exempt", "alice", "--until", "2001-01-01", "--reason", "x"]);
    assert!(over.status.code() == Some(1) && text(&over.stderr).contains("is over already"), "{over:?}");
    assert!(root(&["user", "exempt", "alice", "--until", "7d", "--reason", "lost phone"]).status.success());
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN, "beats what is required");
    assert_eq!(explain("alice", "sshd", ""), "skip (user exempt: released: lost phone)");
    let refused = root(&["user", "require", "alice"]);
    assert!(text(&refused.stderr).contains("alice is exempt until 20"), "{refused:?}");
    assert!(root(&["user", "exempt", "alice", "--off"]).status.success());
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR);
    // A reset takes an exemption away, and leaves what is required.
    assert!(root(&["user", "exempt", "alice", "--until", "7d", "--reason", "x"]).status.success());
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR);
    assert!(root(&["user", "require", "alice", "--off"]).status.success());
    assert_eq!(log_in("alice", "sshd", "", ""), LET_IN);
    let trail = text(&root(&["audit", "--user", "alice", "--event", "exempt"]).stdout);
    assert!(trail.lines().count() >= 3 && trail.contains("lost phone"), "{trail}");
    // A factor that waits for its first code is asked for where one is required.
    assert!(root(&["user", "require", "alice"]).status.success());
    let provisioned = json(&root(&["user", "enroll", "alice", "totp", "--json"]));
    let phone = twinlock_tests::phone::Phone::with_key(provisioned["secret"].as_str().unwrap());
    assert_eq!(log_in("alice", "sshd", "", &phone.code(0)), pam::SUCCESS);
}

#[test]
fn a_role_without_recovery_takes_no_recovery_code_but_a_bypass_code() {
    let world = World::new();
    let daemon = world.daemon();
    let phone = world.enroll("alice");
    let mut recovery = as_user("alice", "sh");
    let out = recovery
        .args(["-c", &format!("echo {} | twinlock recovery --json", phone.code(0))])
        .output()
        .unwrap();
    let start = text(&out.stdout).find('{').unwrap();
    let codes: serde_json::Value = serde_json::from_slice(&out.stdout[start..]).unwrap();
    let code = |n: usize| codes["codes"][n].as_str().unwrap().to_owned();
    assert_eq!(log_in("alice", "sshd", "", &code(0)), pam::SUCCESS);
    configure(
        "[[role]]\nname = 'all'\ngroups = ['*']\nsecond-factor = 'required'\nrecovery = false\nmethods = ['totp']\n",
    );
    reload(&daemon, "granted");
    assert_ne!(log_in("alice", "sshd", "", &code(1)), pam::SUCCESS);
    let mut again = as_user("alice", "sh");
    let refused = again.args(["-c", "echo 123456 | twinlock recovery"]).output().unwrap();
    assert!(text(&refused.stderr).contains("by policy recovery codes do not count"), "{refused:?}");
    let bypass = json(&root(&["user", "bypass", "alice", "--reason", "ticket", "--json"]));
    assert_eq!(log_in("alice", "sshd", "", bypass["code"].as_str().unwrap()), pam::SUCCESS);
    // Nor does a bypass code need a factor beside it: the phone is lost, and was taken out.
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR);
    let bypass = json(&root(&["user", "bypass", "alice", "--reason", "ticket", "--json"]));
    assert_eq!(log_in("alice", "sshd", "", bypass["code"].as_str().unwrap()), pam::SUCCESS);
    assert_eq!(log_in("alice", "sshd", "", ""), pam::AUTH_ERR, "used up");
}

#[test]
fn policy_check_names_place_and_remedy_and_needs_no_daemon() {
    let _world = World::new();
    let check = || {
        let out = root(&["policy", "check"]);
        (out.status.code(), text(&out.stdout))
    };
    for (file, code, expected) in [
        (EVERYONE.to_owned(), 0, ""),
        (
            ADMINS.replace("sudo", "no-such-group"),
            1,
            "error: there is no group \"no-such-group\" (role admins); make it",
        ),
        (ADMINS.replace("required", "off"), 1, "disables the second factor for everyone"),
        (format!("{ADMINS}enforce = false\n"), 0, "warning: role is enforced nowhere"),
        (
            format!("{ADMINS}methods = ['sms', 'email']\n"),
            0,
            "warning: role.methods of role \"admins\" are all restricted",
        ),
        (format!("{ADMINS}{ADMINS}"), 1, "role.name \"admins\" is there twice"),
        (format!("{EVERYONE}[[exempt]]\nreason = 'x'\n"), 1, "would release everybody"),
        (format!("{EVERYONE}[[exempt]]\nusers = ['root']\nreason = ' '\n"), 1, "exempt.reason is empty"),
        (format!("{EVERYONE}[[exempt]]\nusers = ['root']\n"), 1, "missing field `reason`"),
        (
            format!("{EVERYONE}[[exempt]]\nnetworks = ['10.0.0.0/8']\nreason = 'x'\n"),
            0,
            "is by network alone",
        ),
        (format!("{EVERYONE}[[exempt]]\nnetworks = ['10.0.0.0/33']\nreason = 'x'\n"), 1, "is no network"),
        (
            format!("{EVERYONE}[[exempt]]\nusers = ['root']\nuntil = 07:30:00\nreason = 'x'\n"),
            1,
            "exempt.until is no date",
        ),
        (ADMINS.replace("required", "maybe"), 1, "twinlock.toml:4: error: unknown variant `maybe`"),
    ] {
        configure(&file);
        let (status, said) = check();
        assert_eq!(status, Some(code), "{file}: {said}");
        assert!(said.contains(expected) && (expected.is_empty() == said.is_empty()), "{file}: {said}");
    }
    let out = root(&["policy", "check", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(findings[0]["severity"], "error");
    assert!(findings[0]["place"].as_str().unwrap().ends_with("twinlock.toml:4"));
}

#[test]
fn a_method_that_the_policy_leaves_out_is_not_enrolled_and_does_not_count() {
    let world = World::new();
    let daemon = world.daemon();
    let phone = world.enroll("alice");
    configure("[[role]]\nname = 'tokens'\ngroups = ['*']\nsecond-factor = 'required'\nmethods = ['hotp']\n");
    reload(&daemon, "granted");
    assert_eq!(log_in("alice", "sshd", "", &phone.code(0)), pam::AUTH_ERR);
    let mut enroll = as_user("bob", "twinlock");
    let refused = enroll.args(["enroll", "totp", "--no-terminal"]).output().unwrap();
    assert!(
        text(&refused.stderr).contains("policy lets you use hotp, and no authenticator app"),
        "{refused:?}"
    );
}
