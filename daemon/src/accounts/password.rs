//! Confirming a login password: a process for each, because PAM modules leave things behind. systemd starts it, with what
//! modules of PAM need, where `twinlock-password.socket` is set up; else it is a child of ours, with no more rights than we have.

use std::{io, path::Path, time::Duration};

use twinlock_proto::connect::{self, ConnectError};

use super::{
    Confirmation, Confirmed, DirectoryError,
    child::{Helper, Line},
    helper::Kind,
};

pub(super) async fn confirm(
    socket: &Path,
    confirmation: &Confirmation,
    within: Duration,
) -> Result<bool, DirectoryError> {
    match tokio::time::timeout(within, ask(socket, confirmation)).await {
        Ok(Ok(Confirmed::Right)) => Ok(true),
        Ok(Ok(Confirmed::Wrong)) => Ok(false),
        Ok(Ok(Confirmed::Failed(why))) => {
            Err(DirectoryError(format!("PAM service twinlock-password: {why}")))
        }
        Ok(Err(why)) => Err(DirectoryError(why)),
        Err(_) => Err(DirectoryError(format!("no answer within {} s", within.as_secs()))),
    }
}

/// A socket that is there and does not answer is an error: what stands in its place has less rights, and would call right
/// passwords wrong.
async fn ask(socket: &Path, confirmation: &Confirmation) -> Result<Confirmed, String> {
    match socket.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut child =
                Helper::start(Kind::Password).map_err(|error| format!("no helper process: {error}"))?;
            child.ask(confirmation).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(format!("{}: {error}", socket.display())),
        Ok(_) => {
            let stream = connect::stream(socket).await.map_err(|error| match error {
                ConnectError::Absent(_) => "the password helper does not listen: systemctl restart \
                                            twinlock-password.socket"
                    .to_owned(),
                error => format!("the password helper: {error}"),
            })?;
            let answer = Line::over(stream).ask(confirmation).await;
            answer.map_err(|error| {
                format!("the password helper: {error}; see journalctl -u 'twinlock-password@*'")
            })
        }
    }
}
