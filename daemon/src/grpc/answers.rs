//! What a code matches: reads what the user has, opens secrets for this one use, computes. Nothing is decided here.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Ports, status::Undecided};
use crate::{
    audit,
    clock::Timestamp,
    engine::{
        checking::Prepared,
        clock_guard::Trust,
        policy::Method,
        proof::{self, Attempt, Candidate, Settled},
        throttle::{Account, Budget, Standing},
    },
    factor::{
        Kind,
        code::{Code, Typed},
        hotp,
        spare::{HASH, SALT, SpareCode},
        totp::{self, Parameters},
    },
    names::{AccountId, Source, SpareId, UserName},
    seal::Binding,
    secret::Secret,
    store::{FactorRecord, Portfolio},
};

/// Hashes at the same time: each takes 19 MiB.
pub(super) const HASHES: usize = 2;

/// First character of the selectors of bypass codes; recovery codes have two digits.
pub(super) const BYPASS_SELECTOR: char = 'B';

/// What somebody is told who acts on their own account.
pub(super) fn clock_is_off() -> Undecided {
    Undecided::Conflict(
        "the clock of this host is wrong: use a recovery code, or ask your administrator".to_owned(),
    )
}

/// What a factor's key is bound to.
pub(super) const fn binding<'a>(user: &'a UserName, uid: u32, factor: &'a FactorRecord) -> Binding<'a> {
    Binding { user, uid, factor: &factor.id, kind: factor.kind.name() }
}

impl Ports {
    /// Every factor of the account that policy lets count, against the code. None of them is skipped: what cannot be opened is
    /// an error.
    pub(super) fn prepare(
        &self,
        portfolio: &Portfolio,
        code: &Code,
        methods: &[Method],
        now: Timestamp,
    ) -> Result<Vec<Prepared>, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let (window, hotp) = (self.in_force().config.totp.accepted(), self.in_force().config.hotp.clone());
        portfolio
            .factors
            .iter()
            .filter(|factor| methods.contains(&factor.method()))
            .map(|factor| {
                let key = self.sealer.open(&factor.sealed, binding(&user, portfolio.uid, factor))?;
                let Parameters { algorithm, digits, .. } = factor.parameters;
                let matched = match factor.kind {
                    Kind::Totp => {
                        totp::Generator::new(&key, factor.parameters).find(code, now, window, factor.drift)
                    }
                    Kind::Hotp => hotp::Generator::new(&key, algorithm, digits).find(
                        code,
                        factor.next_counter(),
                        i64::from(hotp.look_ahead),
                    ),
                };
                let matched = matched.filter(|_| !factor.resync_required);
                Ok(Prepared { factor: factor.id.clone(), digits: usize::from(digits), matched })
            })
            .collect()
    }

    /// The label of the user's factor that has this key already: stored twice, it would be one factor that looks like
    /// two.
    pub(super) fn holder_of(
        &self,
        key: &Secret<Vec<u8>>,
        portfolio: Option<&Portfolio>,
    ) -> Result<Option<String>, Undecided> {
        let Some(portfolio) = portfolio else { return Ok(None) };
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        for factor in &portfolio.factors {
            let binding = binding(&user, portfolio.uid, factor);
            if self.sealer.open(&factor.sealed, binding)?.expose().ct_eq(key.expose()).into() {
                return Ok(Some(factor.label.clone()));
            }
        }
        Ok(None)
    }

    /// The spare code that was typed, if it is one of the account's. Costs one hash, whether there is such a row or
    /// not; none when the budget is spent, for then nothing is evaluated. `recovery`: whether recovery codes count.
    pub(super) async fn find_spare(
        &self,
        account: Option<AccountId>,
        code: &Arc<SpareCode>,
        budgets: &[Budget],
        recovery: bool,
        now: Timestamp,
    ) -> Result<Option<SpareId>, Undecided> {
        if self.store.standing(budgets.to_vec(), now).await? != Standing::Open {
            return Ok(None);
        }
        // A bypass code has a time, and the clock may have been set back into it.
        let timed = code.selector().starts_with(BYPASS_SELECTOR);
        let record = match account {
            // Where the policy lets no recovery code count, there is none.
            Some(_) if !timed && !recovery => None,
            Some(account) if !timed || self.trust_in_clock() == Trust::Believed => {
                self.store.spare(account, code.selector().to_owned()).await?
            }
            _ => None,
        };
        let (salt, hash) =
            record.as_ref().map_or(([0; SALT], [0; HASH]), |record| (record.salt, record.hash));
        let code = Arc::clone(code);
        let matches = self.hash(move || code.matches(&salt, &hash)).await?;
        Ok(record.filter(|_| matches).map(|record| record.id))
    }

    /// Hashes in another thread, and not too many at a time.
    pub(super) async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undecided> {
        let stopped = |_| Undecided::Store(crate::store::StoreError::Stopped);
        let _permit =
            self.hashing.acquire().await.map_err(|_| Undecided::Store(crate::store::StoreError::Stopped))?;
        tokio::task::spawn_blocking(work).await.map_err(stopped)
    }

    /// The methods that work now: those that need the time do not, while the clock is not believed.
    pub(super) fn without_time(&self, methods: &[Method]) -> Vec<Method> {
        let believed = self.trust_in_clock() == Trust::Believed;
        methods.iter().copied().filter(|method| believed || *method == Method::Hotp).collect()
    }

    /// Settles a code of somebody who is known to be the owner of the account (self-service).
    pub(super) async fn settle_own(
        &self,
        portfolio: &Portfolio,
        (typed, (methods, recovery)): (&Typed, (&[Method], bool)),
        event: audit::Event,
        subject: audit::Subject,
    ) -> Result<Settled, Undecided> {
        let now = self.clock.now();
        let source = Source::local("user.sock", "", portfolio.uid);
        let budgets = self.own_budgets(portfolio.uid);
        let candidates = match typed {
            Typed::Code(code) => {
                let counts = self.without_time(methods);
                if counts.len() < methods.len()
                    && !portfolio.factors.iter().any(|f| counts.contains(&f.method()))
                {
                    return Err(clock_is_off());
                }
                let prepared = self.prepare(portfolio, code, &counts, now)?.into_iter();
                let steps = prepared.filter_map(|p| p.matched.map(|matched| (p.factor, matched)));
                steps.map(|(factor, matched)| Candidate::Step { factor, matched }).collect()
            }
            Typed::Spare(code) => {
                let found = self.find_spare(Some(portfolio.account), code, &budgets, recovery, now).await?;
                found.map(Candidate::Spare).into_iter().collect()
            }
        };
        let account = Some(portfolio.account);
        let attempt = Attempt { account, candidates, budgets, source, began: now, now, event, subject };
        Ok(proof::settle(self.store.as_ref(), attempt).await?)
    }

    /// What failures of a uid for its own account are charged to on `user.sock`: delays and a stop, as with the first factor
    /// known. Whoever guesses there can lock only themselves out of it.
    pub(super) fn own_budgets(&self, uid: u32) -> Vec<Budget> {
        vec![Budget { account: Account::Own(uid), rule: self.in_force().config.limits.user() }]
    }

    /// What failures are charged to while the first factor is not known: the source, and all sources of the user
    /// together.
    pub(super) fn unproven_budgets(&self, source: Source, account: Option<AccountId>) -> Vec<Budget> {
        let force = self.in_force();
        let limits = &force.config.limits;
        let of_source = Budget { account: Account::Source(source), rule: limits.source() };
        let of_user = account.map(|id| Budget { account: Account::Unproven(id), rule: limits.unproven() });
        std::iter::once(of_source).chain(of_user).collect()
    }
}
