//! `Pulse`: a sign of life, for `app/watchdog.rs`.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use twinlock_proto::v1::{BeatReply, BeatRequest, pulse_server::Pulse};

use super::Ports;
use crate::access::{self, Itself};

pub(super) struct Service {
    ports: Arc<Ports>,
}

impl Service {
    pub(super) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
}

#[tonic::async_trait]
impl Pulse for Service {
    async fn beat(&self, request: Request<BeatRequest>) -> Result<Response<BeatReply>, Status> {
        let caller = access::itself(&request)?;
        Ok(Response::new(self.ports.beat(&caller).await))
    }
}

impl Ports {
    async fn beat(&self, _: &Itself) -> BeatReply {
        if let Err(error) = self.store.beat().await {
            tracing::error!(%error, "logins are denied");
        }
        BeatReply {}
    }
}
