//! Starting and stopping as an operator sees it.

use std::net::TcpListener;

use chat_core::EndReason;
use chat_proto::client::ClientEvent;
use chat_proto::message::{Comeback, Push, Reply, ServerFrame};

use crate::clients;
use crate::connection::Connection;
use crate::requests::{direct, id, said, text};
use crate::server::{Installation, Kind, in_time};

stories! {
    everywhere: [
        sigterm_stores_what_was_accepted_tells_clients_to_come_back_and_exits_with_0,
        clients_are_back_by_themselves_after_a_restart,
    ];
    // Of nodes that share a store each has an address of its own, and none has a folder.
    on_a_folder: [
        a_second_server_on_a_folder_is_refused_and_told_who_has_it,
        an_address_in_use_is_named_and_the_folder_given_back,
    ];
}

async fn sigterm_stores_what_was_accepted_tells_clients_to_come_back_and_exits_with_0(kind: Kind) {
    let installation = Installation::new(kind).await;
    let mut server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    let mut stranger = Connection::open(&server.address).await;
    stranger.hello(None).await;
    let conversation = direct(ada_in.session, bob_in.session);
    let mut segment = bytes::BytesMut::new();
    for number in 1..=300 {
        segment.unsplit(ada.frame(text(number, conversation, number.to_string())).1);
    }
    ada.write(&segment).await;
    let (_, first) = ada.any_reply().await;
    let mut accepted = vec![first.expect("stored")];
    server.terminate();
    let close = loop {
        match ada.next().await {
            Some(ServerFrame::Reply { reply, .. }) => accepted.push(reply.expect("finished, not refused")),
            Some(ServerFrame::Push(Push::Close(close))) => break close,
            Some(ServerFrame::Push(_)) => {}
            other => panic!("a close expected: {other:?}"),
        }
    };
    assert_eq!(close.code.end_reason(), Some(EndReason::ShuttingDown));
    assert_eq!(close.code.comeback(), Comeback::Reconnect);
    assert!(ada.next().await.is_none(), "nothing follows a close");
    for mut other in [bob, stranger] {
        assert_eq!(other.closed().await.code, close.code);
    }
    server.ended_in_order().await;

    let server = installation.start();
    let mut ada = Connection::resume(&server.address, ada_in.token.expect("a new device")).await;
    let log = ada.log(conversation).await;
    assert!(log.len() >= accepted.len());
    for (number, (entry, reply)) in (1..).zip(log.iter().zip(accepted)) {
        let Reply::Receipt(receipt) = reply else { panic!("a receipt expected: {reply:?}") };
        assert_eq!((entry.seq, entry.time), (receipt.seq, receipt.time));
        assert_eq!((entry.client_id, said(entry)), (Some(id(number)), number.to_string()));
    }
}

async fn clients_are_back_by_themselves_after_a_restart(kind: Kind) {
    let installation = Installation::new(kind).await.at_fixed_address();
    let server = installation.start();
    let (_client, mut events, account) = clients::join(&server.address, "ada").await;
    server.stop().await;
    let server = installation.start();
    loop {
        match in_time("the client", events.next()).await.expect("it goes on") {
            ClientEvent::Disconnected { retry_in } => {
                assert!(retry_in.is_some());
                break;
            }
            ClientEvent::Ended(reason) => panic!("the client ended: {reason:?}"),
            _ => {}
        }
    }
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = chat_core::ConversationId::direct(account.user, bob_in.session.user);
    let conversation = conversation.expect("two users");
    bob.ask(text(1, conversation, "welcome back")).await.expect("stored");
    let heard = clients::entries_to(&mut events, conversation, 1).await;
    assert_eq!(said(&heard[0]), "welcome back");
}

async fn a_second_server_on_a_folder_is_refused_and_told_who_has_it(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    let second = installation.start_in_vain();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    for part in [installation.data().display().to_string(), server.nodes[0].id().to_string()] {
        assert!(words.contains(&part), "{part} in: {words}");
    }
    assert!(second.stdout.is_empty(), "it was never ready");
    let alive = ada.ask(chat_proto::message::Request::Ping).await;
    assert!(matches!(alive, Ok(Reply::Pong)), "the first goes on: {alive:?}");
}

async fn an_address_in_use_is_named_and_the_folder_given_back(kind: Kind) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let installation = Installation::new(kind).await.at(&address);
    let refused = installation.start_in_vain();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(words.contains(&address) && words.contains("in use"), "{words}");
    drop(taken);
    installation.start().stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_with_key_found_and_expected() {
    for (variable, value, parts) in [
        ("CHAT_CONNECTIONS_MAX", "many", ["connections.max", "many", "whole number"]),
        ("CHAT_ACCOUNTS_DEVICES", "one", ["accounts.devices", "one", "newest_only"]),
        ("CHAT_CONECTIONS_MAX", "5", ["CHAT_CONECTIONS_MAX", "no setting", "CHAT_CO"]),
    ] {
        let refused = Installation::with(Kind::Embedded, &[(variable, value)]).await.start_in_vain();
        assert_eq!(refused.status.code(), Some(2), "{variable}");
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        for part in parts {
            assert!(words.contains(part), "{part} in: {words}");
        }
    }
}
