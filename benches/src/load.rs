//! A load generator that checks what it saw.
//!
//! ```text
//! options ─▶ plan ─▶ cast (accounts, groups) ─▶ scenario: participants act at a pace
//!                                                  │ sent, answered, saw
//!                                                  ▼
//!                     record ◀── observations ── witness ──▶ histories ──▶ verify ──▶ report
//!                        └─────────▶ check ─────────────────────┘
//! ```
//!
//! Whatever it measures, it verifies what every client was told and shown against what the server holds in
//! the end: a fast server that loses a message has no figures.

pub mod accounts;
pub mod cast;
pub mod check;
pub mod history;
pub mod latency;
pub mod observation;
pub mod options;
pub mod participant;
pub mod record;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod sending;
pub mod servers;
pub mod silence;
pub mod verify;
pub mod witness;

mod ending;
mod progress;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use self::cast::Cast;
use self::options::Options;
use self::participant::Stage;
use self::record::Writer;
use self::report::{CatchUp, Conditions, NOTHING, Report, summarise};
use self::scenario::Run;
use self::servers::Servers;
use self::witness::Witness;
use crate::measure::Failure;

/// How long clients have to close their connections in the end.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs a scenario and verifies it.
///
/// # Errors
/// It could not be run to its end: an argument has no meaning, the server cannot be reached, refuses what a scenario needs, or does not
/// let its history be read; or a file cannot be written.
pub async fn run(options: Options) -> Result<Report, Failure> {
    options.check()?;
    let plan = scenario::plan(&options)?;
    let servers = Arc::new(Servers::watch(&options.pids)?);
    let record = match &options.record {
        Some(file) => {
            let created = Writer::create(file).map_err(|error| format!("{}: {error}", file.display()));
            Some(created?)
        }
        None => None,
    };
    let seed = match options.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos().into(),
    };
    let stage = Arc::new(Stage {
        addresses: options.addresses.clone(),
        seed,
        witness: OnceLock::new(),
        reconnections: AtomicU64::new(0),
        repetitions: AtomicU64::new(0),
        ended: Mutex::default(),
    });
    let cast = Cast::gather(&stage, &plan, options.accounts.as_deref()).await?;
    let limits = cast.participants[0].client().await.limits();
    let users = cast.participants.iter().map(|participant| participant.user).collect();
    let scenario = options.scenario.name().to_owned();
    let witness = Arc::new(Witness::new(record, (scenario, seed), users, cast.venues.clone()));
    stage.witness.set(Arc::clone(&witness)).map_err(|_| "a run begins once")?;
    servers.begin();
    if !options.quiet {
        eprintln!("sending");
    }
    let run = Run::new(options, stage, cast, witness, servers);
    let progress = progress::start(&run);
    let begun = Instant::now();
    let played = scenario::play(&run).await;
    let seconds = begun.elapsed().as_secs_f64().min(run.options.seconds as f64);
    let violations = match played {
        Ok(()) => ending::settle(&run).await,
        Err(failure) => Err(failure),
    };
    progress.abort();
    run.witness.flush()?;
    let violations = violations?;
    run.witness.end_record()?;
    let report = report(&run, (seconds, limits.commands.per_second), &violations);
    let participants = run.cast.participants.iter().cloned();
    let going: JoinSet<()> = participants.map(|participant| async move { participant.go().await }).collect();
    // A server that is gone cannot be taken leave of.
    let _ = tokio::time::timeout(LEAVE, going.join_all()).await;
    Ok(report)
}

fn report(
    run: &Run,
    (seconds, commands_per_second_limit): (f64, u32),
    violations: &[verify::Violation],
) -> Report {
    let (options, tally) = (&run.options, &run.witness.tally);
    let (violations, mut evidence) = summarise(violations);
    if tally.acknowledged.load(Ordering::Relaxed) == 0 {
        evidence.push(NOTHING.to_owned());
    }
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let refused = tally.refused.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = refused.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
    Report {
        scenario: options.scenario,
        conditions: Conditions {
            addresses: options.addresses.clone(),
            clients: options.clients(),
            conversations: run.witness.places(),
            window: options.window,
            rate: options.rate,
            bytes: options.bytes,
            seed: run.stage.seed,
            commands_per_second_limit,
            settle_seconds: options.settle,
        },
        seconds,
        sent: load(&tally.sent),
        acknowledged: load(&tally.acknowledged),
        refused,
        unknown: load(&tally.unknown),
        deliveries: load(&tally.deliveries),
        acknowledged_us: tally.acknowledgements.percentiles(),
        delivered_us: tally.arrivals.percentiles(),
        longest_silence_ms: tally.longest_silence().as_secs_f64() * 1e3,
        reconnections: load(&run.stage.reconnections),
        repetitions: load(&run.stage.repetitions),
        catch_up: CatchUp {
            after_sending_ms: tally.after_sending().as_secs_f64() * 1e3,
            longest_ms: tally.longest_late().as_secs_f64() * 1e3,
        },
        violations,
        evidence,
        ended: run.stage.ended.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        figures: run.figures(),
        servers: run.servers.used(),
    }
}
