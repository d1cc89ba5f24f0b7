//! The link to the server breaks at the one moment at which it is not known what became of a batch.

use std::error::Error;
use std::sync::Arc;

use chat_core::store::{Outcome, Store, StoreErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::{batch, group, message, numbers, seqs};
use crate::server::{address, connect, shared};

/// When a link breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    /// The server does not learn that it was to commit.
    BeforeCommit,
    /// The server has answered, and the client does not learn what.
    AfterCommit,
    /// The client learns what became of the first statement, and nothing of the commit.
    AmongAnswers,
}

/// Stands between a store and its server, and breaks the next link on which a commit passes.
struct Proxy {
    port: u16,
    cut: Arc<watch::Sender<Cut>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let cut = Arc::new(watch::Sender::new(Cut::Never));
        let for_links = Arc::clone(&cut);
        let accepting = tokio::spawn(async move {
            let mut links = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.expect("the server listens");
                links.spawn(carry(client, server, Arc::clone(&for_links)));
            }
        });
        Self { port, cut, accepting }
    }

    fn cut_next(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }

    /// Whether it did what it was asked.
    fn has_cut(&self) -> bool {
        *self.cut.borrow() == Cut::Never
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries bytes both ways until either side ends, or the link is cut.
async fn carry(mut client: TcpStream, mut server: TcpStream, cut: Arc<watch::Sender<Cut>>) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            // Reading is cancel-safe: what the other branch wins loses no bytes.
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_client[..length];
                let cut = if is_commit(bytes) { cut.send_replace(Cut::Never) } else { Cut::Never };
                if cut == Cut::BeforeCommit || server.write_all(bytes).await.is_err() {
                    return;
                }
                if cut == Cut::AfterCommit {
                    let mut answer = Vec::new();
                    while !is_whole(&answer) {
                        let read = server.read_buf(&mut answer).await;
                        assert!(read.is_ok_and(|length| length > 0), "the server answers");
                    }
                    return;
                }
                if cut == Cut::AmongAnswers {
                    let mut answer = Vec::new();
                    while first_of_several(&answer).is_none() {
                        let read = server.read_buf(&mut answer).await;
                        assert!(read.is_ok_and(|length| length > 0), "the server answers");
                    }
                    let first = first_of_several(&answer).expect("just seen");
                    // It hears of a statement that ran, and of nothing after it.
                    let _ = client.write_all(first).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The first packet of its exchange: a query, whose text ends with the commit.
fn is_commit(bytes: &[u8]) -> bool {
    bytes.get(3..5) == Some(b"\0\x03") && bytes.ends_with(b"COMMIT")
}

/// The packets that have arrived as a whole: three bytes of length, a number, and what they hold.
fn packets(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let [low, middle, high, _, ..] = *bytes {
        let length = 4 + usize::from(low) + (usize::from(middle) << 8) + (usize::from(high) << 16);
        let Some((packet, rest)) = bytes.split_at_checked(length) else { break };
        packets.push(packet);
        bytes = rest;
    }
    packets
}

/// Whether a statement that was answered is the last: no flag says that there are more results. Rows
/// affected and ids given are few, and take a byte each.
fn is_last(packet: &[u8]) -> bool {
    packet[4] != 0 || packet[7] & 0x08 == 0
}

fn is_whole(answer: &[u8]) -> bool {
    packets(answer).last().is_some_and(|packet| is_last(packet))
}

fn first_of_several(answer: &[u8]) -> Option<&[u8]> {
    packets(answer).first().copied().filter(|packet| !is_last(packet))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_that_dies_before_the_commit_arrives_is_settled_by_running_again() -> Result<(), Box<dyn Error>>
{
    let server = shared().await;
    let database = server.make_database().await;
    let proxy = Proxy::before(server.port()).await;
    let store = connect(&address(&database, proxy.port)).await;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    let doubtful = batch(1, 2, vec![message(2, group(1))]);
    proxy.cut_next(Cut::BeforeCommit);
    let error = store.commit(&doubtful).await.expect_err("the link died");
    assert_eq!((error.kind(), proxy.has_cut()), (StoreErrorKind::Ambiguous, true));
    assert_eq!(numbers(&store, group(1)).await?, [1]);
    let outcomes = store.commit(&doubtful).await?;
    assert!(matches!(outcomes[..], [Outcome::Committed(_)]), "{outcomes:?}");
    assert_eq!(numbers(&store, group(1)).await?, [1, 2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_that_dies_before_the_answer_to_a_commit_is_settled_by_running_again()
-> Result<(), Box<dyn Error>> {
    settled_by_running_again(Cut::AfterCommit).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_that_dies_among_the_answers_to_a_script_is_settled_by_running_again()
-> Result<(), Box<dyn Error>> {
    settled_by_running_again(Cut::AmongAnswers).await
}

async fn settled_by_running_again(cut: Cut) -> Result<(), Box<dyn Error>> {
    let server = shared().await;
    let database = server.make_database().await;
    let proxy = Proxy::before(server.port()).await;
    let store = connect(&address(&database, proxy.port)).await;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    let doubtful = batch(1, 2, vec![message(2, group(1)), message(3, group(2))]);
    store.commit(&batch(1, 2, vec![message(9, group(2))])).await?;
    proxy.cut_next(cut);
    let error = store.commit(&doubtful).await.expect_err("the link died");
    assert_eq!((error.kind(), proxy.has_cut()), (StoreErrorKind::Ambiguous, true));
    // Others write on before it is settled.
    store.commit(&batch(1, 3, vec![message(4, group(1))])).await?;
    let outcomes = store.commit(&doubtful).await?;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Duplicate(_))), "{outcomes:?}");
    assert_eq!(seqs(&outcomes), [2, 2]);
    assert_eq!(numbers(&store, group(1)).await?, [1, 2, 4]);
    assert_eq!(numbers(&store, group(2)).await?, [9, 3]);
    Ok(())
}
