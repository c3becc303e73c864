//! What an administrator does with accounts, and sees of the daemon.

use twinlock_proto::v1::{
    self, AccountRequest, DaemonState, ExplainRequest, Explanation, ProvisionRequest, Provisioned,
    PurgeResult, ResetResult, UnlockResult, explanation,
};

use super::{
    Ports,
    accounts::{Named, other_uid},
    convert,
    policy::Place,
    status::Undecided,
};
use crate::{
    access::Administrator,
    accounts::Lane,
    audit,
    engine::{
        clock_guard::Trust,
        enrollment::{Added, MOST_FACTORS, Pending, Proof, choose_label, parse_key},
        policy,
    },
    factor::totp,
    names::UserName,
    random,
    secret::Secret,
};

impl Ports {
    pub(super) async fn provision(
        &self,
        by: &Administrator,
        request: &ProvisionRequest,
    ) -> Result<Provisioned, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        let taken: Vec<_> = portfolio.iter().flat_map(|p| &p.factors).map(|f| f.label.as_str()).collect();
        let label = choose_label(&request.label, &taken).map_err(Undecided::Conflict)?;
        let parameters = self.in_force().config.totp.parameters();
        let key = if request.secret.is_empty() {
            Secret::new(random::bytes(self.random.as_ref(), parameters.algorithm.key_length())?)
        } else {
            parse_key(&request.secret, request.allow_short).map_err(Undecided::Conflict)?
        };
        if let Some(label) = self.holder_of(&key, portfolio.as_ref())? {
            return Err(Undecided::Conflict(format!(
                "{} has this key already, as \"{label}\"",
                account.name
            )));
        }
        let uri = totp::uri(&key, parameters, &self.in_force().issuer, &account.name)
            .map_err(|_| Undecided::Malformed("a name that no link can hold"))?;
        let secret = data_encoding::BASE32_NOPAD.encode(key.expose());
        let pending = Pending { key, parameters, label };
        let proof = Proof::Administrator { active: request.activate };
        let new = self.new_factor((&account.name, account.uid), pending, proof, Vec::new())?;
        let factor = new.id.0.clone();
        let record = self.record(by, audit::Event::Provision, &account.name, "totp", &factor);
        match self.store.add_factor(new, record).await? {
            Added::Stored => Ok(Provisioned { factor, uri: uri.expose().clone(), secret }),
            Added::TooMany => Err(Undecided::Conflict(format!(
                "{} has {MOST_FACTORS} factors already; reset the user or remove one",
                account.name
            ))),
            Added::OtherUid => Err(other_uid(&account.name)),
            Added::LabelTaken | Added::NotFirst | Added::NoToken => {
                Err(Undecided::Conflict("the user's factors changed meanwhile; try again".to_owned()))
            }
        }
    }

    pub(super) async fn reset(
        &self,
        by: &Administrator,
        request: &AccountRequest,
    ) -> Result<ResetResult, Undecided> {
        let named = self.named(by, &request.user).await?;
        let name = UserName::parse(&named.account.name)
            .map_err(|_| Undecided::Malformed("that is not a user name"))?;
        let record = self.record(by, audit::Event::Reset, name.as_str(), "", "");
        Ok(ResetResult { factors_removed: self.store.reset(&name, record).await? })
    }

    pub(super) async fn unlock(
        &self,
        by: &Administrator,
        request: &AccountRequest,
    ) -> Result<UnlockResult, Undecided> {
        let named = self.named(by, &request.user).await?;
        let name = UserName::parse(&named.account.name)
            .map_err(|_| Undecided::Malformed("that is not a user name"))?;
        let record = self.record(by, audit::Event::Unlock, name.as_str(), "", "");
        Ok(UnlockResult { failures_forgotten: self.store.unlock(&name, named.account.uid, record).await? })
    }

    /// Binds an account to the uid that its user has now.
    pub(super) async fn adopt(
        &self,
        by: &Administrator,
        request: &AccountRequest,
    ) -> Result<v1::Account, Undecided> {
        let account = self.existing(by, &request.user).await?;
        let name = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let nothing = || Undecided::NotFound(format!("nothing is known of {name} here"));
        let portfolio = self.store.portfolio(&name).await?.ok_or_else(nothing)?;
        if portfolio.uid != account.uid {
            let secrets = self.resealed_for(&portfolio, account.uid)?;
            let told = format!("uid {}, was {}", account.uid, portfolio.uid);
            let record = self.record(by, audit::Event::Adopt, &account.name, "", &told);
            self.store.adopt(portfolio.account, account.uid, secrets, record).await?;
        }
        self.show(by, request).await
    }

    /// Forgets a user, whom NSS need not know.
    pub(super) async fn purge(
        &self,
        by: &Administrator,
        request: &AccountRequest,
    ) -> Result<PurgeResult, Undecided> {
        let name =
            UserName::parse(&request.user).map_err(|_| Undecided::Malformed("that is not a user name"))?;
        let record = self.record(by, audit::Event::Purge, name.as_str(), "", "");
        Ok(PurgeResult { purged: self.store.purge(&name, record).await? })
    }

    pub(super) async fn explain(
        &self,
        _: &Administrator,
        request: ExplainRequest,
    ) -> Result<Explanation, Undecided> {
        let name =
            UserName::parse(&request.user).map_err(|_| Undecided::Malformed("that is not a user name"))?;
        let force = self.in_force();
        let decision = match self.directory.by_name(Lane::Admin, &name, &force.named).await? {
            None => policy::stranger(),
            Some(account) => {
                let portfolio = self.portfolio_of(&account).await?;
                let place = Place { service: Some(&request.service), address: request.rhost.parse().ok() };
                self.decide(&force, &account, portfolio.as_ref(), place)
            }
        };
        let outcome = match decision.verdict {
            policy::Verdict::Ask => explanation::Outcome::Ask,
            policy::Verdict::Enroll | policy::Verdict::Invite => explanation::Outcome::Enroll,
            policy::Verdict::Skip(_) | policy::Verdict::Offer(_) => explanation::Outcome::Skip,
            policy::Verdict::Deny => explanation::Outcome::Deny,
        };
        Ok(Explanation {
            user: request.user,
            service: request.service,
            rhost: request.rhost,
            outcome: outcome.into(),
            requirement: convert::requirement(decision.requirement).into(),
            methods: decision.methods.iter().map(|method| method.name().to_owned()).collect(),
            because: convert::because(decision.because),
        })
    }

    pub(super) async fn state(&self, _: &Administrator) -> Result<DaemonState, Undecided> {
        let portfolios = self.store.portfolios().await?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (trust, force) = (self.trust_in_clock(), self.in_force());
        Ok(DaemonState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: force.origin.clone(),
            accounts: count(portfolios.len()),
            enrolled: count(portfolios.iter().filter(|portfolio| portfolio.enrolled()).count()),
            clock_believed: trust == Trust::Believed,
            clock: trust.sentence(),
            account_services: force.config.account.services.clone(),
            policy_services: force.rules.services().into_iter().map(str::to_owned).collect(),
            page_url: force.config.web.url.clone().unwrap_or_default(),
            page_certificate: force.config.web.certificate.clone().unwrap_or_default(),
            page_key: force.config.web.key.clone().unwrap_or_default(),
        })
    }

    pub(super) fn record(
        &self,
        by: &Administrator,
        event: audit::Event,
        user: &str,
        method: &'static str,
        reason: &str,
    ) -> audit::Record {
        audit::Record {
            time: self.clock.now(),
            event,
            subject: audit::Subject {
                user: user.to_owned(),
                actor: by.actor().to_owned(),
                claimed_by: by.claimed_by().to_owned(),
                ..audit::Subject::default()
            },
            method,
            outcome: audit::Outcome::Granted,
            reason: reason.to_owned(),
        }
    }
}
