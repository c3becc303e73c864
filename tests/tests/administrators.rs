//! Every administrator's command: right, again, wrong, as somebody who is not root, with the daemon down. A command that is
//! missing from the table fails it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::{Command, Output};

use twinlock_tests::{
    delivery,
    world::{World, as_user, root, sh},
};

/// What is typed, in this order: the exit code, that of the same once more, and that of a mistake, which says something.
struct Row {
    command: &'static str,
    right: &'static str,
    codes: [i32; 2],
    wrong: (&'static str, i32, &'static str),
    /// Whether it asks the daemon, and so root alone.
    asks: bool,
}

const fn row(
    command: &'static str,
    right: &'static str,
    codes: [i32; 2],
    wrong: (&'static str, i32, &'static str),
) -> Row {
    Row { command, right, codes, wrong, asks: true }
}

const TABLE: &[Row] = &[
    row("user list", "", [0, 0], ("--nonsense", 2, "--nonsense")),
    row(
        "user contact",
        "bob --email bob@example.com --verified",
        [0, 0],
        ("bob --email bob", 1, "no mail address"),
    ),
    row("user invite", "bob --no-mail", [0, 0], ("nobody-here --no-mail", 1, "there is no user")),
    row(
        "user enroll",
        "bob totp --activate --label phone",
        [0, 1],
        ("nobody-here totp", 1, "there is no user"),
    ),
    row("user show", "bob", [0, 0], ("nobody-here", 1, "there is no user")),
    row("user require", "bob", [0, 0], ("nobody-here", 1, "there is no user")),
    row("user require", "bob --off", [0, 0], ("", 2, "NAME")),
    row(
        "user exempt",
        "bob --until 7d --reason ticket",
        [0, 0],
        ("bob --until 7d --reason ''", 1, "needs a --reason"),
    ),
    row("user exempt", "bob --off", [0, 0], ("bob --until never --reason x", 2, "write a date")),
    row("user open-enrollment", "alice", [0, 0], ("bob", 1, "has a factor")),
    row("user bypass", "bob --reason lost", [0, 0], ("bob --reason x --for 25h", 1, "between 1s and 24h")),
    row("user unlock", "bob", [0, 0], ("nobody-here", 1, "there is no user")),
    row("user adopt", "bob", [0, 0], ("carol", 1, "there is no user carol")),
    row("token import", "/root/tokens.csv", [0, 1], ("/nonexistent", 1, "/nonexistent")),
    row("token list", "", [0, 0], ("x", 2, "unexpected argument")),
    row("token assign", "T1 bob", [0, 1], ("T9 bob", 1, "T9")),
    row("token resync", "T1 755224 287082", [0, 1], ("T9 1 2", 1, "T9")),
    row("token revoke", "T1", [0, 1], ("T9", 1, "T9")),
    row("user reset", "bob", [0, 0], ("nobody-here", 1, "there is no user")),
    row("user purge", "bob", [0, 1], ("nobody-here", 1, "nothing is known")),
    row("policy explain", "bob --service sshd", [0, 0], ("", 2, "NAME")),
    row("policy open-enrollment", "new", [0, 0], ("old", 1, "there is no role")),
    row("audit", "--since 1h", [0, 0], ("--event nonsense", 2, "there is no event")),
    row("provider list", "", [0, 0], ("x", 2, "unexpected argument")),
    row(
        "provider test",
        "email --to bob@example.com --dry-run",
        [0, 0],
        ("none --to +447400123456 --dry-run", 1, "none"),
    ),
    row("migrate google-authenticator", "--user alice", [0, 0], ("--user nobody-here", 1, "nobody-here")),
    row("migrate oath", "/root/users.oath", [0, 0], ("/nonexistent", 1, "/nonexistent")),
    row("db check", "", [0, 0], ("x", 2, "unexpected argument")),
    row("db backup", "/root/backup.db", [0, 1], ("/nonexistent/x", 1, "/nonexistent/x")),
    row("key rotate", "", [0, 0], ("x", 2, "unexpected argument")),
    row("clock accept", "", [0, 0], ("x", 2, "unexpected argument")),
    row("daemon status", "", [0, 0], ("x", 2, "unexpected argument")),
    // These do without the daemon.
    Row {
        command: "db restore",
        right: "--yes /root/backup.db", // while it runs: no
        codes: [1, 1],
        wrong: ("--yes /nonexistent", 1, "/nonexistent"),
        asks: false,
    },
    Row {
        command: "policy check",
        right: "",
        codes: [0, 0],
        wrong: ("/nonexistent", 1, "/nonexistent"),
        asks: false,
    },
    row(
        "pam enable",
        "--service su --yes --undo-after 0",
        [0, 0],
        ("--service su --undo-after never", 2, "--undo-after"),
    ),
    Row {
        command: "pam confirm",
        right: "",
        codes: [1, 1],
        wrong: ("x", 2, "unexpected argument"),
        asks: false,
    },
    Row {
        command: "pam undo",
        right: "",
        codes: [1, 1],
        wrong: ("x", 2, "unexpected argument"),
        asks: false,
    },
    Row { command: "pam status", right: "", codes: [0, 0], wrong: ("--service cron", 1, ""), asks: false },
    Row {
        command: "pam disable",
        right: "--service su --yes",
        codes: [0, 0],
        wrong: ("--nonsense", 2, "--nonsense"),
        asks: false,
    },
    Row { command: "doctor", right: "", codes: [1, 1], wrong: ("x", 2, "unexpected argument"), asks: false },
    Row { command: "completions", right: "bash", codes: [0, 0], wrong: ("tcsh", 2, "tcsh"), asks: false },
];

