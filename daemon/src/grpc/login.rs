//! `Login`: one stream is one conversation. This file drives it: it carries out what the engine asks for.

use std::{option, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::{Iter, StreamExt, adapters::Chain, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use twinlock_proto::{
    REVISION, compatible, limit,
    v1::{self, Notice, Open, Prompt, Reply, Step, Verdict, login_server::Login, reply, step},
};

use super::{
    Ports,
    beginning::{Beginning, begin, place},
    enrolling::Setup,
    lines,
    status::{Undecided, undecided},
};
use crate::{
    access::{self, Applicant},
    audit,
    clock::Timestamp,
    engine::{
        checking::{Checked, Checking},
        clock_guard::Trust,
        conversation::{self, Ending, Turn, Words},
        policy::{self, Decision},
        proof,
    },
    factor::code::Typed,
    names::UserName,
    store::Portfolio,
};

/// The opening message comes with the connection, or the connection is not one of ours.
const OPENING: Duration = Duration::from_secs(5);
/// Longest conversation, whatever the client says.
const LONGEST: Duration = Duration::from_secs(600);

pub(super) struct Service {
    ports: Arc<Ports>,
    stop: CancellationToken,
}

impl Service {
    pub(super) const fn new(ports: Arc<Ports>, stop: CancellationToken) -> Self {
        Self { ports, stop }
    }
}

type Told = Result<Step, Status>;
type Steps = mpsc::Sender<Told>;

#[tonic::async_trait]
impl Login for Service {
    type AuthenticateStream = Chain<Iter<option::IntoIter<Told>>, ReceiverStream<Told>>;

    async fn authenticate(
        &self,
        request: Request<Streaming<Reply>>,
    ) -> Result<Response<Self::AuthenticateStream>, Status> {
        let applicant = access::applicant(&request)?;
        let replies = request.into_inner();
        let (steps, mut receiver) = mpsc::channel(2);
        let (ports, stop) = (Arc::clone(&self.ports), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                // A module whose connection ends opens a new one, with the daemon that comes after us.
                () = stop.cancelled() => {}
                () = converse(&ports, applicant, replies, &steps) => {}
            }
        });
        // The response begins with the first step: sent before, it would wake the module for nothing.
        let first = receiver.recv().await;
        Ok(Response::new(tokio_stream::iter(first).chain(ReceiverStream::new(receiver))))
    }
}

async fn converse(ports: &Arc<Ports>, applicant: Applicant, mut replies: Streaming<Reply>, steps: &Steps) {
    let opening = timeout_at(Instant::now() + OPENING, replies.message()).await;
    let Ok(Ok(Some(Reply { kind: Some(reply::Kind::Open(open)) }))) = opening else {
        let _ = steps.send(Err(Status::invalid_argument("no opening message"))).await;
        return;
    };
    match run(ports, &applicant, &open, &mut replies, steps).await {
        Ok(Some(outcome)) => {
            let verdict =
                Verdict { nonce: open.nonce, user: open.user, outcome: outcome.into(), revision: REVISION };
            let _ = steps.send(Ok(Step { kind: Some(step::Kind::Verdict(verdict)) })).await;
        }
        Ok(None) => {} // the other side went away
        Err(error) => {
            let _ = steps.send(Err(undecided(&error))).await;
        }
    }
}

