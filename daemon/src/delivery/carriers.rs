//! Providers in the order of the configuration: the next is asked where the one before could not, or would not for reasons
//! of its own. The message is the same, so that one that comes twice harms nobody.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    Attempt, Message, Outcome, Phone, Refusal,
    breaker::Breaker,
    credential::Credentials,
    http, program, short,
    speech::{self, Speech},
};
use crate::{
    clock::{Clock, Timestamp},
    config::{
        Config, Preset, Provider,
        preset::{Auth, Recipe},
    },
    engine::policy::Method,
};

/// Attempts for one message, and the time for all of them.
const ATTEMPTS: usize = 3;
const WHOLE: Duration = Duration::from_secs(20);
/// The longest wait that a provider may ask for before it is asked again at once.
const SHORT: Duration = Duration::from_secs(3);
/// Messages that are given away at the same time.
const PLACES: usize = 16;

/// Everybody who carries messages, and what is known of them.
pub(super) struct Carriers {
    clock: Arc<dyn Clock>,
    credentials: Credentials,
    breakers: Mutex<BTreeMap<String, Breaker>>,
    last: Mutex<BTreeMap<String, (i64, &'static str)>>,
    places: Semaphore,
}

/// A provider with its preset and what it does with a message.
struct Carrier<'a> {
    provider: &'a Provider,
    preset: &'a Preset,
    recipe: &'a Recipe,
}

impl Carriers {
    pub(super) fn new(clock: Arc<dyn Clock>, credentials: Credentials) -> Self {
        let places = Semaphore::const_new(PLACES);
        Self { clock, credentials, breakers: Mutex::default(), last: Mutex::default(), places }
    }

    /// Gives a message to the first that takes it. What each said, in order.
    pub(super) async fn send(&self, config: &Config, to: &Phone, message: &Message) -> Vec<Attempt> {
        let Ok(_place) = self.places.try_acquire() else {
            return vec![Attempt::new("", Outcome::Unavailable { why: "busy", after: None })];
        };
        let until = Instant::now() + WHOLE;
        let mut attempts: Vec<Attempt> = Vec::new();
        for carrier in self.order(config, message.by) {
            let mut again = true;
            while again && attempts.len() < ATTEMPTS && Instant::now() < until {
                again = false;
                let attempt = self.attempt(&carrier, config, to, message).await;
                let outcome = attempt.outcome;
                attempts.push(attempt);
                match outcome {
                    // Taken; or wrong for whoever is asked.
                    Outcome::Accepted | Outcome::Rejected(Refusal::Destination | Refusal::OptedOut) => {
                        return attempts;
                    }
                    Outcome::Unavailable { after: Some(wait), .. }
                        if wait <= SHORT && attempts.len() < ATTEMPTS && Instant::now() + wait < until =>
                    {
                        let retried = attempts
                            .iter()
                            .filter(|attempt| attempt.provider == carrier.provider.name)
                            .count()
                            > 1;
                        if !retried {
                            tokio::time::sleep(wait).await;
                            again = true;
                        }
                    }
                    Outcome::Rejected(Refusal::Account | Refusal::Content | Refusal::Region)
                    | Outcome::Unavailable { .. }
                    | Outcome::Unknown => {}
                }
                // Perhaps it was sent: one other is asked, no more.
                if attempts.iter().filter(|attempt| attempt.outcome == Outcome::Unknown).count() > 1 {
                    return attempts;
                }
            }
        }
        attempts
    }

    /// Gives a message to one, whatever is known of it.
    pub(super) async fn send_by(
        &self,
        config: &Config,
        name: &str,
        to: &Phone,
        message: &Message,
    ) -> Option<Attempt> {
        let carrier = carriers(config, message.by).find(|carrier| carrier.provider.name == name)?;
        Some(self.attempt(&carrier, config, to, message).await)
    }

