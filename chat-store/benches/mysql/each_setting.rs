//! What each setting of the server is worth by itself: one is changed at a time, in turns.

use std::time::Duration;

use chat_core::store::Store;
use chat_store::mysql::{MysqlOptions, MysqlStore};

use super::Failure;
use super::bare::{self, Bare};
use super::load::{Load, median};
use super::server::Server;

/// As MariaDB has them unless told otherwise, but for the first two, which the tests' servers change.
const DEFAULTS: [&str; 2] = ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"];

/// What is added to the defaults; of two options of one name the last counts.
const VARIANTS: [(&str, &[&str]); 6] = [
    ("defaults", &[]),
    ("innodb_buffer_pool_size = 2G", &["--innodb-buffer-pool-size=2G"]),
    ("innodb_log_file_size = 1G", &["--innodb-log-file-size=1G"]),
    ("both", &["--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G"]),
    ("innodb_flush_log_at_trx_commit = 2", &["--innodb-flush-log-at-trx-commit=2"]),
    ("log_bin, sync_binlog = 1", &["--log-bin=binlog", "--server-id=1", "--sync-binlog=1"]),
];

const ROUNDS: usize = 3;

/// Commits of single rows by one writer: each waits for the disk.
const SINGLE: Duration = Duration::from_secs(5);

/// Large batches of several writers; the first spans let the data outgrow the defaults, the last counts.
const WRITERS: u64 = 4;
const BATCH: usize = 1_000;
const SPAN: Duration = Duration::from_secs(10);
const SPANS: usize = 3;

/// Prints a line for each run, and in the end one for each setting.
pub(crate) async fn measure() -> Result<(), Failure> {
    println!("setting | commits/s, 1 writer, single rows | rows/s, {WRITERS} writers, batches of {BATCH}");
    let mut rates = VARIANTS.map(|_| [Vec::new(), Vec::new()]);
    for round in 1..=ROUNDS {
        for ((name, options), rates) in VARIANTS.iter().zip(&mut rates) {
            let [single, large] = on(options).await?;
            println!("round {round}: {name} | {single:.0} | {large:.0}");
            rates[0].push(single);
            rates[1].push(large);
        }
    }
    for ((name, _), [single, large]) in VARIANTS.iter().zip(rates) {
        println!("{name} | {:.0} | {:.0}", median(single), median(large));
    }
    Ok(())
}

async fn on(options: &[&str]) -> Result<[f64; 2], Failure> {
    let options = DEFAULTS.iter().chain(options).map(|option| (*option).to_owned()).collect();
    let server = Server::start_with(options).await;
    let url = server.database().await;
    // It makes the tables.
    MysqlStore::connect(&url, &MysqlOptions::default()).await?.close().await;
    let alone = vec![Bare::connect(&url, Load::of(0, 1)).await?];
    let (_, single) = bare::rate(alone, 1, SINGLE).await?;
    let url = server.database().await;
    MysqlStore::connect(&url, &MysqlOptions::default()).await?.close().await;
    let (mut bares, mut large) = (Vec::new(), 0.0);
    for writer in 0..WRITERS {
        bares.push(Bare::connect(&url, Load::of(writer, WRITERS)).await?);
    }
    for _ in 0..SPANS {
        (bares, large) = bare::rate(bares, BATCH, SPAN).await?;
    }
    Ok([single, large])
}
