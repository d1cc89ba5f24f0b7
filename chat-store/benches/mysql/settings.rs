//! What the recommended settings of the server are worth, once the data has outgrown the defaults.

use std::time::Duration;

use chat_core::store::Store;
use chat_store::mysql::{MysqlOptions, MysqlStore};

use super::Failure;
use super::bare::{self, Bare};
use super::load::Load;
use super::server::Server;

const WRITERS: u64 = 4;
const BATCH: usize = 1_000;
const SPAN: Duration = Duration::from_secs(10);

/// So many spans pass: the log is some hundreds of MiB then.
const SPANS: usize = 5;

/// Prints the rate of each span in turn, for servers with and without the settings.
pub(crate) async fn measure(recommended: &[&str]) -> Result<(), Failure> {
    println!(
        "settings | bare rows/s, {WRITERS} writers, batches of {BATCH}, spans of 10 s one after another"
    );
    // As MariaDB has them unless told otherwise.
    let defaults = ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"];
    for (name, options) in [("defaults", &defaults[..]), ("recommended", recommended)] {
        let server = Server::start_with(options.iter().map(|option| (*option).to_owned()).collect()).await;
        let url = server.database().await;
        // It makes the tables.
        MysqlStore::connect(&url, &MysqlOptions::default()).await?.close().await;
        let mut bares = Vec::new();
        for writer in 0..WRITERS {
            bares.push(Bare::connect(&url, Load::of(writer, WRITERS)).await?);
        }
        let mut rates = Vec::new();
        for _ in 0..SPANS {
            let rate;
            (bares, rate) = bare::rate(bares, BATCH, SPAN).await?;
            rates.push(format!("{rate:.0}"));
        }
        println!("{name} | {}", rates.join(", "));
    }
    Ok(())
}
