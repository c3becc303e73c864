//! `SelfService.EnrollContact`: somebody proves to be the owner, then that the address is theirs; only then it counts.

use std::sync::Arc;

use tonic::Streaming;
use twinlock_proto::v1::{self, EnrollReply, enroll_step, question::Subject, refusal::Reason};

use super::{
    Ports, answers,
    policy::{InForce, Place},
    self_service::{Own, own_subject},
    status::Undecided,
    talk::{End, Steps, Talk, refused},
    vouching::{Vouched, vouch},
};
use crate::{
    access::Owner,
    audit,
    delivery::{Address, Contact, Message, Outcome, Phone, Text},
    engine::{
        clock_guard::Trust,
        delivery::{ContactKind, Issued, Wish},
        enrollment::{Added, Voucher},
        policy::Method,
        prompt,
    },
    factor::{code::Code, delivered},
    names::{AccountId, Source, printable},
    random,
    secret::Secret,
    store::ContactRecord,
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
    let (own, force) = (ports.own(owner).await?, ports.in_force());
    let decision = ports.decide(&force, &own.account, own.portfolio.as_ref(), Place::default());
    let method = method(&begin.method)?;
    let wanted = match parse(&begin.address, method).await {
        Ok(wanted) => wanted,
        Err(why) => return refused(Reason::NotAllowed, why),
    };
    let open = force.config.ways(wanted.kind(), wanted.line()).contains(&method);
    if !decision.methods.contains(&method) || !open {
        // For a telephone there may be more to say.
        let why = wanted.line().and_then(|line| force.config.admits(method, line).err());
        let why = match why {
            Some(why) if decision.methods.contains(&method) => format!("this {why}; ask your administrator"),
            _ => format!("codes by {} are not for you here; ask your administrator", method.name()),
        };
        return refused(Reason::NotAllowed, why);
    }
    let contacts = own.portfolio.iter().flat_map(|portfolio| &portfolio.contacts);
    let old =
        contacts.filter(|contact| contact.verified).find(|contact| contact.kind == wanted.kind()).cloned();
    if old.as_ref().is_some_and(|old| same(ports, &own, old, &wanted)) {
        return refused(Reason::NotAllowed, format!("you have this {} already", word(wanted.kind())));
    }
    if ports.trust_in_clock() != Trust::Believed {
        return Err(answers::clock_is_off().into());
    }
    let voucher =
        match vouch(ports, owner, (&own, &decision), wanted.kind().methods(wanted.line()), talk).await? {
            Vouched::Password => Voucher::FirstFactor,
            Vouched::Code(factor) => Voucher::Code(factor),
            Vouched::Invitation(_) => return Err(Undecided::Malformed("an invitation is for an app").into()),
        };
    confirm(ports, owner, &own, (&force, &wanted, method), talk).await?;
    let subject = own_subject(owner, &own.account);
    let record = audit::Record {
        time: ports.clock.now(),
        event: audit::Event::Contact,
        subject: subject.clone(),
        method: method.name(),
        outcome: audit::Outcome::Granted,
        reason: format!("{}, verified", wanted.masked()),
    };
    if ports.store_contact(&own.account, &wanted, (true, voucher), record).await? != Added::Stored {
        return refused(Reason::NotAllowed, "your factors changed meanwhile; start again");
    }
    if let Some(old) = old {
        // It is stored: whatever happens now does not change that.
        if let Err(error) = tell(ports, &own, (&force, &old, &wanted), subject).await {
            tracing::warn!(?error, "the old contact is not told");
        }
    }
    Ok(enroll_step::Kind::Contact(v1::Contact {
        kind: wanted.kind().name().to_owned(),
        masked: wanted.masked(),
        verified: true,
    }))
}

fn method(name: &str) -> Result<Method, Undecided> {
    let delivers = [Method::Sms, Method::Call, Method::Email];
    let found = delivers.into_iter().find(|method| method.name() == name);
    found.ok_or_else(|| Undecided::Usage(format!("no code can be sent by \"{}\"", printable(name, 16))))
}

/// Whether somebody has this already.
fn same(ports: &Ports, own: &Own, old: &ContactRecord, wanted: &Contact) -> bool {
    let opened = own.portfolio.as_ref().and_then(|portfolio| ports.opened(portfolio, old).ok());
    opened.is_some_and(|old| old.canonical() == wanted.canonical())
}

