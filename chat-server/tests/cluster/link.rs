//! A link between a node and a server behind it, which can be slowed down, silenced and cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// How many pieces of what was read may wait until they are written, in each direction.
const PIECES: usize = 64;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// They arrive so much later.
    Slow(Duration),
    /// Nothing passes, and nobody is told. What waits passes when the way is open again, as what TCP
    /// repeats does.
    Silent,
    /// Connections end, and new ones end at once.
    Cut,
}

/// Passes connections to an address of its own on to a server.
pub(crate) struct Link {
    address: SocketAddr,
    way: watch::Sender<Way>,
    passing: JoinHandle<()>,
}

impl Link {
    /// To the server at this port.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::at(listener, port, Vec::new())
    }

    /// Links to the nodes of a Redis Cluster, whose clients go where they are told: each node's port
    /// is told as that of its link.
    pub(crate) async fn to_cluster(ports: &[u16]) -> Vec<Self> {
        let mut listeners = Vec::new();
        for _ in ports {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let names = ports.iter().zip(&listeners).map(|(port, listener)| {
            let link = listener.local_addr().expect("it is bound").port();
            (told(*port), told(link))
        });
        let names: Vec<_> = names.collect();
        let links = listeners.into_iter().zip(ports);
        links.map(|(listener, port)| Self::at(listener, *port, names.clone())).collect()
    }

    fn at(listener: TcpListener, port: u16, names: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (way, ways) = watch::channel(Way::Open);
        let passing = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    // Cancel-safe, both.
                    accepted = listener.accept() => {
                        let Ok((near, _)) = accepted else { return };
                        connections.spawn(carry(near, port, ways.clone(), Names::new(names.clone())));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, way, passing }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the moment in which this returns it is like this for everything that had not been read
    /// before.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn carry(near: TcpStream, port: u16, mut ways: watch::Receiver<Way>, names: Names) {
    let mut cuts = ways.clone();
    let both = async {
        loud(&mut ways).await;
        // A server that is away is one that ends the connection.
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        // Small writes are not to wait for each other: nothing but the way decides how late they are.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
        tokio::join!(
            pass(near_reads, far_writes, ways.clone(), Names::default()),
            pass(far_reads, near_writes, ways, names)
        );
    };
    tokio::select! {
        biased;
        // What is under way is lost with the connection.
        _ = cuts.wait_for(|way| *way == Way::Cut) => {}
        () = both => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut ways: watch::Receiver<Way>,
    mut names: Names,
) {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let reading = async move {
        let mut bytes = vec![0; 1 << 14];
        loop {
            let late = loud(&mut ways).await;
            let count = tokio::select! {
                biased;
                // Cancel-safe, both: a change is seen again, and a read that is dropped has taken nothing.
                changed = ways.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                count = from.read(&mut bytes) => count.unwrap_or(0),
            };
            if count == 0 || queue.send((Instant::now() + late, names.told(&bytes[..count]))).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((when, bytes)) = queued.recv().await {
            tokio::time::sleep_until(when).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side is told; the other direction may go on.
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

/// Waits until something may pass; says how late it is.
async fn loud(ways: &mut watch::Receiver<Way>) -> Duration {
    loop {
        match *ways.borrow_and_update() {
            Way::Open => return Duration::ZERO,
            Way::Slow(late) => return late,
            Way::Silent | Way::Cut => {}
        }
        if ways.changed().await.is_err() {
            // Whoever could open it again is gone.
            return std::future::pending().await;
        }
    }
}

/// How a port is told, alone and as the end of an address.
fn told(port: u16) -> Vec<u8> {
    format!(":{port}\r\n").into_bytes()
}

/// Replaces what is told of ports in a stream of bytes.
#[derive(Default)]
struct Names {
    names: Vec<(Vec<u8>, Vec<u8>)>,
    /// The end of what came, which may be the beginning of a name.
    held: Vec<u8>,
}

impl Names {
    fn new(names: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self { names, held: Vec::new() }
    }

    /// What passes now. A beginning is held back, which never ends an answer: that ends with a line.
    fn told(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = [&self.held, bytes].concat();
        let mut at = 0;
        while let Some(found) = bytes[at..].iter().position(|byte| *byte == b':') {
            at += found;
            let rest = &bytes[at..];
            if let Some((name, other)) = self.names.iter().find(|(name, _)| rest.starts_with(name)) {
                bytes.splice(at..at + name.len(), other.iter().copied());
            } else if self.names.iter().any(|(name, _)| name.starts_with(rest)) {
                self.held = bytes.split_off(at);
                return bytes;
            }
            at += 1;
        }
        self.held.clear();
        bytes
    }
}

#[test]
fn ports_are_told_as_those_of_links_however_the_bytes_are_cut() {
    let names = || Names::new(vec![(told(47_001), told(61_001)), (told(6_379), told(61_002))]);
    let said = b"*3\r\n$9\r\n127.0.0.1\r\n:47001\r\n:4700\r\n-MOVED 7 127.0.0.1:6379\r\n:1\r\n";
    let expected = b"*3\r\n$9\r\n127.0.0.1\r\n:61001\r\n:4700\r\n-MOVED 7 127.0.0.1:61002\r\n:1\r\n";
    for size in 1..said.len() {
        let mut names = names();
        let passed: Vec<u8> = said.chunks(size).flat_map(|piece| names.told(piece)).collect();
        assert_eq!(passed, expected, "in pieces of {size}");
        assert!(names.held.is_empty());
    }
    assert_eq!(Names::default().told(said), said);
}
