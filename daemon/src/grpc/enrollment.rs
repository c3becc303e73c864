//! `SelfService.EnrollTotp`: one stream is one enrollment. First a proof (the login password for the first
//! factor, a current code for later ones), then the key, then a code of it; only then anything is stored.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tonic::{Status, Streaming};
use twinlock_proto::v1::{
    self, Answer, EnrollBegin, EnrollReply, EnrollStep, Offer, Question, Refusal, enroll_reply, enroll_step,
    question::Subject, refusal::Reason,
};

use super::{
    Ports, answers,
    policy::Place,
    self_service::{Own, own_subject, seconds},
    spares::told,
    status::{Undecided, undecided},
};
use crate::{
    access::Owner,
    audit,
    engine::{
        clock_guard::Trust,
        enrollment::{
            Added, CONFIRMATIONS, MOST_FACTORS, NewFactor, Pending, Proof, choose_label, parse_key,
        },
        policy::Method,
        prompt,
        proof::{Accepted, Settled},
        throttle::{Account as Charged, Budget, Standing},
    },
    factor::{
        code::{Code, Typed},
        spare::NewSpare,
        totp::{self, Match},
    },
    names::{FactorId, Source, UserName},
    random,
    seal::Binding,
    secret::Secret,
    store::{Charge, Portfolio},
};

/// The whole enrollment: time to find the phone.
const LONGEST: Duration = Duration::from_secs(600);
/// Wrong passwords or codes in one enrollment.
const PROOFS: u32 = 3;

type Steps = mpsc::Sender<Result<EnrollStep, Status>>;

pub(super) async fn enroll(
    ports: &Arc<Ports>,
    owner: &Owner,
    replies: Streaming<EnrollReply>,
    steps: &Steps,
) {
    let deadline = Instant::now() + LONGEST;
    let mut talk = Talk { replies, steps: steps.clone(), deadline };
    let last = match run(ports, owner, &mut talk).await {
        Ok(step) => Ok(step),
        Err(End::Refused(refusal)) => Ok(enroll_step::Kind::Refusal(refusal)),
        Err(End::Undecided(error)) => Err(undecided(&error)),
        Err(End::Gone) => return,
    };
    let _ = steps.send(last.map(|kind| EnrollStep { kind: Some(kind) })).await;
}

/// Why an enrollment ended without a factor.
enum End {
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

fn refused<T>(reason: Reason, text: impl Into<String>) -> Result<T, End> {
    Err(End::Refused(Refusal { reason: reason.into(), text: text.into(), retry_after_s: 0 }))
}

fn throttled<T>(wait: Option<Duration>) -> Result<T, End> {
    let text = match wait {
        Some(wait) => format!("too many failures; try again in {}", prompt::duration(wait)),
        None => "too many failures; ask your administrator (twinlock user unlock)".to_owned(),
    };
    Err(End::Refused(Refusal { reason: Reason::Throttled.into(), text, retry_after_s: seconds(wait) }))
}

/// The two ends of the stream.
struct Talk {
    replies: Streaming<EnrollReply>,
    steps: Steps,
    deadline: Instant,
}

impl Talk {
    async fn begin(&mut self) -> Result<EnrollBegin, End> {
        match self.hear().await? {
            enroll_reply::Kind::Begin(begin) => Ok(begin),
            enroll_reply::Kind::Answer(_) => {
                Err(Undecided::Malformed("an answer before the beginning").into())
            }
        }
    }

    async fn ask(&mut self, subject: Subject, text: &str) -> Result<Answer, End> {
        let question = Question { subject: subject.into(), text: text.to_owned() };
        self.say(enroll_step::Kind::Question(question)).await?;
        match self.hear().await? {
            enroll_reply::Kind::Answer(answer) => Ok(answer),
            enroll_reply::Kind::Begin(_) => Err(Undecided::Malformed("a second beginning").into()),
        }
    }

