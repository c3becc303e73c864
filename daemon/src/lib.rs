//! `twinlockd`: holds the secrets, decides, keeps the audit trail.
//!
//! [`app`] composes: it alone names concrete adapters. `grpc` and [`config`] translate at the edges; [`engine`]
//! decides, with [`factor`] and its policy, on [`names`], [`secret`] and [`clock`]; [`store`], [`seal`],
//! [`accounts`] and [`audit`] are adapters behind traits. tests/layering.rs holds the allowed edges.

pub mod access;
pub mod accounts;
pub mod app;
pub mod audit;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod engine;
pub mod factor;
pub mod grpc;
pub mod metrics;
pub mod migration;
pub mod names;
pub mod options;
pub mod random;
pub mod seal;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod texts;
pub mod tokens;
