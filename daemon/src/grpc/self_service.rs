//! `SelfService`: what a person may do with their own account. The account is that of the caller's uid.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use twinlock_proto::v1::{
    self, EnrollReply, EnrollStep, PreferRequest, RecoveryResult, RemoveRequest, StatusRequest,
    VerifyRequest, VerifyResult, self_service_server::SelfService, verify_result,
};

use super::{
    Ports, contact_enrollment, enrollment,
    policy::Place,
    status::{Undecided, undecided},
};
use crate::{
    access::{self, Owner},
    accounts::{Account, Lane},
    audit,
    engine::{
        delivery::ContactKind,
        policy::{Method, Requirement},
        proof::Settled,
        throttle::Standing,
    },
    factor::code::Typed,
    names::{UserName, printable},
    store::{FactorRecord, Portfolio},
};

pub(super) struct Service {
    ports: Arc<Ports>,
}

impl Service {
    pub(super) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
}

#[tonic::async_trait]
impl SelfService for Service {
    type EnrollTotpStream = ReceiverStream<Result<EnrollStep, Status>>;
    type EnrollContactStream = ReceiverStream<Result<EnrollStep, Status>>;

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<v1::Account>, Status> {
        let owner = access::owner(&request)?;
        let answer = async {
            let own = self.ports.own(&owner).await?;
            self.ports.describe(&own.account, own.portfolio.as_ref()).await
        };
        answer.await.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn enroll_totp(
        &self,
        request: Request<Streaming<EnrollReply>>,
    ) -> Result<Response<Self::EnrollTotpStream>, Status> {
        let owner = access::owner(&request)?;
        let (steps, receiver) = mpsc::channel(2);
        let ports = Arc::clone(&self.ports);
        tokio::spawn(async move {
            enrollment::enroll(&ports, &owner, request.into_inner(), &steps).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn enroll_contact(
        &self,
        request: Request<Streaming<EnrollReply>>,
    ) -> Result<Response<Self::EnrollContactStream>, Status> {
        let owner = access::owner(&request)?;
        let (steps, receiver) = mpsc::channel(2);
        let ports = Arc::clone(&self.ports);
        tokio::spawn(async move {
            contact_enrollment::enroll(&ports, &owner, request.into_inner(), &steps).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn renew_recovery(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<RecoveryResult>, Status> {
        let owner = access::owner(&request)?;
        let answer = self.ports.renew(&owner, &request.get_ref().code).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn remove_factor(&self, request: Request<RemoveRequest>) -> Result<Response<VerifyResult>, Status> {
        let owner = access::owner(&request)?;
        let answer = self.ports.remove(&owner, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn prefer(&self, request: Request<PreferRequest>) -> Result<Response<v1::Account>, Status> {
        let owner = access::owner(&request)?;
        let answer = self.ports.prefer(&owner, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResult>, Status> {
        let owner = access::owner(&request)?;
        let answer = self.ports.verify(&owner, &request.get_ref().code).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }
}

impl Ports {
    async fn renew(&self, owner: &Owner, typed: &str) -> Result<RecoveryResult, Undecided> {
        let Own { account, portfolio } = self.own(owner).await?;
        let decision = self.decide(&self.in_force(), &account, portfolio.as_ref(), Place::default());
        if !decision.recovery {
            return Err(Undecided::Conflict(
                "by policy recovery codes do not count for you; ask your administrator if you lose your phone"
                    .to_owned(),
            ));
        }
        let subject = own_subject(owner, &account);
        let verified =
            self.prove(portfolio.as_ref(), (typed, (&decision.renewing(), true)), subject.clone()).await?;
        let mut result = RecoveryResult { verified: Some(verified), recovery: None };
        if let Some(portfolio) = portfolio
            && verified.outcome() == verify_result::Outcome::Right
        {
            result.recovery = Some(self.renew_recovery(portfolio.account, subject).await?);
        }
        Ok(result)
    }

    async fn remove(&self, owner: &Owner, request: &RemoveRequest) -> Result<VerifyResult, Undecided> {
        let Own { account, portfolio } = self.own(owner).await?;
        let kind = ContactKind::ALL.into_iter().find(|kind| kind.name() == request.factor);
        let contacts = portfolio.iter().flat_map(|portfolio| &portfolio.contacts);
        if let (Some(kind), Some(portfolio)) = (kind, &portfolio)
            && contacts.clone().any(|contact| contact.kind == kind)
        {
            return self.remove_contact(owner, &account, portfolio, (kind, &request.code)).await;
        }
        let wanted = |factor: &&FactorRecord| factor.id.0 == request.factor || factor.label == request.factor;
        let factor = portfolio.as_ref().and_then(|p| p.factors.iter().find(wanted));
        let (Some(portfolio), Some(factor)) = (&portfolio, factor) else {
            return Ok(plain(verify_result::Outcome::NoSuchFactor));
        };
        let decision = self.decide(&self.in_force(), &account, Some(portfolio), Place::default());
        let another =
            |other: &FactorRecord| other.id != factor.id && decision.methods.contains(&other.method());
        if decision.requirement == Requirement::Required && !portfolio.factors.iter().any(another) {
            return Ok(plain(verify_result::Outcome::LastFactor));
        }
        let subject = own_subject(owner, &account);
        let verified = self
            .prove(Some(portfolio), (&request.code, (&decision.methods, decision.recovery)), subject.clone())
            .await?;
        if verified.outcome() == verify_result::Outcome::Right {
            let record = audit::Record {
                time: self.clock.now(),
                event: audit::Event::Remove,
                subject,
                method: factor.kind.name(),
                outcome: audit::Outcome::Granted,
                reason: factor.id.0.clone(),
            };
            self.store.remove_factor(portfolio.account, factor.id.clone(), record).await?;
        }
        Ok(verified)
    }
}

impl Ports {
    /// With a code of a factor: somebody whose contact is all they have asks an administrator.
    async fn remove_contact(
        &self,
        owner: &Owner,
        account: &Account,
        portfolio: &Portfolio,
        (kind, code): (ContactKind, &str),
    ) -> Result<VerifyResult, Undecided> {
        let subject = own_subject(owner, account);
        let decision = self.decide(&self.in_force(), account, Some(portfolio), Place::default());
        let counts = (decision.methods.as_slice(), decision.recovery);
        let verified = self.prove(Some(portfolio), (code, counts), subject.clone()).await?;
        if verified.outcome() == verify_result::Outcome::Right {
            let record = audit::Record {
                time: self.clock.now(),
                event: audit::Event::Contact,
                subject,
                method: "",
                outcome: audit::Outcome::Granted,
                reason: format!("{} removed", kind.name()),
            };
            self.store.remove_contact(portfolio.account, kind, record).await?;
        }
        Ok(verified)
    }

    async fn prefer(&self, owner: &Owner, request: &PreferRequest) -> Result<v1::Account, Undecided> {
        let Own { account, portfolio } = self.own(owner).await?;
        let method = match request.method.as_str() {
            "" => None,
            name => Some(method(name)?),
        };
        let has = |method: Method| {
            portfolio.as_ref().is_some_and(|portfolio| {
                portfolio.factors.iter().any(|factor| factor.method() == method)
                    || portfolio.contacts.iter().any(|contact| {
                        contact.verified && contact.kind.methods(contact.line.as_ref()).contains(&method)
                    })
            })
        };
        let (Some(portfolio), true) = (&portfolio, method.is_none_or(has)) else {
            return Err(Undecided::Conflict(
                "you have nothing of that kind; see twinlock status for what you have".to_owned(),
            ));
        };
        let record = audit::Record {
            time: self.clock.now(),
            event: audit::Event::Prefer,
            subject: own_subject(owner, &account),
            method: method.map_or("", Method::name),
            outcome: audit::Outcome::Granted,
            reason: String::new(),
        };
        self.store.prefer(portfolio.account, method.map(|method| method.name().to_owned()), record).await?;
        let own = self.own(owner).await?;
        self.describe(&own.account, own.portfolio.as_ref()).await
    }
}

fn method(name: &str) -> Result<Method, Undecided> {
    let found = Method::ALL.into_iter().find(|method| method.name() == name);
    found.ok_or_else(|| {
        let known = Method::ALL.map(Method::name).join(", ");
        Undecided::Usage(format!("there is no method \"{}\"; there are {known}", printable(name, 32)))
    })
}

fn plain(outcome: verify_result::Outcome) -> VerifyResult {
    VerifyResult { outcome: outcome.into(), retry_after_s: 0 }
}

/// An owner's account, and what the store has of it.
pub(super) struct Own {
    pub(super) account: Account,
    pub(super) portfolio: Option<Portfolio>,
}

impl Ports {
    /// The account of the caller's uid.
    pub(super) async fn own(&self, owner: &Owner) -> Result<Own, Undecided> {
        let account = self.directory.by_uid(Lane::Other, owner.uid(), &self.in_force().named).await?;
        let account =
            account.ok_or_else(|| Undecided::NotFound(format!("no account has uid {}", owner.uid())))?;
        let portfolio = self.portfolio_of(&account).await?;
        Ok(Own { account, portfolio })
    }

    /// What the store has of an account, if the record is of this uid.
    pub(super) async fn portfolio_of(&self, account: &Account) -> Result<Option<Portfolio>, Undecided> {
        let name = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let found = self.store.portfolio(&name).await?;
        Ok(found.filter(|portfolio| portfolio.uid == account.uid))
    }

    async fn verify(&self, owner: &Owner, typed: &str) -> Result<VerifyResult, Undecided> {
        let Own { account, portfolio } = self.own(owner).await?;
        self.prove(portfolio.as_ref(), (typed, (&Method::ALL, true)), own_subject(owner, &account)).await
    }

    /// Spends a code of the owner's; `counts`: the methods that may say yes, and whether recovery codes may.
    async fn prove(
        &self,
        portfolio: Option<&Portfolio>,
        (typed, counts): (&str, (&[Method], bool)),
        subject: audit::Subject,
    ) -> Result<VerifyResult, Undecided> {
        use verify_result::Outcome;
        let Some(portfolio) = portfolio.filter(|portfolio| !portfolio.factors.is_empty()) else {
            return Ok(plain(Outcome::NotEnrolled));
        };
        let Ok(code) = Typed::parse(typed) else {
            return Ok(plain(Outcome::Malformed));
        };
        Ok(match self.settle_own(portfolio, (&code, counts), audit::Event::Verify, subject).await? {
            Settled::Passed(..) => plain(Outcome::Right),
            Settled::Used => plain(Outcome::Used),
            Settled::Wrong => plain(Outcome::Wrong),
            Settled::Refused(standing) => VerifyResult {
                outcome: Outcome::Throttled.into(),
                retry_after_s: seconds(self.wait(standing)),
            },
        })
    }

    /// How long to wait; `None` when waiting does not help.
    pub(super) fn wait(&self, standing: Standing) -> Option<Duration> {
        match standing {
            Standing::Open => Some(Duration::ZERO),
            Standing::Until(until) => Some(until.since(self.clock.now())),
            Standing::Stopped => None,
        }
    }
}

/// Whole seconds, at least one; 0 where waiting does not help.
pub(super) fn seconds(wait: Option<Duration>) -> u32 {
    wait.map_or(0, |wait| u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX))
}

pub(super) fn own_subject(owner: &Owner, account: &Account) -> audit::Subject {
    audit::Subject { user: account.name.clone(), actor: owner.actor(), ..audit::Subject::default() }
}
