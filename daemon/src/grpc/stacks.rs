//! What `twinlock pam` did to this host's PAM stacks, for the trail.

use twinlock_proto::v1::{StackChange, StackChangeRecorded};

use super::{Ports, status::Undecided};
use crate::{access::Administrator, audit::Event, names::printable};

/// Longest name of a PAM service in the trail, in characters.
const SERVICE: usize = 32;
/// Longest word about a change, in characters.
const REASON: usize = 120;

impl Ports {
    /// What the command did to a PAM stack.
    pub(super) async fn record_stack_change(
        &self,
        by: &Administrator,
        change: &StackChange,
    ) -> Result<StackChangeRecorded, Undecided> {
        if change.service.is_empty() {
            return Err(Undecided::Malformed("a change of no service"));
        }
        let event = if change.enabled { Event::PamEnable } else { Event::PamDisable };
        let mut record = self.record(by, event, "", "", &printable(&change.reason, REASON));
        record.subject.service = printable(&change.service, SERVICE);
        self.store.append(record).await?;
        Ok(StackChangeRecorded {})
    }
}
