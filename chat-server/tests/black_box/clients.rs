//! The driver's own clients, which come back by themselves, and what they are told.

use std::time::Duration;

use chat_core::ConversationId;
use chat_core::{Entry, Seq, Token};
use chat_proto::client::{Account, Client, ClientConfig, ClientEvent, ClientEvents};

use crate::requests;
use crate::server::in_time;

/// A client that does not wait long before it comes back, and does not lose patience.
pub(crate) fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new(address);
    config.backoff.first = Duration::from_millis(20);
    config.backoff.max = Duration::from_millis(200);
    config.request_timeout = Duration::from_secs(80);
    config
}

/// One with a new account.
pub(crate) async fn join(address: &str, name: &str) -> (Client, ClientEvents, Account) {
    let (client, events) = Client::connect(config(address)).await.expect("the server accepts");
    let account = client.register(requests::registration(name)).await.expect("a new account");
    (client, events, account)
}

/// One that knows its token, and has conversations as far as the cursors say.
pub(crate) async fn resume(
    address: &str,
    token: Token,
    cursors: Vec<(ConversationId, Seq)>,
) -> (Client, ClientEvents) {
    let mut config = config(address);
    (config.token, config.cursors) = (Some(token), cursors);
    Client::connect(config).await.expect("the token is accepted")
}

/// The next entries of this conversation, up to this one.
pub(crate) async fn entries_to(events: &mut ClientEvents, of: ConversationId, last: Seq) -> Vec<Entry> {
    let mut heard: Vec<Entry> = Vec::new();
    while heard.last().is_none_or(|entry| entry.seq < last) {
        match in_time("an entry", events.next()).await.expect("the client goes on") {
            ClientEvent::Entry { conversation, entry } if conversation == of => heard.push(entry),
            ClientEvent::Ended(reason) => panic!("the client ended: {reason:?}"),
            ClientEvent::GaveUp(error) => panic!("the client gave up: {error}"),
            _ => {}
        }
    }
    heard
}

/// Their seqs.
pub(crate) fn seqs(entries: &[Entry]) -> Vec<Seq> {
    entries.iter().map(|entry| entry.seq).collect()
}

/// The whole log of a conversation.
pub(crate) async fn read_log(client: &mut Client, of: ConversationId) -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    loop {
        let from = log.last().map_or(1, |last| last.seq + 1);
        let page = client.entries(of, &requests::range(from, requests::END)).await.expect("a member reads");
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}
