//! Follows the daemon's configuration: reads what it says of the page, again and again, and publishes what changed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{daemon::Daemon, site::Site};

/// What is known of the page; `None` as long as nothing usable is.
pub type Known = Option<Arc<Site>>;

/// Reads and publishes.
pub struct Follower {
    daemon: Daemon,
    known: watch::Sender<Known>,
    /// What was logged last, so that it is said once.
    complaint: Option<String>,
    /// What the socket was bound to; `None` before, and where systemd passed it.
    bound: Option<String>,
}

impl Follower {
    /// Knows nothing yet.
    pub fn new(daemon: Daemon) -> (Self, watch::Receiver<Known>) {
        let (known, receiver) = watch::channel(None);
        (Self { daemon, known, complaint: None, bound: None }, receiver)
    }

    /// Notes what the socket was bound to: another `listen` needs a restart.
    pub fn is_bound_to(&mut self, listen: String) {
        self.bound = Some(listen);
    }

    /// Asks the daemon. One that does not answer changes nothing. What cannot be used ends the page until it can.
    pub async fn look(&mut self) {
        let Ok(settings) = self.daemon.settings().await else { return };
        match Site::new(settings) {
            Ok(site) => self.publish(site),
            Err(unusable) => {
                self.complain(format!("there is no enrollment page: {unusable}"));
                self.known.send_if_modified(|known| known.take().is_some());
            }
        }
    }

    fn publish(&mut self, site: Site) {
        match &self.bound {
            Some(bound) if *bound != site.listen => {
                let to_do = "restart twinlock-web (systemctl restart twinlock-web)";
                self.complain(format!("[web] listen is {} now: {to_do}", site.listen));
            }
            Some(_) | None => self.complaint = None,
        }
        let changed = self.known.send_if_modified(|known| {
            let changed = known.as_deref() != Some(&site);
            if changed {
                *known = Some(Arc::new(site));
            }
            changed
        });
        if changed {
            tracing::info!("settings read");
        }
    }

    fn complain(&mut self, text: String) {
        if self.complaint.as_deref() != Some(&text) {
            tracing::warn!("{text}");
            self.complaint = Some(text);
        }
    }
}
