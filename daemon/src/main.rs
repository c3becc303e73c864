//! `twinlockd`. Exit codes are those of sysexits(3).

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use twinlockd::{accounts::helper, app, options::Options, telemetry};

/// What still waits for a disk that hangs (figures for Prometheus, in somebody's folder) is left behind then.
const LEAVE: Duration = Duration::from_secs(1);
/// The answer is no.
const NO: u8 = 1;
/// The configuration is bad.
const EX_CONFIG: u8 = 78;
/// Something that is needed is not there.
const EX_UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(kind) = options.helper {
        return if helper::serve(kind).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if options.check {
        let usable = app::check(&options, |line| {
            let _ = writeln!(io::stdout(), "{line}");
        });
        return if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if options.restore {
        let errand = || app::restore(&options, &mut io::stdin().lock());
        let restored = match telemetry::during(options.log_to, options.log_level, errand) {
            Ok(restored) => restored,
            Err(error) => return fail(EX_UNAVAILABLE, &format!("no log: {error}; nothing has changed")),
        };
        return match restored {
            Ok(lines) => {
                let _ = lines.iter().try_for_each(|line| writeln!(io::stdout(), "{line}"));
                ExitCode::SUCCESS
            }
            Err(failure) => fail(NO, &failure.to_string()),
        };
    }
    if let Err(error) = telemetry::start(options.log_to, options.log_level) {
        return fail(EX_UNAVAILABLE, &format!("no log: {error}"));
    }
    // A half-dead daemon answers nobody: systemd starts a whole one.
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(place = ?info.location(), "internal error (panic): stopping");
        std::process::abort();
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(app::run(&options));
            runtime.shutdown_timeout(LEAVE);
            result
        }
        Err(error) => return fail(EX_UNAVAILABLE, &format!("no runtime: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            let code = if matches!(failure, app::Failure::Config) { EX_CONFIG } else { EX_UNAVAILABLE };
            fail(code, &failure.to_string())
        }
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "twinlockd: {text}");
    ExitCode::from(code)
}
