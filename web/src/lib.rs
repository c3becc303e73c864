//! `twinlock-web`: the enrollment page. It shows what `twinlockd` decides to a browser that opened a mailed link, and
//! passes on what is typed there. It holds no secret of the host, runs as a user of its own, and keeps nothing.
//!
//! `server` starts it all; `listener` has the connections, `routes` the requests, `enrollment` the steps.

mod answer;
mod connections;
mod daemon;
mod enrollment;
mod forms;
mod guard;
mod headers;
mod listener;
mod options;
mod pages;
mod process;
mod qr;
mod rate;
mod routes;
mod server;
mod settings;
mod site;
mod source;
mod telemetry;
mod texts;
mod tls;

pub use self::{
    options::{LogLevel, LogTo, Options},
    process::{Refused, harden},
    server::{Failure, run},
    telemetry::start as start_log,
};
