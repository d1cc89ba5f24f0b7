//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use chat_server::Sources;
use clap::Parser;

/// A chat server on an embedded store. It needs no configuration.
///
/// When it accepts connections it prints one line, `ready tcp=ADDRESS`, on standard output; its log
/// goes to standard error. SIGTERM or Ctrl-C stops it in order, a second one at once.
///
/// Each setting of the file can also be given in the environment: CHAT_ and its key in capitals with
/// _ for the dot, such as CHAT_LOG or CHAT_CONNECTIONS_MAX. Flags beat the environment, and the
/// environment beats the file.
///
/// Exit codes: 0 stopped in order, 1 could not start, 2 wrong settings.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The TOML file with settings; chat-server.example.toml names all of them.
    #[arg(long, env = "CHAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, IP:PORT; port 0 takes a free one [default: 127.0.0.1:6060].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The folder of the store, made when it is absent [default: ./chat-data].
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

impl Arguments {
    /// Where the settings come from: these, the file that they name, the environment.
    pub(crate) fn sources(self) -> Sources {
        let Self { config, listen, data } = self;
        Sources { file: config, environment: std::env::vars_os().collect(), listen, data }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