/// Until there is an outcome, or nobody left to tell.
async fn run(
    ports: &Arc<Ports>,
    applicant: &Applicant,
    open: &Open,
    replies: &mut Streaming<Reply>,
    steps: &Steps,
) -> Result<Option<v1::Outcome>, Undecided> {
    if !compatible(REVISION, open.revision) || open.nonce.len() != limit::NONCE {
        return Err(Undecided::Malformed("a client of another version; finish the upgrade"));
    }
    let time = Duration::from_millis(open.timeout_ms.into()).clamp(Duration::from_secs(1), LONGEST);
    let deadline = Instant::now() + time;
    if open.account_phase && !ports.in_force().config.account.services.contains(&open.service) {
        return Ok(Some(v1::Outcome::NotConcerned));
    }
    let Beginning { login, decision, standing, account, portfolio, force } = tokio::select! {
        begun = begin(ports, applicant, open) => begun?,
        // The other side reset the stream: looking up ends with it.
        () = steps.closed() => return Ok(None),
    };
    let (subject, source) = (login.subject.clone(), login.source.clone());
    if open.account_phase {
        return Ok(Some(account_phase(ports, &decision, subject)));
    }
    let (recovery, rehearsed) = (decision.recovery, decision.rehearsed.unwrap_or_default());
    let methods = decision.methods.clone();
    let (mut setup, mut live, mut missed) = (None, None, None);
    let mut turn = conversation::begin(login, decision, standing, ports.clock.now());
    loop {
        turn = match turn {
            Turn::Finish(ending) => {
                if let Some(text) = last_words(&ending) {
                    say(steps, text).await;
                }
                return Ok(Some(finish(ports, &ending, subject, rehearsed)));
            }
            Turn::Ask(asking, words) => match ask(replies, steps, words, deadline).await? {
                Heard::Answer(answer) => asking.answer(&answer.text, ports.clock.now()),
                Heard::Nothing(outcome, reason) => {
                    return Ok(unanswered(ports, subject, (outcome, reason), missed));
                }
            },
            Turn::Send(sending) => {
                let portfolio = match &portfolio {
                    Some(portfolio) => current(ports, portfolio).await?,
                    None => None,
                };
                let (delivery, code) = ports.send_code(&force, &sending, portfolio.as_ref()).await?;
                live = code.or(live); // the one before is ended by the commit that issued this
                sending.done(delivery, ports.clock.now())
            }
            Turn::Invite(inviting) => {
                let account = account.as_ref().ok_or(NOBODY)?;
                let who = (account, portfolio.as_ref());
                let outcome = ports.invite_at_login(&force, who, (&source, inviting.subject())).await?;
                inviting.done(outcome)
            }
            Turn::Prepare(preparing) => {
                let begun = Setup::begin(ports, account.clone().ok_or(NOBODY)?, recovery);
                preparing.show(setup.insert(begun).offer(ports, &force)?)
            }
            Turn::Enroll(_) if steps.is_closed() => return Ok(None), // the module has given up
            Turn::Enroll(confirmed) => {
                let begun = setup.take().ok_or(NOBODY)?;
                begun.take_in(ports, confirmed, place(applicant, open)).await?
            }
            Turn::Check(checking) => {
                let now = ports.clock.now();
                let factors = match &portfolio {
                    // Read again: they may have changed while the person typed.
                    Some(portfolio) => current(ports, portfolio).await?,
                    None => None,
                };
                match check(ports, checking, factors.as_ref(), (&methods, recovery), now).await? {
                    Checked::Malformed(turn) => turn,
                    Checked::Try(deciding, attempt) => {
                        let settled = proof::settle(ports.store.as_ref(), attempt).await?;
                        missed = lines::reason_of(&settled).or(missed);
                        deciding.settled(settled, now)
                    }
                }
            }
        };
    }
}

/// Only somebody whom NSS knows is let enroll.
const NOBODY: Undecided = Undecided::Malformed("an enrollment of nobody");