    async fn attempt(
        &self,
        carrier: &Carrier<'_>,
        config: &Config,
        to: &Phone,
        message: &Message,
    ) -> Attempt {
        let Carrier { provider, preset, recipe } = *carrier;
        let begun = self.clock.uptime().since;
        self.breaker(&provider.name, |breaker| breaker.begin(begun));
        let attempt = match self.values(carrier, config, to, message) {
            None => Attempt::new(&provider.name, Outcome::Unavailable { why: "no-credential", after: None }),
            Some(values) => match recipe {
                Recipe::Program(run) => {
                    program::run(&provider.name, &provider.origin(preset, &run.path), &values).await
                }
                Recipe::Http(http) => {
                    match http::prepare((provider, preset), http, &values, self.clock.now()) {
                        Err(why) => {
                            tracing::error!(provider = provider.name, why, "no request can be made");
                            Attempt::new(&provider.name, Outcome::Rejected(Refusal::Account))
                        }
                        Ok(prepared) => {
                            let (provider, http) = (provider.clone(), http.clone());
                            let name = provider.name.clone();
                            let sending =
                                tokio::task::spawn_blocking(move || http::send(&provider, &http, prepared));
                            sending.await.unwrap_or_else(|_| Attempt::new(&name, Outcome::Unknown))
                        }
                    }
                }
            },
        };
        let now = self.clock.uptime().since;
        self.breaker(&provider.name, |breaker| breaker.note(&attempt.outcome, begun, now));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(provider.name.clone(), (self.clock.now().secs(), attempt.outcome.word()));
        drop(last);
        let Attempt { provider, outcome, status, code, id } = &attempt;
        tracing::info!(
            provider,
            outcome = outcome.word(),
            status,
            code,
            id,
            to = to.masked(),
            by = message.by.name(),
            "sent"
        );
        if matches!(outcome, Outcome::Rejected(Refusal::Account)) {
            tracing::error!(
                provider,
                status,
                code,
                "this provider does not welcome us: credentials, credit, or a setting"
            );
        }
        attempt
    }

    fn breaker(&self, name: &str, with: impl FnOnce(&mut Breaker)) {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        with(breakers.entry(name.to_owned()).or_default());
    }

    /// Those that may be asked now, in order; if none may, the one that failed longest ago: a wait is better than a door that
    /// stays shut.
    fn order<'a>(&self, config: &'a Config, by: Method) -> Vec<Carrier<'a>> {
        let (now, breakers) =
            (self.clock.uptime().since, self.breakers.lock().unwrap_or_else(PoisonError::into_inner));
        let breaker =
            |carrier: &Carrier<'_>| breakers.get(&carrier.provider.name).copied().unwrap_or_default();
        let open: Vec<Carrier<'a>> =
            carriers(config, by).filter(|carrier| breaker(carrier).allows(now)).collect();
        if !open.is_empty() {
            return open;
        }
        let shut = carriers(config, by).filter(|carrier| !breaker(carrier).account);
        shut.min_by_key(|carrier| breaker(carrier).last_failure()).into_iter().collect()
    }

    fn values(
        &self,
        carrier: &Carrier<'_>,
        config: &Config,
        to: &Phone,
        message: &Message,
    ) -> Option<http::Values> {
        let secret = match &carrier.provider.secret {
            None => String::new(),
            Some(name) => self.credentials.get(name)?.expose().clone(),
        };
        Some(values(carrier, config, (to, message), secret, self.clock.now()))
    }

    /// What a provider would be sent, without its secret.
    pub(super) fn rendered(
        &self,
        config: &Config,
        name: &str,
        to: &Phone,
        message: &Message,
    ) -> Option<Vec<String>> {
        let carrier = carriers(config, message.by).find(|carrier| carrier.provider.name == name)?;
        let values = values(&carrier, config, (to, message), "********".to_owned(), self.clock.now());
        let Carrier { provider, preset, recipe } = carrier;
        Some(match recipe {
            Recipe::Program(run) => {
                vec![provider.origin(preset, &run.path), program::input(&values).to_string()]
            }
            Recipe::Http(http) => {
                let http::Prepared { verb, url, headers, body } =
                    http::unsigned(provider, preset, http, &values);
                let mut lines = vec![format!("{} {url}", verb.name())];
                lines.extend(headers.into_iter().map(|(name, value)| format!("{name}: {value}")));
                lines.extend(match &http.auth {
                    Auth::None => None,
                    Auth::Header { name, .. } => Some(format!("{name}: ********")),
                    Auth::Basic { .. } | Auth::Bearer | Auth::JwtRs256 { .. } | Auth::Sigv4 { .. } => {
                        Some("authorization: ********".to_owned())
                    }
                });
                lines.extend(body);
                lines
            }
        })
    }

    /// What is known of each, in order.
    pub(super) fn health(&self, config: &Config) -> Vec<super::Health> {
        let now = self.clock.uptime().since;
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |provider: &Provider| {
            let breaker = breakers.get(&provider.name).copied().unwrap_or_default();
            let problem = match &provider.secret {
                Some(secret) if self.credentials.get(secret).is_none() => {
                    format!("there is no credential \"{secret}\" that only root can read")
                }
                Some(_) | None => String::new(),
            };
            let seen = last.get(&provider.name);
            super::Health {
                name: provider.name.clone(),
                preset: provider.preset.clone(),
                open_for: breaker.open_for(now),
                last: seen.map(|(time, word)| (*time, (*word).to_owned())),
                problem,
            }
        };
        config.provider.iter().map(of).collect()
    }

    /// Whether each is left alone now.
    pub(super) fn breakers(&self, config: &Config) -> Vec<(String, bool)> {
        let now = self.clock.uptime().since;
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |name: &String| breakers.get(name).is_some_and(|breaker| breaker.open_for(now).is_some());
        config.provider.iter().map(|provider| (provider.name.clone(), open(&provider.name))).collect()
    }
}

