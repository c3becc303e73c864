//! Who may add to an account: somebody proves to be its owner, by what they have already.

use std::sync::Arc;

use twinlock_proto::v1::{question::Subject, refusal::Reason};

use super::{
    Ports,
    policy::InForce,
    self_service::{Own, own_subject},
    talk::{End, Talk, refused, throttled},
};
use crate::{
    access::Owner,
    audit,
    engine::{
        invitation::{Binding, BindingTry, Grant},
        policy::{Decision, Method},
        prompt,
        proof::{self, Accepted, Attempt, Candidate, Settled},
        sending::{Delivery, Sent},
        throttle::{Account as Charged, Budget, Standing},
    },
    factor::{
        code::{Code, Typed},
        link::BindingCode,
    },
    names::{FactorId, Source},
    store::{Charge, ContactRecord, Portfolio},
};

/// Wrong passwords or codes.
const PROOFS: u32 = 3;

/// Who vouches, before there is a code of what is new.
pub(super) enum Vouched {
    Password,
    /// A code of this factor, or one that was sent to this contact; `None`: a spare code.
    Code(Option<FactorId>),
    /// The binding code of this invitation.
    Invitation(FactorId),
}

/// What somebody has already: a code of a factor; else the login password, and where there is a contact a code that is sent
/// there.
pub(super) async fn vouch(
    ports: &Arc<Ports>,
    owner: &Owner,
    (own, decision): (&Own, &Decision),
    new: &[Method],
    talk: &mut Talk,
) -> Result<Vouched, End> {
    let counting: Vec<Method> =
        decision.methods.iter().copied().filter(|by| vouches(decision, *by, new)).collect();
    if let Some(portfolio) = own.portfolio.as_ref().filter(|portfolio| has_one_of(portfolio, &counting)) {
        return Ok(Vouched::Code(
            current_code(ports, owner, own, portfolio, (&counting, decision.recovery_vouches(new)), talk)
                .await?,
        ));
    }
    password(ports, owner, own, talk).await?;
    let Some(portfolio) = &own.portfolio else { return Ok(Vouched::Password) };
    if portfolio.is_empty() {
        return Ok(Vouched::Password);
    }
    // What policy does not let count does not vouch either, and the password alone is not enough beside it.
    let Some((contact, method)) = reachable(&ports.in_force(), decision, new, portfolio) else {
        return refused(
            Reason::NotAllowed,
            "policy does not let what you have count for that; ask your administrator to add what you want",
        );
    };
    contact_code(ports, owner, own, (portfolio, contact, method), talk).await?;
    Ok(Vouched::Code(Some(contact.id.clone())))
}

/// The binding code that an administrator handed over: for somebody whose account has no password. The link is in nobody's way
/// here: whose account it is the kernel says. One that a login showed is not enough by itself: it goes with the mail.
pub(super) async fn binding_code(
    ports: &Ports,
    owner: &Owner,
    own: &Own,
    talk: &mut Talk,
) -> Result<Vouched, End> {
    let over = "there is no invitation for you, or it is over; ask your administrator (twinlock user invite)";
    let open = own.portfolio.as_ref().and_then(|portfolio| {
        let invitation = portfolio.invitation.as_ref()?;
        (invitation.grant == Grant::Administrator).then_some((portfolio, invitation))
    });
    let Some((portfolio, invitation)) = open else { return refused(Reason::NotAllowed, over) };
    let code = ports.binding_code(portfolio, invitation)?;
    let mut text = "Binding code: ".to_owned();
    loop {
        let answer = talk.ask(Subject::BindingCode, &text).await?;
        let Some(typed) = BindingCode::parse(&answer.text) else {
            "It looks like AB12-CD34. Binding code: ".clone_into(&mut text); // not charged
            continue;
        };
        let right = typed.is(&code);
        let (account, id, now) = (portfolio.account, invitation.id.clone(), ports.clock.now());
        let tried = BindingTry { account, id, right, now };
        let record = record(ports, audit::Event::Binding, owner, own, audit::Outcome::Granted, "");
        match ports.store.try_binding(tried, record).await? {
            Binding::Right => return Ok(Vouched::Invitation(invitation.id.clone())),
            Binding::Dead => return refused(Reason::NotAllowed, over),
            Binding::Wrong(left) => text = format!("Wrong binding code, {left} more may be. Binding code: "),
        }
    }
}

