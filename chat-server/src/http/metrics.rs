//! The figures of engine and process under the names that Prometheus knows them by.

use std::fmt;
use std::sync::Arc;

use chat_core::bus::BusState;
use chat_core::{BusFigures, Engine, Figures, Histogram};
use chat_proto::server::ConnectionConfig;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::traffic::Traffic;

/// What `/metrics` answers from.
pub(super) struct Metrics(Registry);

impl Metrics {
    pub(super) fn new(engine: Engine, traffic: Arc<Traffic>, connections: ConnectionConfig) -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("chat_build", "The version that runs", build);
        registry.register_collector(Box::new(Source { engine, traffic, connections }));
        Self(registry)
    }

    /// All of them as they are now.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.0).expect("a string takes everything");
        text
    }
}

struct Source {
    engine: Engine,
    traffic: Arc<Traffic>,
    connections: ConnectionConfig,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("traffic", &self.traffic).finish_non_exhaustive()
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let figures = self.engine.figures();
        page.engine(&figures)?;
        page.commits(&figures)?;
        page.cluster(&figures)?;
        let health = self.engine.health();
        page.gauge("chat_ready", "Whether the node should be given work", f64::from(health.ready))?;
        page.connections(self.traffic.read(), &self.connections)?;
        match resident_bytes() {
            Some(bytes) => {
                page.gauge("process_resident_memory_bytes", "Memory that the process occupies", bytes as f64)
            }
            None => Ok(()),
        }
    }
}

/// What is being answered.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn engine(&mut self, figures: &Figures) -> fmt::Result {
        let (sends, deliveries) = (&figures.sends, &figures.deliveries);
        self.gauge("chat_sessions", "Sessions at present", figures.sessions as f64)?;
        self.gauge("chat_users_online", "Users with a session on this node", figures.users as f64)?;
        self.counter("chat_sends", "Sends taken into a queue", sends.accepted)?;
        self.counter("chat_sends_committed", "Sends stored and acknowledged", sends.committed)?;
        self.counter("chat_sends_duplicate", "Sends that were repetitions", sends.duplicates)?;
        self.counter("chat_deliveries", "Entries queued to sessions", deliveries.entries)?;
        self.counter("chat_delivered_chunks", "Chunks queued to sessions", deliveries.chunks)?;
        self.counter("chat_collapses", "Full queues that became marks", deliveries.collapses)?;
        let dropped = deliveries.ephemerals_dropped;
        self.counter("chat_ephemerals_dropped", "Ephemeral events dropped for want of room", dropped)?;
        let refusals: Vec<_> = figures.refusals.iter().map(|(kind, times)| (kind.code(), *times)).collect();
        self.counters("chat_refusals", "Refused commands by the code of the error", "code", &refusals)?;
        let queues = &figures.queues;
        self.gauge("chat_outbox_bytes", "Events that wait in sessions", queues.outbox_bytes as f64)?;
        let limit = queues.outbox_limit_bytes as f64;
        self.gauge("chat_outbox_limit_bytes", "The most that may wait in sessions", limit)?;
        let hashes = queues.password_hashes as f64;
        self.gauge("chat_password_hashes_waiting", "Passwords that wait to be hashed", hashes)
    }

    fn connections(&mut self, traffic: (usize, u64, u64), config: &ConnectionConfig) -> fmt::Result {
        let (open, accepted, refused) = traffic;
        self.gauge("chat_connections", "Connections at present", open as f64)?;
        self.counter("chat_connections_accepted", "Connections accepted", accepted)?;
        self.counter("chat_connections_refused", "Connections beyond the limit", refused)?;
        let held = config.buffered_bytes() as f64;
        self.gauge("chat_connection_buffer_bytes", "Bytes that wait in connections", held)?;
        let limit = config.buffer_bytes as f64;
        self.gauge("chat_connection_buffer_limit_bytes", "The most that may wait in connections", limit)
    }

    fn commits(&mut self, figures: &Figures) -> fmt::Result {
        let (commits, queues) = (&figures.commits, &figures.queues);
        self.histogram("chat_commit_batch_size", "Items of a committed batch", &commits.batch_size)?;
        self.histogram("chat_commit_seconds", "How long an attempt to commit took", &commits.seconds)?;
        let failures = [
            ("ambiguous", commits.ambiguous),
            ("unavailable", commits.unavailable),
            ("invalid", commits.invalid),
        ];
        self.counters("chat_commit_failures", "Attempts to commit that failed", "outcome", &failures)?;
        self.gauge("chat_commit_queue_rows", "Commands that wait to be stored", queues.commit_rows as f64)?;
        self.gauge("chat_commit_queue_bytes", "What these hold", queues.commit_bytes as f64)
    }

    fn cluster(&mut self, figures: &Figures) -> fmt::Result {
        let ready = f64::from(figures.store_ready);
        self.gauge("chat_store_ready", "Whether the store answers and takes writes", ready)?;
        let repairs = [("read", figures.repairs.holes_read), ("given_up", figures.repairs.holes_given_up)];
        self.counters("chat_repairs", "Entries missing at a gate, and how that ended", "outcome", &repairs)?;
        if let Some(journal) = &figures.journal {
            self.counter("chat_journal_rounds", "Pages of the journal read", journal.rounds)?;
            self.counter("chat_journal_errors", "Attempts to read it that failed", journal.errors)?;
            let age = journal.age.as_secs_f64();
            self.gauge("chat_journal_age_seconds", "How long ago the journal was read", age)?;
        }
        figures.bus.as_ref().map_or(Ok(()), |bus| self.bus(bus))
    }

    fn bus(&mut self, bus: &BusFigures) -> fmt::Result {
        let states = [
            ("unproven", BusState::Unproven),
            ("healthy", BusState::Healthy),
            ("degraded", BusState::Degraded),
        ];
        let mut state = self.0.encode_descriptor(
            "chat_bus_state",
            "1 for the state that the bus is in",
            None,
            MetricType::Gauge,
        )?;
        for (name, one) in states {
            state.encode_family(&[("state", name)])?.encode_gauge(&u32::from(bus.state == one))?;
        }
        let counts = &bus.counts;
        let messages = [
            ("taken", counts.taken),
            ("dropped", counts.dropped),
            ("failed", counts.failed),
            ("received", counts.received),
            ("newer", counts.newer),
            ("malformed", counts.malformed),
        ];
        self.counters("chat_bus_messages", "Messages by what became of them", "outcome", &messages)?;
        self.counter("chat_bus_overruns", "Times that too many messages arrived", counts.overrun)?;
        let resubscribed = counts.resubscribed;
        self.counter("chat_bus_resubscriptions", "Times that all was subscribed again", resubscribed)?;
        let (outgoing, incoming) = (counts.outgoing_bytes as f64, counts.incoming_bytes as f64);
        self.gauge("chat_bus_outgoing_bytes", "Bytes that wait to be published", outgoing)?;
        self.gauge("chat_bus_incoming_bytes", "Bytes that arrived and wait to be received", incoming)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// `_total` is added to its name.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, *of)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, values: &Histogram) -> fmt::Result {
        let bounds = values.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(values.counts.iter().copied()).collect();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(values.sum, values.count(), &buckets, None)
    }
}

/// What the process occupies; `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
