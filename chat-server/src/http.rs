//! What an operator asks over HTTP: whether the process lives, whether it should be given work, and
//! its figures.
//!
//! A connection carries one request and has its whole life bounded, so that neither a slow head nor a
//! slow reader of the answer holds it.

mod listener;
mod metrics;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use chat_core::Engine;
use chat_proto::server::ConnectionConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::traffic::Traffic;
use listener::Bounded;
use metrics::Metrics;

/// The operator's endpoint while it serves. Dropping it cuts its connections.
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// Ends the acceptance of connections; gone, it cuts those that are left.
    stop: watch::Sender<bool>,
    serving: JoinHandle<io::Result<()>>,
}

impl Endpoint {
    /// Listens and serves. The node counts as stopping, and so as not ready, when `stopping` is true.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub(crate) async fn start(
        address: SocketAddr,
        engine: Engine,
        traffic: Arc<Traffic>,
        connections: ConnectionConfig,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let metrics = Metrics::new(engine.clone(), traffic, connections);
        let node = Arc::new(Node { engine, metrics, stopping });
        let (stop, stopped) = watch::channel(false);
        let mut told = stopped.clone();
        let serving = axum::serve(Bounded::new(listener, stopped), router(node));
        let serving = serving.with_graceful_shutdown(async move { drop(told.wait_for(|stop| *stop).await) });
        Ok(Self { address, stop, serving: tokio::spawn(serving.into_future()) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests and answers those that it has, until the deadline.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        // The listener holds a receiver until it has ended.
        let _ = self.stop.send(true);
        // What is left at the deadline is cut by dropping this.
        let _ = timeout_at(deadline, &mut self.serving).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Node {
    engine: Engine,
    metrics: Metrics,
    stopping: watch::Receiver<bool>,
}

/// The type of OpenMetrics as text, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One request for each connection.
const CLOSE: [(HeaderName, &str); 1] = [(header::CONNECTION, "close")];

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .layer(axum::middleware::map_response(async |answer: axum::response::Response| (CLOSE, answer)))
        .with_state(node)
}

/// That it answers is the answer; what is said is for people.
async fn alive(State(node): State<Arc<Node>>) -> &'static str {
    if node.engine.health().bus_degraded { "degraded: bus\n" } else { "ok\n" }
}

async fn ready(State(node): State<Arc<Node>>) -> impl IntoResponse {
    let health = node.engine.health();
    let mut reasons: Vec<_> = health.reasons.iter().map(|reason| reason.code()).collect();
    if *node.stopping.borrow() && !reasons.contains(&STOPPING) {
        reasons.insert(0, STOPPING);
    }
    match (reasons.is_empty(), health.bus_degraded) {
        (true, false) => (StatusCode::OK, "ready\n".to_owned()),
        (true, true) => (StatusCode::OK, "ready\ndegraded: bus\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reasons.join(", "))),
    }
}

/// Said while connections are drained, before the engine itself shuts down.
const STOPPING: &str = chat_core::Unready::ShuttingDown.code();

async fn figures(State(node): State<Arc<Node>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], node.metrics.text())
}

#[cfg(test)]
mod tests {
    use chat_core::Epoch;
    use chat_core::memory::MemoryStore;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn readiness(of: SocketAddr) -> String {
        let mut stream = TcpStream::connect(of).await.expect("it listens");
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: o\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers and closes");
        answer
    }

    #[tokio::test]
    async fn a_node_is_not_ready_from_the_moment_in_which_it_begins_to_drain() {
        let engine = Engine::builder(MemoryStore::new(Epoch(1))).start().await.expect("an engine");
        let (stopping, told) = watch::channel(false);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let connections = ConnectionConfig::default();
        let endpoint = Endpoint::start(any, engine.clone(), Arc::default(), connections, told).await;
        let endpoint = endpoint.expect("it listens");
        assert!(readiness(endpoint.address()).await.starts_with("HTTP/1.1 200"));
        stopping.send_replace(true);
        assert!(engine.health().ready, "the engine itself goes on");
        let draining = readiness(endpoint.address()).await;
        assert!(draining.starts_with("HTTP/1.1 503"), "{draining}");
        engine.shutdown().await;
        let stopped = readiness(endpoint.address()).await;
        for answer in [draining, stopped] {
            assert!(answer.ends_with("\r\n\r\nnot ready: shutting_down\n"), "said once: {answer}");
        }
    }
}
