//! Connections: who may have one, for how long, and what is done with it. Everything that a client can draw out has an end.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep, timeout},
};

use crate::{connections::Place, routes, server::Page, source::Arrival};

/// A TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The head of a request, and the time between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// After that a connection ends with the answer to its request, if there is one.
const LIFE: Duration = Duration::from_secs(60);
/// For that request: as much as a request may take, and the time to write the answer.
const LAST: Duration = Duration::from_secs(30);
/// The head of a request, in bytes. Ours are short.
const LARGEST: usize = 16 * 1024;
/// Its lines.
const LINES: usize = 64;
/// After an error of accept(2) (no descriptor left), wait this long and try again.
const RECOVER: Duration = Duration::from_millis(100);

/// Accepts until `stop` says so. An error costs one connection, not the socket.
pub async fn serve(listener: &TcpListener, page: &Arc<Page>, stop: &watch::Receiver<bool>) {
    let mut stopped = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(admitted) = admit(page, peer.ip().to_canonical()) {
                    tokio::spawn(attend(stream, admitted, Arc::clone(page), stop.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no connection accepted");
                sleep(RECOVER).await;
            }
        }
    }
}

/// A connection that has a place.
struct Admitted {
    peer: IpAddr,
    encrypt: bool,
    _place: Option<Place>,
    _permit: OwnedSemaphorePermit,
}

/// Without a place, or in plain text from anybody but a declared proxy, the connection is closed at once.
fn admit(page: &Page, peer: IpAddr) -> Option<Admitted> {
    let permit = Arc::clone(&page.permits).try_acquire_owned().ok()?;
    let site = page.site();
    let proxy = site.as_deref().is_some_and(|site| site.is_proxy(peer));
    let encrypt = site.is_none_or(|site| site.pair.is_some());
    if !encrypt && !proxy {
        return None;
    }
    let place = if proxy {
        None
    } else {
        page.rate.take(peer.into(), std::time::Instant::now()).ok()?;
        Some(page.places.take(peer.into())?)
    };
    Some(Admitted { peer, encrypt, _place: place, _permit: permit })
}

async fn attend(stream: TcpStream, admitted: Admitted, page: Arc<Page>, stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let arrival = Arrival { peer: admitted.peer, tls: admitted.encrypt };
    if !admitted.encrypt {
        return talk(stream, arrival, &page, stop).await;
    }
    let Some(acceptor) = page.tls.acceptor() else { return };
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, arrival, &page, stop).await,
        Ok(Err(error)) => tracing::debug!(source = %admitted.peer, %error, "no TLS"),
        Err(_) => tracing::debug!(source = %admitted.peer, "no TLS in time"),
    }
}

/// One request after the other.
async fn talk<S>(stream: S, arrival: Arrival, page: &Page, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service =
        service_fn(async |request| Ok::<_, Infallible>(routes::answer(page, arrival, request).await));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST)
            .max_headers(LINES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let end = Instant::now() + LIFE;
    tokio::select! {
        result = &mut connection => return over(arrival, result),
        () = tokio::time::sleep_until(end) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = timeout(LAST, connection).await {
        over(arrival, result);
    }
}

fn over(arrival: Arrival, result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(source = %arrival.peer, %error, "a connection ended");
    }
}
