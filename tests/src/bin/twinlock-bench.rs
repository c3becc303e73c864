//! How long a login takes, beside the peers, in one run on one machine. Run by tests/bench.sh, in a box.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use twinlock_tests::{
    daemon::Daemon,
    phone::{Phone, now},
    world::{self, World},
};

const DRIVER: &str = env!("BENCH_DRIVER");
const ROUNDS: usize = 4;
/// Logins of each kind, in each round.
const LOGINS: usize = 50;
/// RFC 4226's key, in hexadecimal and Base32.
const HEX: &str = "3132333435363738393031323334353637383930";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A system under test: how it is set up, and its next logins.
struct System {
    name: &'static str,
    module: &'static str,
    /// Fresh, then resident times, in microseconds.
    fresh: Vec<f64>,
    resident: Vec<f64>,
}

impl System {
    const fn new(name: &'static str, module: &'static str) -> Self {
        Self { name, module, fresh: Vec::new(), resident: Vec::new() }
    }
}

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let world = World::new();
    let daemon = Daemon::quiet();
    // Every login is the first of a new user in this step: one durable record each, as for the peers.
    let users: Vec<String> = (0..ROUNDS * LOGINS * 2 + 4 * LOGINS).map(|n| format!("u{n}")).collect();
    add_users(&users);
    for user in &users {
        enroll(user);
    }
    stacks();
    let mut systems = [
        System::new("pam_permit", "pam_permit.so"),
        System::new("google-authenticator", "pam_google_authenticator.so"),
        System::new("pam_oath", "pam_oath.so"),
        System::new("twinlock", "pam_twinlock.so"),
    ];
    let first = drive("fresh", "twinlock", None, &ours(&users[users.len() - 20..]));
    let mut supply = users.chunks(LOGINS);
    let mut counter = 0;
    for round in 0..ROUNDS {
        for turn in 0..systems.len() {
            let system = &mut systems[(turn + round) % 4];
            for mode in ["fresh", "resident"] {
                let logins = match system.name {
                    "twinlock" => ours(supply.next().unwrap()),
                    "google-authenticator" => google(),
                    "pam_oath" => oath(&mut counter),
                    _ => vec![("root".to_owned(), "0".to_owned()); LOGINS],
                };
                let times = drive(mode, system.name, Some(system.module), &logins);
                if mode == "fresh" { system.fresh.extend(times) } else { system.resident.extend(times) }
            }
        }
    }
    let storms: Vec<(usize, f64)> =
        [1, 8, 64].map(|width| (width, storm(width, supply.next().unwrap()))).to_vec();
    let text = report(&systems, &first, &storms, &memory(&daemon), json);
    println!("{text}");
    drop((daemon, world));
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn report(
    systems: &[System],
    first: &[f64],
    storms: &[(usize, f64)],
    memory: &[(&'static str, f64)],
    json: bool,
) -> String {
    let ours = systems.iter().find(|system| system.name == "twinlock").unwrap();
    let (fresh, resident) = (median(&ours.fresh), median(&ours.resident));
    if json {
        let rows: Vec<_> = systems
            .iter()
            .map(|s| serde_json::json!({ "system": s.name, "fresh_us": median(&s.fresh), "resident_us": median(&s.resident) }))
            .collect();
        let storms: Vec<_> = storms
            .iter()
            .map(|(n, rate)| serde_json::json!({ "parallel": n, "logins_per_s": rate }))
            .collect();
        let memory: serde_json::Map<_, _> =
            memory.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        return serde_json::to_string_pretty(&serde_json::json!({
            "systems": rows, "throughput": storms, "memory": memory, "first_logins_us": first,
        }))
        .unwrap();
    }
    let mut text = format!(
        "{:<22} {:>10} {:>10} {:>14} {:>14}\n",
        "one login, median", "fresh us", "ours/this", "resident us", "ours/this"
    );
    for system in systems {
        let (f, r) = (median(&system.fresh), median(&system.resident));
        let _ = writeln!(
            text,
            "{:<22} {f:>10.0} {:>10.2} {r:>14.0} {:>14.2}",
            system.name,
            fresh / f,
            resident / r
        );
    }
    let _ = writeln!(
        text,
        "first 5 logins after a start, us: {}",
        first[..5].iter().map(|t| format!("{t:.0}")).collect::<Vec<_>>().join(" ")
    );
    for (width, rate) in storms {
        let _ = writeln!(text, "{width:>3} at a time, new processes: {rate:.0} logins/s");
    }
    for (what, value) in memory {
        let _ = writeln!(text, "{what}: {value:.1}");
    }
    text
}

/// Runs logins; returns microseconds.
fn drive(mode: &str, service: &str, module: Option<&str>, logins: &[(String, String)]) -> Vec<f64> {
    let mut command = Command::new(DRIVER);
    command.args([mode, service]);
    if let (Some(module), "resident") = (module, mode) {
        command.arg(security_folder() + "/" + module);
    }
    let out = feed(command, logins);
    out.lines().map(|line| line.parse::<f64>().unwrap() / 1000.0).collect()
}

/// Logins a second, with so many processes at a time.
fn storm(width: usize, users: &[String]) -> f64 {
    let logins = ours(users);
    let mut command = Command::new(DRIVER);
    command.args(["storm", "twinlock", &width.to_string()]);
    let nanoseconds: f64 = feed(command, &logins).trim().parse().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let count = logins.len() as f64;
    count / (nanoseconds / 1e9)
}

fn feed(mut command: Command, logins: &[(String, String)]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = logins.iter().map(|(user, code)| format!("{user} {code}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{command:?}: {:?}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

fn security_folder() -> String {
    world::sh("dirname $(find /usr/lib -name pam_permit.so)").trim().to_owned()
}

fn add_users(users: &[String]) {
    let mut passwd = fs::OpenOptions::new().append(true).open("/etc/passwd").unwrap();
    for (n, user) in users.iter().enumerate() {
        writeln!(passwd, "{user}:x:{}:100::/nonexistent:/bin/sh", 5000 + n).unwrap();
    }
}

fn enroll(user: &str) {
    fs::write("/root/key", BASE32).unwrap();
    let out = world::root(&["user", "enroll", user, "totp", "--secret-file", "/root/key", "--activate"]);
    assert!(out.status.success(), "{out:?}");
}

fn ours(users: &[String]) -> Vec<(String, String)> {
    let code = Phone::with_key(BASE32).code_at(now());
    users.iter().map(|user| (user.clone(), code.clone())).collect()
}

/// A new state file for each login, so that each has one new record.
fn google() -> Vec<(String, String)> {
    let code = Phone::with_key(BASE32).code_at(now());
    fs::create_dir_all("/var/lib/otp").unwrap();
    (0..LOGINS)
        .map(|n| {
            let path = format!("/var/lib/otp/u{n}");
            fs::write(&path, format!("{BASE32}\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n"))
                .unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            (format!("u{n}"), code.clone())
        })
        .collect()
}

/// HOTP, one user, the counter moves.
fn oath(counter: &mut usize) -> Vec<(String, String)> {
    let out = world::sh(&format!("oathtool --hotp -c {counter} -w {} {HEX}", LOGINS - 1));
    *counter += LOGINS;
    out.lines().map(|code| ("u0".to_owned(), code.to_owned())).collect()
}

fn stacks() {
    world::stack("pam_permit", "auth required pam_permit.so\n");
    world::stack("twinlock", "auth required pam_twinlock.so after_first_factor\n");
    world::stack(
        "google-authenticator",
        "auth required pam_google_authenticator.so secret=/var/lib/otp/${USER} user=root\n",
    );
    world::stack("pam_oath", "auth required pam_oath.so usersfile=/var/lib/oath/users window=20\n");
    fs::create_dir_all("/var/lib/oath").unwrap();
    fs::write("/var/lib/oath/users", format!("HOTP u0 - {HEX}\n")).unwrap();
    world::sh("chmod 600 /var/lib/oath/users");
}

/// Resident memory of the daemon and its helpers, and sizes of files.
fn memory(daemon: &Daemon) -> Vec<(&'static str, f64)> {
    let rss = |pid: &str| -> f64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    };
    let children = world::sh(&format!("pgrep -P {} || true", daemon.pid()));
    let helpers: f64 = children.split_whitespace().map(rss).sum();
    let module = fs::metadata(security_folder() + "/pam_twinlock.so").unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "a megabyte")]
    let module = module as f64 / 1024.0;
    vec![
        ("daemon resident, KiB", rss(&daemon.pid().to_string())),
        ("its helpers, KiB", helpers),
        ("module file, KiB", module),
    ]
}
