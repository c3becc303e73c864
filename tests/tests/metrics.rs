//! Figures for Prometheus, as the real node_exporter hands them on.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use twinlock_tests::{
    daemon::Daemon,
    delivery::{self, bob},
    kannel::{self, Kannel, code_in},
    pamhost::{self, pam},
    ssh::outcome,
    wait,
    world::{self, World, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const FOLDER: &str = "/var/lib/prometheus/node-exporter";
const FILE: &str = "/var/lib/prometheus/node-exporter/twinlock.prom";
const METRICS: &str = "[metrics]\nfile = '/var/lib/prometheus/node-exporter/twinlock.prom'\n";
const ADDRESS: &str = "127.0.0.1:9100";
const NUMBER: &str = "+4915112345678";

/// node_exporter, with nothing but the files of that folder.
struct Exporter(Child);

impl Exporter {
    fn start() -> Self {
        let child = Command::new("prometheus-node-exporter")
            .args(["--collector.disable-defaults", "--collector.textfile", "--web.listen-address", ADDRESS])
            .args(["--collector.textfile.directory", FOLDER])
            .stderr(Stdio::null())
            .spawn()
            .expect("node_exporter is installed");
        let exporter = Self(child);
        wait::until("node_exporter", 10, || TcpStream::connect(ADDRESS).ok());
        exporter
    }

    /// What Prometheus would get.
    fn page(&self) -> String {
        let mut stream = TcpStream::connect(ADDRESS).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.0 200"), "{page}");
        page
    }

    /// Ours, by name and labels.
    fn scrape(&self) -> BTreeMap<String, f64> {
        let page = self.page();
        assert!(page.contains("node_textfile_scrape_error 0"), "{page}");
        let ours = page.lines().filter(|line| line.starts_with("twinlock_"));
        ours.map(|line| line.rsplit_once(' ').unwrap())
            .map(|(name, n)| (name.to_owned(), n.parse().unwrap()))
            .collect()
    }

    /// Waits until a figure is this.
    fn wait_for(&self, name: &str, value: f64) -> BTreeMap<String, f64> {
        wait::until(&format!("{name} {value}"), 20, || {
            Some(self.scrape()).filter(|figures| figures.get(name).is_some_and(|n| (n - value).abs() < 0.1))
        })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log_in(user: &str, answers: &[&str]) -> i32 {
    pamhost::run(&[&["-s", "ours", "-u", user][..], answers].concat()).code
}

const RIGHT: &str = "twinlock_logins_total{method=\"totp\",outcome=\"granted\"}";
const WRONG: &str = "twinlock_logins_total{method=\"\",outcome=\"denied\"}";
const SENT: &str = "twinlock_messages_total{method=\"sms\",outcome=\"granted\"}";
const BY_SMS: &str = "twinlock_logins_total{method=\"sms\",outcome=\"granted\"}";

#[test]
fn what_prometheus_sees_rises_by_what_happened_and_goes_on_after_a_restart() {
    let world = World::new();
    let (exporter, _kannel) = (Exporter::start(), Kannel::start());
    let sms = "[sms]\nregions = ['DE']\n[[provider]]\nname = 'house'\npreset = 'kannel'\nfrom = '4900'\nuser = 'twinlock'\n\
               secret = 'sms'\n";
    delivery::configure(&format!("{METRICS}{sms}"), &[("sms", kannel::PASSWORD)]);
    let (daemon, _sshd) = delivery::reachable(&world, ["--phone", NUMBER]);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    daemon.reload();
    let before = exporter.wait_for("twinlock_accounts", 2.0);
    for name in [RIGHT, WRONG, SENT, BY_SMS] {
        assert!(!before.contains_key(name), "{before:?}");
    }

    // A right login, three wrong codes, a code that is sent, and used.
    assert_eq!(log_in("alice", &[&phone.code(0)]), pam::SUCCESS);
    assert_eq!(log_in("alice", &[phone.wrong_code().as_str(); 3]), pam::AUTH_ERR);
    let mut ssh = bob();
    ssh.answer("Press Enter: ", "");
    ssh.answer("Verification code (or type resend): ", &code_in(&kannel::message(1)));
    assert!(outcome(ssh, "bob").0);
    assert!(root(&["db", "backup", "/root/store.db"]).status.success());
    daemon.reload();
    let after = exporter.wait_for(RIGHT, 1.0);
    for (name, expected) in [
        (WRONG, 3.0),
        (SENT, 1.0),
        (BY_SMS, 1.0),
        ("twinlock_accounts", 2.0),
        ("twinlock_accounts_enrolled", 2.0),
        ("twinlock_accounts_throttled", 0.0),
        ("twinlock_clock_believed", 1.0),
        ("twinlock_configuration_last_good", 0.0),
        ("twinlock_data_key_version", 1.0),
        ("twinlock_provider_breaker_open{provider=\"house\"}", 0.0),
        (concat!("twinlock_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ("twinlock_events_total{event=\"reload\",method=\"\",outcome=\"granted\"}", 2.0),
        ("twinlock_events_total{event=\"backup\",method=\"\",outcome=\"granted\"}", 1.0),
    ] {
        assert_eq!(after.get(name).map(|n| format!("{n}")), Some(format!("{expected}")), "{name}: {after:?}");
    }
    for name in ["twinlock_start_time_seconds", "twinlock_last_backup_timestamp_seconds"] {
        assert!(after[name] > 1.7e9, "{name}: {after:?}");
    }
    assert!(after["twinlock_store_size_bytes"] > 10_000.0);
    assert!(exporter.page().contains("# TYPE twinlock_logins_total counter"), "{}", exporter.page());

    // Everybody may read it: there is nobody in it.
    assert_eq!(fs::metadata(FILE).unwrap().mode() & 0o7777, 0o644);
    let text = fs::read_to_string(FILE).unwrap();
    for secret in ["alice", "bob", "127.0.0.1", "1511", kannel::PASSWORD, phone.key.as_str()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }

    // Stopped: no stale figures. Started again: they went on.
    assert!(daemon.stop().success());
    assert!(!Path::new(FILE).exists() && exporter.scrape().is_empty());
    let daemon = world.daemon();
    let again = exporter.wait_for(RIGHT, 1.0);
    assert_eq!((again[WRONG], again[SENT]), (after[WRONG], after[SENT]));
    let daemon = daemon.crash_and_restart();
    assert_eq!(log_in("alice", &[&phone.code(1)]), pam::SUCCESS);
    let _ = exporter.wait_for(RIGHT, 2.0); // by itself, within 15 seconds

    // Broken files: said. Mended, and switched off: gone.
    delivery::configure("nonsense", &[]);
    daemon.reload();
    let _ = exporter.wait_for("twinlock_configuration_last_good", 1.0);
    delivery::configure("", &[]);
    daemon.reload();
    wait::until("no file", 5, || (!Path::new(FILE).exists()).then_some(()));
}

#[test]
fn a_folder_that_others_can_write_to_gets_no_file_and_logins_go_on() {
    let world = World::new();
    delivery::configure(METRICS, &[]);
    world::stack("ours", OURS);
    world::sh(&format!(
        "chmod 1777 {FOLDER} && echo as it was >/root/victim && ln -s /root/victim {FILE}.new"
    ));
    let daemon = Daemon::quiet();
    let said = world.log_with("no figures for Prometheus");
    assert!(
        said.contains("has mode 1777, so others can change it: chown root /var/lib/prometheus/node-exporter"),
        "{said}"
    );
    let phone = world.enroll("alice");
    assert_eq!(log_in("alice", &[&phone.code(0)]), pam::SUCCESS);
    daemon.reload();
    daemon.reload();
    assert_eq!(world.log_with("reloaded").matches("no figures for Prometheus").count(), 1, "once");
    assert!(!Path::new(FILE).exists());
    // Mended, it is written without a word; the link was not followed.
    world::sh(&format!("chmod 0755 {FOLDER}"));
    daemon.reload();
    wait::until("the file", 5, || Path::new(FILE).exists().then_some(()));
    assert_eq!(fs::read_to_string("/root/victim").unwrap(), "as it was\n");
    assert!(fs::symlink_metadata(FILE).unwrap().is_file());
}

#[test]
fn a_folder_that_hangs_keeps_the_daemon_from_nothing() {
    let world = World::new();
    delivery::configure(METRICS, &[]);
    world::stack("ours", OURS);
    // As in front of a dead file server: the file is given its name, and a minute goes by.
    let mut traced = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=renameat",
            "-e",
            "inject=renameat:delay_enter=60000000",
        ])
        .args(["twinlockd", "--log-to", "syslog"])
        .spawn()
        .unwrap();
    wait::until("the draft", 10, || Path::new(&format!("{FILE}.new")).exists().then_some(()));
    let phone = world.enroll("alice");
    assert_eq!(log_in("alice", &[&phone.code(0)]), pam::SUCCESS);
    let pid = world::sh("pgrep -o -x twinlockd").trim().to_owned();
    world::sh(&format!("kill -TERM {pid}"));
    wait::until("its end", 10, || {
        // The one thread that hangs is the tracer's.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    let _ = traced.kill();
    let _ = traced.wait();
}

#[test]
fn a_path_that_cannot_be_meant_is_an_error_of_the_configuration() {
    let _world = World::new();
    for (file, expected) in [
        ("twinlock.prom", "metrics.file is no absolute path; write one, without .."),
        ("/var/lib/twinlock.txt", "metrics.file does not end in .prom; node_exporter reads no other files"),
    ] {
        delivery::configure(&format!("[metrics]\nfile = '{file}'\n"), &[]);
        let out = Command::new("twinlockd").arg("--check").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(!out.status.success() && said.contains(expected), "{said}");
    }
}
