//! What the page asks of `twinlockd`, on `web.sock`.

use std::{
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tonic::{Code, Response, Status, transport::Channel};
use twinlock_proto::{
    connect::{ConnectError, lasting_channel},
    limit,
    v1::{
        BindingRequest, ConfirmAppRequest, LinkRequest, Settings, SettingsRequest, binding_result,
        confirm_app_result, enrollment_page_client::EnrollmentPageClient,
    },
};

/// One answer of the daemon, which waits 4 s for its store at most.
const ANSWER: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody is there, or could not answer.
    Unavailable,
    /// Somebody asks too much: wait.
    TooMuch,
}

/// The daemon. It may come and go; clones share one connection.
#[derive(Debug, Clone)]
pub struct Daemon {
    client: EnrollmentPageClient<Channel>,
    /// Whether it answered last time, so that a change is logged once.
    answers: Arc<AtomicU8>,
}

/// Not asked yet.
const UNKNOWN: u8 = 0;
const ANSWERS: u8 = 1;
const SILENT: u8 = 2;

impl Daemon {
    /// Behind the socket at `path`. Nothing is asked yet.
    pub fn behind(path: PathBuf) -> Self {
        let client =
            EnrollmentPageClient::new(lasting_channel(path)).max_decoding_message_size(limit::MESSAGE);
        Self { client, answers: Arc::new(AtomicU8::new(UNKNOWN)) }
    }

    /// What its configuration says of the page.
    pub async fn settings(&self) -> Result<Settings, NoAnswer> {
        let mut client = self.client.clone();
        self.answered(client.read_settings(SettingsRequest {})).await
    }

    /// Whether a link is alive.
    pub async fn is_alive(&self, request: LinkRequest) -> Result<bool, NoAnswer> {
        let mut client = self.client.clone();
        self.answered(client.look_at_link(request)).await.map(|state| state.alive)
    }

    /// The second proof.
    pub async fn prove(&self, request: BindingRequest) -> Result<binding_result::Kind, NoAnswer> {
        let mut client = self.client.clone();
        let result = self.answered(client.prove_binding(request)).await?;
        result.kind.ok_or(NoAnswer::Unavailable)
    }

    /// A code of the key that was shown.
    pub async fn confirm(&self, request: ConfirmAppRequest) -> Result<confirm_app_result::Kind, NoAnswer> {
        let mut client = self.client.clone();
        let result = self.answered(client.confirm_app(request)).await?;
        result.kind.ok_or(NoAnswer::Unavailable)
    }

    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, NoAnswer> {
        let result = match tokio::time::timeout(ANSWER, answer).await {
            Ok(result) => result,
            Err(_) => Err(Status::deadline_exceeded("it takes too long")),
        };
        match result {
            Ok(response) => {
                if self.answers.swap(ANSWERS, Ordering::Relaxed) == SILENT {
                    tracing::info!("twinlockd answers again");
                }
                Ok(response.into_inner())
            }
            Err(status) if status.code() == Code::ResourceExhausted => Err(NoAnswer::TooMuch),
            // It is there, and cannot do this one thing.
            Err(status)
                if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
                    && connection_fault(&status).is_none() =>
            {
                tracing::warn!("{}", reason(&status));
                Err(NoAnswer::Unavailable)
            }
            Err(status) => {
                if self.answers.swap(SILENT, Ordering::Relaxed) != SILENT {
                    tracing::error!("{}; the page says so to everybody until it answers", reason(&status));
                }
                Err(NoAnswer::Unavailable)
            }
        }
    }
}

/// Why there is no connection, if that is it.
fn connection_fault(status: &Status) -> Option<&ConnectError> {
    let mut cause: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// Why there is no answer, and what to do.
fn reason(status: &Status) -> String {
    if let Some(error) = connection_fault(status) {
        return match error {
            ConnectError::Absent(_) => {
                format!("{error}; start it (systemctl start twinlockd) or see its log")
            }
            ConnectError::Forbidden(_) => {
                format!(
                    "{error}; it belongs to the user {}: is that who this runs as?",
                    twinlock_proto::WEB_USER
                )
            }
            ConnectError::Untrusted(..) | ConnectError::Failed(..) => error.to_string(),
        };
    }
    format!(
        "twinlockd could not answer ({:?}: {}); see its log",
        status.code(),
        status.message().escape_debug()
    )
}
