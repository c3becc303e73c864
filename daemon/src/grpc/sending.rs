//! Sends a code for a login.

use std::{sync::Arc, time::Duration};

use super::{Ports, policy::InForce, status::Undecided};
use crate::{
    audit,
    delivery::{Address, Attempt, Contact, EMAIL, Message, Outcome, Phone, Text, fate},
    engine::{
        clock_guard::Trust,
        delivery::{ContactKind, Issued, Wish},
        policy::Method,
        sending::{Delivery, Sending},
    },
    factor::{code::Code, delivered},
    names::{AccountId, Source, UserName},
    random,
    seal::{Binding, COURIER, courier_id},
    secret::Secret,
    store::{ContactRecord, Portfolio},
};

/// The person gets a prompt after so long, whatever a server does meanwhile.
pub(super) const PROMPT: Duration = Duration::from_millis(1500);

/// A code that was sent for a conversation, and dies with it.
pub(super) struct Live {
    ports: Arc<Ports>,
    account: AccountId,
    counter: i64,
}

impl Drop for Live {
    fn drop(&mut self) {
        let (ports, account, counter) = (Arc::clone(&self.ports), self.account, self.counter);
        tokio::spawn(async move {
            if let Err(error) = ports.store.end_code(account, counter).await {
                tracing::warn!(%error, "a code that was sent lives on until its time is over");
            }
        });
    }
}

impl Ports {
    /// Whether what was typed is the code that the conversation had sent.
    pub(super) fn is_delivered(
        &self,
        portfolio: &Portfolio,
        typed: &Code,
        sent: crate::engine::sending::Sent,
    ) -> Result<bool, Undecided> {
        Ok(delivered::matches(typed, &self.courier_key(portfolio)?, sent.digits, sent.counter))
    }

