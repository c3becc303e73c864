//! docs/conversation.md as a table: every message in every state, over a real socket, with a clock that stands still.
//! Needs root: only root may log others in.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    sync::{Arc, RwLock},
};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response, Status, Streaming};
use twinlock_proto::{
    REVISION, connect,
    v1::{Answer, Open, Outcome, Reply, Step, login_client::LoginClient, reply, step},
};
use twinlockd::{
    access::Entrance,
    accounts::{Account, Directory, DirectoryError, Lane},
    app,
    audit::{Event, Record, Subject},
    clock::{ManualClock, Timestamp},
    config::Config,
    delivery,
    engine::{
        enrollment::{NewFactor, Proof},
        policy::{Ids, Named},
        proof::Ledger,
    },
    factor::{
        Counted, Kind,
        totp::{Algorithm, Parameters},
    },
    grpc::{self, ClockGuard, InForce, Ports, Shown},
    names::{FactorId, UserName},
    random::{NoRandomness, Random, SystemRandom},
    seal::{Binding, KeySource},
    secret::Secret,
    store::sqlite::Sqlite,
};

/// The key of RFC 6238 and its code at 59 s, six digits.
const KEY: &[u8] = b"12345678901234567890";
const NOW: Timestamp = Timestamp::from_secs(59);
const RIGHT: &str = "287082";
const WRONG: &str = "000000";

/// carol must have a factor and may set one up, dave is offered one; nobody else is in a role.
const ROLES: &str = "
    [[role]]
    name = 'new'
    users = ['carol']
    second-factor = 'required'
    enrollment = 'at-login'
    [[role]]
    name = 'invited'
    users = ['dave']
    second-factor = 'optional'
    offer-enrollment = true
    [[role]]
    name = 'everyone'
    groups = ['*']
    second-factor = 'optional'
    [enrollment]
    login-qr = 'none'
";

/// Every new key is that of RFC 6238; what is not as long as a key is random.
struct KnownKey;

impl Random for KnownKey {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if bytes.len() == KEY.len() {
            bytes.copy_from_slice(KEY);
            return Ok(());
        }
        SystemRandom.fill(bytes)
    }
}

/// alice is enrolled, others are not, nobody else exists; groups of `lost` cannot be looked up; `down` fails altogether.
struct Names;

#[async_trait]
impl Directory for Names {
    async fn by_name(&self, _: Lane, name: &UserName, _: &Named) -> Result<Option<Account>, DirectoryError> {
        let account = |uid, groups| {
            Ok(Some(Account { name: name.as_str().to_owned(), uid, groups, ids: Some(Ids::default()) }))
        };
        match name.as_str() {
            "alice" => account(1000, Some(vec![1000])),
            "bob" => account(1001, Some(vec![1001])),
            "carol" => account(1003, Some(vec![1003])),
            "dave" => account(1004, Some(vec![1004])),
            "lost" => account(1002, None),
            "down" => Err(DirectoryError("no answer".into())),
            _ => Ok(None),
        }
    }
    async fn by_uid(&self, _: Lane, _: u32, _: &Named) -> Result<Option<Account>, DirectoryError> {
        Ok(None)
    }
    async fn ids(&self, _: Lane, _: &Named) -> Result<Ids, DirectoryError> {
        Ok(Ids::default())
    }
    async fn everybody(&self, _: &Named) -> Result<BTreeSet<String>, DirectoryError> {
        Ok(BTreeSet::new())
    }
    async fn confirm_password(&self, _: &str, _: &str) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

struct World {
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let (state, run) = (folder.path().join("state"), folder.path().join("run"));
    for (path, mode) in [(&state, 0o700), (&run, 0o755)] {
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let clock = ManualClock::at(NOW);
    let store = Sqlite::open(&state, &clock).unwrap();
    let sealer = app::unseal(&store, &KeySource::new(None, &state), &clock, &SystemRandom).await.unwrap();
    let (user, id) = (UserName::parse("alice").unwrap(), FactorId("one".into()));
    let binding = Binding { user: &user, uid: 1000, factor: &id, kind: "totp" };
    let sealed = sealer.seal(&Secret::new(KEY.to_vec()), binding, &SystemRandom).unwrap();
    let parameters = Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 };
    let proof = Proof::Administrator { active: true };
    let new = NewFactor {
        kind: Kind::Totp,
        token: None,
        counted: Counted::default(),
        id: id.clone(),
        user: user.clone(),
        uid: 1000,
        label: "app".into(),
        parameters,
        sealed,
        proof,
        recovery: Vec::new(),
        now: NOW,
    };
    let record = Record {
        time: NOW,
        event: Event::Provision,
        subject: Subject::default(),
        method: "totp",
        outcome: twinlockd::audit::Outcome::Granted,
        reason: String::new(),
    };
    store.add_factor(new, record).await.unwrap();
    let clock_guard = ClockGuard::load(&store, &clock).await.unwrap();
    let ports = Arc::new(Ports {
        clock_guard,
        store: Arc::new(store),
        directory: Arc::new(Names),
        sealer,
        key_source: KeySource::new(None, &state),
        rotating: tokio::sync::Mutex::default(),
        clock: Arc::new(clock),
        random: Arc::new(KnownKey),
        in_force: RwLock::new(Arc::new(InForce::new(
            toml::from_str::<Config>(ROLES).unwrap(),
            "test".into(),
            "test",
            &Ids::default(),
        ))),
        channels: Arc::new(delivery::System::new(
            Vec::new(),
            "/nonexistent/sendmail.sock".into(),
            Arc::new(ManualClock::at(NOW)),
        )),
        openings: RwLock::default(),
        hashing: Ports::places_for_hashing(),
        shown: Shown::default(),
    });
    ports.note_openings().await.unwrap();
    let stop = CancellationToken::new();
    let listener = tokio::net::UnixListener::bind(run.join("login.sock")).unwrap();
    tokio::spawn(grpc::serve(ports, Entrance::Login, listener, stop.clone()));
    World { folder, stop }
}

struct Talk {
    replies: mpsc::UnboundedSender<Reply>,
    /// The response comes with the first step.
    call: Option<tokio::task::JoinHandle<Result<Response<Streaming<Step>>, Status>>>,
    steps: Option<Streaming<Step>>,
}

impl World {
    async fn talk(&self) -> Talk {
        let channel = connect::channel(&self.folder.path().join("run/login.sock")).await.unwrap();
        let (replies, queue) = mpsc::unbounded_channel();
        let mut client = LoginClient::new(channel);
        let call =
            tokio::spawn(async move { client.authenticate(UnboundedReceiverStream::new(queue)).await });
        Talk { replies, call: Some(call), steps: None }
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Prompt(String),
    Verdict(Outcome),
    Status(Code),
    End,
}

fn open(user: &str) -> reply::Kind {
    reply::Kind::Open(Open {
        revision: REVISION,
        nonce: vec![1; 16],
        user: user.into(),
        service: "test".into(),
        after_first_factor: true,
        timeout_ms: 60_000,
        ..Open::default()
    })
}

fn answer(text: &str) -> reply::Kind {
    reply::Kind::Answer(Answer { text: text.into() })
}

impl Talk {
    fn say(&self, kind: Option<reply::Kind>) {
        let _ = self.replies.send(Reply { kind });
    }

