//! `twinlock`: one's own second factor, and the administration of others'.

mod admin;
mod args;
mod doctor;
mod enroll;
mod failure;
mod flags;
mod invite;
mod lifecycle;
mod migrate;
mod offer;
mod output;
mod own;
mod pam;
mod picture;
mod policy;
mod provider;
mod provision;
mod restore;
mod terminal;
mod token;
mod upkeep;
mod when;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use args::{Arguments, ClockCommand, Command, DaemonCommand, Db, Enroll, KeyCommand};
use clap::{CommandFactory, Parser};
use failure::Failure;

fn main() -> ExitCode {
    if let Some(errand) = migrate::errand() {
        return migrate::read_own(&errand);
    }
    if let Some(errand) = pam::errand() {
        return pam::run_errand(&errand);
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::from(error)),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(&arguments) => result,
            // Whatever was shown on the alternate screen is wiped as `run` is dropped.
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        }
    });
    // Somebody may still sit at a prompt that nobody reads any more.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { runtime_dir, json, whose, command } = arguments;
    if command.is_some() && whose.user.is_some() {
        return Err(Failure::usage("--user stands behind the command: twinlock status --user root"));
    }
    match command {
        None => own::status(runtime_dir, whose, *json).await,
        Some(Command::Status(whose)) => own::status(runtime_dir, whose, *json).await,
        Some(Command::Verify(whose)) => own::verify(runtime_dir, whose, *json).await,
        Some(Command::Enroll(Enroll::Totp(options))) => enroll::totp(runtime_dir, options, *json).await,
        Some(Command::Enroll(Enroll::Email { address, whose })) => {
            enroll::contact(runtime_dir, whose, ("email", address), *json).await
        }
        Some(Command::Enroll(Enroll::Sms { number, whose })) => {
            enroll::contact(runtime_dir, whose, ("sms", number), *json).await
        }
        Some(Command::Enroll(Enroll::Call { number, whose })) => {
            enroll::contact(runtime_dir, whose, ("call", number), *json).await
        }
        Some(Command::Token(command)) => token::run(runtime_dir, command, *json).await,
        Some(Command::Migrate(command)) => migrate::run(runtime_dir, command, *json).await,
        Some(Command::Provider(command)) => provider::run(runtime_dir, command, *json).await,
        Some(Command::Prefer { method, whose }) => own::prefer(runtime_dir, whose, method, *json).await,
        Some(Command::User(command)) => admin::user(runtime_dir, command, *json).await,
        Some(Command::Policy(command)) => policy::run(runtime_dir, command, *json).await,
        Some(Command::Pam(command)) => pam::run(runtime_dir, command, *json).await,
        Some(Command::Doctor) => doctor::run(runtime_dir, *json).await,
        Some(Command::Daemon(DaemonCommand::Status)) => admin::daemon(runtime_dir, *json).await,
        Some(Command::Clock(ClockCommand::Accept)) => admin::accept_clock(runtime_dir, *json).await,
        Some(Command::Db(Db::Check)) => upkeep::check(runtime_dir, *json).await,
        Some(Command::Db(Db::Backup { file })) => upkeep::backup(runtime_dir, file, *json).await,
        Some(Command::Db(Db::Restore { file, state_dir, yes })) => {
            restore::restore(file, state_dir, *yes, *json).await
        }
        Some(Command::Key(KeyCommand::Rotate)) => upkeep::rotate(runtime_dir, *json).await,
        Some(Command::Recovery(whose)) => own::recovery(runtime_dir, whose, *json).await,
        Some(Command::Remove { factor, whose }) => own::remove(runtime_dir, whose, factor, *json).await,
        Some(Command::Completions { shell }) => {
            let mut command = Arguments::command();
            clap_complete::generate(*shell, &mut command, "twinlock", &mut io::stdout());
            Ok(())
        }
        Some(Command::Audit(options)) => admin::audit(runtime_dir, options, *json).await,
    }
}

fn report(failure: &Failure) -> ExitCode {
    if !failure.text.is_empty() {
        let _ = writeln!(io::stderr(), "twinlock: {failure}");
    }
    ExitCode::from(failure.code)
}
