//! A server over any store, and the program under test.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use chat_benches::world;
use chat_core::Engine;
use chat_core::memory::InProcessBus;
use chat_core::store::Store;
use chat_proto::server::{ConnectionConfig, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

/// A server on a free port.
pub(crate) struct Server {
    pub(crate) address: String,
    engine: Engine,
    stop: watch::Sender<bool>,
    cut: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(store: impl Store) -> Self {
        Self::over(world::engine(store).await).await
    }

    /// One of several over the same store that hear each other.
    pub(crate) async fn node(store: impl Store, bus: &InProcessBus) -> Self {
        let engine = Engine::builder(store).config(world::config()).bus(bus.endpoint());
        Self::over(engine.start().await.expect("the store is readable")).await
    }

    async fn over(engine: Engine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (stop, stopped) = watch::channel(false);
        let cut = Arc::new(Notify::new());
        let accepting = tokio::spawn(accept(listener, engine.clone(), stopped, Arc::clone(&cut)));
        Self { address, engine, stop, cut, accepting }
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.accepting.await.expect("no panic");
        self.engine.shutdown().await;
    }
}

async fn accept(listener: TcpListener, engine: Engine, mut stop: watch::Receiver<bool>, cut: Arc<Notify>) {
    let config = Arc::new(ConnectionConfig::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            () = cut.notified() => {
                connections.abort_all();
                continue;
            }
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, _) = accepted.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        let mut stop = stop.clone();
        let shutdown = async move { drop(stop.wait_for(|stop| *stop).await) };
        connections.spawn(serve(stream, engine.clone(), Arc::clone(&config), shutdown));
    }
    while connections.join_next().await.is_some() {}
}

/// Runs `chat-load`.
pub(crate) async fn chat_load(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-load"));
    command.args(arguments).kill_on_drop(true).output().await.expect("it runs")
}

/// Starts `chat-load`, with a file as its last argument; it is killed with its owner.
pub(crate) fn start(arguments: &[&str], file: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-load"));
    command.args(arguments).arg(file).stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("it runs")
}

/// What it says on its standard error.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a scenario for a second; the status and what it reports.
pub(crate) async fn report(address: &str, scenario: &str, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&[scenario, "--address", address, "--seconds", "1", "--quiet", "--json"], more].concat();
    let output = chat_load(&arguments).await;
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error} in a report; {}", complaint(&output)));
    (output.status.code(), report)
}

/// A number of a report.
pub(crate) fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {report:#}"))
}
