//! Client and server together, over connections that break at any byte.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chat_core::memory::MemoryStore;
use chat_core::{
    AccountName, BlockingInline, Body, Content, ConversationId, CreateGroup, Credentials, DisplayName,
    EndReason, Engine, EngineConfig, Epoch, GroupAction, GroupProfile, Handle, HistoryPolicy, JoinPolicy,
    Outgoing, Password, PasswordCost, Register, Send, Seq, UserId,
};
use chat_proto::client::{Account, Client, ClientConfig, ClientEvent, ClientEvents};
use chat_proto::server::{ConnectionConfig, serve};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

const PASSWORD: &str = "correct horse";
const MESSAGES: u32 = 200;
/// Nothing takes that long, unless it hangs; the clock is paused.
const PATIENCE: Duration = Duration::from_secs(3600);

async fn engine() -> Engine {
    let mut config = EngineConfig::default();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    config.commands_per_second = 1_000_000;
    config.commands_burst = 1_000_000;
    let builder = Engine::builder(MemoryStore::new(Epoch(1))).config(config).blocking(BlockingInline);
    builder.start().await.expect("an engine")
}

/// A pipe that breaks after so many bytes in either direction.
struct Brittle {
    io: DuplexStream,
    left_bytes: usize,
}

impl Brittle {
    fn broken() -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Brittle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left_bytes == 0 {
            return Poll::Ready(Err(Self::broken()));
        }
        let mut part = out.take(self.left_bytes);
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        self.left_bytes -= read;
        // What was read into the part is initialised there, but `out` has to be told.
        let filled = part.filled().to_vec();
        out.put_slice(&filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Brittle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left_bytes == 0 {
            return Poll::Ready(Err(Self::broken()));
        }
        let part = &bytes[..bytes.len().min(self.left_bytes)];
        let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, part))?;
        self.left_bytes -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How long connections last.
#[derive(Clone, Copy)]
enum Lasting {
    Forever,
    /// So that some break within the greeting, and some see a whole page through.
    Random {
        seed: u64,
    },
}

async fn connect(
    engine: &Engine,
    lasting: Lasting,
    configure: impl FnOnce(&mut ClientConfig),
) -> (Client, ClientEvents) {
    let engine = engine.clone();
    let mut drawn = if let Lasting::Random { seed } = lasting { seed } else { 1 };
    let mut connections = 0;
    let connector = move || {
        connections += 1;
        // Xorshift (Marsaglia, 2003).
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        let left_bytes = match lasting {
            Lasting::Random { .. } if connections > 1 => (drawn >> 20) as usize % (1 << (6 + drawn % 11)),
            _ => 4_000,
        };
        let left_bytes = if matches!(lasting, Lasting::Forever) { usize::MAX } else { left_bytes };
        let engine = engine.clone();
        async move {
            let (ours, theirs) = duplex(4096);
            let config = Arc::new(ConnectionConfig::default());
            tokio::spawn(serve(theirs, engine, config, std::future::pending::<()>()));
            Ok(Brittle { io: ours, left_bytes })
        }
    };
    let mut config = ClientConfig::new("nowhere:1");
    config.seed = Some(1);
    config.backoff.first = Duration::from_millis(10);
    config.backoff.max = Duration::from_millis(200);
    config.request_timeout = Duration::from_secs(600);
    configure(&mut config);
    Client::connect_with(config, connector).await.expect("the first connection lasts that long")
}

async fn register(client: &Client, name: &str) -> Account {
    let register = Register {
        client_id: client.new_id(),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new(PASSWORD),
        device_label: "test".into(),
    };
    client.register(register).await.expect("an account")
}

fn credentials(name: &str) -> Credentials {
    Credentials::Password {
        name: AccountName::parse(name).expect("a name"),
        password: Password::new(PASSWORD),
        device_label: "another".into(),
    }
}

fn text(client: &Client, conversation: ConversationId, text: String) -> Send {
    Send {
        client_id: client.new_id(),
        conversation,
        message: Outgoing::Message { body: Body::Text(text), reply_to: None },
        read_up_to: None,
    }
}

