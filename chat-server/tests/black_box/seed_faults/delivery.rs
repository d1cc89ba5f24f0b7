//! 9, 10 and 14: connections that die at the worst moments lose nothing and double nothing.

use bytes::BytesMut;
use chat_core::{Body, Content, Entry};
use chat_proto::message::{CloseCode, Reply};

use crate::clients::{self, seqs};
use crate::connection::Connection;
use crate::requests::{self, direct, id, said, sync, text};
use crate::server::{Installation, Kind, LOOK, in_time};

stories! {
    everywhere: [
        fault_09_messages_to_a_connection_that_just_died_arrive_at_the_next,
        fault_09_messages_under_way_when_a_connection_dies_are_stored_once_when_repeated,
        fault_10_a_log_in_that_is_cut_before_its_answer_is_read_loses_nothing,
        fault_10_what_is_written_during_a_log_in_is_neither_lost_nor_doubled,
        fault_14_a_user_who_comes_back_gets_each_message_once,
        fault_14_a_repeated_message_is_the_first_one,
    ];
}

async fn fault_09_messages_to_a_connection_that_just_died_arrive_at_the_next(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let mut segment = BytesMut::new();
    for number in 1..=20 {
        segment.unsplit(ada.frame(text(number, conversation, number.to_string())).1);
    }
    // Some may have been pushed already: whatever bob did not read is as good as lost.
    bob.cut();
    ada.write(&segment).await;
    for _ in 0..20 {
        let (_, reply) = ada.any_reply().await;
        assert!(matches!(reply, Ok(Reply::Receipt(_))), "{reply:?}");
    }
    bob = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
    let log = bob.log(conversation).await;
    assert!(log.iter().map(said).eq((1..=20).map(|number| number.to_string())));
}

async fn fault_09_messages_under_way_when_a_connection_dies_are_stored_once_when_repeated(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let rounds = 15;
    for round in 0..rounds {
        let numbers = round * 20 + 1..=round * 20 + 20;
        let mut segment = BytesMut::new();
        for number in numbers.clone() {
            segment.unsplit(ada.frame(text(number, conversation, number.to_string())).1);
        }
        // From nothing to everything has left; no answer is read.
        let cut = segment.len() * usize::try_from(round).expect("small") / 14;
        ada.write(&segment[..cut.min(segment.len())]).await;
        ada.cut();
        ada = Connection::resume(&server.address, ada_in.token.expect("a new device")).await;
        for number in numbers {
            ada.begin(text(number, conversation, number.to_string())).await;
        }
        for _ in 0..20 {
            let (_, reply) = ada.any_reply().await;
            assert!(matches!(reply, Ok(Reply::Receipt(_))), "{reply:?}");
        }
    }
    let expected: Vec<_> = (1..=rounds * 20).map(|number| number.to_string()).collect();
    let log = ada.log(conversation).await;
    assert_eq!(log.iter().map(said).collect::<Vec<_>>(), expected, "once each, in order");
    assert_eq!(seqs(&log), (1..=rounds * 20).collect::<Vec<_>>());
    let heard = bob.entries(conversation, expected.len()).await;
    assert_eq!(heard, log, "bob was online all the time");
}

async fn fault_10_a_log_in_that_is_cut_before_its_answer_is_read_loses_nothing(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    for number in 1..=12 {
        ada.ask(text(number, conversation, number.to_string())).await.expect("sent");
    }
    for _ in 0..20 {
        let mut bob = Connection::open(&server.address).await;
        let mut segment = bob.frame(requests::hello(bob_in.token)).1;
        segment.unsplit(bob.frame(sync()).1);
        segment.unsplit(bob.frame(requests::entries(conversation, 1, 12)).1);
        bob.write(&segment).await;
        bob.cut();
    }
    // A log-in that is under way still would take the place of the next.
    in_time("the end of 21 connections", async {
        while installation.log().matches("a connection ended").count() < 21 {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    let mut bob = Connection::resume(&server.address, bob_in.token.expect("a new device")).await;
    match bob.ask(sync()).await {
        Ok(Reply::SyncPage(page)) => {
            let one = page.conversations.iter().find(|one| one.state.conversation == conversation);
            let one = one.expect("the conversation");
            assert_eq!(one.state.unread, 12);
            assert_eq!(seqs(&one.entries), (1..=12).collect::<Vec<_>>());
        }
        other => panic!("a page expected: {other:?}"),
    }
}

async fn fault_10_what_is_written_during_a_log_in_is_neither_lost_nor_doubled(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let conversation = direct(ada_in.session, bob_in.session);
    let total = 600;
    let sending = tokio::spawn(async move {
        for number in 1..=total {
            ada.ask(text(number, conversation, number.to_string())).await.expect("sent");
        }
    });
    // Log-ins one after the other for as long as there is news, each with what the last one had.
    let (mut heard, mut cursors, mut logins): (Vec<Entry>, _, _) = (Vec::new(), Vec::new(), 0);
    let token = bob_in.token.expect("a new device");
    while (heard.len() as u64) < total {
        let (client, mut events) = clients::resume(&server.address, token, cursors).await;
        let upto = total.min(heard.len() as u64 + 7);
        heard.extend(clients::entries_to(&mut events, conversation, upto).await);
        cursors = client.cursors();
        client.close().await;
        logins += 1;
    }
    sending.await.expect("all sent");
    assert_eq!(seqs(&heard), (1..=total).collect::<Vec<_>>(), "over {logins} log-ins");
}

async fn fault_14_a_user_who_comes_back_gets_each_message_once(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut old, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let token = bob_in.token.expect("a new device");
    for number in 1..=30 {
        // The connection before is still open when the device comes back.
        let mut new = Connection::resume(&server.address, token).await;
        ada.ask(text(number, conversation, number.to_string())).await.expect("sent");
        assert_eq!(seqs(&new.entries(conversation, 1).await), [number], "live, and only this one");
        assert_eq!(old.closed().await.code, CloseCode::SUPERSEDED);
        old = new;
    }
    let sent = ada.ask(text(31, conversation, "the last")).await;
    assert!(matches!(sent, Ok(Reply::Receipt(receipt)) if receipt.seq == 31), "{sent:?}");
    assert_eq!(seqs(&old.entries(conversation, 1).await), [31]);
}

async fn fault_14_a_repeated_message_is_the_first_one(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    let first = ada.ask(text(1, conversation, "hi")).await.expect("sent");
    for _ in 0..10 {
        let again = ada.ask(text(1, conversation, "hi")).await.expect("it was stored");
        assert_eq!(format!("{again:?}"), format!("{first:?}"));
    }
    let other = ada.ask(text(1, conversation, "something else")).await.expect_err("the id is taken");
    assert_eq!(other.kind(), chat_core::ErrorKind::Conflict);
    ada.ask(text(2, conversation, "bye")).await.expect("sent");
    let heard = bob.entries(conversation, 2).await;
    assert_eq!(heard.iter().map(said).collect::<Vec<_>>(), ["hi", "bye"]);
    assert_eq!(heard[0].client_id, Some(id(1)));
    assert_eq!(heard[0].decode_content(), Ok(Content::Message(Body::Text("hi".into()))));
}
