//! `twinlock-web`. Exit codes are those of sysexits(3).

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use listenfd::ListenFd;
use twinlock_web::{Options, harden, run, start_log};

/// Something that is needed is not there.
const EX_UNAVAILABLE: u8 = 69;
/// Started as a user that it does not run as.
const EX_NOPERM: u8 = 77;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(refused) = harden() {
        return fail(EX_NOPERM, &refused.to_string());
    }
    if let Err(error) = start_log(options.log_to, options.log_level) {
        return fail(EX_UNAVAILABLE, &format!("no log: {error}"));
    }
    // A half-dead server answers nobody: systemd starts a whole one. What the panic says may be what somebody typed.
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(place = ?info.location(), "internal error (panic): stopping");
        std::process::abort();
    }));
    let passed = match ListenFd::from_env().take_tcp_listener(0) {
        Ok(passed) => passed,
        Err(error) => return fail(EX_UNAVAILABLE, &format!("the socket passed by systemd: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EX_UNAVAILABLE, &format!("no runtime: {error}")),
    };
    match runtime.block_on(run(&options, passed)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            fail(EX_UNAVAILABLE, &failure.to_string())
        }
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "twinlock-web: {text}");
    ExitCode::from(code)
}
