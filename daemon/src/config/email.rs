//! `[email]`: the mail server that codes go through.

use serde::{Deserialize, Serialize};

use super::Finding;

/// `[email]`. Without it, or without `from`, no mail is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Email {
    /// Who writes: an address, or a name and an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// By which way letters leave.
    pub transport: Transport,
    /// The mail server.
    pub host: String,
    /// Its port; that of the kind of TLS if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who logs in there; nobody if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the credential that holds the password: `NAME` in systemd's credentials, or a root-only file
    /// `/etc/twinlock/credentials/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file with the certificate of the authority that is trusted, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// By which way letters leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A mail server; on this host, if nothing listens, its sendmail.
    #[default]
    Auto,
    /// A mail server.
    Smtp,
    /// The sendmail of this host, through the helper `twinlock-sendmail.socket`: the daemon's own sandbox takes sendmail the
    /// set-group-ID bit that it needs.
    Sendmail,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// From the first byte (port 465).
    Implicit,
    /// After STARTTLS, which must be offered (port 587).
    Starttls,
    /// Not at all: only to this host (port 25).
    None,
}

impl Default for Email {
    fn default() -> Self {
        // The mail server that most hosts have listens there.
        Self {
            from: None,
            transport: Transport::default(),
            host: "localhost".to_owned(),
            port: None,
            tls: Tls::None,
            user: None,
            secret: None,
            ca_file: None,
        }
    }
}

impl Email {
    /// The port of the kind of TLS, unless another is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::Implicit => 465,
            Tls::Starttls => 587,
            Tls::None => 25,
        })
    }

    /// Whether the sendmail of this host may be asked, where no server listens.
    #[must_use]
    pub fn may_use_helper(&self) -> bool {
        self.transport == Transport::Auto && self.is_here() && self.user.is_none()
    }

    fn is_here(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }

    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut error = |key: &str, sentence: &str, remedy: &str| {
            findings.push(Finding::error(&format!("email.{key}"), sentence, remedy));
        };
        if self.from.as_ref().is_some_and(|from| from.parse::<lettre::message::Mailbox>().is_err()) {
            error("from", "is no mail address", "write login@example.com, or Login <login@example.com>");
        }
        if self.tls == Tls::None && !self.is_here() {
            error(
                "tls",
                "is none, and the mail server is not this host",
                "write tls = \"starttls\" or \"implicit\"",
            );
        }
        if self.user.is_some() != self.secret.is_some() {
            error("secret", "and user belong together", "write both, or neither");
        }
        let plain = |name: &String| name.is_empty() || name.contains('/') || name.starts_with('.');
        if self.secret.as_ref().is_some_and(plain) {
            error(
                "secret",
                "is no name of a credential",
                "write the name of a file in /etc/twinlock/credentials",
            );
        }
    }
}
