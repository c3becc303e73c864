//! What the process gives up before it talks to anybody.

use std::fmt;

use nix::{
    sys::{resource, stat},
    unistd::{Uid, getresuid},
};
use twinlock_proto::WEB_USER;

/// The page was started as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the enrollment page does not run as root: it talks to the network. Start it as the user {WEB_USER} \
             (systemctl start twinlock-web does)"
        )
    }
}

impl std::error::Error for Refused {}

/// No core dumps, no looking in by others, nothing readable by accident.
///
/// # Errors
///
/// When a user ID of the process, the saved one too, is root's.
pub fn harden() -> Result<(), Refused> {
    let roots =
        getresuid().map_or(true, |ids| [ids.real, ids.effective, ids.saved].contains(&Uid::from_raw(0)));
    if roots {
        return Err(Refused);
    }
    stat::umask(stat::Mode::from_bits_truncate(0o077));
    let _ = resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0);
    let _ = nix::sys::prctl::set_dumpable(false);
    Ok(())
}
