//! `[enrollment]`: how people come to their first factor.

use serde::{Deserialize, Serialize};
use twinlock_proto::qr;

/// `[enrollment]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Enrollment {
    /// How a login shows the QR code of a new key. The key and the link always stand below it.
    pub login_qr: LoginQr,
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
