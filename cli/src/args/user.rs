//! `twinlock user`: what an administrator does with accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::QrForm;

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
    /// Give out a link by which a user sets up an authenticator app in a browser, and the binding code that it asks for
    Invite(Invite),
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
    /// Bind an account to the uid that its user has now: say so only if it is the same person
    Adopt { name: String },
    /// Forget a user: factors, contacts, codes, failures, what was said of them; the audit trail stays
    Purge { name: String },
    /// Forget the failures that throttle an account
    Unlock { name: String },
    /// Hand out a code that lets a user in without their factor, for a time
    Bypass(Bypass),
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
    /// Write the QR code to this new file, for printing, instead of showing the key; `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "qr")]
    pub png: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Invite {
    #[arg(required_unless_present = "group")]
    pub name: Option<String>,
    /// Everybody in this group who has no factor
    #[arg(long, conflicts_with_all = ["name", "email"])]
    pub group: Option<String>,
    /// Where to mail it, instead of the user's own address; it is not kept
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Do not mail it: you hand it over
    #[arg(long, conflicts_with = "email")]
    pub no_mail: bool,
}

#[derive(Debug, Args)]
pub struct Bypass {
    pub name: String,
    /// Why: it stands in the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How long it lives, up to 24h
    #[arg(long = "for", value_name = "TIME", default_value = "4h", value_parser = humantime::parse_duration)]
    pub lifetime: std::time::Duration,
    /// How often it can be used, up to 10
    #[arg(long, default_value_t = 1)]
    pub uses: u32,
}
