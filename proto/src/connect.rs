//! A gRPC channel over a Unix socket whose other end is known to be root's.

use std::{
    fmt, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take. The daemon is on this host: it is there at once or not at all.
const CONNECT: Duration = Duration::from_secs(1);

/// Why there is no channel.
#[derive(Debug)]
pub enum ConnectError {
    /// Nobody listens: the socket is missing or refuses.
    Absent(PathBuf),
    /// The caller may not open this socket.
    Forbidden(PathBuf),
    /// Somebody other than root could stand behind the socket (squatting).
    Untrusted(PathBuf, &'static str),
    /// Anything else.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "twinlockd does not listen on {}", path.display()),
            Self::Forbidden(path) => write!(f, "no permission to open {}", path.display()),
            Self::Untrusted(path, why) => write!(f, "refusing to use {}: {why}", path.display()),
            Self::Failed(path, error) => write!(f, "cannot connect to {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Connects to the socket at `path`, after checking that its folder, the socket and the listening process
/// are root's.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn channel(path: &Path) -> Result<Channel, ConnectError> {
    let stream = open(path, Owner::Root).await?;
    let mut stream = Some(TokioIo::new(stream));
    // The address is never looked up: the connector below answers with the one stream opened above.
    Endpoint::from_static("http://twinlock.invalid")
        .http2_max_header_list_size(crate::limit::HEADERS)
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset));
            async move { stream }
        }))
        .await
        .map_err(|error| ConnectError::Failed(path.to_owned(), io::Error::other(error)))
}

/// The connection alone, with the same checks: for a helper of root's that talks something else.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn stream(path: &Path) -> Result<UnixStream, ConnectError> {
    open(path, Owner::Root).await
}

/// A channel for a program that outlives the daemon: connects when something is asked, and again when the daemon was
/// started anew, with the same checks each time. The socket itself may be somebody else's: root gave it away.
///
/// A call that finds no daemon fails with a status whose sources hold a [`ConnectError`].
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use]
pub fn lasting_channel(path: PathBuf) -> Channel {
    Endpoint::from_static("http://twinlock.invalid")
        .http2_max_header_list_size(crate::limit::HEADERS)
        .connect_with_connector_lazy(tower::service_fn(move |_| {
            let path = path.clone();
            async move { open(&path, Owner::Anyone).await.map(TokioIo::new) }
        }))
}

/// Whose the socket may be. Its folder and the process behind it are root's always.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Root,
    Anyone,
}

async fn open(path: &Path, owner: Owner) -> Result<UnixStream, ConnectError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::Absent(path.to_owned()),
        io::ErrorKind::PermissionDenied => ConnectError::Forbidden(path.to_owned()),
        _ => ConnectError::Failed(path.to_owned(), error),
    };
    check_owner(path, owner).map_err(failed)?.map_err(|why| ConnectError::Untrusted(path.to_owned(), why))?;
    let stream = tokio::time::timeout(CONNECT, UnixStream::connect(path))
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 => Ok(stream),
        Ok(_) => Err(ConnectError::Untrusted(path.to_owned(), "the process behind it is not root's")),
        Err(error) => Err(failed(error)),
    }
}

/// The socket and its folder belong to root, and nobody else can replace the socket.
fn check_owner(path: &Path, owner: Owner) -> io::Result<Result<(), &'static str>> {
    let folder = path.parent().unwrap_or(Path::new("/")).symlink_metadata()?;
    if folder.uid() != 0 || folder.mode() & 0o022 != 0 {
        return Ok(Err("its folder is not root's alone"));
    }
    let socket = path.symlink_metadata()?;
    if !socket.file_type().is_socket() || (owner == Owner::Root && socket.uid() != 0) {
        return Ok(Err("it is not a socket of root's"));
    }
    Ok(Ok(()))
}
