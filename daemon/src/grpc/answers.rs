//! What a code matches: reads the user's factors, opens their secrets for this one use, computes.

use crate::{
    engine::{
        conversation::Prepared,
        proof::{Attempt, Candidate, Settled},
        throttle::Budget,
    },
    factor::{code::Code, totp::Generator},
    names::{Source, UserName},
    seal::Binding,
    store::Portfolio,
};

use super::{Ports, status::Undecided};
use crate::{audit, clock::Timestamp, engine::proof};

impl Ports {
    /// Every factor of the account against the code. None is skipped: what cannot be opened is an error.
    pub(super) fn prepare(
        &self,
        portfolio: &Portfolio,
        code: &Code,
        now: Timestamp,
    ) -> Result<Vec<Prepared>, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let window = self.config.totp.accepted();
        portfolio
            .factors
            .iter()
            .map(|factor| {
                let binding = Binding { user: &user, uid: portfolio.uid, factor: &factor.id, kind: "totp" };
                let key = self.sealer.open(&factor.sealed, binding)?;
                let generator = Generator::new(&key, factor.parameters);
                Ok(Prepared {
                    factor: factor.id.clone(),
                    digits: usize::from(factor.parameters.digits),
                    matched: generator.find(code, now, window, factor.drift),
                })
            })
            .collect()
    }

    /// Settles a code of somebody who is known to be the owner of the account (self-service).
    pub(super) async fn settle_own(
        &self,
        portfolio: &Portfolio,
        code: &Code,
        event: audit::Event,
        subject: audit::Subject,
    ) -> Result<Settled, Undecided> {
        let now = self.clock.now();
        let prepared = self.prepare(portfolio, code, now)?;
        let source = Source::local("user.sock", portfolio.uid);
        let attempt = Attempt {
            account: Some(portfolio.account),
            candidates: prepared
                .into_iter()
                .filter_map(|p| p.matched.map(|matched| Candidate { factor: p.factor, matched }))
                .collect(),
            budgets: vec![self.source_budget(source.clone())],
            source,
            now,
            event,
            subject,
        };
        Ok(proof::settle(self.store.as_ref(), attempt).await?)
    }

    /// What failures of a source are charged to.
    pub(super) fn source_budget(&self, source: Source) -> Budget {
        use crate::engine::throttle::Account;
        Budget { account: Account::Source(source), rule: self.config.limits.source() }
    }
}
