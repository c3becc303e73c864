//! Makes every call of the contract on every socket, with an empty message, and prints what came back:
//! `SOCKET METHOD CODE`. Run by tests/calls.rs as one user after the other.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it prints, and stops at the first surprise")]

use std::path::Path;

use prost_reflect::DescriptorPool;
use tonic::{Code, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use twinlock_proto::{ADMIN_SOCKET, LOGIN_SOCKET, RUNTIME_DIR, USER_SOCKET, WEB_SOCKET, connect};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for socket in [LOGIN_SOCKET, USER_SOCKET, ADMIN_SOCKET, WEB_SOCKET] {
            for method in methods() {
                println!("{socket} {method} {}", call(socket, &method).await);
            }
        }
    });
}

/// `/twinlock.v1.Login/Authenticate` and so on.
fn methods() -> Vec<String> {
    let pool = DescriptorPool::decode(twinlock_proto::DESCRIPTOR).unwrap();
    let of = |service: prost_reflect::ServiceDescriptor| {
        let name = service.full_name().to_owned();
        service.methods().map(|method| format!("/{name}/{}", method.name())).collect::<Vec<_>>()
    };
    pool.services().flat_map(of).collect()
}

async fn call(socket: &str, method: &str) -> String {
    let path = Path::new(RUNTIME_DIR).join(socket);
    let channel = match connect::channel(&path).await {
        Ok(channel) => channel,
        Err(connect::ConnectError::Forbidden(_)) => return "Forbidden".to_owned(),
        // This one is the page's.
        Err(connect::ConnectError::Untrusted(..)) if socket == WEB_SOCKET => {
            if std::os::unix::net::UnixStream::connect(&path).is_err() {
                return "Forbidden".to_owned();
            }
            connect::lasting_channel(path)
        }
        Err(error) => return error.to_string(),
    };
    match ask(channel, method).await {
        Ok(()) => "Ok".to_owned(),
        Err(code) => format!("{code:?}"),
    }
}

/// On the wire a unary call is a stream of one.
async fn ask(channel: Channel, method: &str) -> Result<(), Code> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|_| Code::Unavailable)?;
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let request = tonic::Request::new(tokio_stream::iter([()]));
    let answer = grpc.streaming(request, method.parse().unwrap(), codec).await;
    let mut stream = answer.map_err(|status| status.code())?.into_inner();
    stream.message().await.map(drop).map_err(|status| status.code())
}
