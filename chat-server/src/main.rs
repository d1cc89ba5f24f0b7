//! The chat server: one binary that needs no configuration.

mod arguments;
mod signals;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use chat_server::{ExchangeError, Migration, Resume, Server, Settings, Stopped, in_full};
use clap::Parser;

use arguments::{Arguments, Task};
use signals::Signals;

/// It could not start, or not be done.
const CANNOT_START: u8 = 1;
/// Its settings or arguments are wrong.
const USAGE: u8 = 2;
/// There is something to migrate.
const TO_MIGRATE: u8 = 3;
/// It ended by itself, because a part of it had panicked.
const FAILED: u8 = 70;

/// How long threads that sit in a system call may hold up the exit.
const LAST_PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let task = arguments.task.take();
    let settings = match Settings::load(&arguments.sources()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &error),
    };
    chat_server::log_to_stderr(&settings);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(CANNOT_START, &error),
    };
    let code = match task {
        None => runtime.block_on(run(settings)),
        Some(Task::Migrate { check: false }) => runtime.block_on(migrate(&settings)),
        Some(Task::Migrate { check: true }) => runtime.block_on(check(&settings)),
        Some(Task::Export { file, resume }) => {
            done(runtime.block_on(chat_server::export(&settings, &file, resuming(resume))))
        }
        Some(Task::Import { file, resume }) => {
            done(runtime.block_on(chat_server::import(&settings, &file, resuming(resume))))
        }
    };
    runtime.shutdown_timeout(LAST_PATIENCE);
    code
}

async fn run(settings: Settings) -> ExitCode {
    // Before anybody is told that we are ready to be stopped.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(CANNOT_START, &error),
    };
    let server = match Server::start(settings).await {
        Ok(server) => server,
        Err(error) => return fail(CANNOT_START, &in_full(&error)),
    };
    let http = server.http_addr().map_or_else(String::new, |address| format!(" http={address}"));
    let ready = format!("ready tcp={}{http}\n", server.local_addr());
    let mut stdout = std::io::stdout();
    if let Err(error) = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "nobody reads that the server is ready");
    }
    tokio::select! {
        () = signals.next() => {}
        () = server.engine().failed() => {
            // What is stored is not concerned; a supervisor starts it again.
            tracing::error!("ending: a part of the engine has panicked");
            return ExitCode::from(FAILED);
        }
    }
    // The stop may be dropped half-way: what was acknowledged is stored.
    tokio::select! {
        stopped = server.stop() => {
            tracing::info!(cleanly = stopped == Stopped::Cleanly, "stopped");
            ExitCode::SUCCESS
        }
        () = signals.next() => {
            tracing::warn!("stopped at once by a second signal");
            ExitCode::from(CANNOT_START)
        }
    }
}

fn resuming(resume: bool) -> Resume {
    if resume { Resume::Allowed } else { Resume::Refused }
}

/// The progress has said the rest.
fn done(exchanged: Result<(), ExchangeError>) -> ExitCode {
    match exchanged {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(CANNOT_START, &in_full(&error)),
    }
}

async fn migrate(settings: &Settings) -> ExitCode {
    match chat_server::migrate(settings).await {
        Ok(()) => say("migrated\n"),
        Err(error) => fail(CANNOT_START, &in_full(&error)),
    }
}

async fn check(settings: &Settings) -> ExitCode {
    let (words, code) = match chat_server::migration(settings).await {
        Ok(Migration::Current) => return say("current\n"),
        Ok(Migration::Empty) => ("empty: nothing was migrated yet\n".to_owned(), TO_MIGRATE),
        Ok(Migration::Older { found, expected }) => {
            (format!("older: found schema {found}, expected {expected}\n"), TO_MIGRATE)
        }
        Err(error) => return fail(CANNOT_START, &in_full(&error)),
    };
    say(&words);
    ExitCode::from(code)
}

fn say(words: &str) -> ExitCode {
    let mut stdout = std::io::stdout();
    match stdout.write_all(words.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(CANNOT_START, &error),
    }
}

fn fail(code: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    // Standard error itself may be gone, and then there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "chat-server: {reason}");
    ExitCode::from(code)
}
