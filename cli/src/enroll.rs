//! Enrolling: an authenticator app, a mail address.

use std::path::Path;

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use twinlock_proto::v1::{
    Answer, EnrollBegin, EnrollReply, EnrollStep, Offer, Question, Refusal, enroll_reply, enroll_step,
    question::Subject, refusal::Reason,
};

use crate::{
    args::{EnrollTotp, QrForm, Whose},
    failure::{Failure, LATER, NO, answered, answered_slowly},
    offer,
    output::{self, clean, line},
    own::{check_whose, client, show_recovery},
    terminal::{self, Screen},
};

pub async fn totp(runtime_dir: &Path, options: &EnrollTotp, json: bool) -> Result<(), Failure> {
    check_whose(&options.whose)?;
    if !options.no_terminal && !terminal::present() {
        return Err(Failure::usage(
            "the key would not go to a terminal but to a file or a log; run this at a terminal (or say --no-terminal)",
        ));
    }
    let secret = match options.secret {
        true => terminal::ask_hidden("Your key (Base32): ").await?.as_str().to_owned(),
        false => String::new(),
    };
    let (address, method) = (String::new(), String::new());
    let invited = options.invite;
    let begin = EnrollBegin { label: options.label.clone(), secret, address, method, invited };
    let (replies, queue) = beginning(begin)?;
    let mut client = client(runtime_dir).await?;
    let steps = answered(client.enroll_totp(queue)).await?.into_inner();
    converse(steps, &replies, terminal::qr_form(options.qr), json).await
}

/// A mail address: it counts once a code that was sent there was typed back.
pub async fn contact(
    runtime_dir: &Path,
    whose: &Whose,
    (method, address): (&str, &str),
    json: bool,
) -> Result<(), Failure> {
    check_whose(whose)?;
    let (address, method) = (address.to_owned(), method.to_owned());
    let (label, secret, invited) = (String::new(), String::new(), false);
    let begin = EnrollBegin { label, secret, address, method, invited };
    let (replies, queue) = beginning(begin)?;
    let mut client = client(runtime_dir).await?;
    let steps = answered(client.enroll_contact(queue)).await?.into_inner();
    converse(steps, &replies, QrForm::None, json).await
}

type Replies = mpsc::UnboundedSender<EnrollReply>;

/// The way to the daemon, with the first message on it.
fn beginning(begin: EnrollBegin) -> Result<(Replies, UnboundedReceiverStream<EnrollReply>), Failure> {
    let (replies, queue) = mpsc::unbounded_channel();
    reply(&replies, enroll_reply::Kind::Begin(begin))?;
    Ok((replies, UnboundedReceiverStream::new(queue)))
}

fn reply(replies: &Replies, kind: enroll_reply::Kind) -> Result<(), Failure> {
    replies.send(EnrollReply { kind: Some(kind) }).map_err(|_| Failure::new(LATER, "twinlockd went away"))
}

/// Answers what the daemon asks, until it says how it ended.
async fn converse(
    mut steps: Streaming<EnrollStep>,
    replies: &Replies,
    form: QrForm,
    json: bool,
) -> Result<(), Failure> {
    let mut screen = None;
    while let Some(step) = answered_slowly(steps.message()).await? {
        match step.kind {
            Some(enroll_step::Kind::Question(question)) => {
                let answer = answer(&question).await?;
                reply(replies, enroll_reply::Kind::Answer(answer))?;
            }
            Some(enroll_step::Kind::Offer(offered)) => screen = Some(show(&offered, form)?),
            Some(enroll_step::Kind::Recovery(codes)) => show_recovery(&codes)?,
            Some(enroll_step::Kind::Enrolled(factor)) => {
                drop(screen);
                if json {
                    return output::json(&serde_json::json!({ "factor": factor.id, "label": factor.label }));
                }
                line(format!("Done: factor {} \"{}\" counts from now on.", factor.id, clean(&factor.label)))?;
                return line("The code that you just typed is spent; the next login needs the next one.");
            }
            Some(enroll_step::Kind::Contact(contact)) => {
                let (kind, masked) = (clean(&contact.kind), clean(&contact.masked));
                if json {
                    return output::json(
                        &serde_json::json!({ "kind": kind, "masked": masked, "verified": true }),
                    );
                }
                line(format!("Done: codes can be sent to {masked} from now on."))?;
                return line(output::worth(&kind));
            }
            Some(enroll_step::Kind::Refusal(refusal)) => {
                drop(screen);
                return Err(refused(&refusal));
            }
            None => break,
        }
    }
    drop(screen);
    Err(Failure::new(LATER, "twinlockd ended the enrollment; nothing has changed, try again"))
}

fn show(offered: &Offer, form: QrForm) -> Result<Screen, Failure> {
    let screen = Screen::enter();
    offer::show(&offered.secret, &offered.uri, form)?;
    Ok(screen)
}

async fn answer(question: &Question) -> Result<Answer, Failure> {
    let text = clean(&question.text);
    let typed = match question.subject() {
        Subject::Password => terminal::ask_hidden(&text).await?,
        Subject::CurrentCode | Subject::NewCode | Subject::Saved | Subject::BindingCode => {
            terminal::ask(&text).await?
        }
        Subject::Unspecified => {
            return Err(Failure::new(LATER, "twinlockd asked something that only a newer version knows"));
        }
    };
    Ok(Answer { text: typed.as_str().to_owned() })
}

fn refused(refusal: &Refusal) -> Failure {
    let code = match refusal.reason() {
        Reason::Throttled | Reason::Expired => LATER,
        Reason::Wrong | Reason::NotAllowed | Reason::Unspecified => NO,
    };
    Failure::new(code, clean(&refusal.text))
}
