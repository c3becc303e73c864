//! Reading the audit trail, and following it.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;
use twinlock_proto::v1::{AuditEntry, AuditRequest};

use super::{Ports, status::Undecided};
use crate::{access::Administrator, audit, clock::Timestamp, names::printable};

/// Entries read from the trail at a time.
const PAGE: u32 = 256;
/// How often a follower looks for new entries.
const FOLLOW: Duration = Duration::from_millis(500);

impl Ports {
    pub(super) async fn read_audit(
        &self,
        _: &Administrator,
        request: AuditRequest,
        sender: &mpsc::Sender<Result<AuditEntry, Status>>,
    ) -> Result<(), Undecided> {
        let mut filter = audit::Filter {
            user: Some(request.user).filter(|user| !user.is_empty()),
            since: request.since.map(Timestamp::from_secs),
            until: request.until.map(Timestamp::from_secs),
            event: Some(request.event).filter(|event| !event.is_empty()),
            behind: 0,
        };
        if let Some(event) = &filter.event
            && !audit::Event::ALL.iter().any(|known| known.name() == event)
        {
            let known: Vec<_> = audit::Event::ALL.iter().map(|event| event.name()).collect();
            return Err(Undecided::Usage(format!(
                "there is no event \"{}\"; there are {}",
                printable(event, 32),
                known.join(", ")
            )));
        }
        loop {
            let page = self.store.trail(filter.clone(), PAGE).await?;
            let audit::Page { entries, seen, full } = page;
            filter.behind = seen;
            for entry in entries {
                if sender.send(Ok(message(entry))).await.is_err() {
                    return Ok(());
                }
            }
            if !full && !request.follow {
                return Ok(());
            }
            if !full {
                tokio::select! {
                    () = sender.closed() => return Ok(()),
                    () = tokio::time::sleep(FOLLOW) => {}
                }
            }
        }
    }
}

fn message(entry: audit::Entry) -> AuditEntry {
    let audit::Entry { number: _, time, event, subject, method, outcome, reason } = entry;
    let audit::Subject { user, service, rhost, actor, claimed_by } = subject;
    AuditEntry { time_ms: time.0, event, user, service, rhost, method, outcome, reason, actor, claimed_by }
}
