//! What the shared store writes per second, beside the bare limit of its server.
//!
//! ```sh
//! cargo bench -p chat-store --features server-tests --bench mysql             # everything
//! cargo bench -p chat-store --features server-tests --bench mysql -- commits  # or one of those below
//! ```
//!
//! | part | |
//! |---|---|
//! | `commits` | the store beside bare MariaDB, by size of batches and number of writers |
//! | `layouts` | the log clustered by conversation, and in the order of arrival |
//! | `settings` | the recommended settings of the server beside its defaults, as the data grows |
//! | `each-setting` | one setting changed at a time |
//!
//! It starts a MariaDB of its own: flushed at every commit, with a buffer pool of 2 GiB and a redo log
//! of 1 GiB, in the folder of temporary files. What a line compares was measured in turn, in one run.

mod bare;
mod commits;
mod each_setting;
mod layouts;
mod load;
#[path = "../../tests/mysql/server.rs"]
#[allow(dead_code, reason = "tests ask more of a server")]
mod server;
mod settings;

use server::Server;

/// Why a measurement failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Under `cargo test --benches` it only has to build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked_for = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let options = ["--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G"];
    let server = Server::start_with(options.map(str::to_owned).into()).await;
    if is_asked_for("commits") {
        commits::measure(&server).await?;
    }
    if is_asked_for("layouts") {
        layouts::measure(&server).await?;
    }
    drop(server);
    if is_asked_for("settings") {
        settings::measure(&options).await?;
    }
    if is_asked_for("each-setting") {
        each_setting::measure().await?;
    }
    Ok(())
}
