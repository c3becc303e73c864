//! Figures for Prometheus, in the text that node_exporter's textfile collector reads. No name of a user, no address and
//! nothing that a provider said is in them: what is not of a closed list, or of the configuration, is no label.

mod board;

use prometheus::{Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

pub use board::Board;

use crate::{
    audit::{Event, Outcome},
    clock::Timestamp,
    store::{Census, Tally},
};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// When the daemon started.
    pub started: Timestamp,
    /// How much there is of everything.
    pub census: Census,
    /// How often each thing happened.
    pub tallies: Vec<Tally>,
    /// Whether the clock is believed.
    pub clock_believed: bool,
    /// The files are broken, and the last good configuration is in force.
    pub last_good: bool,
    /// The providers by name, and whether one is left alone because it failed.
    pub providers: Vec<(String, bool)>,
}

/// The figures as text.
///
/// # Errors
///
/// Never for figures that differ only in their values: a test sees to it.
pub fn render(figures: &Figures) -> Result<Vec<u8>, prometheus::Error> {
    let Figures { started, census, tallies, clock_believed, last_good, providers } = figures;
    let registry = Registry::new();
    for (name, help, value) in [
        ("start_time_seconds", "When twinlockd was started, since 1970.", started.secs()),
        ("accounts", "Accounts that have factors, or had.", census.accounts.into()),
        ("accounts_enrolled", "Accounts with a factor, or a contact, that counts.", census.enrolled.into()),
        (
            "accounts_throttled",
            "Accounts that have to wait, or for an administrator.",
            census.throttled.into(),
        ),
        (
            "clock_believed",
            "1: the clock of this host is believed; 0: time codes are refused.",
            (*clock_believed).into(),
        ),
        (
            "configuration_last_good",
            "1: the files are broken, and the last good configuration is in force.",
            (*last_good).into(),
        ),
        ("store_size_bytes", "Size of the store's file.", i64::try_from(census.bytes).unwrap_or(i64::MAX)),
    ] {
        gauge(&registry, name, help, value)?;
    }
    if let Some((version, made)) = census.data_key {
        gauge(
            &registry,
            "data_key_version",
            "Version of the data key that seals new secrets.",
            version.into(),
        )?;
        gauge(
            &registry,
            "data_key_created_timestamp_seconds",
            "When that key was made, since 1970.",
            made.secs(),
        )?;
    }
    let backup =
        tallies.iter().find(|tally| is(tally, Event::Backup) && tally.outcome == Outcome::Granted.name());
    if let Some(backup) = backup {
        let help = "When the last backup was taken, since 1970.";
        gauge(&registry, "last_backup_timestamp_seconds", help, backup.last.secs())?;
    }
    count_events(&registry, tallies)?;
    let open = IntGaugeVec::new(
        options("provider_breaker_open", "1: not asked for a while, because it failed."),
        &["provider"],
    )?;
    registry.register(Box::new(open.clone()))?;
    for (name, is_open) in providers {
        open.with_label_values(&[name]).set((*is_open).into());
    }
    let build = IntGaugeVec::new(options("build_info", "Always 1."), &["version"])?;
    registry.register(Box::new(build.clone()))?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

/// Logins and messages by themselves, because they are what one looks at; each entry of the trail is counted in one of three.
fn count_events(registry: &Registry, tallies: &[Tally]) -> Result<(), prometheus::Error> {
    let family = |name: &str, help: &str, labels: &[&str]| {
        let family = IntCounterVec::new(options(name, help), labels)?;
        registry.register(Box::new(family.clone()))?;
        Ok::<_, prometheus::Error>(family)
    };
    let by_method = ["method", "outcome"];
    let logins = family("logins_total", "Logins, and wrong codes at their prompts.", &by_method)?;
    let messages =
        family("messages_total", "Codes given to providers and mail servers, or refused.", &by_method)?;
    let others =
        family("events_total", "Everything else in the audit trail.", &["event", "method", "outcome"])?;
    for tally in tallies {
        let Tally { event, method, outcome, n, last: _ } = tally;
        if is(tally, Event::Login) {
            logins.with_label_values(&[method, outcome]).inc_by(*n);
        } else if is(tally, Event::Send) {
            messages.with_label_values(&[method, outcome]).inc_by(*n);
        } else {
            others.with_label_values(&[event, method, outcome]).inc_by(*n);
        }
    }
    Ok(())
}

fn is(tally: &Tally, event: Event) -> bool {
    tally.event == event.name()
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("twinlock")
}

fn gauge(registry: &Registry, name: &str, help: &str, value: i64) -> Result<(), prometheus::Error> {
    let gauge = IntGauge::with_opts(options(name, help))?;
    gauge.set(value);
    registry.register(Box::new(gauge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(event: &str, method: &str, outcome: &str, n: u64) -> Tally {
        let [event, method, outcome] = [event, method, outcome].map(str::to_owned);
        Tally { event, method, outcome, n, last: Timestamp::from_secs(1_700_000_500) }
    }

    fn figures() -> Figures {
        Figures {
            started: Timestamp::from_secs(1_700_000_000),
            census: Census {
                accounts: 3,
                enrolled: 2,
                throttled: 1,
                bytes: 4096,
                data_key: Some((4, Timestamp::from_secs(1_600_000_000))),
            },
            tallies: vec![
                tally("backup", "", "granted", 2),
                tally("login", "totp", "granted", 7),
                tally("login", "", "denied", 5),
                tally("send", "sms", "granted", 1),
            ],
            clock_believed: true,
            last_good: false,
            providers: vec![("main \"one\"".into(), true)],
        }
    }

    #[test]
    fn every_figure_has_its_type_and_stands_once() {
        let text = String::from_utf8(render(&figures()).unwrap()).unwrap();
        for line in [
            "# TYPE twinlock_logins_total counter",
            "twinlock_logins_total{method=\"totp\",outcome=\"granted\"} 7",
            "twinlock_logins_total{method=\"\",outcome=\"denied\"} 5",
            "twinlock_messages_total{method=\"sms\",outcome=\"granted\"} 1",
            "twinlock_events_total{event=\"backup\",method=\"\",outcome=\"granted\"} 2",
            "# TYPE twinlock_accounts gauge",
            "twinlock_accounts 3",
            "twinlock_accounts_enrolled 2",
            "twinlock_accounts_throttled 1",
            "twinlock_clock_believed 1",
            "twinlock_configuration_last_good 0",
            "twinlock_data_key_created_timestamp_seconds 1600000000",
            "twinlock_data_key_version 4",
            "twinlock_last_backup_timestamp_seconds 1700000500",
            "twinlock_start_time_seconds 1700000000",
            "twinlock_store_size_bytes 4096",
            "twinlock_provider_breaker_open{provider=\"main \\\"one\\\"\"} 1",
            concat!("twinlock_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}: {text}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let census = Census { data_key: None, ..figures().census };
        let bare = Figures { census, tallies: Vec::new(), providers: Vec::new(), ..figures() };
        let text = String::from_utf8(render(&bare).unwrap()).unwrap();
        for absent in ["backup", "data_key", "logins", "provider"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
    }
}
