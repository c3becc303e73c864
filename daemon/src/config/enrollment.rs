//! `[enrollment]`: how people come to their first factor.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinlock_proto::qr;

use super::Finding;

/// `[enrollment]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Enrollment {
    /// How a login shows the QR code of a new key. The key and the link always stand below it.
    pub login_qr: LoginQr,
    /// How long a mailed link lives, up to 24 hours.
    #[serde(with = "humantime_serde")]
    pub link_lifetime: Duration,
}

impl Default for Enrollment {
    fn default() -> Self {
        Self { login_qr: LoginQr::default(), link_lifetime: Duration::from_secs(3600) }
    }
}

impl Enrollment {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        // A login's binding code lives ten minutes, and its link no shorter.
        let (shortest, longest) = (Duration::from_secs(600), Duration::from_secs(24 * 3600));
        if self.link_lifetime < shortest || self.link_lifetime > longest {
            findings.push(Finding::error(
                "enrollment.link-lifetime",
                "is out of range",
                "write 10m to 24h (OWASP: a link that resets something lives short)",
            ));
        }
    }
}

/// A form of the QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginQr {
    /// Half blocks. Nothing else fits 80 x 24; a client in another locale shows digits instead.
    #[default]
    Utf8,
    /// Two characters a module: any client can show it, if its window is large.
    Ascii,
    /// None.
    None,
}

impl From<LoginQr> for qr::Form {
    fn from(form: LoginQr) -> Self {
        match form {
            LoginQr::Utf8 => Self::Utf8,
            LoginQr::Ascii => Self::Ascii,
            LoginQr::None => Self::None,
        }
    }
}
