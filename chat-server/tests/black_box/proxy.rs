//! Connections that a proxy brings: whose they are stands in a header ahead of the first frame.

use std::fs;
use std::net::SocketAddr;

use chat_proto::message::{CloseCode, Reply};
use tokio::io::AsyncReadExt;

use crate::connection::Connection;
use crate::requests::hello;
use crate::server::{Installation, Kind, LOOK, Server, in_time};

stories! {
    // Whoever connects to a node of a cluster through its balancer has a header; here they are written by
    // hand, and no store has a part in it.
    on_a_folder: [
        the_peer_is_who_the_header_says_in_both_versions_and_families,
        a_proxy_that_speaks_for_itself_keeps_its_own_address,
        a_header_may_be_cut_at_every_byte,
        nothing_after_the_header_is_lost,
        what_is_no_header_ends_the_connection_of_a_proxy,
        a_header_that_does_not_come_or_stops_half_way_ends_the_connection_in_time,
        from_an_address_that_is_not_listed_a_header_is_a_violation_of_the_protocol,
        connections_without_their_header_count_and_hold_up_nobody,
        a_stop_does_not_wait_for_headers,
    ];
}

/// What these tests connect from.
const LISTED: (&str, &str) = ("CHAT_PROXIES", "192.0.2.0/24, 127.0.0.1");

fn text_header(family: &str, source: SocketAddr) -> Vec<u8> {
    let destination = if source.is_ipv4() { "198.51.100.1" } else { "2001:db8::1" };
    format!("PROXY {family} {} {destination} {} 443\r\n", source.ip(), source.port()).into_bytes()
}

/// Version 2, as the protocol's text lays it out.
fn binary_header(command: u8, source: SocketAddr, additions: &[u8]) -> Vec<u8> {
    let (family, addresses) = match source {
        SocketAddr::V4(source) => (0x11, [source.ip().octets(), [198, 51, 100, 1]].concat()),
        SocketAddr::V6(source) => (0x21, [source.ip().octets(), [0x20; 16]].concat()),
    };
    let rest =
        [&addresses, source.port().to_be_bytes().as_slice(), &443_u16.to_be_bytes(), additions].concat();
    let length = u16::try_from(rest.len()).expect("short");
    let fixed = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length.to_be_bytes()].concat();
    [fixed, rest].concat()
}

fn source(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

async fn is_served(connection: &mut Connection) {
    assert!(connection.hello(None).await.session.is_none());
}

/// It is closed without a word: who sends no header may not understand one.
async fn is_cut(mut connection: Connection) {
    let mut said = Vec::new();
    // It may be a reset, too.
    let _ended = in_time("the end", connection.stream.read_to_end(&mut said)).await;
    assert_eq!(said, b"");
}

/// Waits for a line of the log with both.
async fn logged(installation: &Installation, what: &str, of: &str) {
    let wanted = format!("a line with {what:?} and {of:?}");
    in_time(&wanted, async {
        while !installation.log().lines().any(|line| line.contains(what) && line.contains(of)) {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

/// Waits until the server has taken all that was sent; at once where the system does not tell.
async fn taken(server: &Server, connection: &Connection) {
    let own = connection.stream.local_addr().expect("it is connected").port();
    let theirs = server.address.parse::<SocketAddr>().expect("an address").port();
    let (theirs, own) = (format!(":{theirs:04X}"), format!(":{own:04X}"));
    in_time("the server takes what was sent", async {
        loop {
            let Ok(table) = fs::read_to_string("/proc/net/tcp") else { return };
            let socket = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut socket =
                socket.filter(|socket| socket[1].ends_with(&theirs) && socket[2].ends_with(&own));
            if socket.any(|socket| socket[4].ends_with(":00000000")) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

async fn the_peer_is_who_the_header_says_in_both_versions_and_families(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED]).await;
    let server = installation.start();
    let (four, six) = (source("203.0.113.9:4711"), source("[2001:db8::9]:4712"));
    let (other_four, other_six) = (source("203.0.113.10:4713"), source("[2001:db8::10]:4714"));
    for (header, source) in [
        (text_header("TCP4", four), four),
        (text_header("TCP6", six), six),
        (binary_header(0x21, other_four, &[]), other_four),
        // With something of a kind that nobody knows.
        (binary_header(0x21, other_six, &[0xe0, 0, 2, 7, 7]), other_six),
    ] {
        let mut connection = Connection::open(&server.address).await;
        connection.write(&header).await;
        is_served(&mut connection).await;
        connection.leave().await;
        logged(&installation, "a connection ended", &format!("peer={source}")).await;
    }
    server.stop().await;
}

async fn a_proxy_that_speaks_for_itself_keeps_its_own_address(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED]).await;
    let server = installation.start();
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        binary_header(0x20, source("203.0.113.9:4711"), &[]),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
    ] {
        let mut connection = Connection::open(&server.address).await;
        let own = connection.stream.local_addr().expect("it is connected");
        connection.write(&header).await;
        is_served(&mut connection).await;
        connection.leave().await;
        logged(&installation, "a connection ended", &format!("peer={own}")).await;
    }
    server.stop().await;
}

async fn a_header_may_be_cut_at_every_byte(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED]).await;
    let server = installation.start();
    let source = source("203.0.113.9:4711");
    for header in [text_header("TCP4", source), binary_header(0x21, source, &[4, 0, 3, 0, 0, 0])] {
        for cut in 1..header.len() {
            let mut connection = Connection::open(&server.address).await;
            connection.write(&header[..cut]).await;
            taken(&server, &connection).await;
            connection.write(&header[cut..]).await;
            is_served(&mut connection).await;
        }
    }
    server.stop().await;
}

async fn nothing_after_the_header_is_lost(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED]).await;
    let server = installation.start();
    let source = source("203.0.113.9:4711");
    for header in [text_header("TCP4", source), binary_header(0x21, source, &[])] {
        // All in one segment, and all but the end of the frame.
        for left in [0, 3] {
            let mut connection = Connection::open(&server.address).await;
            let (id, frame) = connection.frame(hello(None));
            let (begin, end) = frame.split_at(frame.len() - left);
            connection.write(&[&header, begin].concat()).await;
            taken(&server, &connection).await;
            connection.write(end).await;
            assert!(matches!(connection.reply(id).await, Ok(Reply::Welcome(_))));
        }
    }
    server.stop().await;
}

