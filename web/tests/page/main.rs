//! The enrollment page from outside: real TCP, real TLS, a browser's requests byte by byte, and a daemon that is played. Needs
//! root: the page trusts a socket behind which root stands.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod bed;
mod fake;

mod certificates;
mod headers;
mod limits;
mod links;
mod program;
mod proxies;
mod refusals;
mod sights;
mod steps;
mod upkeep;