/// Sends all messages without waiting in between, then waits for all.
async fn write(client: Client, conversation: ConversationId) -> Vec<Seq> {
    let mut pending = Vec::new();
    for number in 0..MESSAGES {
        let send = text(&client, conversation, number.to_string());
        pending.push(client.begin_send(send).await.expect("queued"));
        if number % 16 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut seqs = Vec::new();
    for sent in pending {
        seqs.push(sent.await.expect("a receipt").seq);
    }
    seqs
}

/// Reads so many entries of a conversation and checks that each is the next.
async fn read(events: &mut ClientEvents, conversation: ConversationId, count: Seq) -> Vec<(UserId, String)> {
    let mut seen = Vec::new();
    let mut breaks = 0;
    while (seen.len() as Seq) < count {
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        match event.unwrap_or_else(|_| panic!("{} of {count} after {breaks} breaks", seen.len())) {
            Some(ClientEvent::Entry { conversation: of, entry }) if of == conversation => {
                assert_eq!(entry.seq, seen.len() as Seq + 1, "once and in order");
                let Ok(Content::Message(Body::Text(text))) = entry.decode_content() else {
                    panic!("a text: {entry:?}")
                };
                seen.push((entry.sender, text));
            }
            Some(ClientEvent::Disconnected { .. }) => breaks += 1,
            Some(ClientEvent::Ended(_) | ClientEvent::GaveUp(_) | ClientEvent::EpochChanged) | None => {
                panic!("the client goes on")
            }
            Some(_) => {}
        }
    }
    assert!(breaks > 0, "nothing was tried");
    seen
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_once_and_in_order_over_connections_that_break_at_any_byte() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let engine = engine().await;
        let queue = |config: &mut ClientConfig| config.event_queue = 16 << (seed % 4);
        let (ada, mut of_ada) = connect(&engine, Lasting::Random { seed }, queue).await;
        let (bob, mut of_bob) = connect(&engine, Lasting::Random { seed: seed << 32 }, queue).await;
        let (user_a, user_b) = (register(&ada, "ada").await.user, register(&bob, "bob").await.user);
        let conversation = ConversationId::direct(user_a, user_b).expect("two users");
        let total = Seq::from(2 * MESSAGES);
        let (receipts_a, receipts_b, seen_a, seen_b) = tokio::join!(
            write(ada.clone(), conversation),
            write(bob.clone(), conversation),
            read(&mut of_ada, conversation, total),
            read(&mut of_bob, conversation, total),
        );
        assert_eq!(seen_a, seen_b);
        let mut numbers: BTreeMap<UserId, Vec<String>> = BTreeMap::new();
        for (sender, text) in seen_a {
            numbers.entry(sender).or_default().push(text);
        }
        let in_order: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert_eq!(numbers.into_values().collect::<Vec<_>>(), [in_order.clone(), in_order]);
        for receipts in [&receipts_a, &receipts_b] {
            assert!(receipts.is_sorted(), "sends take effect in their order");
        }
        ada.close().await;
        bob.close().await;
        engine.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_device_gets_what_is_unread_and_a_known_one_what_it_lacks() {
    let engine = engine().await;
    let (ada, _of_ada) = connect(&engine, Lasting::Forever, |_| {}).await;
    let (bob, of_bob) = connect(&engine, Lasting::Forever, |_| {}).await;
    let (user_a, account) = (register(&ada, "ada").await.user, register(&bob, "bob").await);
    bob.close().await;
    drop(of_bob);
    let conversation = ConversationId::direct(user_a, account.user).expect("two users");
    let mut last = 0;
    for number in 0..120 {
        let sent = ada.send(text(&ada, conversation, number.to_string())).await;
        last = sent.expect("a receipt").seq;
    }

    let known = |config: &mut ClientConfig| {
        config.token = account.token;
        config.cursors = vec![(conversation, 100)];
        config.epoch = Some(account.epoch);
    };
    let (bob, mut of_bob) = connect(&engine, Lasting::Forever, known).await;
    assert_eq!(caught_up(&mut of_bob, conversation).await, (101..=last).collect::<Vec<_>>());
    bob.mark_read(conversation, 110).await.expect("read");

    let (another, mut of_another) = connect(&engine, Lasting::Forever, |_| {}).await;
    another.login(credentials("bob")).await.expect("the password is right");
    assert_eq!(caught_up(&mut of_another, conversation).await, (111..=last).collect::<Vec<_>>());

    another.log_out(another.new_id()).await.expect("logged out");
    let ended = std::iter::from_fn(|| of_another.try_next()).last();
    let ended = match ended {
        Some(event) => Some(event),
        None => of_another.next().await,
    };
    assert!(matches!(ended, Some(ClientEvent::Ended(EndReason::LoggedOut))), "{ended:?}");
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_newer_connection_of_a_device_ends_the_older_for_good() {
    let engine = engine().await;
    let (ada, mut of_ada) = connect(&engine, Lasting::Forever, |_| {}).await;
    let token = register(&ada, "ada").await.token;
    let (newer, mut of_newer) = connect(&engine, Lasting::Forever, |config| config.token = token).await;
    let ended = async {
        loop {
            if let ClientEvent::Ended(reason) = of_ada.next().await.expect("an end comes first") {
                return reason;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, ended).await.expect("in time"), EndReason::Superseded);
    tokio::time::sleep(Duration::from_secs(600)).await;
    newer.devices().await.expect("the newer one goes on");
    while let Some(event) = of_newer.try_next() {
        assert!(!matches!(event, ClientEvent::Disconnected { .. }), "{event:?}");
    }
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn members_who_join_and_are_removed_see_a_group_for_as_long_as_they_are_in_it() {
    let engine = engine().await;
    let (ada, mut of_ada) = connect(&engine, Lasting::Forever, |_| {}).await;
    let (bob, mut of_bob) = connect(&engine, Lasting::Forever, |_| {}).await;
    register(&ada, "ada").await;
    let user_b = register(&bob, "bob").await.user;
    let profile = GroupProfile {
        name: DisplayName::parse("Engines").expect("a name"),
        description: String::new(),
        handle: Some(Handle::parse("engines").expect("a handle")),
        join: JoinPolicy::Open,
        history: HistoryPolicy::SinceJoin,
    };
    let create = CreateGroup { client_id: ada.new_id(), profile, members: Vec::new() };
    let group = ada.create_group(create).await.expect("a group").group;
    let conversation = ConversationId::Group(group);
    let say =
        async |what: &str| ada.send(text(&ada, conversation, what.into())).await.expect("a receipt").seq;
    say("before").await;
    let joined = bob.group(bob.new_id(), group, GroupAction::Join).await.expect("joined").seq;
    let first = say("first").await;
    let last = say("last").await;
    assert_eq!(until(&mut of_bob, conversation, last).await.last(), Some(&last));
    let removal = ada.group(ada.new_id(), group, GroupAction::Remove(user_b)).await.expect("removed").seq;
    let after = say("after").await;
    assert_eq!(until(&mut of_bob, conversation, removal).await, [removal]);
    assert_eq!(until(&mut of_ada, conversation, after).await.last(), Some(&after));
    tokio::time::sleep(Duration::from_secs(60)).await;
    while let Some(event) = of_bob.try_next() {
        let entry = matches!(event, ClientEvent::Entry { conversation: of, .. } if of == conversation);
        assert!(!entry && !matches!(event, ClientEvent::Disconnected { .. }), "{event:?}");
    }
    assert!(joined < first, "what came before stays hidden");
    engine.shutdown().await;
}

/// The seqs that come of a conversation up to this one, consecutive.
async fn until(events: &mut ClientEvents, conversation: ConversationId, last: Seq) -> Vec<Seq> {
    let mut seqs: Vec<Seq> = Vec::new();
    while seqs.last() != Some(&last) {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time");
        match event.expect("the client goes on") {
            ClientEvent::Entry { conversation: of, entry } if of == conversation => {
                assert!(seqs.last().is_none_or(|before| before + 1 == entry.seq));
                seqs.push(entry.seq);
            }
            _ => {}
        }
    }
    seqs
}

/// The seqs that come of a conversation until everything was delivered.
async fn caught_up(events: &mut ClientEvents, conversation: ConversationId) -> Vec<Seq> {
    let mut seqs = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time") {
            Some(ClientEvent::CaughtUp) => return seqs,
            Some(ClientEvent::Entry { conversation: of, entry }) if of == conversation => {
                seqs.push(entry.seq);
            }
            Some(_) => {}
            None => panic!("the client goes on"),
        }
    }
}
