//! Tells systemd's watchdog that logins are served, for as long as they are: each time after a request of our own came in by the
//! socket of logins and went through the store. No look-up of a user and no provider has a part in it: one that is slow is no
//! reason to start again.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::Channel;
use twinlock_proto::{
    connect::channel,
    v1::{BeatRequest, pulse_client::PulseClient},
};

/// Signs of life within the time after which systemd starts another daemon.
const SIGNS: u32 = 3;

/// Until it is dropped; at once, and for ever silent, where systemd wants no sign of life.
pub(super) async fn keep(login: PathBuf) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = interval(patience / SIGNS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(patience / SIGNS, beat(&login)).await {
            Ok(Ok(())) => {
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            }
            Ok(Err(error)) => tracing::error!("{}: {error}: logins are not served", login.display()),
            Err(_) => late(patience),
        }
    }
}

fn late(patience: Duration) {
    tracing::error!(
        "a request of twinlockd to itself was not answered: if that goes on, systemd starts another one within {} s",
        patience.as_secs()
    );
}

/// One request.
async fn beat(login: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut pulse: PulseClient<Channel> = PulseClient::new(channel(login).await?);
    pulse.beat(BeatRequest {}).await?;
    Ok(())
}
