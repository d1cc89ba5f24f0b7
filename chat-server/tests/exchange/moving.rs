//! A server on the store that was imported goes on as the one before would have.

use std::path::Path;

use chat_core::{ConversationId, Epoch, Receipt, SyncPage};
use chat_proto::message::{LoggedIn, Reply, Request};

use crate::command::{done, file, records, refused};
use crate::connection::Connection;
use crate::requests::{self, direct, group_of, text};
use crate::server::{Installation, Kind};

/// What people did, and were told.
struct Told {
    people: Vec<(&'static str, LoggedIn)>,
    receipts: Vec<(usize, Request, Receipt)>,
}

async fn receipt(connection: &mut Connection, request: Request) -> Receipt {
    match connection.ask(request).await {
        Ok(Reply::Receipt(receipt)) => receipt,
        other => panic!("a receipt expected: {other:?}"),
    }
}

/// Three people, a group, a pair, what was read and what was not.
async fn fill(address: &str) -> Told {
    let (mut connections, mut people) = (Vec::new(), Vec::new());
    for name in ["ada", "bob", "eve"] {
        let (connection, logged_in) = Connection::join(address, name).await;
        connections.push(connection);
        people.push((name, logged_in));
    }
    let members = people.iter().map(|(_, logged_in)| logged_in.session.user).collect();
    let group = match connections[0].ask(Request::CreateGroup(group_of(1, members))).await {
        Ok(Reply::GroupCreated(created)) => ConversationId::Group(created.group),
        other => panic!("a group expected: {other:?}"),
    };
    let pair = direct(people[0].1.session, people[1].1.session);
    let mut receipts = Vec::new();
    for number in 10..40_u64 {
        let who = usize::from(number.is_multiple_of(2));
        let request =
            text(number, if number.is_multiple_of(3) { pair } else { group }, format!("wörter {number} 🦀"));
        receipts.push((who, request.clone(), receipt(&mut connections[who], request).await));
    }
    let read = Request::MarkRead { conversation: group, seq: 9 };
    connections[2].ask(read).await.expect("a member reads");
    for connection in connections {
        connection.leave().await;
    }
    Told { people, receipts }
}

/// Everything that somebody sees, which has no cursor yet.
async fn seen(connection: &mut Connection) -> (SyncPage, Vec<Vec<chat_core::Entry>>) {
    let page = match connection.ask(requests::sync()).await {
        Ok(Reply::SyncPage(page)) => page,
        other => panic!("a page expected: {other:?}"),
    };
    let mut logs = Vec::new();
    for synced in &page.conversations {
        let of = synced.state.conversation;
        let range = requests::range(synced.state.first_seq, requests::END);
        match connection.ask(Request::Entries { conversation: of, range }).await {
            Ok(Reply::Entries(entries)) => logs.push(entries),
            other => panic!("entries expected: {other:?}"),
        }
    }
    (page, logs)
}

/// What everybody sees, who come in by their tokens, and the epoch.
async fn seen_by_all(address: &str, told: &Told) -> (Vec<(SyncPage, Vec<Vec<chat_core::Entry>>)>, Epoch) {
    let (mut all, mut epoch) = (Vec::new(), None);
    for (name, logged_in) in &told.people {
        let mut connection = Connection::open(address).await;
        let welcome = connection.hello(logged_in.token).await;
        assert_eq!(welcome.session, Some(logged_in.session), "the token of {name} is accepted");
        epoch = Some(welcome.epoch);
        all.push(seen(&mut connection).await);
        connection.leave().await;
    }
    (all, epoch.expect("there are people"))
}

/// The same sends again get their first receipts and write nothing; passwords are known; messages go on.
async fn goes_on(address: &str, told: &Told) {
    let mut connections = Vec::new();
    for (_, logged_in) in &told.people {
        connections.push(Connection::resume(address, logged_in.token.expect("a new device")).await);
    }
    let before = seen(&mut connections[0]).await;
    for (who, request, first) in &told.receipts {
        assert_eq!(receipt(&mut connections[*who], request.clone()).await, *first);
    }
    assert_eq!(seen(&mut connections[0]).await, before);
    let pair = direct(told.people[0].1.session, told.people[1].1.session);
    let last = connections[0].log(pair).await.len() as u64;
    assert_eq!(receipt(&mut connections[0], text(100, pair, "goes on")).await.seq, last + 1);
    for connection in connections {
        connection.leave().await;
    }
    for (name, logged_in) in &told.people {
        let (connection, again) = Connection::enter_when_free(address, name).await;
        assert_eq!(again.session.user, logged_in.session.user);
        connection.leave().await;
    }
}

/// Exports one, imports into others one after the other, and starts a server on each.
async fn move_through(source: Installation, places: Vec<Installation>) {
    let server = source.start();
    let told = fill(&server.address).await;
    let (expected, mut epoch) = seen_by_all(&server.address, &told).await;
    let unread = expected[2].0.conversations.iter().map(|synced| synced.state.unread).sum::<u64>();
    assert!(unread > 0, "something is unread");
    server.stop().await;
    let mut last = source;
    let mut found = None;
    for place in places {
        let archive = file(&place, "archive");
        let exported = done(&last, "export", &[&archive]);
        let now = records(Path::new(&archive));
        assert_eq!(exported, format!("exported {} records, all there are", now.len()));
        let all = found.get_or_insert_with(|| now.clone());
        // Sessions leave traces in devices, and else nothing is different.
        assert_eq!(now.len(), all.len());
        let imported = done(&place, "import", &[&archive]);
        assert_eq!(imported, format!("imported {} records, all there are", now.len()));
        assert_eq!(done(&place, "import", &["--resume", &archive]), imported, "it is there already");
        let refused = refused(&place, "import", &[&archive]);
        assert!(refused.contains("not empty"), "{refused}");
        let again = file(&place, "again");
        done(&place, "export", &[&again]);
        assert_eq!(records(Path::new(&again)), now);
        done(&place, "export", &["--resume", &again]);
        assert_eq!(records(Path::new(&again)), now);

        let server = place.start();
        let (seen, other) = seen_by_all(&server.address, &told).await;
        assert_eq!(seen, expected);
        assert_ne!(other, epoch, "a history of its own");
        epoch = other;
        server.stop().await;
        last = place;
    }
    let server = last.start();
    goes_on(&server.address, &told).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_to_another_folder_and_goes_on() {
    let (source, place) = (Installation::new(Kind::Embedded).await, Installation::new(Kind::Embedded).await);
    move_through(source, vec![place]).await;
}

#[cfg(feature = "server-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_into_a_database_and_back_and_goes_on() {
    let source = Installation::new(Kind::Embedded).await;
    let places = vec![
        Installation::new(Kind::Mysql).await,
        Installation::new(Kind::Embedded).await,
        Installation::new(Kind::Mysql).await,
    ];
    move_through(source, places).await;
}
