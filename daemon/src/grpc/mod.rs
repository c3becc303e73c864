//! The edge: translate, ask, translate back. One file a service; [`status`] alone chooses gRPC statuses.

mod accounts;
mod admin;
mod administering;
mod answers;
mod beginning;
mod contact_enrollment;
mod contacts;
mod convert;
mod enrolling;
mod enrollment;
mod flags;
mod incoming;
mod invitations;
mod lines;
mod login;
mod migrating;
mod origin;
mod page;
mod policy;
mod providers;
mod pulse;
mod self_service;
mod sending;
mod shown;
mod spares;
mod stacks;
mod status;
mod talk;
mod time;
mod tokens;
mod trail;
mod upkeep;
mod vouching;

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use tokio::{net::UnixListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use twinlock_proto::{
    limit,
    v1::{
        admin_server::AdminServer, enrollment_page_server::EnrollmentPageServer, login_server::LoginServer,
        pulse_server::PulseServer, self_service_server::SelfServiceServer,
    },
};

pub use policy::InForce;
pub use shown::Shown;
pub use time::ClockGuard;

use crate::{
    access::Entrance,
    accounts::Directory,
    clock::{Clock, Timestamp},
    delivery::Channels,
    random::Random,
    seal::{KeySource, Sealer},
    store::Store,
};

/// What a client may send before it is read: one message.
const WINDOW: u32 = 64 * 1024;

/// Everything that a service needs; shared by all of them.
pub struct Ports {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Users and groups.
    pub directory: Arc<dyn Directory>,
    /// Secrets at rest.
    pub sealer: Sealer,
    /// Where the sealing key is from.
    pub key_source: KeySource,
    /// Held by whoever changes the keys; true when it is not known whether the last change reached the disk.
    pub rotating: tokio::sync::Mutex<bool>,
    /// Where messages are given away.
    pub channels: Arc<dyn Channels>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The configuration; an administrator may replace it.
    pub in_force: RwLock<Arc<InForce>>,
    /// Since when the members of a role may enroll at their login, by the rule's name.
    pub openings: RwLock<Arc<BTreeMap<String, Timestamp>>>,
    /// Whether the clock is believed.
    pub clock_guard: ClockGuard,
    /// Places for hashing spare codes.
    pub hashing: Semaphore,
    /// Keys that the enrollment page shows, and that wait for their first code.
    pub shown: Shown,
}

impl Ports {
    /// Places for [`Ports::hashing`].
    #[must_use]
    pub const fn places_for_hashing() -> Semaphore {
        Semaphore::const_new(answers::HASHES)
    }
}

/// Serves one socket until `stop`: only the services whose duty it is.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    ports: Arc<Ports>,
    entrance: Entrance,
    listener: UnixListener,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let streams = match entrance {
        Entrance::Login => 1, // one connection is one login
        Entrance::User | Entrance::Admin => 8,
        Entrance::Web { .. } => 64, // one process, for everybody who enrolls
    };
    let mut server = Server::builder()
        .max_concurrent_streams(streams)
        .http2_max_header_list_size(limit::HEADERS)
        .http2_max_pending_accept_reset_streams(Some(8))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW);
    let login = matches!(entrance, Entrance::Login | Entrance::User).then(|| {
        LoginServer::new(login::Service::new(Arc::clone(&ports), stop.clone()))
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE)
    });
    let pulse = (entrance == Entrance::Login).then(|| {
        PulseServer::new(pulse::Service::new(Arc::clone(&ports)))
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE)
    });
    let own = (entrance == Entrance::User).then(|| {
        SelfServiceServer::new(self_service::Service::new(Arc::clone(&ports)))
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE)
    });
    let admin = (entrance == Entrance::Admin).then(|| {
        AdminServer::new(admin::Service::new(Arc::clone(&ports), stop.clone()))
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE)
    });
    let page = matches!(entrance, Entrance::Web { .. }).then(|| {
        EnrollmentPageServer::new(page::Service::new(Arc::clone(&ports)))
            .max_decoding_message_size(limit::MESSAGE)
            .max_encoding_message_size(limit::MESSAGE)
    });
    server
        .add_optional_service(login)
        .add_optional_service(pulse)
        .add_optional_service(own)
        .add_optional_service(admin)
        .add_optional_service(page)
        .serve_with_incoming_shutdown(incoming::accept(listener, entrance), stop.cancelled_owned())
        .await
}
