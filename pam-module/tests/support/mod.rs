//! A PAM host with a private stack folder, and a scripted daemon.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex, OnceLock},
};

use tokio_stream::{StreamExt, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};
use twinlock_proto::{
    REVISION,
    v1::{
        Outcome, Prompt, Reply, Step, Verdict,
        login_server::{Login, LoginServer},
        reply, step,
    },
};

/// PAM codes (security/_pam_types.h).
pub mod pam {
    pub const SUCCESS: i32 = 0;
    pub const SERVICE_ERR: i32 = 3;
    pub const SYSTEM_ERR: i32 = 4;
    pub const PERM_DENIED: i32 = 6;
    pub const AUTH_ERR: i32 = 7;
    pub const AUTHINFO_UNAVAIL: i32 = 9;
    pub const MAXTRIES: i32 = 11;
    pub const CONV_ERR: i32 = 19;
}

#[cfg(target_arch = "x86_64")]
const HOST: &str = "x86_64-unknown-linux-gnu";
#[cfg(target_arch = "aarch64")]
const HOST: &str = "aarch64-unknown-linux-gnu";

/// Whether module and host are built with AddressSanitizer (tests/run.sh runs both ways). What it finds, leaks too, ends
/// the host with this code.
const SANITIZED: i32 = 99;

fn sanitized() -> bool {
    std::env::var_os("TWINLOCK_ASAN").is_some()
}

/// The module, built on its own with these features: a workspace build would unify others into it.
pub fn module(features: &[&str]) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILD.lock().unwrap();
    let kind = if sanitized() { "asan-module" } else { "module" };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{kind}{}", features.join("-")));
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    command.arg("--target-dir").arg(&target).arg("--features").arg(features.join(","));
    let mut built = target.clone();
    if sanitized() {
        // The sanitizers are part of stable toolchains, but not offered by them.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
        command.args(["--target", HOST]); // or build scripts would be built with it too
        built.push(HOST);
    }
    let out = command.env_remove("CARGO_TARGET_DIR").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    built.join("debug/libpam_twinlock.so")
}

/// tests/pamhost, compiled once.
fn pamhost() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pamhost-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/pamhost/pamhost.c");
        let sanitizer = if sanitized() { "-fsanitize=address" } else { "-O1" };
        output("cc", &[sanitizer, "-g", "-o", program.to_str().unwrap(), source, "-lpam", "-lpthread"]);
        program
    })
}

/// Runs a program that must succeed; returns what it printed.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// An application with a private stack of our module alone.
pub struct Host {
    folder: tempfile::TempDir,
}

/// What an authentication came to.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub said: String,
    pub errors: String,
}

impl Host {
    pub fn new(arguments: &str) -> Self {
        Self::with_module(&module(&[]), arguments)
    }

    pub fn with_module(module: &Path, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["pam.d", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let host = Self { folder };
        // A relative socket in `arguments` must be the one that counts.
        let line = |kind: &str| {
            format!("{kind} required {} socket={} {arguments}\n", module.display(), host.socket().display())
        };
        let stack = ["auth", "account", "session", "password"].map(line).concat();
        for service in ["test", "sshd"] {
            fs::write(host.folder.path().join("pam.d").join(service), &stack).unwrap();
        }
        host
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/login.sock")
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[])
    }

    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut command = Command::new(pamhost());
        command.arg("-c").arg(self.folder.path().join("pam.d")).args(arguments);
        command.env("ASAN_OPTIONS", format!("exitcode={SANITIZED}:detect_leaks=1"));
        finish(&command.envs(environment.iter().copied()).output().unwrap())
    }
}

