//! A daemon that knows one link, and counts what it is asked.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::{net::UnixListener, runtime::Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use twinlock_proto::{
    WEB_SOCKET,
    v1::{
        AppEnrolled, BindingRequest, BindingResult, Bound, ConfirmAppRequest, ConfirmAppResult, DeadLink,
        LinkRequest, LinkState, Offer, RecoveryCodes, Settings, SettingsRequest, WrongAppCode, WrongBinding,
        binding_result, confirm_app_result,
        enrollment_page_server::{EnrollmentPage, EnrollmentPageServer},
    },
};

pub const TOKEN: &str = "q7Zr-3xV1nE0tYk_9bWc5mJhG2sLdPfUaQoRiXeKwTz";
pub const BINDING: &str = "AB12-CD34";
/// With what a cookie cannot hold as it is.
pub const SESSION: &str = "sEsSiOn;\"4711\" \u{e9}";
pub const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub const URI: &str =
    "otpauth://totp/Example%20Corp:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Corp";
pub const CODE: &str = "287082";
pub const RECOVERY: [&str; 10] = [
    "2GQK-7TJX-M4WD",
    "HC5R-9ZBN-K3VP",
    "XW8F-QD2M-T6JY",
    "P4NB-VK7C-R9HG",
    "J6ZT-3MXW-F8QD",
    "B9VC-H2RK-N5PJ",
    "T7GD-X4YF-W3ZM",
    "K8QP-6JNV-C2BT",
    "R5HW-D9FX-Z7KG",
    "M3YJ-B8TC-Q4VN",
];

/// Whom the page runs as: `nobody`, which needs no account of its own here.
pub const UID: u32 = 65534;

/// What it was asked, settings left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Look { source: String },
    Prove { typed: String, source: String },
    Confirm { typed: String, source: String },
}

#[derive(Default)]
pub struct State {
    pub settings: Settings,
    pub calls: Vec<Call>,
    pub tries_left: u32,
    /// Every call fails.
    pub broken: bool,
    /// Every call but that for settings is one too many.
    pub throttled: bool,
    /// Each step takes its time.
    pub slow: Option<std::time::Duration>,
}

#[derive(Clone)]
pub struct Fake(pub Arc<Mutex<State>>);

impl Fake {
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(State { settings, tries_left: 5, ..State::default() })))
    }

    /// Listens until the runtime is shut down, with all its connections. The socket is the page's user's, as in an installation.
    pub fn listen(&self, folder: &Path) -> Runtime {
        let path = folder.join(WEB_SOCKET);
        let _ = fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(UID), Some(UID)).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = EnrollmentPageServer::new(self.clone());
        runtime.spawn(async move {
            let incoming = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        runtime
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    async fn note(&self, call: Call) -> Result<(), Status> {
        let slow = {
            let mut state = self.0.lock().unwrap();
            state.calls.push(call);
            if state.broken {
                return Err(Status::internal("the store is full"));
            }
            if state.throttled {
                return Err(Status::resource_exhausted("too many"));
            }
            state.slow
        };
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        Ok(())
    }
}

fn offer() -> Option<Offer> {
    let mut offer = Offer::default();
    offer.secret = KEY.to_owned();
    offer.uri = URI.to_owned();
    Some(offer)
}

#[tonic::async_trait]
impl EnrollmentPage for Fake {
    async fn read_settings(&self, _: Request<SettingsRequest>) -> Result<Response<Settings>, Status> {
        let state = self.0.lock().unwrap();
        if state.broken {
            Err(Status::internal("the store is full"))
        } else {
            Ok(Response::new(state.settings.clone()))
        }
    }

    async fn look_at_link(&self, request: Request<LinkRequest>) -> Result<Response<LinkState>, Status> {
        let request = request.into_inner();
        self.note(Call::Look { source: request.source.clone() }).await?;
        Ok(Response::new(LinkState {
            alive: request.token == TOKEN && self.0.lock().unwrap().tries_left > 0,
        }))
    }

    async fn prove_binding(
        &self,
        request: Request<BindingRequest>,
    ) -> Result<Response<BindingResult>, Status> {
        let request = request.into_inner();
        self.note(Call::Prove { typed: request.binding_code.clone(), source: request.source.clone() })
            .await?;
        let mut state = self.0.lock().unwrap();
        let plain: String = request.binding_code.chars().filter(char::is_ascii_alphanumeric).collect();
        let kind = if request.token != TOKEN || state.tries_left == 0 {
            binding_result::Kind::Dead(DeadLink {})
        } else if plain.eq_ignore_ascii_case("AB12CD34") {
            let mut bound = Bound::default();
            bound.session = SESSION.to_owned();
            bound.offer = offer();
            bound.user = "alice".to_owned();
            binding_result::Kind::Bound(bound)
        } else {
            state.tries_left -= 1;
            match state.tries_left {
                0 => binding_result::Kind::Dead(DeadLink {}),
                tries_left => binding_result::Kind::Wrong(WrongBinding { tries_left, malformed: false }),
            }
        };
        Ok(Response::new(BindingResult { kind: Some(kind) }))
    }

    async fn confirm_app(
        &self,
        request: Request<ConfirmAppRequest>,
    ) -> Result<Response<ConfirmAppResult>, Status> {
        let request = request.into_inner();
        self.note(Call::Confirm { typed: request.code.clone(), source: request.source.clone() }).await?;
        let kind = match request.code.as_str() {
            _ if request.session != SESSION => confirm_app_result::Kind::Dead(DeadLink {}),
            CODE => {
                let mut recovery = RecoveryCodes::default();
                recovery.codes = RECOVERY.map(ToOwned::to_owned).to_vec();
                confirm_app_result::Kind::Enrolled(AppEnrolled {
                    label: "phone".to_owned(),
                    recovery: Some(recovery),
                })
            }
            _ => confirm_app_result::Kind::Wrong(WrongAppCode { offer: offer(), user: "alice".to_owned() }),
        };
        Ok(Response::new(ConfirmAppResult { kind: Some(kind) }))
    }
}
