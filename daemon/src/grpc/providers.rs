//! Who carries messages: what is known of them, and trying them.

use twinlock_proto::v1::{self, ProviderTest, Providers, TestProviderRequest};

use super::{Ports, contact_enrollment, self_service::seconds, status::Undecided};
use crate::{
    access::Administrator,
    audit,
    delivery::{EMAIL, Health, Message, Outcome, Text},
    engine::policy::Method,
    names::printable,
};

impl Ports {
    /// All of them, in the order that they are asked.
    pub(super) async fn providers(&self, _by: &Administrator) -> Providers {
        let force = self.in_force();
        let described = |health: Health| v1::Provider {
            name: health.name,
            preset: health.preset,
            open_for_s: health.open_for.map_or(0, |wait| seconds(Some(wait))),
            last_used: health.last.as_ref().map(|(time, _)| *time),
            last_outcome: health.last.map(|(_, word)| word).unwrap_or_default(),
            problem: health.problem,
        };
        let providers = self.channels.health(&force.config).await.into_iter().map(described).collect();
        let presets = force.presets.iter().map(|(name, preset)| v1::Preset {
            name: name.clone(),
            about: preset.about.clone(),
            verified_live: preset.verified_live.clone().unwrap_or_default(),
        });
        Providers { providers, presets: presets.collect() }
    }

    /// Has one carry a message that says that it is a test. Countries and kinds of lines count here too.
    pub(super) async fn test_provider(
        &self,
        by: &Administrator,
        request: &TestProviderRequest,
    ) -> Result<ProviderTest, Undecided> {
        let force = self.in_force();
        let method = match (request.name.as_str(), request.call) {
            (EMAIL, false) => Method::Email,
            (_, false) => Method::Sms,
            (_, true) => Method::Call,
        };
        let to = contact_enrollment::parse(&request.to, method).await.map_err(Undecided::Conflict)?;
        if let Some(why) = to.line().and_then(|line| force.config.admits(method, line).err()) {
            return Err(Undecided::Conflict(format!("{} {why}; see regions", to.masked())));
        }
        let message = Message {
            id: self.message_id()?,
            to,
            by: method,
            text: Text::Test,
            host: force.host.clone(),
            user: String::new(),
            service: String::new(),
            rhost: String::new(),
            lifetime: force.config.codes.lifetime,
        };
        let unknown = || {
            Undecided::NotFound(format!(
                "there is no provider \"{}\" in the configuration that sends by {}",
                printable(&request.name, 32),
                method.name()
            ))
        };
        if request.dry_run {
            let lines = self.channels.rendered(&force.config, &request.name, &message).ok_or_else(unknown)?;
            return Ok(ProviderTest {
                lines,
                outcome: String::new(),
                accepted: false,
                status: 0,
                code: String::new(),
                id: String::new(),
            });
        }
        let attempt =
            self.channels.send_by(&force.config, &request.name, &message).await.ok_or_else(unknown)?;
        let subject = audit::Subject {
            actor: by.actor().to_owned(),
            claimed_by: by.claimed_by().to_owned(),
            ..audit::Subject::default()
        };
        self.told_of_attempt(subject, method, &attempt).await;
        Ok(ProviderTest {
            lines: Vec::new(),
            outcome: attempt.outcome.word().to_owned(),
            accepted: attempt.outcome == Outcome::Accepted,
            status: attempt.status.map_or(0, u32::from),
            code: attempt.code,
            id: attempt.id,
        })
    }
}
