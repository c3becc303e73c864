//! The program itself, as the user it runs as.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    bed::{Ask, Bed, HOST, Opened, folder, settings},
    fake::{BINDING, CODE, KEY, RECOVERY, SESSION, TOKEN, UID, URI},
};

/// A running program, its log, and the address it listens on.
struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(folder: &Path) -> Self {
        Self::spawn(Command::new(copy(folder)), folder)
    }

    fn spawn(mut command: Command, folder: &Path) -> Self {
        command.args(["--log-level", "trace", "--log-to", "stderr", "--runtime-dir"]).arg(folder);
        let mut child = command.uid(UID).gid(UID).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, written) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, log }
    }

    /// As systemd starts it with a socket: descriptor 3.
    fn start_with(folder: &Path, socket: std::net::TcpListener) -> Self {
        let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(copy(folder)).stdin(std::os::fd::OwnedFd::from(socket));
        Self::spawn(command, folder)
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    async fn says(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{text} is not in the log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Where its user can run it.
fn copy(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("twinlock-web");
    fs::copy(env!("CARGO_BIN_EXE_twinlock-web"), &program).unwrap();
    program
}

#[test]
fn the_page_does_not_run_as_root() {
    let out = Command::new(env!("CARGO_BIN_EXE_twinlock-web")).output().unwrap();
    assert_eq!(out.status.code(), Some(77));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("does not run as root") && said.contains("systemctl start twinlock-web"), "{said}");
}

/// With a link and a logo, over TLS, at the most verbose level.
async fn world() -> (Bed, Running) {
    let folder = folder();
    for file in ["cert.pem", "key.pem"] {
        std::os::unix::fs::chown(folder.path().join(file), Some(UID), Some(UID)).unwrap();
    }
    let mut settings = settings(&folder);
    settings.listen = "127.0.0.1:0".to_owned();
    let running = Running::start(folder.path());
    running.says("does not listen on").await;
    let mut bed = Bed::without_page(folder, settings);
    bed.start_daemon();
    let line = running.says("listening").await;
    let address = line.split("address=\"").nth(1).unwrap().split('"').next().unwrap();
    bed.address = address.parse().unwrap();
    (bed, running)
}

#[tokio::test]
async fn a_whole_enrollment_leaves_no_secret_in_the_log() {
    let (bed, running) = world().await;
    let first = bed.send(&Ask::get(&format!("/id/enroll/{TOKEN}"))).await;
    let opened = Opened::of(&first);
    let strange = Ask::new("BREW\u{1}", "/id/enroll/x");
    let _ = bed.try_send(&strange).await;
    bed.send(&opened.binding("XXXX-0000")).await;
    bed.send(&opened.binding(BINDING).instead("origin", "null")).await;
    let second = bed.send(&opened.binding(BINDING)).await;
    let proven = Opened::of(&second);
    bed.send(&proven.code("999111")).await;
    let third = bed.send(&proven.code(CODE)).await;
    assert!(third.body.contains(RECOVERY[0]));
    let foreign = bed.send(&Ask::get(&format!("/id/enroll/{TOKEN}")).instead("host", "evil.example")).await;
    assert_eq!(foreign.status, 421);
    running.says("route=\"/confirm\" status=200 source=\"127.0.0.1\"").await;
    let log = running.log();
    assert!(log.contains("TRACE"), "the most verbose level: {log}");
    let session = SESSION.split(';').next().unwrap();
    let cookie = proven.cookie.split('=').nth(1).unwrap();
    let typed = ["XXXX-0000", "XXXX0000", "999111", CODE, BINDING, "AB12CD34", "evil.example"];
    let secrets =
        [TOKEN, &TOKEN[..20], session, KEY, "GEZD GNBV", URI, RECOVERY[0], RECOVERY[9], cookie, &proven.seal];
    for secret in typed.iter().chain(&secrets).chain(&[opened.cookie.as_str(), opened.seal.as_str(), "alice"])
    {
        assert!(
            !log.contains(secret),
            "{secret:?} is in the log: {}",
            log.lines().find(|l| l.contains(secret)).unwrap()
        );
    }
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(": request ")).collect();
    assert!(
        lines.iter().any(|line| line.contains("method=\"POST\" route=\"/enroll/:token\" status=422")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("method=\"POST\" route=\"/enroll/:token\" status=403")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn the_program_gives_up_what_it_does_not_need_and_stops_when_told() {
    let (bed, mut running) = world().await;
    let process = format!("/proc/{}", running.child.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(of("Umask:"), "0077");
    assert_eq!(of("Uid:"), [UID; 4].map(|uid| uid.to_string()).join("\t"));
    let owner = fs::metadata(format!("{process}/environ")).unwrap().uid();
    assert_eq!(owner, 0, "not dumpable: its own user cannot look in");
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0 ")), "{limits}");

    // Another `listen` is not taken up, and said.
    bed.fake.set(|state| state.settings.listen = "127.0.0.1:1".to_owned());
    signal(&running.child, "HUP");
    running.says("restart twinlock-web").await;
    assert_eq!(bed.send(&Ask::get("/robots.txt")).await.status, 200);

    signal(&running.child, "TERM");
    let begun = Instant::now();
    while running.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(8), "it does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(running.child.wait().unwrap().success());
    assert_eq!(bed.try_send(&Ask::get("/robots.txt").instead("host", HOST)).await, None);
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_program_with_what_to_do() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(&folder);
    settings.listen = taken.local_addr().unwrap().to_string();
    std::os::unix::fs::chown(folder.path().join("key.pem"), Some(UID), Some(UID)).unwrap();
    let mut bed = Bed::without_page(folder, settings);
    bed.start_daemon();
    let mut running = Running::start(bed.folder.path());
    running.says("cannot listen on 127.0.0.1:").await;
    assert_eq!(running.child.wait().unwrap().code(), Some(69));
}

#[tokio::test]
async fn a_socket_of_systemds_is_used_in_place_of_listen() {
    let folder = folder();
    std::os::unix::fs::chown(folder.path().join("key.pem"), Some(UID), Some(UID)).unwrap();
    std::os::unix::fs::chown(folder.path().join("cert.pem"), Some(UID), Some(UID)).unwrap();
    let mut settings = settings(&folder);
    settings.listen = "192.0.2.1:1".to_owned();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bed = Bed::without_page(folder, settings);
    bed.address = socket.local_addr().unwrap();
    bed.start_daemon();
    let running = Running::start_with(bed.folder.path(), socket);
    assert_eq!(bed.send(&Ask::get("/robots.txt")).await.status, 200, "{}", running.log());
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}
