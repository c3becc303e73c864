//! The composition root: builds the adapters, binds, serves, drains, stops. The only place that names them.

mod configuration;
mod restore;
mod rounds;
mod sockets;
mod watchdog;

pub use configuration::check;
use configuration::{describe, prepare, presets};
pub use restore::restore;
use sockets::{Sockets, for_page, listeners, make_folder};

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use nix::sys::{resource, stat};
use sd_notify::NotifyState;
use tokio::{signal::unix, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts, audit,
    clock::{Clock, SystemClock},
    config::{Config, Origin},
    delivery,
    grpc::{self, ClockGuard, Ports, Shown},
    names::printable,
    options::Options,
    random::{Random, SystemRandom},
    seal::{KeySource, KeySourceError, SealError, Sealer},
    store::{
        Store, StoreError,
        sqlite::{RestoreError, Sqlite},
    },
};

/// Passwords and keys for others' servers, where systemd gives none: each a file that only root can read.
const CREDENTIALS: &str = "/etc/twinlock/credentials";
/// The socket of the unit that runs sendmail, in the runtime folder.
const MAIL_HELPER: &str = "sendmail.sock";
/// That of the unit that asks PAM for a password.
const PASSWORD_HELPER: &str = "password.sock";
/// After the signal to stop, running conversations are cut off; this is for their last words.
const DRAIN: Duration = Duration::from_secs(2);
/// A copy of the store that is older is known for one.
const COUNT_EVERY: Duration = Duration::from_secs(3600);

