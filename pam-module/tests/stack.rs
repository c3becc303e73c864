//! The built module in a real libpam with a private stack folder, against daemons of every kind of badness.
//! Needs root: the module talks only to sockets of root's.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    time::{Duration, Instant},
};

use support::{Host, Script, pam, serve, verdict};
use twinlock_proto::v1::Outcome;

#[test]
fn only_the_entry_points_are_exported_and_only_libc_and_libpam_needed() {
    let module = support::module(&[]);
    let nm = support::output("nm", &["-D", "--defined-only", module.to_str().unwrap()]);
    let mut names: Vec<&str> = nm.lines().filter_map(|line| line.split(' ').next_back()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "pam_sm_acct_mgmt",
            "pam_sm_authenticate",
            "pam_sm_chauthtok",
            "pam_sm_close_session",
            "pam_sm_open_session",
            "pam_sm_setcred"
        ]
    );
    let elf = support::output("readelf", &["-d", module.to_str().unwrap()]);
    for line in elf.lines().filter(|line| line.contains("NEEDED")) {
        let allowed = ["[libpam.so.0]", "[libc.so.6]", "[ld-linux", "[libgcc_s.so.1]"];
        assert!(allowed.iter().any(|name| line.contains(name)), "{line}");
    }
    assert!(elf.contains("NODELETE"), "libpam unloads modules: {elf}");
}

#[test]
fn a_grant_is_success_and_policy_release_is_ignored() {
    for (outcome, code) in [
        (Outcome::Granted, pam::SUCCESS),
        (Outcome::NotNeeded, pam::PERM_DENIED), // a stack whose modules all ignore fails
        (Outcome::Denied, pam::AUTH_ERR),
        (Outcome::Throttled, pam::MAXTRIES),
        (Outcome::Expired, pam::AUTH_ERR),
        (Outcome::Unspecified, pam::AUTHINFO_UNAVAIL),
    ] {
        let host = Host::new("");
        let _daemon = serve(&host, vec![Script::new().prompt("Code: ").verdict(outcome)]);
        let run = host.run(&["-S", "123456"]);
        assert_eq!(run.code, code, "{outcome:?}: {}", run.said);
        assert!(run.said.contains("prompt echo-on: Code: ") && run.errors.is_empty());
        if outcome == Outcome::Granted {
            assert!(run.said.contains("setcred 0"), "{}", run.said);
        }
    }
}

#[test]
fn an_absent_daemon_is_unavailable_at_once_unless_the_administrator_said_ignore() {
    let host = Host::new("");
    let start = Instant::now();
    assert_eq!(host.run(&["1"]).code, pam::AUTHINFO_UNAVAIL, "no socket");
    drop(UnixListener::bind(host.socket()).unwrap());
    assert_eq!(host.run(&["1"]).code, pam::AUTHINFO_UNAVAIL, "a socket that refuses");
    assert!(start.elapsed() < Duration::from_secs(2));

    let host = Host::new("unavailable=ignore");
    assert_eq!(
        host.run(&["-u", "daemon", "1"]).code,
        pam::PERM_DENIED,
        "ignored: nothing else is in this stack"
    );
    assert_eq!(host.run(&["-u", "root", "1"]).code, pam::PERM_DENIED, "root at the console");
    assert_eq!(host.run(&["-u", "root", "-r", "192.0.2.7", "1"]).code, pam::AUTHINFO_UNAVAIL);
    assert_eq!(host.run(&["-u", "nobody-here", "-r", "192.0.2.7", "1"]).code, pam::AUTHINFO_UNAVAIL);
    assert_eq!(host.run(&["-u", "root", "-s", "sshd", "1"]).code, pam::AUTHINFO_UNAVAIL);
}

/// Runs against a peer that does `treat` to each connection; `ignore` must not cover any of it.
fn against(treat: fn(std::os::unix::net::UnixStream)) -> (i32, Duration) {
    let host = Host::new("unavailable=ignore");
    let listener = UnixListener::bind(host.socket()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || treat(stream));
        }
    });
    let start = Instant::now();
    let run = host.run(&["-u", "daemon", "123456"]);
    assert!(run.errors.is_empty() && !run.said.contains("prompt"), "{run:?}");
    (run.code, start.elapsed())
}

#[test]
fn a_silent_peer_costs_five_seconds_and_denies() {
    let (code, took) = against(|stream| {
        let _open = stream;
        loop {
            std::thread::park();
        }
    });
    assert_eq!(code, pam::AUTHINFO_UNAVAIL);
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
}

