//! The reference chat server: configuration, listeners and signals around chat-core.
//!
//! The binary is a few lines around [`Server`]; embedders and tests start the same one in-process:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = chat_server::Settings::default();
//! settings.listen = "127.0.0.1:0".parse()?;
//! settings.data = "./some-folder".into();
//! let server = chat_server::Server::start(settings).await?;
//! println!("ready tcp={}", server.local_addr());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod accept;
mod backend;
mod exchange;
mod http;
mod migration;
mod open_files;
mod proxy;
mod server;
mod settings;
mod telemetry;
mod traffic;

pub use chat_store::archive::Resume;
pub use exchange::{ExchangeError, export, import};
pub use migration::{Migration, MigrationError, migrate, migration};
pub use server::{RunningServer, Server, StartError, Stopped, in_full};
pub use settings::{
    Accounts, Asking, Commits, Connections, Contacts, Devices, Gates, Groups, LogFormat, Messages, Mysql,
    NoNetwork, Presence, Proxies, Rates, Redis, Sessions, Settings, SettingsError, Sources, Writing,
};
pub use telemetry::log_to_stderr;
