//! Nodes on MariaDB and Redis, beside what MariaDB alone writes in the same run.

use std::time::{Duration, Instant};

use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Value};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::Failure;
use super::backends::Backends;
use super::crowd::{Crowd, quantiles};
use super::prepare;
use super::server::Server;

/// Senders, and how many messages each has in flight.
const LOADS: [(usize, usize); 4] = [(1, 1), (64, 1), (1_000, 1), (64, 16)];

/// Rows of one transaction, and connections that write at the same time.
const BARE: [(usize, usize); 5] = [(1, 1), (64, 1), (1_000, 1), (100, 4), (1_000, 4)];

/// Measures and prints.
///
/// # Errors
/// A server does not start, or does what it must not.
pub async fn run(folder: TempDir, span: u64) -> Result<(), Failure> {
    let backends = Backends::start(folder.path()).await?;
    let bare = backends.database("bare").await?;
    for (batch, connections) in BARE {
        let rate = rows_per_second(&bare, batch, connections, Duration::from_secs(span)).await?;
        println!("bare MariaDB, {connections} connections, batches of {batch}: {rate:.0} rows/s");
    }
    for (nodes, bus) in [(1, false), (1, true), (3, true)] {
        let name = format!("chat_{nodes}_{bus}");
        let address = backends.database(&name).await?;
        let store = MysqlStore::connect(&address, &MysqlOptions::default()).await?;
        let prepared = prepare::prepare_in(store, LOADS[2].0, 0).await?;
        let folder = tempfile::tempdir_in(folder.path())?;
        for (count, window) in LOADS {
            let mut servers = Vec::new();
            for node in 0..nodes {
                let node = format!("{name}_node{node}");
                let mut arguments = vec!["--store", &address, "--node", &node];
                let redis = backends.redis();
                if bus {
                    arguments.extend(["--bus", &redis]);
                }
                servers.push(Server::start(folder.path(), &arguments).await?);
            }
            let job = Crowd::new("senders", count, span).with("--window", window);
            let (report, cpu) = job.run_on(&servers, folder.path(), &prepared).await?;
            println!(
                "{nodes} node(s), {}, {count} senders, {window} in flight each: {:.0} durable sends/s; \
                 acknowledged {}; delivered {}; nodes {:.1} µs of processor per message",
                if bus { "Redis" } else { "no bus" },
                report.rate,
                quantiles(report.acknowledged_us),
                quantiles(report.delivered_us),
                cpu * 1e6,
            );
            for server in servers {
                server.stop().await?;
            }
        }
    }
    Ok(())
}

/// Rows per second of transactions with one multi-row insert into a log and one multi-row upsert of
/// heads, which is the least that sending has to write.
async fn rows_per_second(
    address: &str,
    batch: usize,
    connections: usize,
    span: Duration,
) -> Result<f64, Failure> {
    let opts = Opts::from_url(&format!("{address}?prefer_socket=false"))?;
    let mut conn = Conn::new(opts.clone()).await?;
    conn.query_drop("DROP TABLE IF EXISTS log, head").await?;
    conn.query_drop(
        "CREATE TABLE log(conversation VARBINARY(17), seq BIGINT UNSIGNED, time BIGINT UNSIGNED, \
           sender BIGINT UNSIGNED, kind SMALLINT UNSIGNED, client_id BINARY(16), content LONGBLOB, \
           PRIMARY KEY(conversation, seq), UNIQUE KEY once(client_id, sender, conversation))",
    )
    .await?;
    conn.query_drop("CREATE TABLE head(conversation VARBINARY(17) PRIMARY KEY, seq BIGINT UNSIGNED)").await?;
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..connections as u64 {
        let opts = opts.clone();
        writers.spawn(async move { write(Conn::new(opts).await?, writer, batch, started + span).await });
    }
    let mut rows = 0;
    while let Some(done) = writers.join_next().await {
        rows += done??;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

async fn write(mut conn: Conn, writer: u64, batch: usize, until: Instant) -> Result<u64, Failure> {
    let rows = |row: &str| vec![row; batch].join(",");
    let log = format!("INSERT INTO log VALUES {}", rows("(?,?,?,?,16,?,?)"));
    let heads =
        format!("INSERT INTO head VALUES {} ON DUPLICATE KEY UPDATE seq = VALUES(seq)", rows("(?,?)"));
    let (log, heads) = (conn.prep(log).await?, conn.prep(heads).await?);
    let mut written = 0u64;
    while Instant::now() < until {
        let (mut entries, mut moved) = (Vec::new(), Vec::new());
        for _ in 0..batch {
            written += 1;
            // Each writer has ten thousand conversations of its own.
            let conversation = ((writer << 32) | (written % 10_000)).to_be_bytes().to_vec();
            let seq = Value::UInt(written / 10_000);
            let mut client_id = [0; 16];
            client_id[..8].copy_from_slice(&((written << 4) | writer).to_be_bytes());
            entries.extend([Value::Bytes(conversation.clone()), seq.clone(), Value::UInt(written)]);
            entries.extend([Value::UInt(written % 7), Value::Bytes(client_id.into())]);
            entries.push(Value::Bytes(vec![b'x'; 102]));
            moved.extend([Value::Bytes(conversation), seq]);
        }
        conn.query_drop("START TRANSACTION").await?;
        conn.exec_drop(&log, entries).await?;
        conn.exec_drop(&heads, moved).await?;
        conn.query_drop("COMMIT").await?;
    }
    Ok(written)
}
