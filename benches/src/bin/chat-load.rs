//! Loads a chat server, measures what clients get, and verifies what they saw.
//!
//! ```text
//! cargo build --release -p chat-server -p chat-benches
//! target/release/chat-load mixed --address 127.0.0.1:6060 --seconds 30 --record run.jsonl
//! target/release/chat-load check run.jsonl
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chat_benches::load::check::check;
use chat_benches::load::options::Options;
use chat_benches::load::report::{NOTHING, Report, summarise};
use chat_benches::measure::Failure;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    about = "Loads a chat server, measures what clients get, and verifies what they saw",
    after_help = "Exit status: 0 when nothing is wrong, 1 when what was promised does not hold, nothing was \
                  acknowledged or a record is damaged, 2 when it could not be run.",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<Options>,
}

#[derive(Subcommand)]
enum Command {
    /// Verifies records that were made with `--record`.
    Check {
        /// Demands that they go to the end of their runs. What a killed program leaves does not.
        #[arg(long)]
        complete: bool,
        /// The records.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How much of a run a record has to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// All of it.
    Complete,
    /// What there is.
    AsFarAsItGoes,
}

/// Nothing is wrong.
const CLEAN: u8 = 0;
/// A promise does not hold.
const VIOLATED: u8 = 1;
/// It could not be run.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (arguments.command, arguments.run) {
        (Some(Command::Check { complete, files }), _) => {
            check_all(&files, if complete { Demand::Complete } else { Demand::AsFarAsItGoes })
        }
        (None, Some(options)) => load(options).await,
        (None, None) => Err("a scenario or `check` is needed; see --help".into()),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("chat-load: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

async fn load(options: Options) -> Result<u8, Failure> {
    let json = options.json.clone();
    let report = chat_benches::load::run(options).await?;
    print(&report, json.as_deref())?;
    Ok(if report.is_clean() { CLEAN } else { VIOLATED })
}

fn print(report: &Report, json: Option<&Path>) -> Result<(), Failure> {
    match json {
        Some(file) if file == Path::new("-") => println!("{}", serde_json::to_string_pretty(report)?),
        Some(file) => {
            let text = serde_json::to_string_pretty(report)? + "\n";
            std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            print!("{report}");
        }
        None => print!("{report}"),
    }
    Ok(())
}

fn check_all(files: &[PathBuf], demand: Demand) -> Result<u8, Failure> {
    let mut status = CLEAN;
    for file in files {
        let checked = check(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let (counts, (violations, evidence)) = (checked.counts, summarise(&checked.violations));
        let end = if checked.complete { "complete" } else { "ends before its run" };
        println!(
            "{}: {end}; {} sent, {} acknowledged, {} seen, {} stored",
            file.display(),
            counts.sent,
            counts.acked,
            counts.saw,
            counts.stored
        );
        let violations: Vec<_> = violations.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        println!("  violations: {}; damage {}", violations.join(", "), checked.damage.len());
        evidence.iter().for_each(|evidence| println!("  {evidence}"));
        if checked.shows_nothing() {
            println!("  {NOTHING}");
        }
        checked.damage.iter().take(5).for_each(|damage| println!("  damaged: {damage}"));
        if !checked.is_clean() || (demand == Demand::Complete && !checked.complete) {
            status = VIOLATED;
        }
    }
    Ok(status)
}
