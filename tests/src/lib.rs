//! A private system to test in, and the people in it.
//!
//! A test declares its [`world`] in a screenful, acts on it through [`terminal`]s like a person, and judges what real
//! programs said. Codes come from oathtool ([`phone`]), never from the code under test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

pub mod browser;
pub mod command_line;
pub mod confined;
pub mod daemon;
pub mod delivery;
pub mod fault;
pub mod host;
pub mod kannel;
pub mod machine;
pub mod mail;
pub mod manual_page;
pub mod packages;
pub mod page;
pub mod pam_command;
pub mod pamhost;
pub mod phone;
pub mod provider;
pub mod race;
pub mod rpms;
pub mod screen;
pub mod ssh;
pub mod telephone;
pub mod terminal;
pub mod wait;
pub mod world;