    fn courier_key(&self, portfolio: &Portfolio) -> Result<Secret<Vec<u8>>, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let sealed = portfolio
            .courier
            .as_ref()
            .ok_or(Undecided::Malformed("a contact without a secret in the store"))?;
        let id = courier_id();
        Ok(self
            .sealer
            .open(sealed, Binding { user: &user, uid: portfolio.uid, factor: &id, kind: COURIER })?)
    }

    /// Where a contact is.
    pub(super) fn opened(
        &self,
        portfolio: &Portfolio,
        contact: &ContactRecord,
    ) -> Result<Contact, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let (uid, kind) = (portfolio.uid, contact.kind.name());
        let text =
            self.sealer.open(&contact.sealed, Binding { user: &user, uid, factor: &contact.id, kind })?;
        let text = std::str::from_utf8(text.expose()).ok();
        let opened = text.and_then(|text| match contact.kind {
            ContactKind::Email => Address::parse(text).ok().map(Contact::Email),
            ContactKind::Phone => {
                Phone::stored(text, &contact.masked, contact.line.clone()?).map(Contact::Phone)
            }
        });
        opened.ok_or(Undecided::Malformed("an address in the store"))
    }

    /// Has a code sent, if it may be. The limits count it before it leaves.
    pub(super) async fn send_code(
        self: &Arc<Self>,
        force: &Arc<InForce>,
        sending: &Sending,
        portfolio: Option<&Portfolio>,
    ) -> Result<(Delivery, Option<Live>), Undecided> {
        let method = sending.method();
        let contact = portfolio.and_then(|portfolio| {
            portfolio.contacts.iter().find(|contact| force.ways(contact).contains(&method))
        });
        let (Some(portfolio), Some(contact)) = (portfolio, contact) else {
            return Ok((Delivery::Failed, None)); // an administrator was faster
        };
        let subject = sending.subject().clone();
        if !sending.may_send() {
            return Ok((Delivery::NoMore, None));
        }
        if self.trust_in_clock() != Trust::Believed {
            self.told_of_sending(subject, method, audit::Outcome::Denied, "clock").await;
            return Ok((Delivery::Failed, None));
        }
        let to = self.opened(portfolio, contact)?;
        let wish = self.wish(force, portfolio.account, (&to, method), sending.source().clone())?;
        let wish = Wish { replaces: sending.replaces(), before: sending.before(), ..wish };
        self.post(force, (portfolio, to, method), wish, subject).await
    }

    /// A name for a message.
    pub(super) fn message_id(&self) -> Result<String, Undecided> {
        Ok(data_encoding::HEXLOWER.encode(&random::bytes(self.random.as_ref(), 16)?))
    }

    /// The wish for a first code, under the limits in force.
    pub(super) fn wish(
        &self,
        force: &Arc<InForce>,
        account: AccountId,
        (to, method): (&Contact, Method),
        source: Source,
    ) -> Result<Wish, Undecided> {
        let (lifetime, limits) = (force.config.codes.lifetime, force.config.sending_limits());
        let (region, call, now) =
            (to.line().map(|line| line.region.clone()), method == Method::Call, self.clock.now());
        let destination = self.sealer.digest(to.canonical().as_bytes())?;
        let (replaces, before, confirm) = (None, 0, false);
        Ok(Wish {
            account,
            destination,
            region,
            call,
            confirm,
            source,
            replaces,
            before,
            lifetime,
            limits,
            now,
        })
    }

    /// Issues a code and gives it away.
    pub(super) async fn post(
        self: &Arc<Self>,
        force: &Arc<InForce>,
        (portfolio, to, method): (&Portfolio, Contact, Method),
        wish: Wish,
        subject: audit::Subject,
    ) -> Result<(Delivery, Option<Live>), Undecided> {
        let codes = &force.config.codes;
        let counter = match self.store.issue_code(wish).await? {
            Issued::Code(counter) => counter,
            Issued::TooEarly(from) => return Ok((Delivery::TooEarly(from), None)),
            Issued::Refused(limit) => {
                tracing::warn!(user = subject.user, limit, "no code is sent");
                self.told_of_sending(subject, method, audit::Outcome::Denied, limit).await;
                return Ok((Delivery::NoMore, None));
            }
        };
        let live = Live { ports: Arc::clone(self), account: portfolio.account, counter };
        let message = Message {
            id: self.message_id()?,
            to,
            by: method,
            text: Text::Login(delivered::code(&self.courier_key(portfolio)?, codes.digits, counter)),
            host: force.host.clone(),
            user: subject.user.clone(),
            service: subject.service.clone(),
            rhost: subject.rhost.clone(),
            lifetime: codes.lifetime,
        };
        Ok(match self.give_away(force, message, subject).await {
            Outcome::Accepted | Outcome::Unknown => {
                (Delivery::Sent { counter, digits: codes.digits }, Some(live))
            }
            Outcome::Rejected(_) | Outcome::Unavailable { .. } => (Delivery::Failed, None),
        })
    }

    /// Gives a message away. Who takes longer than a person should wait is left to it: perhaps it was sent.
    pub(super) async fn give_away(
        self: &Arc<Self>,
        force: &Arc<InForce>,
        message: Message,
        subject: audit::Subject,
    ) -> Outcome {
        let (ports, force) = (Arc::clone(self), Arc::clone(force));
        let giving = tokio::spawn(async move { ports.give_away_patiently(&force, &message, subject).await });
        match tokio::time::timeout(PROMPT, giving).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Unavailable { why: "stopped", after: None },
            Err(_) => Outcome::Unknown,
        }
    }

    /// The same, for whoever waits until it is known.
    pub(super) async fn give_away_patiently(
        &self,
        force: &InForce,
        message: &Message,
        subject: audit::Subject,
    ) -> Outcome {
        let attempts = self.channels.send(&force.config, message).await;
        let outcome = fate(&attempts);
        if attempts.is_empty() {
            self.told_of_sending(subject, message.by, audit::Outcome::Denied, outcome.word()).await;
            return outcome;
        }
        for attempt in attempts {
            self.told_of_attempt(subject.clone(), message.by, &attempt).await;
        }
        outcome
    }

    /// In the trail: who was asked, and what they said.
    pub(super) async fn told_of_attempt(&self, subject: audit::Subject, method: Method, attempt: &Attempt) {
        let told = match attempt.outcome {
            Outcome::Accepted => audit::Outcome::Granted,
            Outcome::Rejected(_) | Outcome::Unavailable { .. } | Outcome::Unknown => audit::Outcome::Denied,
        };
        let word = attempt.outcome.word();
        let code = if attempt.code.is_empty() || attempt.outcome == Outcome::Accepted {
            String::new()
        } else {
            format!(" ({})", attempt.code)
        };
        let reason = match attempt.provider.as_str() {
            "" | EMAIL => word.to_owned(),
            provider => format!("{provider}: {word}{code}"),
        };
        self.told_of_sending(subject, method, told, &reason).await;
    }

    pub(super) async fn told_of_sending(
        &self,
        subject: audit::Subject,
        method: Method,
        outcome: audit::Outcome,
        reason: &str,
    ) {
        let (time, reason) = (self.clock.now(), reason.to_owned());
        let record = audit::Record {
            time,
            event: audit::Event::Send,
            subject,
            method: method.name(),
            outcome,
            reason,
        };
        if let Err(error) = self.store.append(record).await {
            tracing::error!(%error, "an audit record is lost");
        }
    }
}
