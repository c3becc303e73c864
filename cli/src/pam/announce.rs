//! Who hears of a change: syslog always, the trail where there is a daemon.

use std::path::Path;

use syslog::{Facility, Formatter3164};
use twinlock_proto::v1::StackChange;

use crate::{
    admin,
    failure::{Failure, answered},
    output::clean,
};

/// Says that our lines were put into the stack of a service, or taken out.
pub async fn tell(runtime_dir: &Path, enabled: bool, service: &str, reason: &str) {
    write(enabled, service, reason);
    let _ =
        record(runtime_dir, StackChange { service: service.to_owned(), enabled, reason: reason.to_owned() })
            .await;
}

/// The same to syslog alone: at boot the daemon's socket may be there, with nobody behind it before we are done.
pub fn write(enabled: bool, service: &str, reason: &str) {
    let event = if enabled { "pam-enable" } else { "pam-disable" };
    let line = format!("{event} service={} claimed_by=\"{}\": {reason}", clean(service), admin::claim());
    let formatter = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "twinlock".to_owned(),
        pid: std::process::id(),
    };
    // A host without syslogd has no line; the trail has it all the same.
    if let Ok(mut log) = syslog::unix(formatter) {
        let _ = log.notice(line);
    }
}

async fn record(runtime_dir: &Path, change: StackChange) -> Result<(), Failure> {
    let mut client = admin::client(runtime_dir).await?;
    answered(client.record_stack_change(admin::request(change))).await.map(drop)
}
