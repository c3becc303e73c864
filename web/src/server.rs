//! Starts the page, keeps it up to date, and stops it.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use twinlock_proto::WEB_SOCKET;

use crate::{
    connections::{ALL, Places},
    daemon::Daemon,
    guard::Guard,
    listener,
    options::Options,
    rate::Rate,
    settings::{Follower, Known},
    site::Site,
    tls::Tls,
};

/// How often the daemon is asked what its configuration says.
const ASK: Duration = Duration::from_secs(30);
/// How often it is asked as long as there is no page.
const ASK_SOON: Duration = Duration::from_secs(2);
/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Requests that are on their way when the page is stopped.
const FINISH: Duration = Duration::from_secs(5);

/// Why the page ends.
#[derive(Debug)]
pub enum Failure {
    /// The address of `[web] listen` is none.
    Listen(String),
    /// Nobody can listen there.
    Bind(SocketAddr, io::Error),
    /// The system does not give what is needed.
    System(&'static str, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(text) => {
                write!(f, "[web] listen is {text:?}: it must be ADDRESS:PORT, as 0.0.0.0:443 or [::]:443")
            }
            Self::Bind(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; choose another [web] listen, or see who has it (ss -ltnp). A port \
                 below 1024 needs CAP_NET_BIND_SERVICE, which twinlock-web.service gives"
            ),
            Self::System(what, error) => write!(f, "no {what}: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What every request needs.
pub struct Page {
    known: watch::Receiver<Known>,
    /// Who decides.
    pub daemon: Daemon,
    /// What forms carry.
    pub guard: Guard,
    /// Certificate and key.
    pub tls: Tls,
    /// What each source may do at a time.
    pub places: Places,
    /// How often each source may ask.
    pub rate: Rate,
    /// Connections in all.
    pub permits: Arc<Semaphore>,
}

impl Page {
    /// The page as it is to be now; `None` while there is to be none.
    pub fn site(&self) -> Known {
        self.known.borrow().clone()
    }
}

/// Runs the page until it is told to stop (SIGTERM, SIGINT). `passed` is a socket of systemd's.
///
/// # Errors
///
/// See [`Failure`]. That the daemon is absent, or wants no page, is none: it waits.
pub async fn run(options: &Options, passed: Option<std::net::TcpListener>) -> Result<(), Failure> {
    let mut hangup = caught(SignalKind::hangup())?;
    let mut stop = stop_by_signal()?;
    let daemon = Daemon::behind(options.runtime_dir.join(WEB_SOCKET));
    let (mut follower, known) = Follower::new(daemon.clone());
    let page = Arc::new(Page {
        known,
        daemon,
        guard: Guard::new().map_err(|_| Failure::System("random numbers", "getrandom fails".to_owned()))?,
        tls: Tls::new().map_err(|error| Failure::System("TLS", error.to_string()))?,
        places: Places::default(),
        rate: Rate::new(std::time::Instant::now()),
        permits: Arc::new(Semaphore::new(ALL)),
    });
    let site = tokio::select! {
        site = first(&mut follower, &page, &mut hangup) => site,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let listener = match passed {
        Some(passed) => adopt(passed)?,
        None => {
            follower.is_bound_to(site.listen.clone());
            bind(&site.listen).await?
        }
    };
    let address = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    tracing::info!(address, url = site.url.origin() + &site.url.base, "listening");
    tell(&format!("Listening on {address}"));
    tokio::select! {
        () = listener::serve(&listener, &page, &stop) => {}
        () = keep_up(&mut follower, &page, &mut hangup) => {}
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(listener);
    // All places are free when all connections are over.
    let _ = timeout(FINISH, page.permits.acquire_many(u32::try_from(ALL).unwrap_or(u32::MAX))).await;
    Ok(())
}

/// Waits until there is to be a page. systemd is told at once: waiting is no fault of the start.
async fn first(follower: &mut Follower, page: &Page, hangup: &mut Signal) -> Arc<Site> {
    let mut told = false;
    loop {
        follower.look().await;
        if let Some(site) = page.site() {
            look_at_certificate(page, Some(&site));
            return site;
        }
        if !told {
            tell("Waiting for twinlockd, or for its configuration to want a page: see the log");
            told = true;
        }
        tokio::select! {
            () = sleep(ASK_SOON) => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Keeps settings and certificate those of now.
async fn keep_up(follower: &mut Follower, page: &Page, hangup: &mut Signal) {
    let mut asked = Instant::now();
    loop {
        let told = tokio::select! {
            () = sleep(if page.site().is_some() { LOOK } else { ASK_SOON }) => false,
            _ = hangup.recv() => true,
        };
        if told || page.site().is_none() || asked.elapsed() >= ASK {
            follower.look().await;
            asked = Instant::now();
        }
        look_at_certificate(page, page.site().as_deref());
    }
}

fn look_at_certificate(page: &Page, site: Option<&Site>) {
    if let Some(pair) = site.and_then(|site| site.pair.as_ref()) {
        page.tls.look(pair);
    }
}

fn tell(status: &str) {
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

fn caught(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::System("signals", error.to_string()))
}

/// Becomes true when the page is to stop.
fn stop_by_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (mut terminate, mut interrupt) = (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
    });
    Ok(stopped)
}

/// A socket that systemd passed.
fn adopt(passed: std::net::TcpListener) -> Result<TcpListener, Failure> {
    passed
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(passed))
        .map_err(|error| Failure::System("use of the socket that systemd passed", error.to_string()))
}

async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    let address: SocketAddr = listen.parse().map_err(|_| Failure::Listen(listen.to_owned()))?;
    TcpListener::bind(address).await.map_err(|error| Failure::Bind(address, error))
}
