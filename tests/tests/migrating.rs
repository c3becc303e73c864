//! Taking over from google-authenticator and pam_oath: their own files, made and used by themselves. The codes are
//! oathtool's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    phone::{self, Phone, now},
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, Sshd, client, outcome},
    terminal::Terminal,
    wait,
    world::{self, PASSWORD, World, as_user, root, sh},
};

/// "12345678901234567890", of RFC 4226, and its bytes turned round.
const KEY: &str = "3132333435363738393031323334353637383930";
const OTHER: &str = "3039383736353433323130393837363534333231";
const GA: &[&str] = &["migrate", "google-authenticator"];

/// The code of a counter; the key in hexadecimal, or in Base32 after `-b`.
fn hotp(key: &[&str], counter: i64) -> String {
    let out = Command::new("oathtool").args(["-c", &counter.to_string()]).args(key).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn totp(key: &str, steps: i64) -> String {
    let at = format!("@{}", now() + 30 * steps);
    let out = Command::new("oathtool").args(["--totp", "-N", &at, key]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Exit code, and everything that was said.
fn twinlock(arguments: &[&str]) -> (Option<i32>, String) {
    let out = root(arguments);
    let said = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// What became of each secret, and the exit code.
fn told(arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let out = root(&[arguments, &["--json"]].concat());
    let parsed = serde_json::from_slice(&out.stdout);
    (out.status.code(), parsed.unwrap())
}

/// Sets a user up with the program itself; returns the key, in Base32.
fn set_up(user: &str, options: &[&str]) -> String {
    let mut command = as_user(user, "google-authenticator");
    command.args(["-f", "-q", "-C", "-r", "3", "-R", "30", "-w", "3"]).args(options);
    let out = command.env("HOME", format!("/home/{user}")).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    fs::read_to_string(format!("/home/{user}/.google_authenticator"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

/// Logs in at a stack of the old program alone.
fn use_there(module: &str, user: &str, code: &str) -> bool {
    world::stack("former", &format!("auth required {module}\n"));
    pamhost::run(&["-s", "former", "-u", user, code]).code == pam::SUCCESS
}

fn sshd(world: &World) -> Sshd {
    world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE)
}

fn log_in(user: &str, code: &str) -> Terminal {
    let mut ssh = client(user, &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", code);
    ssh
}

fn factors(user: &str) -> Value {
    let out = root(&["user", "show", user, "--json"]);
    let mut account: Value = serde_json::from_slice(&out.stdout).unwrap();
    account["factors"].take()
}

/// A user with something in place of the file.
fn with(user: &str, make: &str) {
    sh(&format!("id {user} >/dev/null 2>&1 || useradd --create-home {user}"));
    sh(&format!("cd /home/{user} && F=.google_authenticator U={user} && {make}"));
}

fn users_file(lines: &str) {
    fs::write("/etc/users.oath", lines).unwrap();
    fs::set_permissions("/etc/users.oath", Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn apps_of_google_authenticator_go_on_and_what_was_used_stays_used() {
    let world = World::new();
    let _daemon = world.daemon();
    let (time, counter) = (set_up("alice", &["-t", "-d"]), set_up("bob", &["-c"]));
    let phone = Phone::with_key(&time);
    phone::early_in_a_step(20);
    let (used, next) = (phone.code(0), phone.code(1));
    let button = ["-b", counter.as_str()];
    assert!(use_there("pam_google_authenticator.so", "alice", &used));
    assert!(use_there("pam_google_authenticator.so", "bob", &hotp(&button, 1)));

    let before = fs::read("/home/alice/.google_authenticator").unwrap();
    let (code, said) = twinlock(&[GA, &["--all", "--dry-run"]].concat());
    assert!(code == Some(0) && said.contains("alice: would be taken over (TOTP, 6 digits, 30 s)"), "{said}");
    assert!(said.contains("Nothing is stored. It would be: 2 taken over"), "{said}");
    assert!(factors("alice").as_array().unwrap().is_empty());

    let (code, said) = twinlock(&[GA, &["--all"]].concat());
    assert!(code == Some(0), "{said}");
    for expected in [
        "alice: taken over (TOTP, 6 digits, 30 s); scratch codes are not: twinlock recovery makes new ones",
        "bob: taken over (HOTP, 6 digits); ",
        "RATE_LIMIT is not",
        "2 taken over, 0 already there, 0 refused.",
        "pam_twinlock.so in the place of pam_google_authenticator.so",
        "twinlock user reset NAME",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(fs::read("/home/alice/.google_authenticator").unwrap(), before, "it is left as it is");
    assert_eq!(factors("alice")[0]["label"], "google-authenticator");

    let _sshd = sshd(&world);
    log_in("alice", &used).expect("That code was used");
    assert!(outcome(log_in("alice", &next), "alice").0);
    log_in("bob", &hotp(&button, 1)).expect("That code was used");
    assert!(outcome(log_in("bob", &hotp(&button, 2)), "bob").0);

    let (code, said) = twinlock(&[GA, &["--all"]].concat());
    assert!(code == Some(0) && said.contains("alice: already there, as \"google-authenticator\""), "{said}");
    let trail = String::from_utf8(root(&["audit", "--event", "migrate"]).stdout).unwrap();
    assert_eq!(trail.lines().count(), 2, "{trail}");
    let id = factors("bob")[0]["id"].as_str().unwrap().to_owned();
    assert!(trail.contains(&format!("method=\"hotp\" reason=\"{id} google-authenticator\"")), "{trail}");
    let log = world.log();
    assert!(!log.contains(&time) && !log.contains(&counter), "{log}");
    // To undo it is to reset.
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert_eq!(told(&[GA, &["--user", "alice"]].concat()).1[0]["outcome"], "taken");
}

#[test]
fn a_users_file_of_pam_oath_goes_on_line_by_line() {
    let world = World::new();
    let _daemon = world.daemon();
    users_file(&format!(
        "# tokens\nHOTP alice - {KEY} 3\nHOTP/T30/6 bob + {KEY}\nHOTP bob 1234 {OTHER}\nHOTP mallory - {OTHER}\n\
         HOTP alice - {KEY}\nHOTP/T30/8 alice - {OTHER}\nHOTP/E alice - xyz\n{OTHER} alice\n"
    ));
    phone::early_in_a_step(20);
    let (used, next) = (totp(KEY, 0), totp(KEY, 1));
    let module = "pam_oath.so usersfile=/etc/users.oath window=5";
    assert!(use_there(module, "alice", &hotp(&[KEY], 5)) && use_there(module, "bob", &used));

    let (dry, planned) = told(&["migrate", "oath", "/etc/users.oath", "--dry-run"]);
    assert!(factors("alice").as_array().unwrap().is_empty());
    let (code, done) = told(&["migrate", "oath", "/etc/users.oath"]);
    assert_eq!((dry, code), (Some(1), Some(1)));
    let without_factor = |mut all: Vec<Value>| {
        for one in &mut all {
            one["factor"].take();
        }
        all
    };
    assert_eq!(without_factor(planned), without_factor(done.clone()), "a dry run says what happens");
    let lines: Vec<_> =
        done.iter().map(|one| (one["line"].as_i64().unwrap(), &one["user"], &one["outcome"])).collect();
    let expected = [
        (2, "alice", "taken"),
        (3, "bob", "taken"),
        (4, "bob", "refused"),
        (5, "mallory", "refused"),
        (6, "alice", "present"),
        (7, "alice", "taken"),
        (8, "alice", "refused"),
        (9, "", "refused"),
    ];
    for (told, (line, user, outcome)) in lines.iter().zip(expected) {
        assert_eq!(*told, (line, &user.into(), &outcome.into()));
    }
    assert_eq!(lines.len(), expected.len());
    let reasons: Vec<&str> = done.iter().filter_map(|one| one["reason"].as_str()).collect();
    for (reason, word) in
        reasons.iter().zip(["it has a PIN", "no such user", "not hexadecimal", "the type is none"])
    {
        assert!(reason.contains(word), "{reasons:?}");
    }
    assert!(!reasons.concat().contains("1234") && !reasons.concat().contains(OTHER), "{reasons:?}");
    assert_eq!(
        (&done[5]["digits"], &done[5]["period"], &done[5]["label"]),
        (&8.into(), &30.into(), &"oath-2".into())
    );

    let _sshd = sshd(&world);
    log_in("alice", &hotp(&[KEY], 5)).expect("That code was used");
    assert!(outcome(log_in("alice", &hotp(&[KEY], 6)), "alice").0);
    log_in("bob", &used).expect("That code was used");
    assert!(outcome(log_in("bob", &next), "bob").0);
    let (_, again) = told(&["migrate", "oath", "/etc/users.oath"]);
    assert!(again.iter().all(|one| one["outcome"] != "taken"), "{again:?}");
}

#[test]
fn whatever_stands_in_a_home_is_refused_with_the_reason_and_nothing_hangs() {
    let world = World::new();
    let _daemon = world.daemon();
    let good = "printf 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\\n\" TOTP_AUTH\\n'";
    let own = "chown $U $F && chmod 600 $F";
    for (user, make, why) in [
        ("u-link", "ln -s /etc/shadow $F".to_owned(), "a symbolic link"),
        ("u-own-link", format!("{good} >x && chown $U x && ln -s x $F"), "a symbolic link"),
        ("u-pipe", "mkfifo $F && chown $U $F".to_owned(), "no regular file"),
        ("u-folder", "mkdir $F && chown $U $F".to_owned(), "no regular file"),
        ("u-hard", format!("{good} >x && chown $U x && chmod 600 x && ln x $F"), "a hard link"),
        ("u-roots", format!("{good} >$F && chmod 644 $F"), "owned by uid 0"),
        ("u-shadow", "ln /etc/shadow $F".to_owned(), "Permission denied"),
        ("u-sparse", format!("truncate -s 1G $F && {own}"), "larger than 64 KiB"),
        (
            "u-world",
            format!("{good} >$F && chown $U $F && chmod 602 $F"),
            "others than its owner can write it",
        ),
        ("u-shut", format!("{good} >$F && {own} && chown root . && chmod 700 ."), "Permission denied"),
        ("u-empty", format!(": >$F && {own}"), "line 1: "),
        ("u-noise", format!("head -c 60000 /dev/urandom >$F && {own}"), "line 1: "),
        ("u-nul", format!("head -c 60000 /dev/zero >$F && {own}"), "line 1: "),
        (
            "u-words",
            format!("(printf 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\\n'; cat /etc/passwd) >$F && {own}"),
            "line 2: ",
        ),
        ("u-neither", format!("echo GEZDGNBVGY3TQOJQ >$F && {own}"), "neither TOTP_AUTH nor HOTP_COUNTER"),
        ("u-open", format!("{good} >$F && chown $U $F && chmod 644 $F"), ""),
        ("u-none", "true".to_owned(), "absent"),
    ] {
        with(user, &make);
        if why == "absent" {
            let (code, said) = twinlock(&[GA, &["--user", user]].concat());
            assert!(
                code == Some(1) && said.contains("there is no /home/u-none/.google_authenticator"),
                "{said}"
            );
            continue;
        }
        let (code, all) = told(&[GA, &["--user", user]].concat());
        if why.is_empty() {
            assert_eq!((code, &all[0]["outcome"]), (Some(0), &"taken".into()), "{all:?}");
            assert!(all[0]["notes"].to_string().contains("others could read the file"), "{all:?}");
            continue;
        }
        assert_eq!((code, &all[0]["outcome"]), (Some(1), &"refused".into()), "{user}: {all:?}");
        assert!(all[0]["reason"].as_str().unwrap().contains(why), "{user}: {all:?}");
    }
    with("u-socket", "true");
    let _socket = UnixListener::bind("/home/u-socket/.google_authenticator").unwrap();
    sh("chown u-socket /home/u-socket/.google_authenticator; mv /home /elsewhere && ln -s /elsewhere /home");
    // All of them at once, where /home is a link of root's.
    let began = Instant::now();
    let (code, all) = told(&[GA, &["--all"]].concat());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(code, Some(1));
    let outcome = |user: &str| {
        let of: Vec<&Value> = all.iter().filter(|one| one["user"] == user).collect();
        of.first().map_or("absent", |one| one["outcome"].as_str().unwrap()).to_owned()
    };
    assert_eq!([outcome("u-open"), outcome("u-socket"), outcome("u-none")], ["present", "refused", "absent"]);
    assert_eq!(all.iter().filter(|one| one["outcome"] == "refused").count(), 16, "{all:?}");
    let said = all.iter().map(ToString::to_string).collect::<String>() + &world.log();
    assert!(!said.contains("$y$") && !said.contains("GEZDGNBV"), "{said}");
}

#[test]
fn a_home_that_does_not_answer_is_given_up_and_the_others_go_on() {
    let world = World::new();
    let _daemon = world.daemon();
    for user in ["alice", "bob"] {
        set_up(user, &["-t", "-d"]);
    }
    // As in front of a dead file server: the file is opened, and 20 seconds go by.
    let began = now();
    let out = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat"])
        .args(["-e", "inject=openat:delay_enter=20000000", "-P", "/home/alice/.google_authenticator"])
        .args([
            "sh",
            "-c",
            "twinlock --json migrate google-authenticator --all; code=$?; date +%s >/root/ended; exit $code",
        ])
        .output()
        .unwrap();
    let ended: i64 = fs::read_to_string("/root/ended").unwrap().trim().parse().unwrap();
    assert!((5..15).contains(&(ended - began)), "{} s", ended - began);
    let all: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), all.len()), (Some(1), 2), "{all:?}");
    assert!(all[0]["reason"].to_string().contains("could not be read within 5 s"), "{all:?}");
    assert_eq!((&all[1]["user"], &all[1]["outcome"]), (&"bob".into(), &"taken".into()));
}

/// A line of what the kernel says about a process.
fn status(pid: u32, line: &str) -> String {
    let all = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = all.lines().find_map(|said| said.strip_prefix(line)?.strip_prefix(':')).unwrap_or_default();
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The process with this command line.
fn pid_of(command: &str) -> Option<u32> {
    let out = Command::new("pgrep").args(["-f", command]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().ok()
}

/// A session, and the terminal that it is on.
fn session(pid: u32) -> (u32, i32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let numbers: Vec<i32> = stat.rsplit(')').next().unwrap().split(' ').flat_map(str::parse).collect();
    (u32::try_from(numbers[2]).unwrap(), numbers[3])
}

#[test]
fn who_is_read_for_gets_nothing_of_roots_by_the_process_that_reads() {
    let world = World::new();
    let _daemon = world.daemon();
    let _key = set_up("alice", &["-t", "-d"]);
    let (uid, gid) = (sh("id -u alice"), sh("id -g alice"));
    let of_alice = |id: &str| [id.trim(); 4].join(" ");
    // At root's terminal; whoever calls it has a file open that is not for alice. The reader is held as it opens hers.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "exec 9</etc/shadow; strace -f -qq -o /dev/null -e trace=openat -e inject=openat:delay_enter=60000000 \
         -P /home/alice/.google_authenticator twinlock migrate google-authenticator --user alice; read wait",
    ]);
    let mut terminal = Terminal::run(command);
    let mut seen = 0;
    let reader = wait::until("the reader", 4, || {
        let pid = pid_of("^twinlock-read-own").filter(|pid| status(*pid, "Uid") == of_alice(&uid))?;
        seen += 1;
        (seen > 5).then_some(pid)
    });
    let (root, tracer) = (pid_of("^twinlock migrate").unwrap(), pid_of("^strace").unwrap());
    sh(&format!("kill -STOP {root} {reader} && kill -KILL {tracer}"));
    wait::until("both stopped", 5, || {
        [root, reader].iter().all(|pid| status(*pid, "State").starts_with('T')).then_some(())
    });

    let (of_root, of_reader) = (session(root), session(reader));
    assert!(of_root.1 != 0, "root sits at a terminal: {of_root:?}");
    assert_eq!(of_reader, (reader, 0), "a session of its own, on no terminal");
    let ids = ["Gid", "Groups", "NoNewPrivs", "TracerPid"].map(|line| status(reader, line));
    assert_eq!(ids, [of_alice(&gid), String::new(), "1".to_owned(), "0".to_owned()]);
    let open = sh(&format!("readlink /proc/{reader}/fd/*"));
    let open: Vec<&str> = open.lines().filter(|file| *file != "/home/alice/.google_authenticator").collect();
    assert!(matches!(open[..], ["/dev/null", line, "/dev/null"] if line.starts_with("socket:")), "{open:?}");
    assert_eq!(sh(&format!("wc -c </proc/{reader}/environ")).trim(), "0");
    let attached =
        as_user("alice", "timeout").args(["5", "strace", "-p", &reader.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&attached.stderr);
    assert!(said.contains("Operation not permitted"), "{attached:?}");
    let files = as_user("alice", "ls").arg(format!("/proc/{reader}/fd")).output().unwrap();
    assert!(!files.status.success(), "{files:?}");

    // And it reads what it is there for.
    sh(&format!("kill -CONT {reader}; kill -CONT {root}"));
    terminal.expect("alice: taken over");
}

#[test]
fn a_file_in_a_home_is_no_second_factor_beside_one_that_counts() {
    let world = World::new();
    let _daemon = world.daemon();
    let phone = world.enroll("alice");
    let planted = set_up("alice", &["-t", "-d"]);
    let (code, said) = twinlock(&[GA, &["--user", "alice"]].concat());
    assert!(code == Some(1) && said.contains("the user has a factor or a contact already"), "{said}");
    assert_eq!(factors("alice").as_array().unwrap().len(), 1);
    let _sshd = sshd(&world);
    log_in("alice", &Phone::with_key(&planted).code(0)).expect("Wrong code.");
    assert!(outcome(log_in("alice", &phone.code(0)), "alice").0);

    // A name that is another's now.
    let _ = (world.enroll("bob"), sh("userdel -r bob && useradd -u 4321 --create-home bob"));
    users_file(&format!("HOTP bob - {KEY}\n"));
    set_up("bob", &["-c"]);
    for command in [&[GA, &["--user", "bob"][..]].concat()[..], &["migrate", "oath", "/etc/users.oath"]] {
        let (code, said) = twinlock(command);
        assert!(code == Some(1) && said.contains("enrolled with another uid"), "{said}");
    }
    // Four, and no more, by whatever file.
    assert!(root(&["user", "reset", "bob"]).status.success());
    let lines: String = (1..=5).map(|n| format!("HOTP bob - {n:040x}\n")).collect();
    users_file(&lines);
    let (dry, planned) = told(&["migrate", "oath", "/etc/users.oath", "--dry-run"]);
    let (code, done) = told(&["migrate", "oath", "/etc/users.oath"]);
    let outcomes = |all: &[Value]| all.iter().map(|one| one["outcome"].clone()).collect::<Vec<_>>();
    assert_eq!((dry, code, outcomes(&planned)), (Some(1), Some(1), outcomes(&done)));
    assert!(done[4]["reason"].as_str().unwrap().contains("4 factors already"), "{done:?}");
    let labels: Vec<Value> = done.iter().map(|one| one["label"].clone()).take(4).collect();
    assert_eq!(labels, ["oath", "oath-2", "oath-3", "oath-4"]);
}

#[test]
fn nothing_is_taken_over_by_a_clock_that_is_not_believed() {
    let world = World::new();
    let start = now();
    let daemon = Daemon::with_clock(start);
    set_up("alice", &["-t", "-d"]);
    daemon.move_clock(start - 86_400);
    let (code, said) = twinlock(&[GA, &["--all"]].concat());
    assert!(code == Some(1) && said.contains("twinlock clock accept"), "{said}");
    assert!(factors("alice").as_array().unwrap().is_empty(), "{}", world.log());
    daemon.set_clock(start);
    assert_eq!(twinlock(&[GA, &["--all"]].concat()).0, Some(0));
}

#[test]
fn only_root_migrates_and_only_roots_file() {
    let world = World::new();
    let daemon = world.daemon();
    set_up("alice", &["-t", "-d"]);
    users_file(&format!("HOTP bob - {KEY}\n"));
    for arguments in [&["google-authenticator", "--all"][..], &["oath", "/etc/users.oath"]] {
        let out = as_user("alice", "twinlock").arg("migrate").args(arguments).output().unwrap();
        assert_eq!(out.status.code(), Some(77), "{out:?}");
    }
    for (make, why) in [
        ("ln -s /etc/users.oath f", "a symbolic link"),
        ("mkfifo f", "no regular file"),
        ("mkdir f", "no regular file"),
        ("cp /etc/users.oath f; chown alice f", "owned by uid"),
        ("cp /etc/users.oath f; chmod 622 f", "others than its owner can write it"),
        ("ln /etc/users.oath f", "a hard link"),
        ("truncate -s 5M f", "larger than 4096 KiB"),
        ("truncate -s 1M f", "NUL bytes"),
        (": >f", "there is no secret in it"),
        ("true", "there is no such file"),
    ] {
        sh(&format!("cd /root && rm -rf f && {{ {make}; }}"));
        let (code, said) = twinlock(&["migrate", "oath", "/root/f"]);
        assert!(
            code == Some(1) && said.contains(why) && said.contains("nothing is taken over"),
            "{make}: {said}"
        );
    }
    sh("rm -rf /root/f; chmod 644 /etc/users.oath");
    let (code, said) = twinlock(&["migrate", "oath", "/etc/users.oath"]);
    assert!(
        code == Some(0) && said.contains("warning: /etc/users.oath: others than root can read it"),
        "{said}"
    );
    for (arguments, code) in [
        (&["--user", "nobody-knows"][..], 1),
        (&[], 2),
        (&["--all", "--user", "alice"], 2),
        (&["--user", "alice", "--file", "relative/${USER}"], 1),
    ] {
        assert_eq!(root(&[GA, arguments].concat()).status.code(), Some(code), "{arguments:?}");
    }
    // Where else the module may have its files.
    sh("mkdir -m 711 /var/lib/ga && mv /home/alice/.google_authenticator /var/lib/ga/alice");
    let elsewhere = ["--user", "alice", "--file", "/var/lib/ga/${USER}"];
    sh("chown root /var/lib/ga/alice");
    let (_, said) = twinlock(&[GA, &elsewhere].concat());
    assert!(said.contains("owned by uid 0") || said.contains("Permission denied"), "{said}");
    let (code, said) = twinlock(&[GA, &elsewhere, &["--owner", "root"]].concat());
    assert!(code == Some(0) && said.contains("alice: taken over"), "{said}");
    assert_eq!(daemon.stop().code(), Some(0));
    for arguments in [&[GA, &["--all"][..]].concat()[..], &["migrate", "oath", "/etc/users.oath"]] {
        assert_eq!(root(arguments).status.code(), Some(69));
    }
}