fn carriers(config: &Config, by: Method) -> impl Iterator<Item = Carrier<'_>> {
    config.provider.iter().filter_map(move |provider| {
        let (preset, recipe) = config.recipe(provider, by)?;
        Some(Carrier { provider, preset, recipe })
    })
}

fn values(
    carrier: &Carrier<'_>,
    config: &Config,
    (to, message): (&Phone, &Message),
    secret: String,
    now: Timestamp,
) -> http::Values {
    let Carrier { provider, preset, .. } = carrier;
    let lifetime = message.lifetime;
    let language = config.codes.language;
    let speech = if message.by == Method::Call { Some(speech::of(language, message)) } else { None };
    let ring = config.call.ring;
    let spoken = |form: fn(&Speech) -> &String| speech.as_ref().map(form).cloned().unwrap_or_default();
    let own = [
        ("to", to.as_str().to_owned()),
        ("to_digits", to.digits().to_owned()),
        ("to_00", format!("00{}", to.digits())),
        ("from", provider.from.clone().unwrap_or_default()),
        ("user", provider.user.clone().unwrap_or_default()),
        ("secret", secret),
        ("text", short::text(language, message)),
        ("id", message.id.clone()),
        ("ttl", lifetime.as_secs().to_string()),
        ("ttl_min", lifetime.as_secs().div_ceil(60).to_string()),
        ("ttl_ms", lifetime.as_millis().to_string()),
        ("expires_at", now.after(lifetime).rfc_3339()),
        ("lang", String::from(language)),
        ("language", language.texts().call.language.clone()),
        ("language_lower", language.texts().call.language.to_ascii_lowercase()),
        ("speech", spoken(|speech| &speech.plain)),
        ("ssml", spoken(|speech| &speech.ssml)),
        ("twiml", spoken(|speech| &speech.twiml)),
        ("digits", spoken(|speech| &speech.digits)),
        ("ring", ring.as_secs().to_string()),
        ("ring_ms", ring.as_millis().to_string()),
    ];
    let given = preset.values.keys().filter_map(|name| Some((name.clone(), provider.value(preset, name)?)));
    given.chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
}