fn finish(out: &Output) -> Run {
    assert_ne!(out.status.code(), Some(SANITIZED), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let verdict = said.lines().rev().find_map(|line| line.strip_prefix("auth "));
    let code = verdict.and_then(|rest| rest.split(' ').next()).and_then(|code| code.parse().ok());
    Run { code: code.unwrap_or_else(|| panic!("no verdict: {out:?}")), said, errors }
}

type Change = fn(&mut Verdict);

/// What the daemon does in one conversation.
#[derive(Clone, Default)]
pub struct Script {
    acts: Vec<Act>,
}

#[derive(Clone)]
enum Act {
    Prompt(&'static str),
    Verdict(Outcome, Option<Change>),
    PromptAndGo(&'static str),
    HangUp,
}

/// The outcome of a raw verdict.
pub const fn verdict(outcome: Outcome) -> Outcome {
    outcome
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn prompt(mut self, text: &'static str) -> Self {
        self.acts.push(Act::Prompt(text));
        self
    }

    pub fn verdict(mut self, outcome: Outcome) -> Self {
        self.acts.push(Act::Verdict(outcome, None));
        self
    }

    pub fn raw(mut self, outcome: Outcome, change: Change) -> Self {
        self.acts.push(Act::Verdict(outcome, Some(change)));
        self
    }

    /// Prompts, and is gone before there is an answer.
    pub fn prompt_and_go(mut self, text: &'static str) -> Self {
        self.acts.extend([Act::PromptAndGo(text), Act::HangUp]);
        self
    }

    /// Closes the connection without a verdict, as a daemon that is restarted does.
    pub fn hang_up(mut self) -> Self {
        self.acts.push(Act::HangUp);
        self
    }
}

/// A scripted daemon, stopped with its runtime when dropped.
pub struct Daemon {
    heard: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    /// What it was told, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Serves these conversations, in order, on the host's socket.
pub fn serve(host: &Host, scripts: Vec<Script>) -> Daemon {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let service = Scripted { scripts: Arc::new(Mutex::new(scripts)), heard: Arc::clone(&heard) };
    let socket = host.socket();
    let listener = runtime.block_on(async { tokio::net::UnixListener::bind(socket).unwrap() });
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(LoginServer::new(service))
            .serve_with_incoming(UnixListenerStream::new(listener)),
    );
    Daemon { heard, _runtime: runtime }
}

struct Scripted {
    scripts: Arc<Mutex<Vec<Script>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

type Steps = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Step, Status>> + Send>>;

#[tonic::async_trait]
impl Login for Scripted {
    type AuthenticateStream = Steps;

    async fn authenticate(&self, request: Request<Streaming<Reply>>) -> Result<Response<Steps>, Status> {
        let script = self.scripts.lock().unwrap().remove(0);
        let heard = Arc::clone(&self.heard);
        let mut replies = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let Some(Ok(Reply { kind: Some(reply::Kind::Open(open)) })) = replies.next().await else {
                return;
            };
            heard.lock().unwrap().push(format!("open {}", open.user));
            for act in script.acts {
                let waits = matches!(act, Act::Prompt(_));
                let kind = match act {
                    Act::Prompt(text) | Act::PromptAndGo(text) => {
                        step::Kind::Prompt(Prompt { text: text.into() })
                    }
                    Act::Verdict(outcome, change) => {
                        let (nonce, user) = (open.nonce.clone(), open.user.clone());
                        let mut verdict =
                            Verdict { nonce, user, outcome: outcome.into(), revision: REVISION };
                        if let Some(change) = change {
                            change(&mut verdict);
                        }
                        step::Kind::Verdict(verdict)
                    }
                    Act::HangUp => return,
                };
                if sender.send(Ok(Step { kind: Some(kind) })).await.is_err() {
                    return;
                }
                if waits
                    && let Some(Ok(Reply { kind: Some(reply::Kind::Answer(answer)) })) = replies.next().await
                {
                    heard.lock().unwrap().push(format!("answer {}", answer.text));
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))))
    }
}

/// A listening socket that accepts nothing and queues one.
pub fn socket_with_queue_of_one(path: &Path) -> std::os::fd::OwnedFd {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(std::os::fd::AsRawFd::as_raw_fd(&descriptor), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&descriptor, Backlog::new(1).unwrap()).unwrap();
    descriptor
}

/// Connects without waiting; `None` when the queue is full.
pub fn try_connect(path: &Path) -> Option<UnixStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    let address = UnixAddr::new(path).unwrap();
    connect(std::os::fd::AsRawFd::as_raw_fd(&descriptor), &address).ok()?;
    Some(UnixStream::from(descriptor))
}
