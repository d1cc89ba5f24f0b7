//! Breaks a cluster while clients use it, and says what came of it. `scripts/chaos` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chat_benches::chaos::cluster::RedisKind;
use chat_benches::chaos::run::{self, Options, Outcome};
use chat_benches::chaos::schedule;
use chat_benches::measure::Failure;
use clap::Parser;

/// Starts MariaDB, Redis, three nodes and nginx, lets chat-load send through them, and kills, freezes,
/// restarts and cuts off one thing after another.
///
/// Exit codes: 0 everything held, 1 something did not, 2 it could not be run.
#[derive(Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// For how long.
    #[arg(default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,
    /// From which everything is drawn; by default another one each time. It is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// What Redis is.
    #[arg(long, value_enum, default_value_t = RedisKind::Single)]
    redis: RedisKind,
    /// How many clients there are.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// How many messages they send per second, all together.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Prints verdict and timeline as JSON, or writes them to a file beside the printed tables.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Where logs and records are written, and stay; by default a temporary folder, which stays only
    /// when something did not hold.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Prints what would be done, and does nothing.
    #[arg(long)]
    plan: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.1..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("minutes are a number from 0.1 to 10000".into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = tokio::select! {
        done = chaos(&arguments) => done,
        // Everything that was started ends with this process.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("chaos: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn chaos(arguments: &Arguments) -> Result<bool, Failure> {
    let options = Options {
        seed: arguments.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        length: Duration::from_secs_f64(arguments.minutes * 60.0),
        redis: arguments.redis,
        clients: usize::try_from(arguments.clients)?,
        rate: usize::try_from(arguments.rate)?,
    };
    if arguments.plan {
        println!("seed {}", options.seed);
        for fault in schedule::windows(options.seed, options.length).iter().flat_map(|window| &window.faults)
        {
            println!("{:>8.1} s  {fault}", fault.at.as_secs_f64());
        }
        return Ok(true);
    }
    let temporary = tempfile::Builder::new().prefix("chaos-").tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    let done = run::run(options, folder.to_owned()).await;
    if !done.as_ref().is_ok_and(|outcome| outcome.verdict.holds()) && arguments.folder.is_none() {
        eprintln!("chaos: logs and records are in {}", temporary.keep().display());
    }
    let outcome = done?;
    tell(&outcome, arguments)?;
    Ok(outcome.verdict.holds())
}

fn tell(outcome: &Outcome, arguments: &Arguments) -> Result<(), Failure> {
    let mut json = outcome.verdict.json();
    json["timeline"] = outcome.timeline.json();
    match &arguments.json {
        Some(file) if file.as_os_str() == "-" => println!("{json:#}"),
        Some(file) => {
            std::fs::write(file, format!("{json:#}\n"))?;
            println!("{}\n{}", outcome.timeline, outcome.verdict);
        }
        None => println!("{}\n{}", outcome.timeline, outcome.verdict),
    }
    Ok(())
}
