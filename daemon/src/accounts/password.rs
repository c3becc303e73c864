//! Confirming a login password: a child process for each, because PAM modules leave things behind.

use std::time::Duration;

use super::{Confirmation, Confirmed, DirectoryError, child::Helper, helper::Kind};

pub(super) async fn confirm(confirmation: &Confirmation, within: Duration) -> Result<bool, DirectoryError> {
    let mut helper = Helper::start(Kind::Password)
        .map_err(|error| DirectoryError(format!("no helper process: {error}")))?;
    match tokio::time::timeout(within, helper.ask(confirmation)).await {
        Ok(Ok(Confirmed::Right)) => Ok(true),
        Ok(Ok(Confirmed::Wrong)) => Ok(false),
        Ok(Ok(Confirmed::Failed(why))) => {
            Err(DirectoryError(format!("PAM service twinlock-password: {why}")))
        }
        Ok(Err(error)) => Err(DirectoryError(error.to_string())),
        Err(_) => Err(DirectoryError(format!("no answer within {} s", within.as_secs()))),
    }
}