/// Why the daemon could not start, or stopped.
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be used, and there is no last good one. Its findings were printed.
    Config,
    /// A folder or socket.
    Io(String, io::Error),
    /// The store.
    Store(StoreError),
    /// A backup that cannot be brought back.
    Restore(RestoreError),
    /// The sealing key.
    Key(KeySourceError),
    /// The keyring.
    Seal(SealError),
    /// A socket failed for good.
    Serve(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str(
                "the configuration cannot be used and there is no last good one: mend it, then start again",
            ),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::Restore(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Serve(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// See [`Failure`].
pub async fn run(options: &Options) -> Result<(), Failure> {
    harden();
    let passed = sockets::passed()?;
    let hangup = unix::signal(unix::SignalKind::hangup());
    let mut told_to_reload =
        hangup.map_err(|error| Failure::Io("cannot wait for signals".to_owned(), error))?;
    let told_to_stop = told_to_stop()?; // whoever is told that we are ready may stop us at once
    make_folder(&options.state_dir, 0o700)?;
    tell(&[NotifyState::Status("Opening the store")]);
    let (config, origin) = configuration::at_start(options)?;
    let ports = Arc::new(compose(options, config, &origin).await?);
    ports.note_openings().await?;
    ports.store.end_codes().await?;
    let Sockets { listeners, own, login } = listeners(&options.runtime_dir, passed)?;
    ports.store.append(started(ports.clock.now(), &origin)).await?;

    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    let serve = |(entrance, listener)| grpc::serve(Arc::clone(&ports), entrance, listener, stop.clone());
    for socket in listeners {
        serving.spawn(serve(socket));
    }
    tell(&[NotifyState::Ready, NotifyState::Status(serving_by(origin != Origin::LastGood))]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    if own && let Some(socket) = for_page(&options.runtime_dir, ports.directory.as_ref()).await {
        serving.spawn(serve(socket));
    }

    let (broken, seen) = watch::channel(origin == Origin::LastGood);
    let rounds = tokio::spawn(rounds::go(Arc::clone(&ports), seen, stop.clone()));
    let mut told_to_stop = std::pin::pin!(told_to_stop);
    let watchdog = tokio::spawn(watchdog::keep(login));
    let mut count = tokio::time::interval(COUNT_EVERY);
    count.tick().await; // at once: the start has counted
    let result = loop {
        tokio::select! {
            () = &mut told_to_stop => break Ok(()),
            Some(()) = told_to_reload.recv() => {
                let good = reload(options, &ports).await;
                broken.send_replace(!good);
            }
            _ = count.tick() => count_generation(&ports).await,
            Some(ended) = serving.join_next() => break Err(Failure::Serve(format!("a socket ended: {ended:?}"))),
        }
    };
    tell(&[NotifyState::Stopping, NotifyState::Status("Stopping")]);
    watchdog.abort();
    stop.cancel();
    let drained = async {
        while serving.join_next().await.is_some() {}
        let _ = rounds.await;
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    let record = audit::Record { event: audit::Event::Stop, ..started(ports.clock.now(), &origin) };
    let _ = ports.store.append(record).await;
    count_generation(&ports).await;
    tracing::info!("stopped");
    result
}

/// No core dumps, no looking in by others, nothing readable by accident.
fn harden() {
    stat::umask(stat::Mode::from_bits_truncate(0o077));
    let _ = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0);
    let _ = nix::sys::prctl::set_dumpable(false);
    if let Ok((soft, hard)) = resource::getrlimit(resource::Resource::RLIMIT_NOFILE) {
        let _ = resource::setrlimit(resource::Resource::RLIMIT_NOFILE, soft.max(4096.min(hard)), hard);
    }
}

async fn compose(options: &Options, config: Config, origin: &Origin) -> Result<Ports, Failure> {
    let clock = Arc::new(SystemClock::new());
    let random = SystemRandom;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let folders = credentials.iter().cloned().chain([PathBuf::from(CREDENTIALS)]).collect();
    let source = KeySource::new(credentials.as_deref(), &options.state_dir);
    let ours = |ring: &[_]| source.opening(ring, &random).map(drop).map_err(Failure::Key);
    let store = Sqlite::open_ours(&options.state_dir, clock.as_ref(), ours)?;
    let sealer = unseal(&store, &source, clock.as_ref(), &random).await?;
    let clock_guard = ClockGuard::load(&store, clock.as_ref()).await?;
    let helper = options.runtime_dir.join(MAIL_HELPER);
    let directory = accounts::System::new(options.runtime_dir.join(PASSWORD_HELPER));
    let in_force = prepare(&directory, config, origin).await.with_presets(presets(options));
    Ok(Ports {
        store: Arc::new(store),
        directory: Arc::new(directory),
        channels: Arc::new(delivery::System::new(folders, helper, Arc::clone(&clock) as Arc<dyn Clock>)),
        sealer,
        key_source: source,
        rotating: tokio::sync::Mutex::default(),
        clock,
        clock_guard,
        random: Arc::new(random),
        in_force: RwLock::new(Arc::new(in_force)),
        openings: RwLock::default(),
        hashing: Ports::places_for_hashing(),
        shown: Shown::default(),
    })
}

/// Reads the configuration again. One with errors changes nothing; says whether it has none.
async fn reload(options: &Options, ports: &Ports) -> bool {
    tell(&[
        NotifyState::Reloading,
        NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading),
        NotifyState::Status("Reading the configuration"),
    ]);
    let outcome = configuration::read(options);
    let (result, reason) = match outcome.config {
        Some(config) => {
            let next = prepare(ports.directory.as_ref(), config, &outcome.origin).await;
            let next = next.with_presets(presets(options));
            let reason = format!("configuration: {}", next.origin);
            ports.put_in_force(next);
            if let Err(error) = ports.note_openings().await {
                tracing::error!(%error, "new rules let nobody enroll at a login until twinlockd is reloaded");
            }
            tracing::info!("reloaded");
            (audit::Outcome::Granted, reason)
        }
        None => {
            tracing::error!("the configuration is broken: the one in force stays");
            (audit::Outcome::Denied, "the files are broken: the one in force stays".to_owned())
        }
    };
    let (event, good) = (audit::Event::Reload, result == audit::Outcome::Granted);
    let record =
        audit::Record { event, outcome: result, reason, ..started(ports.clock.now(), &outcome.origin) };
    if let Err(error) = ports.store.append(record).await {
        tracing::error!(%error, "an audit record is lost");
    }
    tell(&[NotifyState::Ready, NotifyState::Status(serving_by(good))]);
    good
}

/// What `systemctl status` says of us.
const fn serving_by(good: bool) -> &'static str {
    if good {
        "Serving"
    } else {
        "Serving by the last good configuration: the files are broken, see twinlockd --check"
    }
}

/// Tells systemd, if that is who started us.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

/// The data keys, the first of which is made when there is none.
///
/// # Errors
///
/// When the key is lost, is another one, or the store fails.
pub async fn unseal(
    store: &dyn Store,
    source: &KeySource,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Sealer, Failure> {
    let mut ring = store.keyring().await?;
    let key = source.current(&ring, random).map_err(Failure::Key)?;
    if ring.is_empty() {
        ring.push(Sealer::first_key(&key, random).map_err(Failure::Seal)?);
        store.set_keyring(ring.clone(), clock.now()).await?;
    }
    Sealer::unwrap(&key, &ring).map_err(Failure::Seal)
}

async fn count_generation(ports: &Ports) {
    if let Err(error) = ports.store.count_generation().await {
        tracing::warn!(%error, "a copy of the store from before would not be known for one if it was put back");
    }
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    printable(&name.unwrap_or_else(|| "Linux host".to_owned()), 64)
}

fn started(now: crate::clock::Timestamp, origin: &Origin) -> audit::Record {
    audit::Record {
        time: now,
        event: audit::Event::Start,
        subject: audit::Subject { actor: format!("pid {}", std::process::id()), ..audit::Subject::default() },
        method: "",
        outcome: audit::Outcome::Granted,
        reason: format!("configuration: {}", describe(origin)),
    }
}

/// SIGTERM or SIGINT, from now on.
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error| Failure::Io("cannot wait for signals".to_owned(), error);
    let mut term = unix::signal(unix::SignalKind::terminate()).map_err(failed)?;
    let mut int = unix::signal(unix::SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}
