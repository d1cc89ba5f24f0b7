//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use chat_server::Sources;
use clap::{Parser, Subcommand};

/// A chat server. It needs no configuration: then its store is embedded. With --store, --bus and
/// --node it is one node of a cluster.
///
/// When it accepts connections it prints one line, `ready tcp=ADDRESS`, on standard output, followed
/// by ` http=ADDRESS` with --http; its log goes to standard error. SIGTERM or Ctrl-C stops it in order,
/// a second one at once.
///
/// Each setting of the file can also be given in the environment: CHAT_ and its key in capitals with
/// _ for the dot, such as CHAT_LOG or CHAT_CONNECTIONS_MAX. Flags beat the environment, and the
/// environment beats the file.
///
/// Exit codes: 0 stopped in order or done, 1 could not start or not be done, 2 wrong settings, 70 ended
/// because a part of it failed and only another start helps, 3 from
/// `migrate --check`: there is something to do.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The TOML file with settings; chat-server.example.toml names all of them.
    #[arg(long, env = "CHAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, IP:PORT; port 0 takes a free one [default: 127.0.0.1:6060].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Where to answer an operator over HTTP (/healthz, /readyz, /metrics), IP:PORT; not for the public
    /// [default: nowhere].
    #[arg(long, value_name = "IP:PORT")]
    http: Option<SocketAddr>,
    /// The folder of the store, made when it is absent [default: ./chat-data].
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A database that nodes share, mysql://user:password@host:3306/name, in place of the embedded
    /// store.
    #[arg(long, value_name = "ADDRESS")]
    store: Option<String>,
    /// What carries events between nodes: redis://host:6379, or redis-cluster://host:6379; rediss and
    /// rediss-cluster over TLS.
    #[arg(long, value_name = "ADDRESS")]
    bus: Option<String>,
    /// This node's name, which no other node of the cluster has.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    #[command(subcommand)]
    pub(crate) task: Option<Task>,
}

/// What is to be done in place of serving.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// Brings the tables of the database up to this version, or makes them. Servers do the same when
    /// they start.
    Migrate {
        /// Changes nothing and says whether there is something to do: exit code 0 for no, 3 for yes.
        #[arg(long)]
        check: bool,
    },
    /// Writes the whole installation to a file, from which `import` makes another store. No server may
    /// run on the store meanwhile. How far it is goes to standard error.
    Export {
        /// The file, which must not exist yet, or `-` for standard output.
        file: PathBuf,
        /// Goes on with a file that an interrupted export has left.
        #[arg(long)]
        resume: bool,
    },
    /// Makes an installation of what `export` wrote, in a store that is empty. Clients and nodes start
    /// over then, since the store has another epoch. How far it is goes to standard error.
    Import {
        /// The file, or `-` for standard input.
        file: PathBuf,
        /// Goes on with the store that an interrupted import of the same file has left.
        #[arg(long)]
        resume: bool,
    },
}

impl Arguments {
    /// Where the settings come from: these, the file that they name, the environment.
    pub(crate) fn sources(self) -> Sources {
        let Self { config, listen, http, data, store, bus, node, task: _ } = self;
        Sources {
            file: config,
            environment: std::env::vars_os().collect(),
            listen,
            http,
            data,
            store,
            bus,
            node,
        }
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
