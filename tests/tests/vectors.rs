//! The vectors of RFC 6238 appendix B, through the daemon with a moved clock; and the window.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    world::{self, World},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const VECTORS: [(i64, [&str; 3]); 6] = [
    (59, ["94287082", "46119246", "90693936"]),
    (1_111_111_109, ["07081804", "68084774", "25091201"]),
    (1_111_111_111, ["14050471", "67062674", "99943326"]),
    (1_234_567_890, ["89005924", "91819424", "93441116"]),
    (2_000_000_000, ["69279037", "90698825", "38618901"]),
    (20_000_000_000, ["65353130", "77737706", "47863826"]),
];
/// The seeds of the RFC: "1234567890" repeated to 20, 32 and 64 bytes, in Base32.
const KEYS: [&str; 3] = [
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA",
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA",
];

fn configure(text: &str) {
    world::sh("mkdir -p /etc/twinlock");
    std::fs::write("/etc/twinlock/twinlock.toml", text).unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
}

fn enroll_with(key: &str) {
    std::fs::write("/root/secret", key).unwrap();
    let out =
        world::root(&["user", "enroll", "alice", "totp", "--secret-file", "/root/secret", "--activate"]);
    assert!(out.status.success(), "{out:?}");
}

fn log_in(code: &str) -> i32 {
    pamhost::run(&["-s", "ours", "-u", "alice", code]).code
}

/// All vectors of one hash, in order of time; each code once, and not twice.
fn vectors(hash: usize, algorithm: &str) {
    let _world = World::new();
    configure(&format!("[totp]\nalgorithm = '{algorithm}'\ndigits = 8\n"));
    let daemon = Daemon::with_clock(0);
    world::stack("ours", OURS);
    enroll_with(KEYS[hash]);
    for (seconds, codes) in VECTORS {
        daemon.set_clock(seconds);
        assert_eq!(log_in(codes[hash]), pam::SUCCESS, "{algorithm} at {seconds}");
        assert_ne!(log_in(codes[hash]), pam::SUCCESS, "{algorithm} at {seconds}, again");
    }
}

#[test]
fn the_vectors_of_sha_1() {
    vectors(0, "SHA1");
}

#[test]
fn the_vectors_of_sha_256() {
    vectors(1, "SHA256");
}

#[test]
fn the_vectors_of_sha_512() {
    vectors(2, "SHA512");
}

/// Which steps around now are accepted, each by a fresh daemon state.
fn accepted_steps(config: &str) -> Vec<i64> {
    let _world = World::new();
    configure(config);
    let start = 1_700_000_010;
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let phone = twinlock_tests::phone::Phone::with_key(KEYS[0]);
    (-3..=3)
        .filter(|steps| {
            assert!(world::root(&["user", "reset", "alice"]).status.success());
            enroll_with(KEYS[0]);
            daemon.set_clock(start);
            log_in(&phone.code_at(start + 30 * steps)) == pam::SUCCESS
        })
        .collect()
}

#[test]
fn the_window_is_one_step_either_way() {
    assert_eq!(accepted_steps(""), [-1, 0, 1]);
}

#[test]
fn strict_takes_no_step_ahead() {
    assert_eq!(accepted_steps("[totp]\nstrict = true\n"), [-1, 0]);
}