#[test]
fn a_byte_a_second_is_as_late_as_silence() {
    // The beginning of a correct HTTP/2 answer: an empty SETTINGS frame, then more of them, slowly.
    let (code, took) = against(|mut stream| {
        for byte in [0, 0, 0, 4, 0, 0, 0, 0, 0].iter().cycle() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.read(&mut [0; 4096]);
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    assert_eq!(code, pam::AUTHINFO_UNAVAIL);
    assert!(took < Duration::from_secs(7), "{took:?}");
}

#[test]
fn garbage_denies_at_once() {
    for garbage in [
        |mut stream: std::os::unix::net::UnixStream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")),
        |mut stream: std::os::unix::net::UnixStream| drop(stream.write_all(&[0xff; 100_000])),
        |stream: std::os::unix::net::UnixStream| drop(stream),
    ] {
        let (code, took) = against(garbage);
        assert_eq!(code, pam::AUTHINFO_UNAVAIL);
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

#[test]
fn a_full_queue_is_late_and_not_absent() {
    let host = Host::new("unavailable=ignore");
    let socket = support::socket_with_queue_of_one(&host.socket());
    let mut waiting = Vec::new();
    // Fill the queue until connect(2) would block.
    while let Some(stream) = support::try_connect(&host.socket()) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue does not fill");
    }
    let start = Instant::now();
    assert_eq!(host.run(&["-u", "daemon", "1"]).code, pam::AUTHINFO_UNAVAIL);
    assert!(start.elapsed() > Duration::from_millis(900) && start.elapsed() < Duration::from_secs(3));
    drop((socket, waiting));
}

#[test]
fn a_socket_or_folder_that_is_not_roots_alone_is_refused_before_a_word_is_said() {
    for spoil in ["chmod 0777 FOLDER", "chown daemon FOLDER", "chown daemon SOCKET"] {
        let host = Host::new("");
        let daemon = serve(&host, vec![Script::new().verdict(Outcome::Granted)]);
        let folder = host.socket().parent().unwrap().display().to_string();
        let socket = host.socket().display().to_string();
        support::output("sh", &["-c", &spoil.replace("FOLDER", &folder).replace("SOCKET", &socket)]);
        assert_eq!(host.run(&["1"]).code, pam::AUTHINFO_UNAVAIL, "{spoil}");
        assert_eq!(daemon.heard(), Vec::<String>::new(), "{spoil}");
    }
}

#[test]
fn the_person_is_not_asked_again_when_the_daemon_restarts_at_the_prompt() {
    let again = || Script::new().prompt("Code: ").verdict(Outcome::Granted);
    for (broken, heard) in [
        (
            Script::new().prompt("Code: ").hang_up(),
            &["open alice", "answer 123456", "open alice", "answer 123456"][..],
        ),
        (Script::new().prompt_and_go("Code: "), &["open alice", "open alice", "answer 123456"]),
    ] {
        let host = Host::new("");
        let daemon = serve(&host, vec![broken, again()]);
        let run = host.run(&["123456"]);
        assert_eq!(run.code, pam::SUCCESS, "{run:?}");
        assert_eq!(run.said.matches("prompt").count(), 1, "asked once: {run:?}");
        assert_eq!(daemon.heard(), heard);
    }
}

#[test]
fn a_verdict_of_another_conversation_or_user_is_nonsense() {
    for change in [
        |v: &mut twinlock_proto::v1::Verdict| v.nonce.clear(),
        |v: &mut twinlock_proto::v1::Verdict| v.user = "bob".into(),
        |v: &mut twinlock_proto::v1::Verdict| v.revision = 99,
    ] {
        let host = Host::new("");
        let _daemon = serve(&host, vec![Script::new().raw(verdict(Outcome::Granted), change)]);
        assert_eq!(host.run(&["1"]).code, pam::AUTHINFO_UNAVAIL);
    }
}

#[test]
fn every_kind_of_bad_conversation_is_a_conversation_error() {
    for answer in ["@null", "@nullarray", "@error"] {
        let host = Host::new("");
        let _daemon = serve(&host, vec![Script::new().prompt("Code: ").verdict(Outcome::Granted)]);
        assert_eq!(host.run(&[answer]).code, pam::CONV_ERR, "{answer}");
    }
    let host = Host::new("");
    let daemon = serve(&host, vec![Script::new().prompt("Code: ").verdict(Outcome::Denied)]);
    assert_eq!(host.run(&["@long"]).code, pam::AUTH_ERR);
    assert_eq!(daemon.heard()[1..], ["answer "], "100 kB never cross the socket");
    let host = Host::new("");
    let _daemon = serve(&host, vec![Script::new().prompt("Code: ").verdict(Outcome::Granted)]);
    assert_eq!(host.run(&["@rename"]).code, pam::SYSTEM_ERR, "PAM_USER changed");
}

#[test]
fn a_bad_argument_denies_with_a_service_error() {
    for arguments in ["failmode=opne", "timeout=0", "socket=relative", "unavailable=open", "After_key"] {
        let host = Host::new(arguments);
        let daemon = serve(&host, vec![Script::new().verdict(Outcome::Granted)]);
        assert_eq!(host.run(&["1"]).code, pam::SERVICE_ERR, "{arguments}");
        assert!(daemon.heard().is_empty());
    }
}

#[test]
fn a_panic_in_an_entry_point_is_caught_and_silent() {
    let host = Host::with_module(&support::module(&["fault-injection"]), "panic");
    let run = host.run_with(&["-S", "1"], &[("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace")]);
    assert_eq!(run.code, pam::SYSTEM_ERR, "{run:?}");
    // What runs code of ours catches it; the other one has none, and libpam denies a stack of it alone.
    for (entry, code) in [
        ("setcred", pam::SYSTEM_ERR),
        ("open_session", pam::SYSTEM_ERR),
        ("close_session", pam::SYSTEM_ERR),
        ("acct_mgmt", pam::SYSTEM_ERR),
        ("chauthtok", pam::PERM_DENIED),
    ] {
        assert!(run.said.contains(&format!("\n{entry} {code} ")), "{entry}: {run:?}");
    }
    assert_eq!(run.errors, "");
}

#[test]
fn the_account_phase_believes_its_own_auth_phase_and_else_the_daemon() {
    let account = |script: Script, options: &[&str]| {
        let host = Host::new("");
        let daemon = serve(&host, vec![script.clone(), script]);
        let run = host.run(options);
        let line = run.said.lines().find_map(|line| line.strip_prefix("acct_mgmt ")).unwrap().to_owned();
        (line.split(' ').next().unwrap().parse::<i32>().unwrap(), daemon.heard().len())
    };
    let verdict = |outcome| Script::new().verdict(outcome);
    // Passed by us on this handle: nobody is asked again.
    assert_eq!(account(verdict(Outcome::Granted), &["-S"]), (pam::SUCCESS, 1));
    // A handle is used again and fails: the first pass is forgotten.
    let host = Host::new("");
    let daemon = serve(&host, [Outcome::Granted, Outcome::Denied, Outcome::Denied].map(verdict).to_vec());
    let run = host.run(&["-S", "-2"]);
    assert!(run.said.contains(&format!("acct_mgmt {} ", pam::PERM_DENIED)), "{run:?}");
    assert_eq!(daemon.heard().len(), 3);
    // Skipped: what the daemon says. A grant cannot be right where nothing was asked.
    for (outcome, code) in [
        (Outcome::NotNeeded, pam::SUCCESS),
        (Outcome::Denied, pam::PERM_DENIED),
        (Outcome::NotConcerned, pam::PERM_DENIED), // ignored, in a stack that has nothing else
        (Outcome::Granted, pam::AUTHINFO_UNAVAIL),
        (Outcome::Throttled, pam::AUTHINFO_UNAVAIL),
        (Outcome::Unspecified, pam::AUTHINFO_UNAVAIL),
    ] {
        assert_eq!(account(verdict(outcome), &["-A"]), (code, 1), "{outcome:?}");
    }
    assert_eq!(account(Script::new().prompt("Code: "), &["-A"]).0, pam::AUTHINFO_UNAVAIL, "nobody is asked");
    // Denied or let in by policy in the auth phase is no pass.
    assert_eq!(account(verdict(Outcome::Denied), &["-S"]), (pam::PERM_DENIED, 2));
    // Absent: as `unavailable` says.
    for (arguments, code) in [("", pam::AUTHINFO_UNAVAIL), ("unavailable=ignore", pam::PERM_DENIED)] {
        let run = Host::new(arguments).run(&["-A"]);
        assert!(run.said.contains(&format!("acct_mgmt {code} ")), "{arguments}: {run:?}");
    }
}

#[test]
fn a_peer_that_hangs_up_never_kills_a_host_with_default_sigpipe() {
    // 100 logins in one process, each meeting a peer that closes at another moment.
    let host = Host::new("");
    let listener = UnixListener::bind(host.socket()).unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut bytes = vec![0; n % 64];
            let _ = stream.read(&mut bytes);
        }
    });
    let run = host.run(&["-n", "100", "1"]);
    assert_eq!(run.code, pam::AUTHINFO_UNAVAIL, "{run:?}");
    assert_eq!(run.said.matches("auth 9").count(), 100);
}

#[test]
fn nothing_is_left_behind_in_a_resident_host() {
    for options in [&["-n", "200"][..], &["-n", "200", "-T"]] {
        let host = Host::new("");
        let scripts = (0..200).map(|_| Script::new().prompt("Code: ").verdict(Outcome::Granted)).collect();
        let _daemon = serve(&host, scripts);
        let run = host.run(&[options, &["123456"]].concat());
        assert_eq!(run.said.matches("auth 0").count(), 200, "{run:?}");
        let census = |when: &str| -> Vec<i64> {
            let line = run.said.lines().find(|line| line.starts_with(when)).unwrap();
            line.split('=').skip(1).map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect()
        };
        let (before, after) = (census("before"), census("after"));
        assert_eq!(before[..4], after[..4], "descriptors, threads, blocked and handled signals");
        assert!(after[4] - before[4] < 1024, "memory grew: {before:?} {after:?}");
    }
}

#[test]
fn a_hostile_host_is_served_all_the_same() {
    let host = Host::new("");
    let _daemon = serve(&host, vec![Script::new().prompt("Code: ").verdict(Outcome::Granted)]);
    let run = host.run(&["-H", "123456"]);
    assert_eq!(run.code, pam::SUCCESS, "{run:?}");
}