/// Whether who has proven one method may add something that serves all of these.
fn vouches(decision: &Decision, by: Method, new: &[Method]) -> bool {
    new.iter().all(|new| decision.vouches(by, *new))
}

/// Whether there is a factor of one of these methods.
fn has_one_of(portfolio: &Portfolio, methods: &[Method]) -> bool {
    portfolio.factors.iter().any(|factor| methods.contains(&factor.method()))
}

/// A contact that counts wherever the new method would, and the way there: the first in the order of the policy.
fn reachable<'a>(
    force: &InForce,
    decision: &Decision,
    new: &[Method],
    portfolio: &'a Portfolio,
) -> Option<(&'a ContactRecord, Method)> {
    decision.methods.iter().filter(|by| vouches(decision, **by, new)).find_map(|by| {
        let contact = portfolio.contacts.iter().find(|contact| force.ways(contact).contains(by))?;
        Some((contact, *by))
    })
}

/// A code that is sent to a contact that counts.
async fn contact_code(
    ports: &Arc<Ports>,
    owner: &Owner,
    own: &Own,
    (portfolio, contact, method): (&Portfolio, &ContactRecord, Method),
    talk: &mut Talk,
) -> Result<(), End> {
    let (force, subject) = (ports.in_force(), own_subject(owner, &own.account));
    let source = Source::local("user.sock", "", owner.uid());
    let codes = &force.config.codes;
    let to = ports.opened(portfolio, contact)?;
    let wish = ports.wish(&force, portfolio.account, (&to, method), source.clone())?;
    let (delivery, _live) = ports.post(&force, (portfolio, to, method), wish, subject.clone()).await?;
    let Delivery::Sent { counter, digits } = delivery else {
        return refused(
            Reason::NotAllowed,
            format!(
                "no code could be sent to {}; try again later, or ask your administrator",
                contact.masked
            ),
        );
    };
    let sent = Sent { counter, method, digits, tries: PROOFS };
    let mut text = format!("{}Type it: ", prompt::sent(method.name(), &contact.masked));
    for _ in 0..u32::from(codes.tries) {
        let answer = talk.ask(Subject::CurrentCode, &text).await?;
        let code = Code::parse(&answer.text).ok();
        let Some(code) = code else {
            "Wrong code. Type the code that was sent: ".clone_into(&mut text); // no code: not charged
            continue;
        };
        let right = ports.is_delivered(portfolio, &code, sent)?;
        let now = ports.clock.now();
        let attempt = Attempt {
            account: Some(portfolio.account),
            candidates: right.then_some(Candidate::Delivered { counter, method }).into_iter().collect(),
            budgets: ports.own_budgets(owner.uid()),
            source: source.clone(),
            began: now,
            now,
            event: audit::Event::Verify,
            subject: subject.clone(),
        };
        match proof::settle(ports.store.as_ref(), attempt).await? {
            Settled::Passed(..) => return Ok(()),
            Settled::Refused(standing) => return throttled(ports.wait(standing)),
            Settled::Used => {
                return refused(Reason::Expired, "the time of that code is over; nothing has changed");
            }
            Settled::Wrong => "Wrong code. Type the code that was sent: ".clone_into(&mut text),
        }
    }
    refused(Reason::Wrong, "no right code in three tries; nothing has changed")
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
    counts: (&[Method], bool),
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
        match ports.settle_own(portfolio, (&code, counts), audit::Event::Verify, subject).await? {
            Settled::Passed(_, Accepted::Step(factor), _) => return Ok(Some(factor)),
            Settled::Passed(_, Accepted::Spare { .. } | Accepted::Delivered, _) => return Ok(None),
            Settled::Refused(standing) => return throttled(ports.wait(standing)),
            Settled::Used => text = format!("{}Verification code of a factor you have: ", prompt::USED),
            Settled::Wrong => "Wrong code. Verification code of a factor you have: ".clone_into(&mut text),
        }
    }
    refused(Reason::Wrong, "no right code in three tries; nothing has changed")
}

pub(super) fn record(
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