    async fn hear(&mut self) -> Heard {
        if let Some(call) = self.call.take() {
            match call.await.unwrap() {
                Ok(response) => self.steps = Some(response.into_inner()),
                Err(status) => return Heard::Status(status.code()),
            }
        }
        let Some(steps) = &mut self.steps else { return Heard::End };
        match steps.message().await {
            // Of a prompt of several lines the first says which it is; the others hold keys and codes.
            Ok(Some(Step { kind: Some(step::Kind::Prompt(prompt)) })) => {
                Heard::Prompt(prompt.text.lines().next().unwrap_or_default().to_owned())
            }
            Ok(Some(Step { kind: Some(step::Kind::Verdict(verdict)) })) => {
                assert_eq!(verdict.nonce, [1; 16]);
                Heard::Verdict(verdict.outcome())
            }
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => Heard::End,
            Err(status) => Heard::Status(status.code()),
        }
    }

    async fn after(&mut self, kind: reply::Kind) -> Heard {
        self.say(Some(kind));
        self.hear().await
    }
}

/// A state, by what leads there.
fn states() -> Vec<(&'static str, Vec<reply::Kind>)> {
    let in_vain = match open("alice") {
        reply::Kind::Open(mut open) => {
            open.after_key = true;
            reply::Kind::Open(open)
        }
        reply::Kind::Answer(_) => unreachable!(),
    };
    vec![
        ("opening", vec![]),
        ("asking", vec![open("alice")]),
        ("asking again", vec![open("alice"), answer(WRONG)]),
        ("in vain", vec![in_vain]),
        ("required and not enrolled", vec![open("lost")]),
        ("unknown", vec![open("nobody-here")]),
        ("new key", vec![open("carol")]),
        ("recovery codes shown", vec![open("carol"), answer(RIGHT)]),
        ("offered", vec![open("dave")]),
        ("offered, and wanted", vec![open("dave"), answer("yes")]),
        ("finished", vec![open("bob")]),
    ]
}

#[tokio::test]
async fn every_message_in_every_state_does_what_the_table_says() {
    let code = |text: &str| Some(answer(text));
    let messages = [
        ("open", Some(open("alice"))),
        ("malformed", code("hello")),
        ("wrong", code(WRONG)),
        ("right", code(RIGHT)),
        ("empty", None),
    ];
    let wrong = || Heard::Prompt("Wrong code. Verification code: ".into());
    for (state, path) in states() {
        for (message, kind) in &messages {
            let world = world().await; // a fresh one: codes are spent
            let mut talk = world.talk().await;
            for step in &path {
                talk.after(step.clone()).await;
            }
            talk.say(kind.clone());
            let heard = talk.hear().await;
            let expected = match (state, *message) {
                ("opening", "open") => Heard::Prompt("Verification code: ".into()),
                ("opening", _) => Heard::Status(Code::InvalidArgument),
                ("finished", _) => Heard::End,
                (_, "open" | "empty") => Heard::Status(Code::InvalidArgument),
                ("asking" | "asking again", "right") => Heard::Verdict(Outcome::Granted),
                ("asking" | "asking again" | "unknown", _) => wrong(),
                ("new key" | "offered, and wanted", "right") => {
                    Heard::Prompt("Recovery codes, each good once:".into())
                }
                ("new key" | "offered, and wanted", _) => Heard::Prompt(
                    "Wrong code. Is the clock of your phone right? Add this to your authenticator app, then type the \
                     code it shows: "
                        .into(),
                ),
                ("recovery codes shown", _) => Heard::Verdict(Outcome::Granted),
                ("offered", _) => {
                    Heard::Prompt("Set up a second factor now? Type yes, or press Enter to skip: ".into())
                }
                ("in vain" | "required and not enrolled", _) => Heard::Verdict(Outcome::Denied),
                other => panic!("no row for {other:?}"),
            };
            assert_eq!(heard, expected, "{message} in {state}");
            if matches!(heard, Heard::Verdict(_) | Heard::Status(_)) {
                assert!(
                    matches!(talk.hear().await, Heard::End),
                    "{message} in {state}: nothing behind the verdict"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_third_wrong_and_the_third_malformed_answer_end_it() {
    let world = world().await;
    for text in [WRONG, "hello"] {
        let mut talk = world.talk().await;
        talk.after(open("alice")).await;
        for _ in 0..2 {
            assert!(matches!(talk.after(answer(text)).await, Heard::Prompt(_)));
        }
        assert_eq!(talk.after(answer(text)).await, Heard::Verdict(Outcome::Denied));
    }
}

#[tokio::test]
async fn a_directory_that_fails_is_no_decision_and_never_a_release() {
    let world = world().await;
    let mut talk = world.talk().await;
    assert_eq!(talk.after(open("down")).await, Heard::Status(Code::Unavailable));
    let mut talk = world.talk().await;
    let heard = talk.after(open("lost")).await;
    assert_eq!(
        heard,
        Heard::Prompt("No second factor is set up; ask your administrator. Press Enter: ".into()),
        "groups that cannot be looked up mean required"
    );
}

#[tokio::test]
async fn clients_of_another_age_are_refused() {
    let world = world().await;
    for (revision, nonce) in [(REVISION + 2, 16), (0, 16), (REVISION, 0), (REVISION, 15)] {
        let mut talk = world.talk().await;
        let opening = Open { revision, nonce: vec![1; nonce], user: "bob".into(), ..Open::default() };
        assert_eq!(talk.after(reply::Kind::Open(opening)).await, Heard::Status(Code::InvalidArgument));
    }
    let mut talk = world.talk().await;
    let opening = Open { revision: REVISION + 1, nonce: vec![1; 16], user: "bob".into(), ..Open::default() };
    assert_eq!(talk.after(reply::Kind::Open(opening)).await, Heard::Verdict(Outcome::NotNeeded));
}

#[tokio::test]
async fn one_connection_is_one_login() {
    let world = world().await;
    let channel = connect::channel(&world.folder.path().join("run/login.sock")).await.unwrap();
    let mut client = LoginClient::new(channel);
    let (first, queue) = mpsc::unbounded_channel();
    first.send(Reply { kind: Some(open("alice")) }).unwrap();
    let mut steps = client.authenticate(UnboundedReceiverStream::new(queue)).await.unwrap().into_inner();
    assert!(steps.message().await.unwrap().is_some());
    // A second stream waits for the first to end: it cannot see or answer the first one's prompt.
    let (_second, queue) = mpsc::unbounded_channel();
    let second = client.authenticate(UnboundedReceiverStream::new(queue));
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), second).await;
    assert!(early.is_err(), "a second stream was opened");
}

#[tokio::test]
async fn a_message_over_64_kib_is_refused() {
    let world = world().await;
    let mut talk = world.talk().await;
    let user = "x".repeat(70_000);
    let heard = talk.after(open(&user)).await;
    assert!(matches!(heard, Heard::Status(_)), "{heard:?}");
    // And the daemon is well.
    let mut talk = world.talk().await;
    assert_eq!(talk.after(open("bob")).await, Heard::Verdict(Outcome::NotNeeded));
}
