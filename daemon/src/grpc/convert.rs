//! Domain to contract.

use twinlock_proto::v1;

use super::{Ports, status::Undecided};
use crate::{
    accounts::Account,
    engine::{
        policy::{self, Because, Requirement},
        throttle::{Account as Charged, Budget, Standing},
    },
    store::{FactorRecord, Portfolio},
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
        kind: "totp".to_owned(),
        label: record.label.clone(),
        active: record.active,
        created: record.created.secs(),
        last_used: record.last_used.map(crate::clock::Timestamp::secs),
    }
}

impl Ports {
    /// An account as its owner and administrators see it. `portfolio` is what the store has of it.
    pub(super) async fn describe(
        &self,
        account: &Account,
        portfolio: Option<&Portfolio>,
    ) -> Result<v1::Account, Undecided> {
        let enrolled = portfolio.is_some_and(Portfolio::enrolled);
        let directory_failed = account.groups.is_none();
        let decision = policy::decide(policy::Facts { service: "", enrolled, directory_failed });
        let standing = match portfolio {
            Some(portfolio) => {
                let budget =
                    Budget { account: Charged::User(portfolio.account), rule: self.config.limits.user() };
                self.store.standing(vec![budget], self.clock.now()).await?
            }
            None => Standing::Open,
        };
        Ok(v1::Account {
            user: account.name.clone(),
            uid: account.uid,
            requirement: requirement(decision.requirement).into(),
            requirements: Vec::new(),
            enrolled,
            throttled_until: match standing {
                Standing::Until(until) => Some(until.secs()),
                Standing::Open | Standing::Stopped => None,
            },
            stopped: standing == Standing::Stopped,
            factors: portfolio.map(|p| p.factors.iter().map(factor).collect()).unwrap_or_default(),
            contacts: Vec::new(),
            recovery_codes_left: portfolio.map_or(0, |portfolio| portfolio.recovery_left),
            failures_since_success: portfolio.map_or(0, |portfolio| portfolio.failures),
            because: because(decision.because),
            preferred: portfolio.and_then(|portfolio| portfolio.preferred.clone()).unwrap_or_default(),
        })
    }
}
