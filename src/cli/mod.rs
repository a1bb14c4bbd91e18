//! The commands (design.md §9). Results go to stdout, everything else to stderr.
//!
//! Exit codes: 0 done, 1 failed at run time, 2 wrong usage, configuration or policy.

mod admin;
mod args;
mod audit;
mod check;
mod follow;
mod guard;
mod jobs;
mod keys;
mod keystore;
mod receipt;
mod remote;
mod rotate;
mod serve;
mod subject;

use crate::config::{self, Config};
use crate::fault::Exit;
use crate::telemetry::{LogFormat, start_log};
use args::{AdminCommand, Args, Command};
use clap::Parser;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Why a command ended.
#[derive(Debug)]
struct Stop {
    exit: Exit,
    message: String,
}

impl Stop {
    fn failed(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    fn usage(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }
}

/// The whole program: reads the arguments, runs the command.
pub fn main() -> ExitCode {
    // A wrong use ends here, with clap's message and code 2.
    let args = Args::parse();
    let outcome = match args.command {
        Command::Serve(serve) => start_log(&log_filter(serve.log), serve.log_format)
            .map_err(Stop::usage)
            .and_then(|()| serve::run(&serve.config)),
        Command::Demo { people } => return crate::demo::run(people),
        other => start_log(&log_filter(Some("warn".into())), LogFormat::Text)
            .map_err(Stop::usage)
            .and_then(|()| short(other)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(stop) => {
            say_error(&stop.message);
            stop.exit.into()
        }
    }
}

/// The commands that do one thing and end.
fn short(command: Command) -> Result<Exit, Stop> {
    match command {
        Command::Check(check) => check::run(&check),
        Command::Keys(command) => keys::run(command),
        Command::Keystore(command) => keystore::run(command),
        Command::Subject(command) => subject::run(command),
        Command::Jobs(command) => jobs::run(command),
        Command::Receipt(command) => receipt::run(&command),
        Command::Audit(command) => audit::run(command),
        Command::Admin(AdminCommand::Token(token)) => admin::token(&token),
        Command::Admin(AdminCommand::Certificate { pem, token }) => admin::certificate(&token, &pem),
        Command::Serve(_) | Command::Demo { .. } => Err(Stop::failed("not a short command")),
    }
}

/// `--log`, else `PARAVENT_LOG`, else `RUST_LOG`, else `info`.
fn log_filter(given: Option<String>) -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    variable("PARAVENT_LOG")
        .filter(|_| given.is_none())
        .or(given)
        .or_else(|| variable("RUST_LOG"))
        .unwrap_or_else(|| "info".into())
}

/// Reads the configuration; what is wrong with it is wrong usage.
fn load(path: &Path) -> Result<Config, Stop> {
    config::load(path, &|name| std::env::var(name).ok()).map_err(Stop::usage)
}

/// A line on stdout, flushed: others read it through a pipe.
fn say(line: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Stop::failed(format!("stdout: {error}")))
}

/// A line on stderr; nothing can be done when that fails.
fn say_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs a command's future on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Stop::failed)?;
    runtime.block_on(work)
}
