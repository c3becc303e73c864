//! Local users who mean harm to `user.sock`. Run as root by tests/flood.rs: each connection is made under a uid of its own
//! choice, as a user with subordinate uids can.
//!
//!     twinlock-flood KIND COUNT UIDS SECONDS     idle | slow | garbage | busy | huge
//!     twinlock-flood places                      what one uid gets: connections at once, seconds that a silent one lasts
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it prints, and stops at the first surprise")]

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{Uid, seteuid},
};
use tonic::transport::{Channel, Endpoint};
use twinlock_proto::{
    RUNTIME_DIR, USER_SOCKET,
    v1::{RemoveRequest, StatusRequest, self_service_client::SelfServiceClient},
};

/// The first uid that nobody has.
const FIRST: u32 = 200_000;

fn main() {
    setrlimit(Resource::RLIMIT_NOFILE, 8192, 8192).unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["places"] {
        return places();
    }
    let [kind, count, uids, seconds] = arguments.as_slice() else {
        return println!("usage: twinlock-flood KIND COUNT UIDS SECONDS | places");
    };
    let (count, uids): (u32, u32) = (count.parse().unwrap(), uids.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let uid = |n: u32| FIRST + n % uids;
    match kind.as_str() {
        "busy" | "huge" => calls(kind == "huge", count, uid, end),
        kind => bytes(kind, count, uid, end),
    }
}

fn connect(uid: u32) -> io::Result<UnixStream> {
    seteuid(Uid::from_raw(uid)).unwrap();
    let stream = UnixStream::connect(Path::new(RUNTIME_DIR).join(USER_SOCKET));
    seteuid(Uid::from_raw(0)).unwrap();
    stream
}

/// Connections that say nothing, too little, or nonsense; opened anew when the daemon closes them.
fn bytes(kind: &str, count: u32, uid: impl Fn(u32) -> u32, end: Instant) {
    let open = |n| {
        let stream = connect(uid(n)).ok()?;
        stream.set_nonblocking(true).unwrap();
        Some(stream)
    };
    let mut streams: Vec<Option<UnixStream>> = (0..count).map(open).collect();
    let (mut opened, mut turn) = (count, 0_usize);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let noise: Vec<u8> = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    while Instant::now() < end {
        for (n, slot) in (0..).zip(&mut streams) {
            let said: &[u8] = match kind {
                "slow" => &preface[turn % preface.len()..][..1],
                "garbage" => &noise,
                _ => &[],
            };
            let alive = slot.as_mut().is_some_and(|stream| {
                let _ = stream.write(said);
                !matches!(stream.read(&mut [0; 64]), Ok(0))
            });
            if !alive {
                *slot = open(n);
                opened += 1;
            }
        }
        turn += 1;
        pause(if kind == "slow" { 200 } else { 5 });
    }
    println!("{kind}: {opened} connections");
}

/// Calls in a loop; huge ones carry ten megabytes, of which the daemon reads as much as it likes.
#[tokio::main(flavor = "current_thread")]
async fn calls(huge: bool, count: u32, uid: impl Fn(u32) -> u32, end: Instant) {
    let mut tasks = tokio::task::JoinSet::new();
    for uid in (0..count).map(uid) {
        tasks.spawn(async move {
            let mut made = 0_u64;
            while Instant::now() < end {
                let Some(channel) = channel(uid).await else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                let mut client = SelfServiceClient::new(channel);
                for _ in 0..50 {
                    let request = || RemoveRequest { factor: "x".repeat(10_000_000), code: String::new() };
                    let answered = if huge {
                        client.remove_factor(request()).await.map(drop)
                    } else {
                        client.status(StatusRequest {}).await.map(drop)
                    };
                    made += 1;
                    if answered.is_err_and(|status| status.code() != tonic::Code::NotFound) {
                        break;
                    }
                }
            }
            made
        });
    }
    let made: u64 = tasks.join_all().await.into_iter().sum();
    println!("{}: {made} calls", if huge { "huge" } else { "busy" });
}

async fn channel(uid: u32) -> Option<Channel> {
    let stream = connect(uid).ok()?;
    stream.set_nonblocking(true).unwrap();
    let mut stream = Some(TokioIo::new(tokio::net::UnixStream::from_std(stream).unwrap()));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset));
        async move { stream }
    });
    Endpoint::from_static("http://twinlock.invalid").connect_with_connector(connector).await.ok()
}

fn places() {
    let mut streams: Vec<UnixStream> = (0..8).map(|_| connect(FIRST).unwrap()).collect();
    pause(300);
    let begin = Instant::now();
    let closed = |stream: &mut UnixStream, wait: u64| {
        stream.set_read_timeout(Some(Duration::from_millis(wait))).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    };
    let mut kept: Vec<_> = streams.iter_mut().filter_map(|s| (!closed(s, 20)).then_some(s)).collect();
    let places = kept.len();
    let ended = kept.iter_mut().all(|stream| closed(stream, 8000));
    println!("{places} {ended} {}", begin.elapsed().as_secs());
}

#[expect(clippy::disallowed_methods, reason = "a flood has a rhythm")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
