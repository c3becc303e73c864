//! gRPC to twinlockd over one Unix socket, without an async runtime: the futures of the generated client and
//! of hyper's HTTP/2 connection are polled in the calling thread, with poll(2) on the socket in between.

mod executor;
mod socket;

use std::{
    path::{Path, PathBuf},
    task::{Context, Poll},
    time::Instant,
};

use http::Uri;
use hyper::client::conn::http2;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Streaming, body::Body};
use twinlock_proto::{
    limit,
    v1::{Answer, Open, Reply, Step, login_client::LoginClient, reply},
};

use crate::authority::{Authority, Fault, Talk};
use executor::Executor;
use socket::Socket;

/// twinlockd behind a socket path.
#[derive(Debug)]
pub struct Daemon {
    path: PathBuf,
}

impl Daemon {
    /// The daemon behind `path`, which is opened when a conversation begins.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Authority for Daemon {
    type Talk = Line;

    fn begin(&mut self, open: Open, deadline: Instant) -> Result<Line, Fault> {
        let socket = Socket::connect(&self.path)?;
        let mut executor = Executor::new(socket.clone());
        let handshake = http2::Builder::new(executor.spawner())
            .max_header_list_size(limit::HEADERS)
            .max_concurrent_reset_streams(0)
            .handshake(socket.clone());
        let (sender, connection) =
            executor.run(handshake, deadline).ok_or(Fault::Late)?.map_err(|error| fault(&error, &socket))?;
        executor.spawn_connection(connection);

        let (replies, queue) = mpsc::unbounded_channel();
        send(&replies, reply::Kind::Open(open))?;
        // Never resolved: the client wants an absolute form, the connection is this socket.
        let origin = Uri::from_static("http://twinlock.invalid");
        let mut client = LoginClient::with_origin(Connection(sender), origin)
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE);
        let response = executor
            .run(client.authenticate(UnboundedReceiverStream::new(queue)), deadline)
            .ok_or(Fault::Late)?
            .map_err(|status| fault(&status, &socket))?;
        Ok(Line { executor, steps: response.into_inner(), replies, socket })
    }
}

/// One conversation. Field order matters: the streams are dropped before the executor closes the socket.
pub struct Line {
    steps: Streaming<Step>,
    replies: mpsc::UnboundedSender<Reply>,
    executor: Executor,
    socket: Socket,
}

impl Talk for Line {
    fn next(&mut self, deadline: Instant) -> Result<Step, Fault> {
        match self.executor.run(self.steps.message(), deadline) {
            None => Err(Fault::Late),
            Some(Ok(Some(step))) => Ok(step),
            Some(Ok(None)) => Err(Fault::Broken),
            Some(Err(status)) => Err(fault(&status, &self.socket)),
        }
    }

    fn reply(&mut self, answer: Answer) -> Result<(), Fault> {
        send(&self.replies, reply::Kind::Answer(answer))
    }
}

fn send(replies: &mpsc::UnboundedSender<Reply>, kind: reply::Kind) -> Result<(), Fault> {
    replies.send(Reply { kind: Some(kind) }).map_err(|_| Fault::Broken)
}

/// A status means that the daemon could not decide, or that the transport failed. Only a connection that
/// simply ended may be opened anew: that the socket knows best.
fn fault(error: &(dyn std::error::Error + 'static), socket: &Socket) -> Fault {
    if socket.ended() {
        return Fault::Broken;
    }
    Fault::Untrusted(match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

/// hyper's request sender as the service that the generated client expects.
struct Connection(http2::SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Connection {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
