//! Nodes on MariaDB and Redis, beside what MariaDB alone writes in the same run.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Value};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::Failure;
use super::backends::Backends;
use super::crowd::{Crowd, quantiles};
use super::prepare::{self, Prepared};
use super::scenario::Report;
use super::server::Server;

/// Senders, and how many messages each has in flight.
const LOADS: [(usize, usize); 4] = [(1, 1), (64, 1), (1_000, 1), (64, 16)];

/// Rows of one transaction, and connections that write at the same time.
const BARE: [(usize, usize); 5] = [(1, 1), (64, 1), (1_000, 1), (100, 4), (1_000, 4)];

/// What bears the loads.
const SHAPES: [Shape; 4] = [
    Shape { nodes: 1, bus: false, share: 1 },
    Shape { nodes: 1, bus: true, share: 1 },
    Shape { nodes: 1, bus: true, share: 3 },
    Shape { nodes: 3, bus: true, share: 1 },
];

/// What the last of them is compared with in the end: with one node that has all senders, and with
/// one that has as many as each of the three.
const BESIDE: [usize; 2] = [1, 2];

#[derive(Clone, Copy)]
struct Shape {
    nodes: usize,
    /// Whether Redis is their bus.
    bus: bool,
    /// They get one sender out of so many of a load's.
    share: usize,
}

/// Nodes over one database.
struct Cluster {
    shape: Shape,
    name: String,
    store: String,
    bus: Option<String>,
    prepared: Prepared,
    folder: TempDir,
}

/// What one load came to.
struct Sample {
    report: Report,
    /// Processor time of all nodes, in seconds for each message.
    cpu: f64,
}

/// Measures everything so many times, in turns, and prints the medians.
///
/// # Errors
/// A server does not start, or does what it must not.
pub async fn run(folder: TempDir, span: u64, rounds: usize) -> Result<(), Failure> {
    let backends = Backends::start(folder.path()).await?;
    let bare = backends.database("bare").await?;
    let mut clusters = Vec::new();
    for shape in SHAPES {
        clusters.push(Cluster::prepare(&backends, shape, folder.path()).await?);
    }
    let mut rows = BARE.map(|_| Vec::new());
    let mut samples = LOADS.map(|_| SHAPES.map(|_| Vec::new()));
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for ((batch, connections), rates) in BARE.into_iter().zip(&mut rows) {
            rates.push(rows_per_second(&bare, batch, connections, Duration::from_secs(span)).await?);
        }
        for ((count, window), samples) in LOADS.into_iter().zip(&mut samples) {
            for (cluster, samples) in clusters.iter().zip(samples) {
                samples.push(cluster.measure(count, window, span).await?);
            }
        }
    }
    for ((batch, connections), rates) in BARE.into_iter().zip(&rows) {
        println!(
            "bare MariaDB, {connections} connections, batches of {batch}: {:.0} rows/s",
            median(rates.iter().copied())
        );
    }
    for ((count, window), samples) in LOADS.into_iter().zip(&samples) {
        for (cluster, samples) in clusters.iter().zip(samples) {
            println!("{cluster}, {count} senders, {window} in flight each: {}", summary(samples));
        }
        let last = samples.len() - 1;
        for beside in BESIDE {
            let pairs = samples[beside].iter().zip(&samples[last]);
            let ratios: Vec<_> = pairs.map(|(one, several)| several.cpu / one.cpu).collect();
            println!(
                "{count} senders, {window} in flight each: {} takes {:.2} times the processor time per message of {} ({})",
                clusters[last],
                median(ratios.iter().copied()),
                clusters[beside],
                ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", "),
            );
        }
    }
    Ok(())
}

impl Cluster {
    async fn prepare(backends: &Backends, shape: Shape, folder: &Path) -> Result<Self, Failure> {
        let Shape { nodes, bus, share } = shape;
        let name = format!("chat_{nodes}_{}_{share}", if bus { "redis" } else { "alone" });
        let store = backends.database(&name).await?;
        let opened = MysqlStore::connect(&store, &MysqlOptions::default()).await?;
        let prepared = prepare::prepare_in(opened, LOADS[2].0, 0).await?;
        let bus = bus.then(|| backends.redis());
        Ok(Self { shape, name, store, bus, prepared, folder: tempfile::tempdir_in(folder)? })
    }

    /// Starts the nodes, measures them under one load, and stops them.
    async fn measure(&self, count: usize, window: usize, span: u64) -> Result<Sample, Failure> {
        let mut servers = Vec::new();
        for node in 0..self.shape.nodes {
            let node = format!("{}_node{node}", self.name);
            let mut arguments = vec!["--store", &self.store, "--node", &node];
            if let Some(bus) = &self.bus {
                arguments.extend(["--bus", bus]);
            }
            servers.push(Server::start(self.folder.path(), &arguments).await?);
        }
        let job = Crowd::new("senders", self.shape.share_of(count), span).with("--window", window);
        let (report, cpu) = job.run_on(&servers, self.folder.path(), &self.prepared).await?;
        for server in servers {
            server.stop().await?;
        }
        Ok(Sample { report, cpu })
    }
}

impl Shape {
    /// Its share of so many senders: pairs, or one alone.
    fn share_of(self, senders: usize) -> usize {
        if senders == 1 { 1 } else { (senders / self.share).next_multiple_of(2) }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { nodes, share, .. } = self.shape;
        let bus = if self.bus.is_some() { "Redis" } else { "no bus" };
        write!(f, "{nodes} node(s), {bus}")?;
        if share > 1 { write!(f, ", one of {share} senders") } else { Ok(()) }
    }
}

fn summary(samples: &[Sample]) -> String {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value));
    let times = |times: fn(&Report) -> (u64, u64)| {
        let each = |place: fn((u64, u64)) -> u64| {
            median(samples.iter().map(|sample| place(times(&sample.report)) as f64)) as u64
        };
        quantiles((each(|(half, _)| half), each(|(_, most)| most)))
    };
    format!(
        "{:.0} durable sends/s; acknowledged {}; delivered {}; nodes {:.1} µs of processor per message",
        of(|sample| sample.report.rate),
        times(|report| report.acknowledged_us),
        times(|report| report.delivered_us),
        of(|sample| sample.cpu) * 1e6,
    )
}

/// The middle one, or the greater of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
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
