//! 11, 12, 16 and 17: who is online, and who may be.

use chat_core::{Ephemeral, Error, ErrorKind, UserId};
use chat_proto::client::ClientEvent;
use chat_proto::message::{CloseCode, LoggedIn, Push, Reply, Request, ServerFrame};

use crate::clients;
use crate::connection::Connection;
use crate::requests::{befriend, direct, hello, login, register, said, text};
use crate::server::{Installation, Kind, LOOK, in_time};

stories! {
    everywhere: [
        fault_11_of_two_log_ins_at_the_same_moment_one_is_admitted,
        fault_11_of_two_known_devices_at_the_same_moment_one_is_admitted,
        fault_12_a_second_log_in_on_a_connection_is_refused_and_its_end_leaves_nobody_online,
        fault_16_after_a_kill_nobody_is_online_and_everybody_can_log_in,
        fault_16_a_stop_under_load_ends_in_order_and_frees_everybody,
        fault_17_an_idle_client_is_kept_and_a_silent_one_is_not,
    ];
}

const REFUSING: (&str, &str) = ("CHAT_ACCOUNTS_DEVICES", "refuse_while_online");
const AT_ONCE: (&str, &str) = ("CHAT_PRESENCE_DEBOUNCE_MS", "0");
const FRIENDS: (&str, &str) = ("CHAT_CONTACTS_REQUESTS", "immediate");

/// Whether one of two was admitted. Both are refused while the node that somebody just left has not
/// said so yet to the others.
fn is_one_admitted(answers: &[Result<LoggedIn, Error>; 2]) -> bool {
    let refused = |error: &Error| assert_eq!(error.kind(), ErrorKind::AlreadyOnline);
    answers.iter().filter_map(|answer| answer.as_ref().err()).for_each(refused);
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(admitted < 2, "of two at most one is admitted: {answers:?}");
    admitted == 1
}

async fn fault_11_of_two_log_ins_at_the_same_moment_one_is_admitted(kind: Kind) {
    let installation = Installation::with(kind, &[REFUSING]).await;
    let server = installation.start();
    for round in 0..25 {
        let name = format!("user{round}");
        let (first, _) = Connection::join(&server.address, &name).await;
        first.leave().await;
        in_time("one of two is admitted", async {
            loop {
                let mut rivals =
                    [Connection::open(&server.address).await, Connection::open(&server.address).await];
                for rival in &mut rivals {
                    rival.hello(None).await;
                }
                let [one, other] = &mut rivals;
                let answers = tokio::join!(one.enter(login(&name)), other.enter(login(&name)));
                let [one, other] = rivals;
                tokio::join!(one.leave(), other.leave());
                if is_one_admitted(&answers.into()) {
                    break;
                }
            }
        })
        .await;
        Connection::enter_when_free(&server.address, &name).await;
    }
}

async fn fault_11_of_two_known_devices_at_the_same_moment_one_is_admitted(kind: Kind) {
    let installation = Installation::with(kind, &[REFUSING]).await;
    let server = installation.start();
    let (first, ada_in) = Connection::join(&server.address, "ada").await;
    first.leave().await;
    let (second, second_in) = Connection::enter_when_free(&server.address, "ada").await;
    second.leave().await;
    let mut admissions = 0;
    in_time("admissions", async {
        while admissions < 25 {
            let mut rivals =
                [Connection::open(&server.address).await, Connection::open(&server.address).await];
            let [one, other] = &mut rivals;
            let (one, other) = tokio::join!(one.hello(ada_in.token), other.hello(second_in.token));
            let admitted = [one, other].map(|welcome| match (welcome.session, welcome.refused) {
                (Some(session), None) => Ok(LoggedIn { session, token: None }),
                (None, Some(error)) => Err(error),
                both => panic!("a session or a reason: {both:?}"),
            });
            admissions += usize::from(is_one_admitted(&admitted));
            let [one, other] = rivals;
            tokio::join!(one.leave(), other.leave());
        }
    })
    .await;
}

/// Waits until a contact is seen to come or go.
async fn sees(connection: &mut Connection, user: UserId, online: bool) {
    loop {
        if let Push::Ephemeral(seen) = connection.push().await
            && seen == (Ephemeral::Presence { user, online })
        {
            return;
        }
    }
}

