//! `SelfService`: what a person may do with their own account. The account is that of the caller's uid.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use twinlock_proto::v1::{
    self, EnrollReply, EnrollStep, StatusRequest, VerifyRequest, VerifyResult,
    self_service_server::SelfService, verify_result,
};

use super::{
    Ports, enrollment,
    status::{Undecided, undecided},
};
use crate::{
    access::{self, Owner},
    accounts::{Account, Lane},
    audit,
    engine::{proof::Settled, throttle::Standing},
    factor::code::Code,
    names::UserName,
    store::Portfolio,
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

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResult>, Status> {
        let owner = access::owner(&request)?;
        let answer = self.ports.verify(&owner, &request.get_ref().code).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }
}

/// An owner's account, and what the store has of it.
pub(super) struct Own {
    pub(super) account: Account,
    pub(super) portfolio: Option<Portfolio>,
}

impl Ports {
    /// The account of the caller's uid.
    pub(super) async fn own(&self, owner: &Owner) -> Result<Own, Undecided> {
        let account = self.directory.by_uid(Lane::Other, owner.uid()).await?;
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
        use verify_result::Outcome;
        let plain = |outcome: Outcome| VerifyResult { outcome: outcome.into(), retry_after_s: 0 };
        let Own { account, portfolio } = self.own(owner).await?;
        let Some(portfolio) = portfolio.filter(|portfolio| !portfolio.factors.is_empty()) else {
            return Ok(plain(Outcome::NotEnrolled));
        };
        let Ok(code) = Code::parse(typed) else {
            return Ok(plain(Outcome::Malformed));
        };
        let subject = own_subject(owner, &account);
        Ok(match self.settle_own(&portfolio, &code, audit::Event::Verify, subject).await? {
            Settled::Passed(_) => plain(Outcome::Right),
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
