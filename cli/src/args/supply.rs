//! `twinlock token`, `twinlock migrate`, `twinlock provider`: what comes from elsewhere.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
        /// Its serial number; of a factor that has none, its identifier
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
pub enum Migrate {
    /// Take over what google-authenticator wrote into homes
    GoogleAuthenticator(GoogleAuthenticator),
    /// Take over a users file of pam_oath
    Oath {
        /// The file, root's
        file: PathBuf,
        /// Say what would happen, and store nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct GoogleAuthenticator {
    /// Of this user
    #[arg(long, value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub user: Option<String>,
    /// Of everybody whom getent(1) lists and who has such a file
    #[arg(long)]
    pub all: bool,
    /// Where the files are, as the module's secret= says it; ~, ${HOME} and ${USER} are filled in
    #[arg(long, value_name = "PATTERN", default_value = "~/.google_authenticator")]
    pub file: String,
    /// Whose the files are, as the module's user= says it; by default each user's own
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Say what would happen, and store nothing
    #[arg(long)]
    pub dry_run: bool,
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
