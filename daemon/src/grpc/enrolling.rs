//! Enrollment at a login: makes the key that is shown, and has the store take in what was confirmed.

use std::sync::Arc;

use tokio::task::JoinHandle;
use twinlock_proto::qr;

use super::{
    Ports,
    policy::{InForce, Place},
    status::Undecided,
};
use crate::{
    accounts::{Account, Lane},
    audit,
    engine::{
        conversation::Turn,
        enrolling::{Confirmed, Offer},
        enrollment::{Pending, Proof, choose_label},
        policy::Verdict,
        prompt,
        proof::{self, Enrolled},
    },
    factor::{spare::NewSpare, totp},
    names::UserName,
    random,
    secret::Secret,
    store::StoreError,
};

type RecoverySet = (Vec<Secret<String>>, Vec<NewSpare>);

/// Somebody is setting up a factor.
pub(super) struct Setup {
    account: Account,
    /// Hashed while the person looks for the phone: the module waits 5 s for an answer, and a set takes longer on a slow or
    /// busy host.
    recovery: JoinHandle<Result<RecoverySet, Undecided>>,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.recovery.abort();
    }
}

impl Setup {
    pub(super) fn begin(ports: &Arc<Ports>, account: Account, recovery: bool) -> Self {
        let ports = Arc::clone(ports);
        let recovery = tokio::spawn(async move {
            if recovery { ports.new_recovery_set().await } else { Ok(RecoverySet::default()) }
        });
        Self { account, recovery }
    }

    /// The recovery codes, once.
    pub(super) async fn recovery(&mut self) -> Result<RecoverySet, Undecided> {
        (&mut self.recovery).await.map_err(|_| Undecided::Store(StoreError::Stopped))?
    }

    /// A new key for somebody who has none.
    pub(super) fn offer(&self, ports: &Ports, force: &InForce) -> Result<Offer, Undecided> {
        let parameters = force.config.totp.parameters();
        let key = Secret::new(random::bytes(ports.random.as_ref(), parameters.algorithm.key_length())?);
        let full = totp::uri(&key, parameters, &force.issuer, &self.account.name)
            .map_err(|_| Undecided::Malformed("a name that no link can hold"))?;
        let (picture, link) = draw(full, force.config.enrollment.login_qr.into());
        let text = Secret::new(data_encoding::BASE32_NOPAD.encode(key.expose()));
        let label = choose_label("", &[]).map_err(Undecided::Conflict)?;
        let pending = Pending { key, parameters, label };
        Ok(Offer { pending, key: text, link, picture, window: force.config.totp.accepted() })
    }

    /// Stores the factor together with its recovery codes: both or neither, and only if it may still be set up.
    pub(super) async fn take_in(
        mut self,
        ports: &Ports,
        confirmed: Confirmed,
        place: Place<'_>,
    ) -> Result<Turn, Undecided> {
        let (pending, matched, storing) = confirmed.split();
        if !self.is_still_open(ports, place).await? {
            return Ok(storing.stored(Enrolled::Refused, &[]));
        }
        let (codes, rows) = self.recovery().await?;
        let Account { name, uid, .. } = &self.account;
        let new = ports.new_factor((name, *uid), pending, Proof::FirstFactor(matched), rows)?;
        let record = audit::Record {
            time: ports.clock.now(),
            event: audit::Event::Enroll,
            subject: storing.subject().clone(),
            method: "totp",
            outcome: audit::Outcome::Granted,
            reason: new.id.0.clone(),
        };
        let audit::Subject { user, service, rhost, .. } = record.subject.clone();
        let enrolled = proof::enroll(ports.store.as_ref(), new, matched, record).await?;
        if let Enrolled::Passed(_) = &enrolled {
            tracing::warn!(user, service, rhost, "somebody set up a factor at a login");
        }
        Ok(storing.stored(enrolled, &codes))
    }

    /// Minutes may have passed: what opened the enrollment may be over, the rules others, the name another's.
    async fn is_still_open(&self, ports: &Ports, place: Place<'_>) -> Result<bool, Undecided> {
        let force = ports.in_force();
        let name = UserName::parse(&self.account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let now = ports.directory.by_name(Lane::Login, &name, &force.named).await?;
        let Some(account) = now.filter(|account| account.uid == self.account.uid) else { return Ok(false) };
        let portfolio = ports.portfolio_of(&account).await?;
        let decision = ports.decide(&force, &account, portfolio.as_ref(), place);
        Ok(matches!(decision.verdict, Verdict::Enroll | Verdict::Offer(_)))
    }
}

/// Picture and link that fit a terminal together, if any do: a link may leave out the issuer that its label begins with,
/// and every app still reads it.
fn draw(full: Secret<String>, form: qr::Form) -> (Secret<Vec<String>>, Secret<String>) {
    let short = Secret::new(totp::without_issuer(full.expose()));
    let rows = |link: &Secret<String>| Secret::new(qr::draw(link.expose(), form).unwrap_or_default());
    let (large, small) = (rows(&full), rows(&short));
    if prompt::fits(large.expose().len(), full.expose()) {
        (large, full)
    } else if prompt::fits(small.expose().len(), full.expose()) {
        (small, full)
    } else {
        (small, short)
    }
}
