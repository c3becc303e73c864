//! Every method of every socket of a daemon, with messages of every kind: never a panic, and the daemon serves on.
#![no_main]

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use libfuzzer_sys::fuzz_target;
use tokio::{net::UnixListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use twinlock_proto::{ADMIN_SOCKET, LOGIN_SOCKET, USER_SOCKET, WEB_SOCKET, connect};
use twinlockd::{
    access::Entrance,
    accounts::{Account, Directory, DirectoryError, Lane},
    app,
    clock::SystemClock,
    config::Config,
    delivery,
    engine::policy::{Ids, Named},
    grpc::{self, ClockGuard, InForce, Ports, Shown},
    names::UserName,
    random::SystemRandom,
    seal::KeySource,
    store::sqlite::Sqlite,
};

/// Any name that begins with `a` is somebody; uid 0 is alice.
struct Names;

#[async_trait]
impl Directory for Names {
    async fn by_name(&self, _: Lane, name: &UserName, _: &Named) -> Result<Option<Account>, DirectoryError> {
        let known = name.as_str().starts_with('a');
        Ok(known.then(|| Account {
            name: name.as_str().into(),
            uid: 1000,
            groups: Some(vec![1000]),
            ids: Some(Ids::default()),
        }))
    }
    async fn by_uid(&self, _: Lane, uid: u32, _: &Named) -> Result<Option<Account>, DirectoryError> {
        Ok(Some(Account { name: "alice".into(), uid, groups: Some(vec![uid]), ids: Some(Ids::default()) }))
    }
    async fn ids(&self, _: Lane, _: &Named) -> Result<Ids, DirectoryError> {
        Ok(Ids::default())
    }
    async fn everybody(&self, _: &Named) -> Result<BTreeSet<String>, DirectoryError> {
        Ok(BTreeSet::new())
    }
    async fn confirm_password(&self, _: &str, password: &str) -> Result<bool, DirectoryError> {
        Ok(password == "right")
    }
}

/// Messages as they are, whatever they say.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

struct World {
    runtime: Runtime,
    run: PathBuf,
    /// Socket and path of each method.
    methods: Vec<(&'static str, String)>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let memory = Path::new("/dev/shm"); // what is written there costs nothing
        let folder = if memory.exists() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder").keep();
        let (state, run) = (folder.join("state"), folder.join("run"));
        for (path, mode) in [(&state, 0o700), (&run, 0o755)] {
            std::fs::create_dir(path).expect("a folder");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        }
        runtime.block_on(serve(&state, &run));
        let pool = prost_reflect::DescriptorPool::decode(twinlock_proto::DESCRIPTOR).expect("ours");
        let of = |service: prost_reflect::ServiceDescriptor| {
            let socket = match service.name() {
                "Login" => LOGIN_SOCKET,
                "SelfService" => USER_SOCKET,
                "EnrollmentPage" => WEB_SOCKET,
                _ => ADMIN_SOCKET,
            };
            let name = service.full_name().to_owned();
            service.methods().map(|m| (socket, format!("/{name}/{}", m.name()))).collect::<Vec<_>>()
        };
        let mut methods: Vec<_> = pool.services().flat_map(of).collect();
        methods.push((USER_SOCKET, "/twinlock.v1.Login/Authenticate".to_owned()));
        Self { runtime, run, methods }
    }

    async fn call(
        &self,
        (socket, method): &(&'static str, String),
        messages: Vec<Bytes>,
    ) -> Result<(), Status> {
        let channel = connect::channel(&self.run.join(socket)).await.expect("the daemon serves on");
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let request = tonic::Request::new(tokio_stream::iter(messages));
        let path = method.parse().expect("a path");
        let mut stream = grpc.streaming(request, path, Raw).await?.into_inner();
        while stream.message().await?.is_some() {}
        Ok(())
    }
}

async fn serve(state: &Path, run: &Path) {
    let clock = SystemClock::new();
    let store = Sqlite::open(state, &clock).expect("a store");
    let key_source = KeySource::new(None, state);
    let sealer = app::unseal(&store, &key_source, &clock, &SystemRandom).await.expect("a key");
    let clock_guard = ClockGuard::load(&store, &clock).await.expect("a mark");
    let ports = Arc::new(Ports {
        clock_guard,
        store: Arc::new(store),
        directory: Arc::new(Names),
        sealer,
        key_source,
        rotating: tokio::sync::Mutex::default(),
        clock: Arc::new(clock),
        random: Arc::new(SystemRandom),
        in_force: RwLock::new(Arc::new(InForce::new(
            Config::default(),
            "fuzzing".into(),
            "fuzzing",
            &Ids::default(),
        ))),
        channels: Arc::new(delivery::System::new(
            Vec::new(),
            "/nonexistent/sendmail.sock".into(),
            Arc::new(SystemClock::new()),
        )),
        openings: RwLock::default(),
        hashing: Ports::places_for_hashing(),
        shown: Shown::default(),
    });
    for (entrance, socket) in [
        (Entrance::Login, LOGIN_SOCKET),
        (Entrance::User, USER_SOCKET),
        (Entrance::Admin, ADMIN_SOCKET),
        (Entrance::Web { page: 0 }, WEB_SOCKET),
    ] {
        let listener = UnixListener::bind(run.join(socket)).expect("a socket");
        tokio::spawn(grpc::serve(Arc::clone(&ports), entrance, listener, CancellationToken::new()));
    }
}

thread_local! {
    static WORLD: World = World::new();
}

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (method, messages) = input;
    WORLD.with(|world| {
        let method = &world.methods[usize::from(method) % world.methods.len()];
        let messages = messages.into_iter().take(8).map(Bytes::from).collect();
        // An audit that is followed has no end; a status is as good an answer as any.
        let call =
            async { tokio::time::timeout(Duration::from_millis(100), world.call(method, messages)).await };
        let _ = world.runtime.block_on(call);
    });
});
