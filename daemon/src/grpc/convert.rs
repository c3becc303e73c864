//! Domain to contract.

use twinlock_proto::v1;

use super::{Ports, policy::Place, status::Undecided};
use crate::{
    accounts::Account,
    clock::Timestamp,
    engine::{
        policy::{Because, Requirement},
        throttle::{Account as Charged, Budget, Standing},
    },
    store::{ContactRecord, FactorRecord, Portfolio},
};

pub(super) fn requirement(requirement: Requirement) -> v1::Requirement {
    match requirement {
        Requirement::Required => v1::Requirement::Required,
        Requirement::Optional => v1::Requirement::Optional,
        Requirement::Off => v1::Requirement::Off,
    }
}

pub(super) fn because(because: Vec<Because>) -> Vec<v1::Because> {
    because.into_iter().map(|Because { rule, effect }| v1::Because { rule, effect }).collect()
}

pub(super) fn factor(record: &FactorRecord) -> v1::Factor {
    v1::Factor {
        id: record.id.0.clone(),
        kind: record.kind.name().to_owned(),
        label: record.label.clone(),
        active: record.active,
        created: record.created.secs(),
        last_used: record.last_used.map(Timestamp::secs),
        serial: record.serial.clone().unwrap_or_default(),
        resync_required: record.resync_required,
    }
}

pub(super) fn contact(record: &ContactRecord) -> v1::Contact {
    let (kind, masked) = (record.kind.name().to_owned(), record.masked.clone());
    v1::Contact { kind, masked, verified: record.verified }
}

impl Ports {
    /// An account as its owner and administrators see it. `portfolio` is what the store has of it.
    pub(super) async fn describe(
        &self,
        account: &Account,
        portfolio: Option<&Portfolio>,
    ) -> Result<v1::Account, Undecided> {
        let force = self.in_force();
        let decision = self.decide(&force, account, portfolio, Place::default());
        let at = |service: &str| {
            let place = Place { service: Some(service), address: None };
            let there = self.decide(&force, account, portfolio, place).requirement;
            v1::ServiceRequirement { service: service.to_owned(), requirement: requirement(there).into() }
        };
        let flags = portfolio.map(|portfolio| &portfolio.flags);
        let exempt =
            flags.and_then(|flags| flags.exempt.as_ref()).filter(|(until, _)| self.clock.now() < *until);
        let standing = match portfolio {
            Some(portfolio) => {
                let rule = self.in_force().config.limits.user();
                let of = [Charged::User(portfolio.account), Charged::Own(portfolio.uid)];
                let budgets = of.map(|account| Budget { account, rule }).to_vec();
                self.store.standing(budgets, self.clock.now()).await?
            }
            None => Standing::Open,
        };
        Ok(v1::Account {
            user: account.name.clone(),
            uid: account.uid,
            requirement: requirement(decision.requirement).into(),
            requirements: force.rules.services().into_iter().map(at).collect(),
            enrolled: portfolio.is_some_and(Portfolio::enrolled),
            throttled_until: match standing {
                Standing::Until(until) => Some(until.secs()),
                Standing::Open | Standing::Stopped => None,
            },
            stopped: standing == Standing::Stopped,
            factors: portfolio.map(|p| p.factors.iter().map(factor).collect()).unwrap_or_default(),
            contacts: portfolio.map(|p| p.contacts.iter().map(contact).collect()).unwrap_or_default(),
            recovery_codes_left: portfolio.map_or(0, |portfolio| portfolio.recovery_left),
            failures_since_success: portfolio.map_or(0, |portfolio| portfolio.failures),
            because: because(decision.because.clone()),
            preferred: portfolio.and_then(|portfolio| portfolio.preferred.clone()).unwrap_or_default(),
            required_by_administrator: flags.is_some_and(|flags| flags.required),
            exempt_until: exempt.map(|(until, _)| until.secs()),
            enrollment_open_until: flags
                .and_then(|flags| flags.enroll_until)
                .filter(|until| self.clock.now() < *until)
                .map(Timestamp::secs),
            would_deny: decision.would_deny(),
            exempt_reason: exempt.map(|(_, reason)| reason.clone()).unwrap_or_default(),
        })
    }
}
