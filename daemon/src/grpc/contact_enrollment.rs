//! `SelfService.EnrollEmail`: somebody proves to be the owner, then that the address is theirs; only then it counts.

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
    delivery::{Address, Message, Outcome, Text, destination},
    engine::{
        clock_guard::Trust,
        delivery::{ContactKind, Issued},
        enrollment::{Added, Voucher},
        policy::Method,
        prompt,
    },
    factor::{code::Code, delivered},
    names::{AccountId, Source},
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
    if !decision.methods.contains(&Method::Email) || force.config.email.from.is_none() {
        return refused(Reason::NotAllowed, "codes by email are not for you here; ask your administrator");
    }
    let address = match Address::parse(&begin.email) {
        Ok(address) => address,
        Err(why) => return refused(Reason::NotAllowed, why),
    };
    let contacts = own.portfolio.iter().flat_map(|portfolio| &portfolio.contacts);
    let old = contacts
        .filter(|contact| contact.verified)
        .find(|contact| contact.kind == ContactKind::Email)
        .cloned();
    if old.as_ref().is_some_and(|old| old.destination == destination(&address)) {
        return refused(Reason::NotAllowed, "you have this address already");
    }
    if ports.trust_in_clock() != Trust::Believed {
        return Err(answers::clock_is_off().into());
    }
    let voucher = match vouch(ports, owner, (&own, &decision), talk).await? {
        Vouched::Password => Voucher::FirstFactor,
        Vouched::Code(factor) => Voucher::Code(factor),
    };
    confirm(ports, owner, &own, (&force, &address), talk).await?;
    let subject = own_subject(owner, &own.account);
    let record = audit::Record {
        time: ports.clock.now(),
        event: audit::Event::Contact,
        subject: subject.clone(),
        method: Method::Email.name(),
        outcome: audit::Outcome::Granted,
        reason: format!("{}, verified", address.masked()),
    };
    if ports.store_contact(&own.account, &address, (true, voucher), record).await? != Added::Stored {
        return refused(Reason::NotAllowed, "your factors changed meanwhile; start again");
    }
    if let Some(old) = old {
        tell(ports, &own, (&force, &old, &address), subject).await?;
    }
    Ok(enroll_step::Kind::Contact(v1::Contact {
        kind: ContactKind::Email.name().to_owned(),
        masked: address.masked(),
        verified: true,
    }))
}

/// Sends a code there and waits for it.
async fn confirm(
    ports: &Arc<Ports>,
    owner: &Owner,
    own: &Own,
    (force, address): (&InForce, &Address),
    talk: &mut Talk,
) -> Result<(), End> {
    let (codes, subject) = (&force.config.codes, own_subject(owner, &own.account));
    let began = ports.clock.now();
    // Who has no record yet has a number of their own all the same: the limits are for everybody.
    let nobody = AccountId(-1 - i64::from(own.account.uid));
    let account = own.portfolio.as_ref().map_or(nobody, |portfolio| portfolio.account);
    let source = Source::local("user.sock", "", owner.uid());
    let wish = ports.wish(force, account, destination(address), source);
    if let Issued::Refused(limit) = ports.store.count_sending(wish).await? {
        ports.told_of_sending(subject, Method::Email, audit::Outcome::Denied, limit).await;
        return refused(
            Reason::Throttled,
            "no more codes can be sent now; try again in an hour, or ask your administrator",
        );
    }
    let key = Secret::new(random::bytes(ports.random.as_ref(), delivered::KEY)?);
    let text = Text::Confirm(delivered::code(&key, codes.digits, 0));
    let message = message(force, own, address.clone(), text);
    match ports.give_away(force, ContactKind::Email, message, subject).await {
        Outcome::Accepted | Outcome::Unknown => {}
        Outcome::Rejected(_) | Outcome::Unavailable(_) => {
            return refused(
                Reason::NotAllowed,
                "the code could not be sent; is the address right? Nothing has changed",
            );
        }
    }
    let mut text = format!("{}Type it: ", prompt::sent(Method::Email.name(), &address.masked()));
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
    (force, old, new): (&InForce, &ContactRecord, &Address),
    subject: audit::Subject,
) -> Result<(), Undecided> {
    if let Some(portfolio) = &own.portfolio {
        let message = message(force, own, ports.address(portfolio, old)?, Text::Changed(new.masked()));
        let _ = ports.give_away(force, ContactKind::Email, message, subject).await; // told in the trail
    }
    Ok(())
}

fn message(force: &InForce, own: &Own, to: Address, text: Text) -> Message {
    Message {
        to,
        text,
        host: force.host.clone(),
        user: own.account.name.clone(),
        service: String::new(),
        rhost: String::new(),
        lifetime: force.config.codes.lifetime,
    }
}