async fn what_is_no_header_ends_the_connection_of_a_proxy(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED]).await;
    let server = installation.start();
    let (_, frame) = Connection::open(&server.address).await.frame(hello(None));
    let four = source("203.0.113.9:4711");
    for (bytes, why) in [
        // A client that comes by itself, or through a proxy that was not told to send a header.
        (frame.to_vec(), "no header"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "no header"),
        (b"PROXY TCP4 203.0.113.999 198.51.100.1 1 2\r\n".to_vec(), "no header"),
        (b"PROXY TCP4 203.0.113.9 198.51.100.1 1 70000\r\n".to_vec(), "no header"),
        ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(), "no header"),
        ([&binary_header(0x21, four, &[])[..12], &[0x31, 0x11, 0, 12], &[0; 12]].concat(), "no header"),
        (binary_header(0x21, four, &[0; 2000]), "longer than"),
    ] {
        let mut connection = Connection::open(&server.address).await;
        let proxy = connection.stream.local_addr().expect("it is connected");
        connection.write(&bytes).await;
        is_cut(connection).await;
        logged(&installation, why, &format!("proxy={proxy}")).await;
    }
    server.stop().await;
}

async fn a_header_that_does_not_come_or_stops_half_way_ends_the_connection_in_time(kind: Kind) {
    let installation =
        Installation::with(kind, &[LISTED, ("CHAT_CONNECTIONS_HANDSHAKE_DEADLINE_MS", "300")]).await;
    let server = installation.start();
    let header = text_header("TCP4", source("203.0.113.9:4711"));
    for end in [0, 1, header.len() - 1] {
        let mut connection = Connection::open(&server.address).await;
        let proxy = connection.stream.local_addr().expect("it is connected");
        connection.write(&header[..end]).await;
        is_cut(connection).await;
        logged(&installation, "did not come in time", &format!("proxy={proxy}")).await;
    }
    // A health check that merely connects is nothing to warn of.
    let check = Connection::open(&server.address).await;
    let proxy = check.stream.local_addr().expect("it is connected");
    drop(check);
    logged(&installation, "DEBUG", &format!("proxy={proxy}")).await;
    server.stop().await;
}

async fn from_an_address_that_is_not_listed_a_header_is_a_violation_of_the_protocol(kind: Kind) {
    for proxies in ["", "192.0.2.0/24, ::1"] {
        let installation = Installation::with(kind, &[("CHAT_PROXIES", proxies)]).await;
        let server = installation.start();
        let mut connection = Connection::open(&server.address).await;
        is_served(&mut connection).await;
        let forged = source("203.0.113.9:4711");
        for header in [text_header("TCP4", forged), binary_header(0x21, forged, &[])] {
            let mut connection = Connection::open(&server.address).await;
            let own = connection.stream.local_addr().expect("it is connected");
            connection.write(&header).await;
            assert_eq!(connection.closed().await.code, CloseCode::OVERSIZED);
            logged(&installation, "a connection ended", &format!("peer={own}")).await;
        }
        assert!(!installation.log().contains("203.0.113.9"));
        server.stop().await;
    }
}

async fn connections_without_their_header_count_and_hold_up_nobody(kind: Kind) {
    const SILENT: usize = 40;
    let most = (SILENT + 1).to_string();
    let installation = Installation::with(kind, &[LISTED, ("CHAT_CONNECTIONS_MAX", &most)]).await;
    let server = installation.start();
    let header = text_header("TCP4", source("203.0.113.9:4711"));
    let mut silent = Vec::new();
    for number in 0..SILENT {
        let mut connection = Connection::open(&server.address).await;
        connection.write(&header[..number % header.len()]).await;
        silent.push(connection);
    }
    let mut connection = Connection::open(&server.address).await;
    connection.write(&header).await;
    connection.register("ada").await;
    assert_eq!(Connection::open(&server.address).await.closed().await.code, CloseCode::OVERLOADED);
    // What the silent ones took is free again when their time is over.
    for connection in silent {
        is_cut(connection).await;
    }
    connection.leave().await;
    let mut connection = Connection::open(&server.address).await;
    connection.write(&header).await;
    is_served(&mut connection).await;
    server.stop().await;
}

async fn a_stop_does_not_wait_for_headers(kind: Kind) {
    let installation = Installation::with(kind, &[LISTED, ("CHAT_STOP_SECONDS", "600")]).await;
    let server = installation.start();
    let mut connection = Connection::open(&server.address).await;
    connection.write(b"PROXY").await;
    taken(&server, &connection).await;
    server.stop().await;
    is_cut(connection).await;
    assert!(!installation.log().contains("did not come in time"), "it was cut by the stop");
}