    async fn say(&mut self, kind: enroll_step::Kind) -> Result<(), End> {
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

/// Who vouches, before there is a code of the new factor.
enum Vouched {
    Password,
    /// A code of this factor; `None`: a spare code.
    Code(Option<FactorId>),
}

async fn run(ports: &Ports, owner: &Owner, talk: &mut Talk) -> Result<enroll_step::Kind, End> {
    let begin = talk.begin().await?;
    let own = ports.own(owner).await?;
    let taken: Vec<_> = own.portfolio.iter().flat_map(|p| &p.factors).map(|f| f.label.as_str()).collect();
    if taken.len() >= MOST_FACTORS {
        return refused(
            Reason::NotAllowed,
            format!("you have {MOST_FACTORS} factors already; remove one first"),
        );
    }
    let force = ports.in_force();
    let decision = ports.decide(&force, &own.account, own.portfolio.as_ref(), Place::default());
    if !decision.methods.contains(&Method::Totp) {
        let allowed: Vec<_> = decision.methods.iter().map(|method| method.name()).collect();
        let text = format!("policy lets you use {}, and no authenticator app", allowed.join(", "));
        return refused(Reason::NotAllowed, text);
    }
    let label = match choose_label(&begin.label, &taken) {
        Ok(label) => label,
        Err(why) => return refused(Reason::NotAllowed, why),
    };
    let parameters = force.config.totp.parameters();
    let key = if begin.secret.is_empty() {
        Secret::new(random::bytes(ports.random.as_ref(), parameters.algorithm.key_length())?)
    } else {
        match parse_key(&begin.secret, false) {
            Ok(key) => key,
            Err(why) => return refused(Reason::NotAllowed, why),
        }
    };
    if let Some(label) = ports.holder_of(&key, own.portfolio.as_ref())? {
        return refused(Reason::NotAllowed, format!("you have this key already, as \"{label}\""));
    }
    let vouched = match &own.portfolio {
        Some(portfolio) if !portfolio.factors.is_empty() => {
            Vouched::Code(current_code(ports, owner, &own, portfolio, talk).await?)
        }
        _ => {
            password(ports, owner, &own, talk).await?;
            Vouched::Password
        }
    };
    let pending = Pending { key, parameters, label };
    if ports.trust_in_clock() != Trust::Believed {
        return Err(answers::clock_is_off().into());
    }
    let matched = confirm(ports, &own, &pending, talk).await?;
    let left = own.portfolio.as_ref().map_or(0, |portfolio| portfolio.recovery_left);
    let (codes, rows) = match decision.recovery && left == 0 {
        true => ports.new_recovery_set().await?,
        false => (Vec::new(), Vec::new()),
    };
    let proof = match vouched {
        Vouched::Password => Proof::FirstFactor(matched),
        Vouched::Code(factor) => Proof::Code(matched, factor),
    };
    let new = ports.new_factor((&own.account.name, own.account.uid), pending, proof, rows)?;
    let enrolled = store(ports, owner, &own, new).await?;
    if !codes.is_empty() {
        hand_out_recovery(&codes, talk).await;
    }
    Ok(enrolled)
}

/// The recovery codes, shown once. They are stored with the factor: whatever happens here, the enrollment stands, and
/// `twinlock recovery` makes a new set.
async fn hand_out_recovery(codes: &[Secret<String>], talk: &mut Talk) {
    let handed_out = async {
        talk.say(enroll_step::Kind::Recovery(told(codes))).await?;
        talk.ask(Subject::Saved, "Press Enter when you have saved them: ").await.map(drop)
    };
    if let Err(End::Undecided(error)) = handed_out.await {
        let _ = undecided(&error); // logged
    }
}

/// The login password, each try charged before it is made.
async fn password(ports: &Ports, owner: &Owner, own: &Own, talk: &mut Talk) -> Result<(), End> {
    let rule = ports.in_force().config.limits.user();
    let budget = Budget { account: Charged::Password(owner.uid()), rule };
    let mut text = format!("Login password of {}: ", own.account.name);
    for _ in 0..PROOFS {
        let standing = ports.store.standing(vec![budget.clone()], ports.clock.now()).await?;
        if standing != Standing::Open {
            return throttled(ports.wait(standing));
        }
        let answer = talk.ask(Subject::Password, &text).await?;
        let source = Source::local("user.sock", "", owner.uid());
        let charge = match ports.store.charge(budget.clone(), source, ports.clock.now()).await? {
            Charge::Taken(charge) => charge,
            Charge::Refused(standing) => return throttled(ports.wait(standing)),
        };
        let right = match ports.directory.confirm_password(&own.account.name, &answer.text).await {
            Ok(right) => right,
            Err(error) => {
                ports.store.refund(charge).await?; // nobody was wrong
                return Err(error.into());
            }
        };
        let outcome = if right { audit::Outcome::Granted } else { audit::Outcome::Denied };
        ports.store.append(record(ports, audit::Event::Password, owner, own, outcome, "")).await?;
        if right {
            ports.store.forgive(charge).await?;
            return Ok(());
        }
        text = format!("Wrong password. Login password of {}: ", own.account.name);
    }
    refused(Reason::Wrong, "the login password was wrong three times; nothing has changed")
}

/// A code of a factor that the user has.
async fn current_code(
    ports: &Ports,
    owner: &Owner,
    own: &Own,
    portfolio: &Portfolio,
    talk: &mut Talk,
) -> Result<Option<FactorId>, End> {
    let mut text = "Verification code of a factor you have: ".to_owned();
    for _ in 0..PROOFS {
        let answer = talk.ask(Subject::CurrentCode, &text).await?;
        let Ok(code) = Typed::parse(&answer.text) else {
            "Wrong code. Verification code of a factor you have: ".clone_into(&mut text);
            continue;
        };
        let subject = own_subject(owner, &own.account);
        match ports.settle_own(portfolio, &code, audit::Event::Verify, subject).await? {
            Settled::Passed(_, Accepted::Step(factor), _) => return Ok(Some(factor)),
            Settled::Passed(_, Accepted::Spare { .. } | Accepted::Delivered, _) => return Ok(None),
            Settled::Refused(standing) => return throttled(ports.wait(standing)),
            Settled::Used => text = format!("{}Verification code of a factor you have: ", prompt::USED),
            Settled::Wrong => "Wrong code. Verification code of a factor you have: ".clone_into(&mut text),
        }
    }
    refused(Reason::Wrong, "no right code in three tries; nothing has changed")
}

/// Shows the key and waits for a code of it.
async fn confirm(ports: &Ports, own: &Own, pending: &Pending, talk: &mut Talk) -> Result<Match, End> {
    let uri = totp::uri(&pending.key, pending.parameters, &ports.in_force().issuer, &own.account.name)
        .map_err(|_| Undecided::Malformed("a name that no link can hold"))?;
    let secret = data_encoding::BASE32_NOPAD.encode(pending.key.expose());
    talk.say(enroll_step::Kind::Offer(Offer { secret, uri: uri.expose().clone() })).await?;
    let mut text = "Add this to your authenticator app, then type the code it shows: ";
    for _ in 0..CONFIRMATIONS {
        let answer = talk.ask(Subject::NewCode, text).await?;
        let code = Code::parse(&answer.text).ok();
        if let Some(matched) = code.and_then(|code| {
            pending.confirm(&code, ports.clock.now(), ports.in_force().config.totp.accepted())
        }) {
            return Ok(matched);
        }
        text = "Wrong code. Is the clock of the phone right? Type the code that the app shows now: ";
    }
    refused(
        Reason::Wrong,
        "no right code in three tries; nothing has changed. Check the clock of the phone and of this host",
    )
}

async fn store(ports: &Ports, owner: &Owner, own: &Own, new: NewFactor) -> Result<enroll_step::Kind, End> {
    let (id, label, now) = (new.id.clone(), new.label.clone(), new.now);
    let record = record(ports, audit::Event::Enroll, owner, own, audit::Outcome::Granted, &id.0);
    match ports.store.add_factor(new, record).await? {
        Added::Stored => Ok(enroll_step::Kind::Enrolled(v1::Factor {
            id: id.0,
            kind: "totp".to_owned(),
            label,
            active: true,
            created: now.secs(),
            last_used: Some(now.secs()),
        })),
        Added::NotFirst => refused(Reason::NotAllowed, "your factors changed meanwhile; start again"),
        Added::OtherUid => refused(
            Reason::NotAllowed,
            "somebody who had your name with another uid has factors here; ask your administrator to reset them",
        ),
        Added::TooMany => refused(Reason::NotAllowed, format!("you have {MOST_FACTORS} factors already")),
        Added::LabelTaken => refused(Reason::NotAllowed, "that label was taken meanwhile; start again"),
    }
}

fn record(
    ports: &Ports,
    event: audit::Event,
    owner: &Owner,
    own: &Own,
    outcome: audit::Outcome,
    reason: &str,
) -> audit::Record {
    audit::Record {
        time: ports.clock.now(),
        event,
        subject: own_subject(owner, &own.account),
        method: if event == audit::Event::Enroll { "totp" } else { "" },
        outcome,
        reason: reason.to_owned(),
    }
}

impl Ports {
    /// Seals a key for an account, ready to be stored, with the recovery codes that come with it.
    pub(super) fn new_factor(
        &self,
        (user, uid): (&str, u32),
        pending: Pending,
        proof: Proof,
        recovery: Vec<NewSpare>,
    ) -> Result<NewFactor, Undecided> {
        let user = UserName::parse(user).map_err(|_| Undecided::Malformed("a user name"))?;
        let mut bits = [0; 5];
        self.random.fill(&mut bits)?;
        let id = FactorId::from_bits(bits);
        let binding = Binding { user: &user, uid, factor: &id, kind: "totp" };
        let sealed = self.sealer.seal(&pending.key, binding, self.random.as_ref())?;
        let Pending { key: _, parameters, label } = pending;
        let now = self.clock.now();
        Ok(NewFactor { id, user, uid, label, parameters, sealed, proof, recovery, now })
    }
}
