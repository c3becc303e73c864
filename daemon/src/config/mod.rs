//! The configuration: `twinlock.toml` and its drop-ins. Reading has no side effects; what is wrong comes back as
//! findings that name the place and the remedy.

mod account;
mod audit;
mod codes;
mod email;
mod enrollment;
mod finding;
mod hotp;
mod limits;
mod load;
mod metrics;
mod policy;
pub mod preset;
mod provider;
mod recovery;
mod telephone;
mod totp;
mod web;

pub use account::Account;
pub use audit::{Audit, Retention};
pub use codes::Codes;
pub use email::{Email, Tls, Transport};
pub use enrollment::{Enrollment, LoginQr};
pub use finding::{Finding, Severity};
pub use hotp::Hotp;
pub use limits::Limits;
pub use load::{DEFAULT_FILE, LastGood, Origin, Outcome, Source, evaluate, load, presets};
pub use metrics::Metrics;
pub use policy::{Exempt, Role};
pub use preset::Preset;
pub use provider::{Provider, SHIPPED, is_local};
pub use recovery::Recovery;
pub use telephone::{Call, Sms};
pub use totp::Totp;
pub use web::Web;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::engine::{
    delivery::{ContactKind, Limits as SendingLimits, Line, MEMORY},
    policy::{Method, Rules},
    throttle::Window,
};
use preset::Recipe;

const HOUR: Duration = Duration::from_secs(3600);

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Shown in authenticator apps; the host name if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Time-based codes.
    pub totp: Totp,
    /// Counter-based codes.
    pub hotp: Hotp,
    /// How many failures, how long to wait.
    pub limits: Limits,
    /// Recovery codes.
    pub recovery: Recovery,
    /// Codes that are sent.
    pub codes: Codes,
    /// The mail server that codes go through.
    pub email: Email,
    /// Which telephones codes are sent to.
    pub sms: Sms,
    /// Which telephones are called.
    pub call: Call,
    /// How people come to their first factor.
    pub enrollment: Enrollment,
    /// The enrollment page.
    pub web: Web,
    /// PAM's account phase.
    pub account: Account,
    /// The trail.
    pub audit: Audit,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Who needs a second factor where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
    /// Who is let in without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<Exempt>,
    /// Who carries messages, in the order that they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provider: Vec<Provider>,
    /// How they are spoken to: those of the folders that a provider names, and any that stand here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub preset: BTreeMap<String, Preset>,
}

impl Config {
    /// What the types cannot say: ranges, and keys that contradict each other.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let Self {
            issuer,
            totp,
            hotp,
            limits,
            recovery,
            codes,
            email,
            sms,
            call,
            enrollment,
            web,
            audit,
            metrics,
            role,
            provider,
            preset,
            ..
        } = self;
        let mut findings = Vec::new();
        if let Some(issuer) = issuer
            && (issuer.is_empty() || issuer.len() > 64 || issuer.chars().any(char::is_control))
        {
            findings.push(Finding::error(
                "issuer",
                "is empty, longer than 64 bytes or not printable",
                "write a short name",
            ));
        }
        totp.check(&mut findings);
        hotp.check(&mut findings);
        limits.check(&mut findings);
        recovery.check(&mut findings);
        codes.check(&mut findings);
        email.check(&mut findings);
        sms.check(&mut findings);
        call.check(&mut findings);
        enrollment.check(&mut findings);
        web.check(&mut findings);
        audit.check(&mut findings);
        metrics.check(&mut findings);
        provider::check(provider, preset, &mut findings);
        for (method, regions) in [(Method::Sms, &sms.regions), (Method::Call, &call.regions)] {
            let carried = provider.iter().any(|provider| self.recipe(provider, method).is_some());
            let (table, nobody) = (method.name(), "is for nothing: no [[provider]] carries that");
            if !regions.is_empty() && !carried {
                findings.push(Finding::warning(
                    &format!("{table}.regions"),
                    nobody,
                    "add a [[provider]] that does",
                ));
            } else if regions.is_empty() && carried && method == Method::Sms {
                let sentence = "carries nothing by SMS: there are no regions";
                findings.push(Finding::warning(
                    "provider",
                    sentence,
                    "write regions in [sms], or channels = [\"call\"]",
                ));
            }
        }
        policy::check_together(role, &mut findings);
        policy::check_links(role, (web.url.is_some(), email.from.is_some()), &mut findings);
        findings
    }

    /// The same for each role and exemption by itself.
    #[must_use]
    pub fn check_entries(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        policy::check_each(&self.role, &self.exempt, &mut findings);
        findings
    }

    /// The ways by which a code can reach a contact now.
    #[must_use]
    pub fn ways(&self, kind: ContactKind, line: Option<&Line>) -> Vec<Method> {
        let open = |method: &Method| match method {
            Method::Email => self.email.from.is_some(),
            Method::Sms | Method::Call => {
                line.is_some_and(|line| self.admits(*method, line).is_ok())
                    && self.provider.iter().any(|provider| self.recipe(provider, *method).is_some())
            }
            Method::Totp | Method::Hotp => false,
        };
        kind.methods(line).iter().copied().filter(open).collect()
    }

    /// Whether codes may be sent to a telephone by this method.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn admits(&self, method: Method, line: &Line) -> Result<(), String> {
        match method {
            Method::Call => self.call.admits(line),
            Method::Sms | Method::Totp | Method::Hotp | Method::Email => self.sms.admits(line),
        }
    }

    /// How a provider carries messages of this kind, if it does.
    #[must_use]
    pub fn recipe(&self, provider: &Provider, method: Method) -> Option<(&Preset, &Recipe)> {
        let preset = self.preset.get(&provider.preset)?;
        let wanted = provider.channels.as_ref().is_none_or(|channels| channels.contains(&method));
        let recipe = if wanted { preset.recipe(method) } else { None };
        recipe.map(|recipe| (preset, recipe))
    }

    /// How many codes may be sent.
    #[must_use]
    pub fn sending_limits(&self) -> SendingLimits {
        let Codes { per_hour, per_day, region_per_hour, all_per_hour, all_per_day, .. } = self.codes;
        let hour = |failures| Window { failures, within: HOUR };
        let day = |failures| Window { failures, within: MEMORY };
        SendingLimits {
            user: [hour(per_hour), day(per_day)],
            source: hour(per_hour.saturating_mul(2)),
            region: hour(region_per_hour),
            calls: day(self.call.per_day),
            all_calls: [hour(self.call.all_per_hour), day(self.call.all_per_day)],
            all: [hour(all_per_hour), day(all_per_day)],
        }
    }

    /// The rules that roles and exemptions make.
    #[must_use]
    pub fn rules(&self) -> Rules {
        policy::rules(&self.role, &self.exempt)
    }
}
