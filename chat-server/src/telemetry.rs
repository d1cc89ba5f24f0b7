//! The log: lines on standard error, so that standard output is left to what programs read.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// From now on this process logs to standard error as the settings say. Once per process; where an
/// embedder has its own subscriber, that one stays.
pub fn log_to_stderr(settings: &Settings) {
    // The settings were checked when they were loaded; whoever built others gets the parts that parse.
    let filter = EnvFilter::builder().parse_lossy(&settings.log);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let result = match settings.log_format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "another log is in place");
    }
}
