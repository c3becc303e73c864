//! The configuration in force, and what its rules say of an account.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, PoisonError},
};

use super::Ports;
use crate::{
    accounts::Account,
    config::{Config, Preset},
    engine::{
        clock_guard::Trust,
        policy::{self, Decision, Facts, Flags, Ids, Method, Named, Rules},
    },
    store::{ContactRecord, FactorRecord, Portfolio, StoreError},
};

/// A configuration, made ready for use. Whoever begins with one goes on with it.
#[derive(Debug)]
pub struct InForce {
    /// As it was read.
    pub config: Config,
    /// Roles and exemptions.
    pub rules: Rules,
    /// Every name that they use.
    pub named: Named,
    /// Where it is from, for `daemon status`.
    pub origin: String,
    /// What authenticator apps show.
    pub issuer: String,
    /// The name of this host, in messages.
    pub host: String,
    /// Every preset that there is.
    pub presets: BTreeMap<String, Preset>,
    /// The picture on the enrollment page; empty: none.
    pub logo: Vec<u8>,
}

impl InForce {
    /// `ids` is what the names of its rules mean now: exemptions are for those, and for nobody who has the name later.
    #[must_use]
    pub fn new(config: Config, origin: String, host: &str, ids: &Ids) -> Self {
        let mut rules = config.rules();
        rules.pin(ids);
        let issuer = config.issuer.clone().unwrap_or_else(|| host.to_owned());
        let presets = config.preset.clone();
        Self {
            named: rules.named(),
            config,
            rules,
            origin,
            issuer,
            host: host.to_owned(),
            presets,
            logo: Vec::new(),
        }
    }

    /// With presets that no provider names.
    #[must_use]
    pub fn with_presets(mut self, presets: BTreeMap<String, Preset>) -> Self {
        self.presets.extend(presets);
        self
    }
}

impl InForce {
    /// The ways by which a code can come to a contact now: none, if it does not count.
    pub(super) fn ways(&self, contact: &ContactRecord) -> Vec<Method> {
        if contact.verified { self.config.ways(contact.kind, contact.line.as_ref()) } else { Vec::new() }
    }
}

/// Where a login happens, as far as that is known and believed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) address: Option<IpAddr>,
}

impl Ports {
    /// The configuration of now.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in force. Logins that are going on keep theirs.
    pub fn put_in_force(&self, next: InForce) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// Remembers since when the rules in force let people enroll at their login: from now on for those that are new.
    ///
    /// # Errors
    ///
    /// When the store fails: then those are not open.
    pub async fn note_openings(&self) -> Result<(), StoreError> {
        let enrolling = self.in_force().rules.enrolling();
        let known = self.store.openings().await?;
        let new: Vec<_> = enrolling.into_iter().filter(|role| !known.contains_key(role)).collect();
        // A time that is not believed opens nothing.
        if !new.is_empty() && self.trust_in_clock() == Trust::Believed {
            self.store.first_seen(new, self.clock.now()).await?;
        } else if !new.is_empty() {
            tracing::warn!(rules = new.join(", "), "nobody enrolls by these until the clock is believed");
        }
        let openings = Arc::new(self.store.openings().await?);
        *self.openings.write().unwrap_or_else(PoisonError::into_inner) = openings;
        Ok(())
    }

    /// What the rules say of an account at a place.
    pub(super) fn decide(
        &self,
        force: &InForce,
        account: &Account,
        portfolio: Option<&Portfolio>,
        place: Place<'_>,
    ) -> Decision {
        let kinds = |active: bool| -> Vec<Method> {
            let of = portfolio.iter().flat_map(|portfolio| &portfolio.factors);
            of.filter(|factor| factor.active == active).map(FactorRecord::method).collect()
        };
        let contacts = portfolio.iter().flat_map(|portfolio| &portfolio.contacts);
        let mut methods = kinds(true);
        for contact in contacts.filter(|contact| contact.verified) {
            // One that nothing can be sent to now is no way in, and no way around either: its owner is asked in vain.
            methods.extend(contact.kind.methods(contact.line.as_ref()));
        }
        let (pending, none) = (kinds(false), Flags::default());
        let openings = Arc::clone(&self.openings.read().unwrap_or_else(PoisonError::into_inner));
        policy::decide(
            &force.rules,
            &Facts {
                service: place.service,
                user: &account.name,
                uid: account.uid,
                groups: account.groups.as_deref(),
                ids: account.ids.as_ref(),
                address: place.address,
                methods: &methods,
                pending: &pending,
                bypass: portfolio.is_some_and(|portfolio| portfolio.bypass),
                flags: portfolio.map_or(&none, |portfolio| &portfolio.flags),
                openings: &openings,
                now: self.clock.now(),
                clock_believed: self.trust_in_clock() == Trust::Believed,
            },
        )
    }
}
