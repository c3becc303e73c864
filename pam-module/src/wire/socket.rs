//! The socket: opened only if root stands behind it, read and written without ever raising SIGPIPE. What is written
//! is gathered until there is nothing to do but wait: each send(2) would wake the daemon for a part of a request.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI16, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, getsockopt, recv, send,
            setsockopt, shutdown, socket, sockopt,
        },
        time::TimeVal,
    },
};

use crate::authority::Fault;

/// The daemon is on this host: it accepts at once, or its queue is full.
const CONNECT_SECONDS: i64 = 1;

/// More than any conversation writes before it waits; behind that, hyper waits too.
const GATHERED: usize = 128 * 1024;

/// A connected socket. Clones share the descriptor, which is closed with the last one.
#[derive(Clone)]
pub(super) struct Socket(Arc<Inner>);

struct Inner {
    descriptor: OwnedFd,
    /// The poll(2) events that some future waits for.
    wanted: AtomicI16,
    /// Written and not sent yet.
    gathered: Mutex<Vec<u8>>,
    /// The other end closed it.
    ended: AtomicBool,
}

impl Socket {
    pub(super) fn connect(path: &Path) -> Result<Self, Fault> {
        check_owner(path)?;
        let failed = |what: &str, errno: Errno| Fault::Untrusted(format!("{what}: {errno}"));
        let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|errno| failed("socket", errno))?;
        // connect(2) blocks while the daemon's queue is full; on a non-blocking socket it would fail at once.
        setsockopt(&descriptor, sockopt::SendTimeout, &TimeVal::new(CONNECT_SECONDS, 0))
            .map_err(|errno| failed("setsockopt", errno))?;
        let address = UnixAddr::new(path).map_err(|errno| failed("address", errno))?;
        connect(descriptor.as_raw_fd(), &address).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ECONNREFUSED => Fault::Absent,
            Errno::EAGAIN | Errno::EINPROGRESS | Errno::ETIMEDOUT => Fault::Late,
            errno => failed("connect", errno),
        })?;
        let peer = getsockopt(&descriptor, sockopt::PeerCredentials)
            .map_err(|errno| failed("peer credentials", errno))?;
        if peer.uid() != 0 {
            return Err(Fault::Untrusted(format!("the process behind {} is not root's", path.display())));
        }
        Ok(Self(Arc::new(Inner {
            descriptor,
            wanted: AtomicI16::new(0),
            gathered: Mutex::default(),
            ended: AtomicBool::new(false),
        })))
    }

    /// Sends what was gathered, then waits until the socket is ready for what is wanted; false when the deadline
    /// passed.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        self.send_gathered();
        let wanted = PollFlags::from_bits_truncate(self.0.wanted.swap(0, Ordering::Relaxed));
        let mut descriptors = [PollFd::new(self.0.descriptor.as_fd(), wanted)];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // Rounded up, or the last millisecond would spin.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut descriptors, timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Whether the other end closed the connection.
    pub(super) fn ended(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed)
    }

    /// What the socket does not take stays; a socket that failed says so to whoever reads next.
    fn send_gathered(&self) {
        // MSG_NOSIGNAL: su and sudo keep the default action of SIGPIPE, which would end them.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let mut gathered = self.gathered();
        while !gathered.is_empty() {
            match send(self.0.descriptor.as_raw_fd(), &gathered, flags) {
                Ok(sent) => drop(gathered.drain(..sent)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.0.wanted.fetch_or(PollFlags::POLLOUT.bits(), Ordering::Relaxed);
                    return;
                }
                Err(errno) => {
                    gathered.clear();
                    self.note(errno);
                    let _ = shutdown(self.0.descriptor.as_raw_fd(), Shutdown::Both);
                }
            }
        }
    }

    fn gathered(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, errno: Errno) {
        if matches!(errno, Errno::EPIPE | Errno::ECONNRESET) {
            self.0.ended.store(true, Ordering::Relaxed);
        }
    }

    fn failed<T>(&self, errno: Errno) -> Poll<io::Result<T>> {
        self.note(errno);
        Poll::Ready(Err(errno.into()))
    }

    fn want<T>(&self, events: PollFlags) -> Poll<T> {
        self.0.wanted.fetch_or(events.bits(), Ordering::Relaxed);
        Poll::Pending
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        let room = bytes.len().min(buffer.remaining());
        loop {
            match recv(self.0.descriptor.as_raw_fd(), &mut bytes[..room], MsgFlags::MSG_DONTWAIT) {
                Ok(n) => {
                    self.0.ended.fetch_or(n == 0, Ordering::Relaxed);
                    buffer.put_slice(&bytes[..n]);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::EAGAIN) => return self.want(PollFlags::POLLIN),
                Err(Errno::EINTR) => {}
                Err(errno) => return self.failed(errno),
            }
        }
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered().len() + bytes.len() > GATHERED {
            self.send_gathered();
        }
        let mut gathered = self.gathered();
        if !gathered.is_empty() && gathered.len() + bytes.len() > GATHERED {
            return self.want(PollFlags::POLLOUT);
        }
        gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the descriptor is closed when the login ends
    }
}

/// The folder and the socket are root's, and nobody else can put another socket there (squatting).
fn check_owner(path: &Path) -> Result<(), Fault> {
    let look = |path: &Path| {
        fs::symlink_metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::Absent,
            _ => Fault::Untrusted(format!("{}: {error}", path.display())),
        })
    };
    let folder_path = path.parent().unwrap_or(Path::new("/"));
    let folder = look(folder_path)?;
    if !folder.is_dir() || folder.uid() != 0 || folder.mode() & 0o022 != 0 {
        return Err(Fault::Untrusted(format!("{} is not root's alone", folder_path.display())));
    }
    let socket = look(path)?;
    if !socket.file_type().is_socket() || socket.uid() != 0 {
        return Err(Fault::Untrusted(format!("{} is not a socket of root's", path.display())));
    }
    Ok(())
}