/// What people call it.
pub(super) const fn word(kind: ContactKind) -> &'static str {
    match kind {
        ContactKind::Email => "address",
        ContactKind::Phone => "number",
    }
}

/// What a method's codes go to.
pub(super) async fn parse(text: &str, method: Method) -> Result<Contact, String> {
    if method == Method::Email {
        return Address::parse(text).map(Contact::Email);
    }
    // The numbering plans are read the first time: some ten milliseconds that nobody else should wait for.
    let text = text.to_owned();
    let parsed = tokio::task::spawn_blocking(move || Phone::parse(&text)).await;
    parsed.unwrap_or_else(|_| Err("that number could not be read".to_owned())).map(Contact::Phone)
}

/// Sends a code there and waits for it.
async fn confirm(
    ports: &Arc<Ports>,
    owner: &Owner,
    own: &Own,
    (force, wanted, method): (&Arc<InForce>, &Contact, Method),
    talk: &mut Talk,
) -> Result<(), End> {
    let (codes, subject) = (&force.config.codes, own_subject(owner, &own.account));
    let began = ports.clock.now();
    // Who has no record yet has a number of their own all the same: the limits are for everybody.
    let nobody = AccountId(-1 - i64::from(own.account.uid));
    let account = own.portfolio.as_ref().map_or(nobody, |portfolio| portfolio.account);
    let source = Source::local("user.sock", "", owner.uid());
    let wish = Wish { confirm: true, ..ports.wish(force, account, (wanted, method), source)? };
    if let Issued::Refused(limit) = ports.store.count_sending(wish).await? {
        ports.told_of_sending(subject, method, audit::Outcome::Denied, limit).await;
        return refused(
            Reason::Throttled,
            "no more codes can be sent now; try again in an hour, or ask your administrator",
        );
    }
    let key = Secret::new(random::bytes(ports.random.as_ref(), delivered::KEY)?);
    let text = Text::Confirm(delivered::code(&key, codes.digits, 0));
    let message = message(ports, force, own, (wanted.clone(), method), text)?;
    match ports.give_away(force, message, subject).await {
        Outcome::Accepted | Outcome::Unknown => {}
        Outcome::Rejected(_) | Outcome::Unavailable { .. } => {
            return refused(
                Reason::NotAllowed,
                "the code could not be sent; is the address right? Nothing has changed",
            );
        }
    }
    let mut text = format!("{}Type it: ", prompt::sent(method.name(), &wanted.masked()));
    for _ in 0..codes.tries {
        let answer = talk.ask(Subject::NewCode, &text).await?;
        let code = Code::parse(&answer.text).ok();
        if ports.clock.now().since(began) > codes.lifetime {
            return refused(Reason::Expired, "the time of that code is over; nothing has changed");
        }
        if code.is_some_and(|code| delivered::matches(&code, &key, codes.digits, 0)) {
            return Ok(());
        }
        "Wrong code. Type the code that was sent: ".clone_into(&mut text);
    }
    refused(Reason::Wrong, "no right code; nothing has changed")
}

/// Tells the old address, which may be the true one.
async fn tell(
    ports: &Arc<Ports>,
    own: &Own,
    (force, old, new): (&Arc<InForce>, &ContactRecord, &Contact),
    subject: audit::Subject,
) -> Result<(), Undecided> {
    if let (Some(portfolio), Some(method)) = (&own.portfolio, force.ways(old).first()) {
        let message = message(
            ports,
            force,
            own,
            (ports.opened(portfolio, old)?, *method),
            Text::Changed(new.masked()),
        )?;
        let _ = ports.give_away(force, message, subject).await; // told in the trail
    }
    Ok(())
}

fn message(
    ports: &Ports,
    force: &InForce,
    own: &Own,
    (to, by): (Contact, Method),
    text: Text,
) -> Result<Message, Undecided> {
    Ok(Message {
        id: ports.message_id()?,
        to,
        by,
        text,
        host: force.host.clone(),
        user: own.account.name.clone(),
        service: String::new(),
        rhost: String::new(),
        lifetime: force.config.codes.lifetime,
    })
}
