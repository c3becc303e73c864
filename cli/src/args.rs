//! What was typed, straight to an enum.

mod pam;
mod supply;
mod user;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use pam::{Pam, PamDisable, PamEnable, PamUndo};
pub use supply::{GoogleAuthenticator, Migrate, Provider, Token, TokenFormat};
use twinlock_proto::qr;
pub use user::{Bypass, Invite, Provision, ProvisionTotp, User};

/// Your second factor, and the administration of others'
#[derive(Debug, Parser)]
#[command(name = "twinlock", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Where the daemon's sockets are
    #[arg(long, value_name = "DIR", global = true, default_value = twinlock_proto::RUNTIME_DIR)]
    pub runtime_dir: PathBuf,

    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,

    #[command(flatten)]
    pub whose: Whose,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Whose account a command is about, where sudo makes that unclear.
#[derive(Debug, Args, Default)]
pub struct Whose {
    /// Under sudo: say `root` if you mean root's own account
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show your factors, whether you need them, and why (the default)
    Status(Whose),
    /// Add a factor to your account
    #[command(subcommand)]
    Enroll(Enroll),
    /// Ask for a code and say whether it is right; this spends the code
    Verify(Whose),
    /// Make a new set of recovery codes, with a current code; the old set dies
    Recovery(Whose),
    /// Remove one of your factors, with a current code
    Remove {
        /// Its identifier, or its label
        factor: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Choose the method that you are offered first
    Prefer {
        /// totp, or `default` for the order of the policy
        method: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Administer accounts (root)
    #[command(subcommand)]
    User(User),
    /// Ask about the rules (root)
    #[command(subcommand)]
    Policy(Policy),
    /// Read the audit trail (root)
    Audit(Audit),
    /// Put the second factor into PAM stacks, and take it out (root)
    #[command(subcommand)]
    Pam(Pam),
    /// Name everything that is wrong with this installation, and the remedy (root)
    Doctor,
    /// Ask how the daemon is (root)
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Look after the store (root)
    #[command(subcommand)]
    Db(Db),
    /// Look after hard tokens (root)
    #[command(subcommand)]
    Token(Token),
    /// Take over the secrets of another program that asks for codes (root)
    #[command(subcommand)]
    Migrate(Migrate),
    /// Show and try who carries codes: providers of SMS, the mail server (root)
    #[command(subcommand)]
    Provider(Provider),
    /// Look after the keys that seal the store (root)
    #[command(subcommand)]
    Key(KeyCommand),
    /// Tell the daemon about the clock (root)
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub enum Enroll {
    /// An authenticator app: shows a key, asks for a code of it, then it counts
    Totp(EnrollTotp),
    /// A telephone: a code is sent there by SMS, asked for, then it counts
    Sms {
        /// With + and the country's code, like +447400123456
        number: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// A telephone: a call says a code, it is asked for, then the number counts
    Call {
        /// With + and the country's code, like +442071838750
        number: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// A mail address: a code is sent there, asked for, then it counts
    Email {
        address: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, Args)]
pub struct EnrollTotp {
    /// What you call it, for instance the phone it is on
    #[arg(long, default_value = "")]
    pub label: String,
    /// Type a key of your own (Base32) instead of getting a new one
    #[arg(long)]
    pub secret: bool,
    /// Prove yourself with the binding code of an invitation, where your account has no password
    #[arg(long)]
    pub invite: bool,
    /// How the QR code is drawn; by default as the terminal can show it
    #[arg(long, value_enum)]
    pub qr: Option<QrForm>,
    /// Show the key although the output is not a terminal
    #[arg(long)]
    pub no_terminal: bool,
    #[command(flatten)]
    pub whose: Whose,
}

/// How a QR code is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QrForm {
    /// Half blocks: needs a UTF-8 terminal
    Utf8,
    /// Two characters a module: shows everywhere, and is large
    Ascii,
    /// Not at all: the key and the link are enough
    None,
}

impl From<QrForm> for qr::Form {
    fn from(form: QrForm) -> Self {
        match form {
            QrForm::Utf8 => Self::Utf8,
            QrForm::Ascii => Self::Ascii,
            QrForm::None => Self::None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Say what is wrong with the configuration; needs no daemon
    Check {
        /// The file; drop-ins are read from the folder beside it
        #[arg(default_value = "/etc/twinlock/twinlock.toml")]
        file: PathBuf,
    },
    /// Let the members of a role enroll at their login again: its enroll-within counts from now
    OpenEnrollment {
        /// As the configuration names it
        role: String,
    },
    /// What a login would meet, and which rules say so
    Explain {
        name: String,
        /// The PAM service
        #[arg(long, default_value = "sshd")]
        service: String,
        /// The address it would come from
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        rhost: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Version, configuration, accounts, clock
    Status,
}

#[derive(Debug, Subcommand)]
pub enum Db {
    /// Look at every page, reference and sealed secret; changes nothing
    Check,
    /// Write the store, as it is now, to a new file; logins go on meanwhile
    Backup {
        /// The file, which must not exist yet; `-` for standard output
        file: PathBuf,
    },
    /// Put a backup in the place of the store, while the daemon is stopped; codes that may have been used since are void
    Restore {
        /// The file
        file: PathBuf,
        /// Where the store is
        #[arg(long, value_name = "DIR", default_value = "/var/lib/twinlock")]
        state_dir: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Seal everything with new keys; logins go on meanwhile
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Say that the clock is right, after it was set back or ahead
    Accept,
}

#[derive(Debug, Args)]
pub struct Audit {
    /// Only what concerns this account
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only from then on: a date, an RFC 3339 time, or how long ago (7d)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only before then: a date (to its end), an RFC 3339 time, or how long ago (7d)
    #[arg(long, value_name = "WHEN", conflicts_with = "follow")]
    pub until: Option<String>,
    /// Only this event
    #[arg(long)]
    pub event: Option<String>,
    /// Go on with what comes
    #[arg(long)]
    pub follow: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