/// Nobody answered any more. Who guessed before, and then went away or let the time pass, has failed.
fn unanswered(
    ports: &Ports,
    subject: audit::Subject,
    (outcome, reason): (audit::Outcome, &'static str),
    missed: Option<&'static str>,
) -> Option<v1::Outcome> {
    let expired = outcome == audit::Outcome::Denied;
    if let Some(reason) = missed.or(expired.then_some(reason)) {
        lines::failed(&subject, reason);
    }
    record(ports, subject, outcome, reason);
    expired.then_some(v1::Outcome::Expired)
}

/// What is said to somebody who gets in.
fn last_words(ending: &Ending) -> Option<&str> {
    match ending {
        Ending::Granted(_, text) => text.as_deref(),
        Ending::NotNeeded(_, text) => *text,
        Ending::Enrolled(_) | Ending::Denied(_) | Ending::Throttled => None,
    }
}

/// A login whose auth phase did not pass by us: whatever policy would ask can not be asked any more.
fn account_phase(ports: &Ports, decision: &Decision, subject: audit::Subject) -> v1::Outcome {
    let (outcome, told, reason) = match &decision.verdict {
        policy::Verdict::Skip(policy::Release { .. }) | policy::Verdict::Offer(policy::Release { .. }) => {
            (v1::Outcome::NotNeeded, audit::Outcome::NotNeeded, decision.rehearsed.unwrap_or_default())
        }
        policy::Verdict::Ask | policy::Verdict::Deny | policy::Verdict::Enroll | policy::Verdict::Invite => {
            lines::failed(&subject, "auth-skipped");
            (v1::Outcome::Denied, audit::Outcome::Denied, "auth-skipped")
        }
    };
    if subject.service != "user.sock" {
        record(ports, subject, told, reason);
    }
    outcome
}

/// What the factors, or the spare codes, say about what was typed.
async fn check(
    ports: &Ports,
    checking: Checking,
    portfolio: Option<&Portfolio>,
    (methods, recovery): (&[policy::Method], bool),
    now: Timestamp,
) -> Result<Checked, Undecided> {
    match checking.typed() {
        Typed::Code(code) => {
            let believed = ports.trust_in_clock() == Trust::Believed;
            let prepared = match portfolio {
                Some(portfolio) => ports.prepare(portfolio, code, &ports.without_time(methods), now)?,
                None => Vec::new(),
            };
            // Codes that count work whatever the clock says.
            if !believed && prepared.is_empty() {
                return Ok(checking.without_clock());
            }
            let length = code.length();
            let delivered = match (portfolio, checking.sent()) {
                (Some(portfolio), Some(sent)) if believed => ports.is_delivered(portfolio, code, sent)?,
                _ => false,
            };
            Ok(checking.against(length, prepared, delivered, now))
        }
        Typed::Spare(code) => {
            let (account, budgets) = (portfolio.map(|portfolio| portfolio.account), checking.budgets());
            let found = ports.find_spare(account, code, budgets, recovery, now).await?;
            Ok(checking.against_spare(found, now))
        }
    }
}

/// The account as it is stored now, if it is still the same one.
async fn current(ports: &Ports, portfolio: &Portfolio) -> Result<Option<Portfolio>, Undecided> {
    let name = UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
    let now = ports.store.portfolio(&name).await?;
    Ok(now.filter(|now| now.account == portfolio.account && now.uid == portfolio.uid))
}

/// What came back from a prompt.
enum Heard {
    Answer(v1::Answer),
    /// Nobody answered: they went away, or the time is over.
    Nothing(audit::Outcome, &'static str),
}

async fn ask(
    replies: &mut Streaming<Reply>,
    steps: &Steps,
    words: Words,
    deadline: Instant,
) -> Result<Heard, Undecided> {
    if let Some(text) = &words.before {
        say(steps, text).await;
    }
    let prompt = Step { kind: Some(step::Kind::Prompt(Prompt { text: words.prompt.as_str().to_owned() })) };
    if steps.send(Ok(prompt)).await.is_err() {
        return Ok(Heard::Nothing(audit::Outcome::Abandoned, ""));
    }
    match timeout_at(deadline, replies.message()).await {
        Err(_) => Ok(Heard::Nothing(audit::Outcome::Denied, "expired")),
        Ok(Ok(Some(Reply { kind: Some(reply::Kind::Answer(answer)) }))) => Ok(Heard::Answer(answer)),
        Ok(Ok(Some(_))) => Err(Undecided::Malformed("a message that has no place here")),
        Ok(Ok(None) | Err(_)) => Ok(Heard::Nothing(audit::Outcome::Abandoned, "")),
    }
}

/// A message, which may be lost.
async fn say(steps: &Steps, text: &str) {
    let notice = step::Kind::Notice(Notice { text: text.to_owned() });
    let _ = steps.send(Ok(Step { kind: Some(notice) })).await;
}

/// The outcome on the wire. Tries that the store settled are in the trail already.
fn finish(ports: &Ports, ending: &Ending, subject: audit::Subject, rehearsed: &str) -> v1::Outcome {
    match ending {
        Ending::Granted(proof::Granted { .. }, _) => {
            lines::passed(&subject);
            v1::Outcome::Granted
        }
        Ending::Enrolled(proof::Granted { .. }) => {
            lines::passed(&subject);
            record(ports, subject, audit::Outcome::Granted, "enrolled");
            v1::Outcome::Granted
        }
        Ending::NotNeeded(policy::Release { .. }, _) => {
            // Not a login of this host's: whoever asks on user.sock could fill the trail.
            if !matches!(subject.service.as_str(), policy::PASSWORD_SERVICE | "user.sock") {
                lines::not_needed(&subject);
                record(ports, subject, audit::Outcome::NotNeeded, rehearsed);
            }
            v1::Outcome::NotNeeded
        }
        Ending::Denied(reason) => {
            lines::failed(&subject, reason);
            if !matches!(*reason, "wrong" | "used" | "throttled") {
                record(ports, subject, audit::Outcome::Denied, reason);
            }
            v1::Outcome::Denied
        }
        Ending::Throttled => {
            lines::failed(&subject, "throttled");
            v1::Outcome::Throttled
        }
    }
}

fn record(ports: &Ports, subject: audit::Subject, outcome: audit::Outcome, reason: &str) {
    append(ports, audit::Event::Login, subject, outcome, reason);
}

/// Into the trail, without the login waiting for it.
pub(super) fn append(
    ports: &Ports,
    event: audit::Event,
    subject: audit::Subject,
    outcome: audit::Outcome,
    reason: &str,
) {
    let (time, reason) = (ports.clock.now(), reason.to_owned());
    let record = audit::Record { time, event, subject, method: "", outcome, reason };
    let store = Arc::clone(&ports.store);
    tokio::spawn(async move {
        if let Err(error) = store.append(record).await {
            tracing::error!(%error, "an audit record is lost");
        }
    });
}
