//! Ten thousand connections on which nobody ever logs in.

use bytes::{Bytes, BytesMut};
use chat_proto::frame::{HANDSHAKE_FRAME_BYTES, HEADER_BYTES};
use chat_proto::message::{CloseCode, Push, ServerFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::alone;
use crate::connection::Connection;
use crate::honest::Pair;
use crate::measured::{Before, files_come_back, open_files};
use crate::server::{Installation, Kind, LOOK, in_time};

/// As many as may wait for a session, which is the default.
const STRANGERS: usize = 10_000;
/// So many more come when all places are taken.
const MORE: usize = 500;
/// So many come at the same time.
const AT_ONCE: usize = 50;
/// What may wait in all connections together, of which a quarter is for strangers: a twentieth of what they
/// send.
const BUFFER_BYTES: u64 = 32 << 20;
const STRANGERS_BYTES: u64 = BUFFER_BYTES / 4;
/// All that is admitted of a frame but its last byte.
const PIECE_BYTES: usize = HEADER_BYTES + HANDSHAKE_FRAME_BYTES - 1;

/// What a connection costs that holds nothing: its task with the driver's state, the runtime's part of it,
/// a timer, a place among those who wait.
const CONNECTION_BYTES: u64 = 4 << 10;
/// A piece of a frame that is too short to be in the way, in a buffer that has grown by doubling.
const SHORT_PIECE_BYTES: u64 = 8 << 10;
/// Logs, the store's caches, what the honest pair writes, and what the allocator keeps.
const MARGIN_BYTES: u64 = 48 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_strangers_cost_little_make_room_and_delay_nobody() {
    let _alone = alone().await;
    let settings = [
        ("CHAT_LOG", "info"),
        ("CHAT_CONNECTIONS_BUFFER_BYTES", &*BUFFER_BYTES.to_string()),
        // Nobody's time is up before everything is measured.
        ("CHAT_CONNECTIONS_HANDSHAKE_DEADLINE_MS", "600000"),
    ];
    let installation = Installation::with(Kind::Embedded, &settings).await;
    let server = installation.start();
    let mut pair = Pair::join(&server.address, ["ada", "bob"]).await;
    pair.say(300).await.report("before");
    let (memory, files) = (Before::of(&server), open_files(&server));
    let talk = pair.talk();

    // Who has been greeted has a place, ahead of all who come later.
    let mut first = Vec::new();
    for _ in 0..MORE {
        let mut stranger = Connection::open(&server.address).await;
        stranger.hello(None).await;
        first.push(stranger);
    }
    let mut strangers = connect_many(&server.address, STRANGERS - MORE).await;
    in_time("all have their place", async {
        while open_files(&server) < files + STRANGERS {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;

    // One more is one too many: whoever has waited longest makes room, and is told.
    strangers.extend(connect_many(&server.address, MORE).await);
    for mut longest in first {
        assert_eq!(longest.closed().await.code, CloseCode::OVERLOADED);
    }
    // And whoever means to log in does so meanwhile.
    Connection::join(&server.address, "carol").await.0.leave().await;

    let mut piece = BytesMut::zeroed(PIECE_BYTES);
    piece[..HEADER_BYTES].copy_from_slice(&(HANDSHAKE_FRAME_BYTES as u32).to_be_bytes());
    let piece = piece.freeze();
    let mut holding = JoinSet::new();
    for stranger in strangers {
        holding.spawn(hold_on(stranger, piece.clone()));
    }
    // Those stay for whom there is room; the last of them may be past the limit together.
    let most = STRANGERS_BYTES as usize / PIECE_BYTES + AT_ONCE;
    while holding.len() > most {
        let end = in_time("whoever is in the way is told", holding.join_next()).await;
        // A reset can overtake the words to somebody who sends on.
        let code = end.expect("there are more").expect("no panic");
        assert!(matches!(code, None | Some(CloseCode::OVERLOADED)), "{code:?}");
    }

    let (mut pair, latencies) = talk.end().await;
    latencies.report("during");
    pair.has_everything().await;
    let strangers = (STRANGERS + MORE) as u64;
    memory.grew_within(
        &server,
        &[
            ("what may wait of strangers, in buffers that have grown by doubling", 2 * STRANGERS_BYTES),
            ("connections", strangers * CONNECTION_BYTES),
            ("short pieces", strangers * SHORT_PIECE_BYTES),
            ("margin", MARGIN_BYTES),
        ],
    );
    drop(holding);
    files_come_back(&server, files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_say_nothing_are_told_when_their_time_is_up() {
    let _alone = alone().await;
    let settings = [("CHAT_LOG", "info"), ("CHAT_CONNECTIONS_HANDSHAKE_DEADLINE_MS", "1000")];
    let installation = Installation::with(Kind::Embedded, &settings).await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    let files = open_files(&server);
    for stranger in connect_many(&server.address, 2_000).await {
        assert_eq!(in_time("the end", closed(stranger)).await, Some(CloseCode::HANDSHAKE_TIMEOUT));
    }
    files_come_back(&server, files).await;
    ada.ask(chat_proto::message::Request::Ping).await.expect("whoever has logged in stays");
}

async fn connect(address: &str) -> TcpStream {
    in_time("a connection", TcpStream::connect(address)).await.expect("the server accepts")
}

async fn connect_many(address: &str, count: usize) -> Vec<TcpStream> {
    let mut connecting = JoinSet::new();
    for _ in 0..AT_ONCE {
        let address = address.to_owned();
        connecting.spawn(async move {
            let mut connected = Vec::new();
            for _ in 0..count / AT_ONCE {
                connected.push(connect(&address).await);
            }
            connected
        });
    }
    connecting.join_all().await.into_iter().flatten().collect()
}

async fn hold_on(mut stranger: TcpStream, piece: Bytes) -> Option<CloseCode> {
    // The server may hang up meanwhile.
    let _ = stranger.write_all(&piece).await;
    closed(stranger).await
}

/// How the server ended a connection, once it has; `None` where it could not say.
async fn closed(mut stream: TcpStream) -> Option<CloseCode> {
    let mut received = Vec::new();
    // After a reset there may be nothing.
    let _ = stream.read_to_end(&mut received).await;
    let payload = Bytes::copy_from_slice(received.get(HEADER_BYTES..)?);
    match ServerFrame::decode(payload) {
        Ok(ServerFrame::Push(Push::Close(close))) => Some(close.code),
        other => panic!("a close expected: {other:?}"),
    }
}