/// Commands for everybody and their own account, which tests/command.rs has.
const OWN: &[&str] = &["status", "enroll", "verify", "recovery", "remove", "prefer"];

fn arguments(row: &Row, rest: &str) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
    };
    [words(row.command), words(rest)].concat()
}

fn run(row: &Row, rest: &str) -> Output {
    let arguments = arguments(row, rest);
    root(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn ended(row: &Row, rest: &str, out: &Output, code: i32, said: &str) {
    let told = String::from_utf8_lossy(&[&out.stderr[..], &out.stdout].concat()).into_owned();
    let name = format!("twinlock {} {rest}", row.command);
    assert_eq!(out.status.code(), Some(code), "{name}: {told}");
    assert!(told.contains(said), "{name}: {said:?} is not in {told}");
}

/// What `--help` lists, two levels deep.
fn listed() -> Vec<String> {
    let commands = |arguments: &[&str]| -> Vec<String> {
        let out = Command::new("twinlock").args(arguments).arg("--help").output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = lines
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
    };
    let below = |name: String| {
        let deeper = commands(&[&name]);
        if deeper.is_empty() || OWN.contains(&name.as_str()) || name == "user" && deeper.is_empty() {
            vec![name]
        } else {
            deeper.into_iter().map(|sub| format!("{name} {sub}")).collect()
        }
    };
    commands(&[]).into_iter().flat_map(below).collect()
}

#[test]
fn each_command_right_again_wrong_by_somebody_else_and_with_the_daemon_down() {
    let world = World::new();
    delivery::configure(
        "[web]\nurl = 'https://twofactor.example.test'\nproxies = ['127.0.0.1']\n[email]\nfrom = 'login@example.com'\n[sms]\nregions = ['GB']\n\
         [[role]]\nname = 'new'\ngroups = ['*']\nsecond-factor = 'optional'\nenrollment = 'at-login'\n",
        &[],
    );
    // RFC 4226, appendix D: its codes at 0 and 1.
    sh(
        "printf 'serial,kind,secret,counter\nT1,hotp,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,0\n' > /root/tokens.csv",
    );
    sh(
        "printf 'HOTP/T30/6 alice - 3132333435363738393031323334353637383940\n' > /root/users.oath; chmod 0600 /root/users.oath",
    );
    sh("printf '%s\n' GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ '\" TOTP_AUTH' > ~alice/.google_authenticator");
    sh("chown alice ~alice/.google_authenticator; chmod 0400 ~alice/.google_authenticator");
    for name in listed() {
        let known = TABLE.iter().any(|row| row.command == name) || OWN.contains(&name.as_str());
        assert!(known, "{name} is not in the table");
    }
    let daemon = world.daemon();
    for row in TABLE {
        for code in row.codes {
            ended(row, row.right, &run(row, row.right), code, "");
        }
        let (rest, code, said) = row.wrong;
        ended(row, rest, &run(row, rest), code, said);
        if row.asks {
            let mut command = as_user("alice", "twinlock");
            let out = command.args(arguments(row, row.right)).output().unwrap();
            ended(row, row.right, &out, 77, "");
        }
    }
    drop(daemon);
    for row in TABLE.iter().filter(|row| row.asks) {
        let _ = std::fs::remove_file("/root/backup.db");
        ended(row, row.right, &run(row, row.right), 69, "twinlockd does not listen");
        assert!(!std::path::Path::new("/root/backup.db").exists(), "nothing is left of what failed");
    }
}