/// Waits until a contact is listed as online, or as offline: a node has to hear it of another.
async fn finds(connection: &mut Connection, user: UserId, online: bool) {
    in_time("what others are told", async {
        while is_online(connection, user).await != online {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}

async fn is_online(connection: &mut Connection, user: UserId) -> bool {
    match connection.ask(Request::Contacts { after: None, limit: 100 }).await {
        Ok(Reply::Contacts(contacts)) => {
            let contact = contacts.iter().find(|contact| contact.profile.user == user);
            contact.and_then(|contact| contact.online).expect("a contact")
        }
        other => panic!("contacts expected: {other:?}"),
    }
}

async fn fault_12_a_second_log_in_on_a_connection_is_refused_and_its_end_leaves_nobody_online(kind: Kind) {
    let installation = Installation::with(kind, &[AT_ONCE, FRIENDS]).await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    let (carol, carol_in) = Connection::join(&server.address, "carol").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let user = bob_in.session.user;
    ada.ask(befriend(1, user)).await.expect("contacts");
    ada.ask(befriend(2, carol_in.session.user)).await.expect("contacts");
    carol.leave().await;
    for request in [login("carol"), login("bob"), register("dave"), hello(carol_in.token)] {
        let refused = bob.ask(request).await.expect_err("the connection is bob's");
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    finds(&mut ada, user, true).await;
    finds(&mut ada, carol_in.session.user, false).await;
    bob.cut();
    sees(&mut ada, user, false).await;
    finds(&mut ada, user, false).await;
}

async fn fault_16_after_a_kill_nobody_is_online_and_everybody_can_log_in(kind: Kind) {
    let installation = Installation::with(kind, &[AT_ONCE, FRIENDS, REFUSING]).await;
    let server = installation.start();
    let (mut ada, ada_in) = Connection::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let conversation = direct(ada_in.session, bob_in.session);
    ada.ask(befriend(1, bob_in.session.user)).await.expect("contacts");
    finds(&mut bob, ada_in.session.user, true).await;
    server.kill();

    let server = installation.start();
    let mut ada = Connection::resume(&server.address, ada_in.token.expect("a new device")).await;
    finds(&mut ada, bob_in.session.user, false).await;
    ada.ask(text(1, conversation, "to somebody offline")).await.expect("sent");
    // With a password, from a device that the server before did not know.
    let (mut bob, _) = Connection::enter_when_free(&server.address, "bob").await;
    sees(&mut ada, bob_in.session.user, true).await;
    let log = bob.log(conversation).await;
    assert_eq!(said(log.last().expect("what was sent")), "to somebody offline");
}

async fn fault_16_a_stop_under_load_ends_in_order_and_frees_everybody(kind: Kind) {
    let installation = Installation::with(kind, &[REFUSING]).await;
    let mut server = installation.start();
    let mut users = Vec::new();
    for number in 0..10 {
        users.push(Connection::join(&server.address, &format!("user{number}")).await);
    }
    let peer = users[0].1.session;
    let mut busy = Vec::new();
    for (mut connection, logged_in) in users.drain(1..) {
        let conversation = direct(logged_in.session, peer);
        busy.push(tokio::spawn(async move {
            for number in 1.. {
                let (_, frame) = connection.frame(text(number, conversation, "busy"));
                if tokio::io::AsyncWriteExt::write_all(&mut connection.stream, &frame).await.is_err() {
                    break;
                }
                match connection.next().await {
                    Some(ServerFrame::Push(Push::Close(close))) => {
                        assert_eq!(close.code, CloseCode::SHUTTING_DOWN);
                        break;
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            logged_in
        }));
    }
    users[0].0.push().await;
    server.terminate();
    server.ended_in_order().await;
    let server = installation.start();
    for one in busy {
        let logged_in = in_time("a client's end", one).await.expect("no panic");
        Connection::resume(&server.address, logged_in.token.expect("a new device")).await;
    }
}

async fn fault_17_an_idle_client_is_kept_and_a_silent_one_is_not(kind: Kind) {
    let installation = Installation::with(kind, &[("CHAT_CONNECTIONS_PING_INTERVAL_MS", "1500")]).await;
    let server = installation.start();
    let (client, mut events, account) = clients::join(&server.address, "ada").await;
    let (mut bob, bob_in) = Connection::join(&server.address, "bob").await;
    let (mut silent, silent_in) = Connection::join(&server.address, "carol").await;
    let conversation = chat_core::ConversationId::direct(account.user, bob_in.session.user);
    let conversation = conversation.expect("two users");
    // Bob answers pings and says nothing else, for longer than a silent client is kept.
    let mut pings = 0;
    while pings < 4 {
        pings += usize::from(matches!(bob.push().await, Push::Ping));
    }
    bob.ask(text(1, conversation, "awake")).await.expect("the connection is still there");
    loop {
        match in_time("a message", events.next()).await.expect("the client goes on") {
            ClientEvent::Entry { conversation: at, .. } if at == conversation => break,
            ClientEvent::Disconnected { .. } => panic!("an idle client was cut"),
            _ => {}
        }
    }
    drop(client);
    // Who answers nothing is closed, and told why.
    let mut last = None;
    while let Some(frame) = silent.next_in_silence().await {
        last = Some(frame);
    }
    let Some(ServerFrame::Push(Push::Close(close))) = last else { panic!("a close expected: {last:?}") };
    assert_eq!(close.code, CloseCode::SILENT);
    Connection::resume(&server.address, silent_in.token.expect("a new device")).await;
}
