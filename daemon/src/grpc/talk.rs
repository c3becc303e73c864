//! The two ends of a self-service stream: questions out, answers in.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tonic::{Status, Streaming};
use twinlock_proto::v1::{
    Answer, EnrollBegin, EnrollReply, EnrollStep, Question, Refusal, enroll_reply, enroll_step,
    question::Subject, refusal::Reason,
};

use super::{
    self_service::seconds,
    status::{Undecided, undecided},
};
use crate::engine::prompt;

/// The whole of it: time to find the phone.
const LONGEST: Duration = Duration::from_secs(600);

pub(super) type Steps = mpsc::Sender<Result<EnrollStep, Status>>;

/// Why an enrollment ended without a factor.
pub(super) enum End {
    Refused(Refusal),
    Undecided(Undecided),
    /// The other side went away.
    Gone,
}

impl<T: Into<Undecided>> From<T> for End {
    fn from(error: T) -> Self {
        Self::Undecided(error.into())
    }
}

pub(super) fn refused<T>(reason: Reason, text: impl Into<String>) -> Result<T, End> {
    Err(End::Refused(Refusal { reason: reason.into(), text: text.into(), retry_after_s: 0 }))
}

pub(super) fn throttled<T>(wait: Option<Duration>) -> Result<T, End> {
    let text = match wait {
        Some(wait) => format!("too many failures; try again in {}", prompt::duration(wait)),
        None => "too many failures; ask your administrator (twinlock user unlock)".to_owned(),
    };
    Err(End::Refused(Refusal { reason: Reason::Throttled.into(), text, retry_after_s: seconds(wait) }))
}

/// The two ends of the stream.
pub(super) struct Talk {
    replies: Streaming<EnrollReply>,
    steps: Steps,
    deadline: Instant,
}

impl Talk {
    pub(super) fn new(replies: Streaming<EnrollReply>, steps: &Steps) -> Self {
        Self { replies, steps: steps.clone(), deadline: Instant::now() + LONGEST }
    }

    /// Says how it ended.
    pub(super) async fn end(self, last: Result<enroll_step::Kind, End>) {
        let last = match last {
            Ok(step) => Ok(step),
            Err(End::Refused(refusal)) => Ok(enroll_step::Kind::Refusal(refusal)),
            Err(End::Undecided(error)) => Err(undecided(&error)),
            Err(End::Gone) => return,
        };
        let _ = self.steps.send(last.map(|kind| EnrollStep { kind: Some(kind) })).await;
    }

    pub(super) async fn begin(&mut self) -> Result<EnrollBegin, End> {
        match self.hear().await? {
            enroll_reply::Kind::Begin(begin) => Ok(begin),
            enroll_reply::Kind::Answer(_) => {
                Err(Undecided::Malformed("an answer before the beginning").into())
            }
        }
    }

    pub(super) async fn ask(&mut self, subject: Subject, text: &str) -> Result<Answer, End> {
        let question = Question { subject: subject.into(), text: text.to_owned() };
        self.say(enroll_step::Kind::Question(question)).await?;
        match self.hear().await? {
            enroll_reply::Kind::Answer(answer) => Ok(answer),
            enroll_reply::Kind::Begin(_) => Err(Undecided::Malformed("a second beginning").into()),
        }
    }

    pub(super) async fn say(&mut self, kind: enroll_step::Kind) -> Result<(), End> {
        self.steps.send(Ok(EnrollStep { kind: Some(kind) })).await.map_err(|_| End::Gone)
    }

    async fn hear(&mut self) -> Result<enroll_reply::Kind, End> {
        match timeout_at(self.deadline, self.replies.message()).await {
            Err(_) => refused(Reason::Expired, "the time for this enrollment is over; nothing has changed"),
            Ok(Ok(Some(EnrollReply { kind: Some(kind) }))) => Ok(kind),
            Ok(Ok(Some(EnrollReply { kind: None }))) => Err(Undecided::Malformed("an empty message").into()),
            Ok(Ok(None) | Err(_)) => Err(End::Gone),
        }
    }
}
