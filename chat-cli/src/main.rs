//! A terminal chat client, interactive and scriptable.

mod address;
mod arguments;
mod chat;
mod commands;
mod failure;
mod interactive;
mod names;
mod output;
mod password;
mod profile;
mod render;
mod sanitise;
mod scripts;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;
use output::{Form, Output};
use profile::Profile;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_quiet() {
                eprintln!("chat-cli: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let root = profile::root(arguments.profile_dir)?;
    let profile = Profile::open(&root, &arguments.profile)?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Usage(format!("cannot start: {error}")))?;
    let server = arguments.server.as_deref();
    runtime.block_on(async {
        match arguments.command {
            Some(command) => scripts::run(profile, server, &mut Output::stdout(form), command).await,
            None => interactive::run(profile, server).await,
        }
    })
}
