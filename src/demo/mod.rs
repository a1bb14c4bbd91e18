//! `paravent demo`: the whole story in one command, on throwaway data.
//!
//! It starts a Postgres of its own and this same executable as the gateway, loads an invented HR
//! directory through it, shows what each side sees, in SQL and in HTTP, erases one person, and proves on a restored
//! dump that the erasure holds. Every line with a tick was checked; the first check that fails ends
//! the demo with exit code 1. Nothing is left behind.

mod acts;
mod admin;
mod api;
mod data;
mod figures;
mod gateway;
mod load;
mod postgres;
mod rotate;
mod schema;
mod scratch;
mod show;
mod web;
mod words;

use scratch::Scratch;
use std::io;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// How many people the directory holds, when not told otherwise.
pub const PEOPLE: usize = 2_000;

/// Why the demo stopped.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// A file, a process or a socket failed.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// A program that the demo runs failed; with what it said.
    #[error("{0}")]
    Program(String),
    /// A statement failed.
    #[error("{0}: {1}")]
    Statement(String, String),
    /// A promise does not hold: what was expected.
    #[error("this does not hold: {0}")]
    Broken(String),
    /// Ctrl-C, or a request to terminate.
    #[error("interrupted")]
    Interrupted,
}

type Result<T> = std::result::Result<T, DemoError>;

/// An [`io::Error`] with what was being done.
fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> DemoError {
    move |error| DemoError::Io(what.into(), error)
}

/// A driver's error with what was being done, in the server's words.
fn sql_error(what: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> DemoError {
    move |error| DemoError::Statement(what.into(), show::words_of(&error))
}

/// Runs the demo with that many people. Call it outside of any async runtime.
///
/// 0: every promise held. 1: something failed; stderr says what.
pub fn run(people: usize) -> ExitCode {
    let scratch = match Scratch::new() {
        Ok(scratch) => scratch,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&DemoError::Io("starting".into(), error)),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = acts::story(&scratch, people) => outcome,
            () = interrupted() => Err(DemoError::Interrupted),
        }
    });
    // The servers are down by now; the runtime waits for programs that still run, and then the
    // files go.
    drop(runtime);
    drop(scratch);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Returns when the user or the system asks the demo to stop.
async fn interrupted() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
}

#[allow(clippy::print_stderr, reason = "a command's own words to its user")]
fn failed(error: &DemoError) -> ExitCode {
    eprintln!("\ndemo: {error}");
    ExitCode::FAILURE
}
