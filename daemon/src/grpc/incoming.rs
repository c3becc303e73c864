//! Accepting connections: identity from the kernel, a place for each, and a time to begin talking.

use std::{
    collections::HashMap,
    io,
    os::fd::AsRawFd,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{Resource, getrlimit},
    socket::{MsgFlags, recv},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{UnixListener, UnixStream},
    time::Sleep,
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::access::{self, Allowance, Caller, Entrance};

/// A connection that has asked for nothing by then is closed.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections of one uid other than root.
const PER_UID: usize = 4;
/// After an error of accept(2) (no descriptor left), wait this long and try again.
const RECOVER: Duration = Duration::from_millis(100);

/// Connections in all, by socket. Those of users take a quarter of the descriptors at most: root's logins have the rest.
fn places(entrance: Entrance) -> usize {
    match entrance {
        Entrance::Login => 1024,
        Entrance::User => {
            let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
            usize::try_from(descriptors / 4).unwrap_or(usize::MAX).min(256)
        }
        Entrance::Admin => 32,
        Entrance::Web { .. } => 8,
    }
}

/// The connections that come in. The stream never ends: an error costs one connection, not the socket.
pub(super) fn accept(
    listener: UnixListener,
    entrance: Entrance,
) -> impl Stream<Item = io::Result<Connection>> {
    let open = Arc::new(Mutex::new(Open { places: places(entrance), ..Open::default() }));
    async_stream::stream! {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Some(connection) = admit(stream, entrance, &open) {
                        yield Ok(connection);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, ?entrance, "no connection accepted");
                    tokio::time::sleep(RECOVER).await;
                }
            }
        }
    }
}

/// Who is connected, and what each uid may still ask.
#[derive(Default)]
struct Open {
    places: usize,
    connections: HashMap<u32, usize>,
    allowances: HashMap<u32, Arc<Allowance>>,
}

/// Allowances that are remembered: more uids than that, and those that were idle are forgotten.
const ALLOWANCES: usize = 1024;

/// Without credentials, or without a place, the connection is closed at once.
fn admit(stream: UnixStream, entrance: Entrance, open: &Arc<Mutex<Open>>) -> Option<Connection> {
    let peer = stream.peer_cred().ok()?;
    let uid = peer.uid();
    let now = Instant::now();
    let mut state = open.lock().unwrap_or_else(PoisonError::into_inner);
    let all: usize = state.connections.values().sum();
    let own = state.connections.get(&uid).copied().unwrap_or_default();
    // Our own request, by which systemd sees that logins are served, finds a place when all are taken too.
    if !access::is_us(peer.pid()) && (all >= state.places || (uid != 0 && own >= PER_UID)) {
        return None;
    }
    state.connections.insert(uid, own + 1);
    if state.allowances.len() >= ALLOWANCES {
        state.allowances.retain(|_, allowance| !allowance.is_whole(now));
    }
    let allowance =
        state.allowances.entry(uid).or_insert_with(|| Arc::new(Allowance::of(entrance, uid, now)));
    let allowance = Arc::clone(allowance);
    drop(state);
    let place = Place { uid, open: Arc::clone(open) };
    let caller = Caller { entrance, uid, pid: peer.pid(), begun: Arc::default(), allowance };
    let handshake = Some(Box::pin(tokio::time::sleep(HANDSHAKE)));
    Some(Connection { stream, caller, handshake, heard: false, _place: place })
}

/// A place among the connections, given back when dropped.
struct Place {
    uid: u32,
    open: Arc<Mutex<Open>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = state.connections.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                state.connections.remove(&self.uid);
            }
        }
    }
}

/// An admitted connection.
pub(super) struct Connection {
    stream: UnixStream,
    caller: Caller,
    handshake: Option<Pin<Box<Sleep>>>,
    /// Something came in.
    heard: bool,
    _place: Place,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl Connection {
    /// An error when its time to begin talking is over.
    fn expired(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.caller.begun.load(Ordering::Relaxed) {
            self.handshake = None;
        }
        let late = self.handshake.as_mut().is_some_and(|handshake| handshake.as_mut().poll(cx).is_ready());
        if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.expired(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.heard |= read.is_ready();
        read
    }
}

impl AsyncWrite for Connection {
    /// Our settings leave when the client's are here, not before: it would wake up for them alone.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while !self.heard {
            self.expired(cx)?;
            ready!(self.stream.poll_read_ready(cx))?;
            // tokio takes a new socket for readable until a read says otherwise.
            let peek =
                || Ok(recv(self.stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)?);
            match self.stream.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => self.heard = result.map(|_| true)?,
            }
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
