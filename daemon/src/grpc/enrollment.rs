//! `SelfService.EnrollTotp`: one stream is one enrollment. First a proof (the login password for the first
//! factor, a current code for later ones), then the key, then a code of it; only then anything is stored.

use std::sync::Arc;

use tonic::Streaming;
use twinlock_proto::v1::{self, EnrollReply, Offer, enroll_step, question::Subject, refusal::Reason};

use super::{
    Ports, answers,
    policy::Place,
    self_service::Own,
    spares::told,
    status::{Undecided, undecided},
    talk::{End, Steps, Talk, refused},
    vouching::{Vouched, binding_code, record, vouch},
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
    },
    factor::{
        Counted, Kind,
        code::Code,
        spare::NewSpare,
        totp::{self, Match},
    },
    names::{FactorId, UserName},
    random,
    seal::Binding,
    secret::Secret,
};

pub(super) async fn enroll(
    ports: &Arc<Ports>,
    owner: &Owner,
    replies: Streaming<EnrollReply>,
    steps: &Steps,
) {
    let mut talk = Talk::new(replies, steps);
    let last = run(ports, owner, &mut talk).await;
    talk.end(last).await;
}

async fn run(ports: &Arc<Ports>, owner: &Owner, talk: &mut Talk) -> Result<enroll_step::Kind, End> {
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
    if ports.trust_in_clock() != Trust::Believed {
        return Err(answers::clock_is_off().into());
    }
    let vouched = match begin.invited {
        true => binding_code(ports, owner, &own, talk).await?,
        false => vouch(ports, owner, (&own, &decision), &[Method::Totp], talk).await?,
    };
    let pending = Pending { key, parameters, label };
    let matched = confirm(ports, &own, &pending, talk).await?;
    let left = own.portfolio.as_ref().map_or(0, |portfolio| portfolio.recovery_left);
    let (codes, rows) = match decision.recovery && left == 0 && decision.renewing().contains(&Method::Totp) {
        true => ports.new_recovery_set().await?,
        false => (Vec::new(), Vec::new()),
    };
    let proof = match vouched {
        Vouched::Password => Proof::FirstFactor(matched),
        Vouched::Code(factor) => Proof::Code(matched, factor),
        Vouched::Invitation(id) => Proof::Invitation(matched, id),
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
            kind: Kind::Totp.name().to_owned(),
            serial: String::new(),
            label,
            active: true,
            resync_required: false,
            created: now.secs(),
            last_used: Some(now.secs()),
        })),
        Added::NotFirst => refused(Reason::NotAllowed, "your factors changed meanwhile; start again"),
        Added::OtherUid => refused(
            Reason::NotAllowed,
            "somebody who had your name with another uid has factors here; ask your administrator to reset them",
        ),
        Added::TooMany => refused(Reason::NotAllowed, format!("you have {MOST_FACTORS} factors already")),
        Added::NoToken => refused(Reason::NotAllowed, "that token is of no use any more"),
        Added::LabelTaken => refused(Reason::NotAllowed, "that label was taken meanwhile; start again"),
    }
}

impl Ports {
    /// A name for a factor.
    pub(super) fn new_factor_id(&self) -> Result<FactorId, Undecided> {
        let mut bits = [0; 5];
        self.random.fill(&mut bits)?;
        Ok(FactorId::from_bits(bits))
    }

    /// Seals a key for an account, ready to be stored, with the recovery codes that come with it.
    pub(super) fn new_factor(
        &self,
        (user, uid): (&str, u32),
        pending: Pending,
        proof: Proof,
        recovery: Vec<NewSpare>,
    ) -> Result<NewFactor, Undecided> {
        let user = UserName::parse(user).map_err(|_| Undecided::Malformed("a user name"))?;
        let id = self.new_factor_id()?;
        let binding = Binding { user: &user, uid, factor: &id, kind: Kind::Totp.name() };
        let sealed = self.sealer.seal(&pending.key, binding, self.random.as_ref())?;
        let Pending { key: _, parameters, label } = pending;
        let now = self.clock.now();
        let (kind, token, counted) = (Kind::Totp, None, Counted::default());
        Ok(NewFactor { id, user, uid, label, kind, token, counted, parameters, sealed, proof, recovery, now })
    }
}
