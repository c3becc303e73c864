//! What was typed, straight to an enum.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use twinlock_proto::qr;

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
pub enum User {
    /// List the accounts that have, or had, factors; with --required, --not-enrolled or --would-deny everybody who can
    /// log in is looked at
    List {
        /// Only those that are throttled now
        #[arg(long)]
        throttled: bool,
        /// Only those of whom a second factor is required
        #[arg(long)]
        required: bool,
        /// Only those without a factor that counts
        #[arg(long)]
        not_enrolled: bool,
        /// Only those whom some service denies, or would if every role were enforced: they have nothing to pass with
        #[arg(long)]
        would_deny: bool,
    },
    /// Show an account
    Show { name: String },
    /// Give an account a factor
    Enroll {
        name: String,
        #[command(subcommand)]
        kind: Provision,
    },
    /// Set where codes can be sent to
    Contact {
        name: String,
        /// A mail address
        #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["phone", "remove"])]
        email: Option<String>,
        /// A telephone number, with + and the country's code
        #[arg(long, value_name = "NUMBER")]
        phone: Option<String>,
        /// It is right: it counts at once
        #[arg(long)]
        verified: bool,
        /// Take it away
        #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["email", "phone", "verified"])]
        remove: Option<ContactKind>,
    },
    /// Require a second factor of a user, whatever the roles say
    Require {
        name: String,
        /// No more
        #[arg(long)]
        off: bool,
    },
    /// Let a user in without a second factor, for a time
    Exempt {
        name: String,
        /// Until when: a date (to its end), an RFC 3339 time, or how long (7d)
        #[arg(long, value_name = "WHEN", required_unless_present = "off")]
        until: Option<String>,
        /// Why: it stands in the audit trail
        #[arg(long, value_name = "TEXT", required_unless_present = "off")]
        reason: Option<String>,
        /// No more
        #[arg(long, conflicts_with_all = ["until", "reason"])]
        off: bool,
    },
    /// Let a user who has no factor set one up at a login, for a time
    OpenEnrollment {
        name: String,
        /// Until when: a date (to its end), an RFC 3339 time, or how long (7d); at most 30 days
        #[arg(long = "for", value_name = "WHEN", default_value = "7d")]
        until: String,
        /// No more
        #[arg(long, conflicts_with = "until")]
        off: bool,
    },
    /// Remove all factors of an account: it is then not enrolled, not exempt
    Reset { name: String },
    /// Forget the failures that throttle an account
    Unlock { name: String },
    /// Hand out a code that lets a user in without their factor, for a time
    Bypass {
        name: String,
        /// Why: it stands in the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How long it lives, up to 24h
        #[arg(long = "for", value_name = "TIME", default_value = "4h", value_parser = humantime::parse_duration)]
        lifetime: std::time::Duration,
        /// How often it can be used, up to 10
        #[arg(long, default_value_t = 1)]
        uses: u32,
    },
}

/// What can be contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContactKind {
    /// The mail address
    Email,
    /// The telephone
    Phone,
}

impl ContactKind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Take in the tokens of a file, PSKC (RFC 6030) or CSV: all of them, or none
    Import {
        /// The file, `-` for standard input
        file: PathBuf,
        /// What it is; found out by itself
        #[arg(long, value_enum)]
        format: Option<TokenFormat>,
        /// Ask for the password that opens an encrypted PSKC file
        #[arg(long, conflicts_with = "key_file")]
        password: bool,
        /// The file with the key, in hexadecimal, that opens an encrypted PSKC file
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// Accept keys of 80 to 127 bits
        #[arg(long)]
        allow_short: bool,
    },
    /// Show the tokens
    List,
    /// Give a token to a user: it is a factor of theirs from now on
    Assign {
        serial: String,
        name: String,
        /// What the user will call it; its serial number unless said otherwise
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Find a token that counted too far, or whose clock went astray, by two codes in a row
    Resync {
        serial: String,
        code: String,
        /// The code right after it
        next: String,
    },
    /// Take a token out of use for ever; its user loses the factor
    Revoke { serial: String },
}

/// Files that tokens come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenFormat {
    /// Comma-separated values with a header
    Csv,
    /// Portable Symmetric Key Container, RFC 6030
    Pskc,
}

#[derive(Debug, Subcommand)]
pub enum Provider {
    /// Show who carries codes, and whether they do
    List {
        /// What a provider can be made with, instead
        #[arg(long)]
        presets: bool,
    },
    /// Have one carry a test message
    Test {
        /// Its name in the configuration; `email` for the mail server
        name: String,
        /// The number, or the address
        #[arg(long, value_name = "CONTACT")]
        to: String,
        /// By a call, instead of an SMS
        #[arg(long)]
        call: bool,
        /// Show what it would be sent, without its secret, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Provision {
    /// An authenticator app: prints key, link and QR code, to be handed over
    Totp(ProvisionTotp),
}

#[derive(Debug, Args)]
pub struct ProvisionTotp {
    /// What the user will call it
    #[arg(long, default_value = "")]
    pub label: String,
    /// Take the key (Base32) from this file, `-` for standard input, instead of making one
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// It counts at once, not only after the user's first code
    #[arg(long)]
    pub activate: bool,
    /// Accept a key of 80 to 127 bits
    #[arg(long)]
    pub allow_short: bool,
    /// How the QR code is drawn; by default as the terminal can show it
    #[arg(long, value_enum)]
    pub qr: Option<QrForm>,
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
