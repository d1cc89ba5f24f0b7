//! `kill -9` under load: what was acknowledged is there, once and in order, and clients carry on.

use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::{Body, ClientId, ConversationId, Seq, UserId};
use chat_proto::client::{Client, ClientEvents};
use tokio::task::JoinSet;

use crate::clients::{self, read_log, seqs};
use crate::connection::Connection;
use crate::requests::{self, direct, group_of, id, said, text};
use crate::server::{Installation, Kind, LOOK, in_time};

stories! {
    everywhere: [
        acknowledged_messages_survive_kills_under_load_once_and_in_order,
        a_send_cut_at_any_byte_and_repeated_is_stored_once_and_seen_once_by_the_other_device,
        a_thousand_offline_messages_arrive_in_order_at_log_in,
    ];
}

const PEOPLE: usize = 16;
/// What each of them sends: to the group, and to one other.
const MESSAGES: u64 = 120;
const KILLS: u64 = 5;

/// What somebody was told of a message: under which id it was sent, where it stands, what it says.
type Acknowledged = Vec<(ConversationId, ClientId, Seq, String)>;

async fn acknowledged_messages_survive_kills_under_load_once_and_in_order(kind: Kind) {
    let installation = Installation::new(kind).await.at_fixed_address();
    let mut server = installation.start();
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(clients::join(&server.address, &format!("user{number}")).await);
    }
    let users: Vec<_> = people.iter().map(|(_, _, account)| account.user).collect();
    let created = people[0].0.create_group(group_of(1, users.clone())).await.expect("a group");
    let group = ConversationId::Group(created.group);
    let last = PEOPLE as u64 * MESSAGES / 2 + 1;

    let told = Arc::new(AtomicU64::new(0));
    let (mut sending, mut hearing) = (JoinSet::new(), JoinSet::new());
    for (number, (client, events, _)) in people.into_iter().enumerate() {
        let pair = ConversationId::direct(users[number], users[(number + 1) % PEOPLE]).expect("two users");
        sending.spawn(send_all(client.clone(), number, [group, pair], Arc::clone(&told)));
        hearing.spawn(hear_all(client, events, group, last));
    }
    // At moments of the load's own making.
    for kill in 1..=KILLS {
        let moment = kill * PEOPLE as u64 * MESSAGES / (KILLS + 1);
        in_time("progress", async {
            while told.load(Ordering::Relaxed) < moment {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        server.kill();
        server = installation.start();
    }
    let acknowledged: Vec<_> = in_time("all sends", sending.join_all()).await;

    let mut logs: BTreeMap<ConversationId, Vec<chat_core::Entry>> = BTreeMap::new();
    for (heard, cursors, mut reader) in in_time("all entries", hearing.join_all()).await {
        for (conversation, _) in cursors {
            if let Entry::Vacant(log) = logs.entry(conversation) {
                log.insert(read_log(&mut reader, conversation).await);
            }
        }
        // Where somebody became a member stands in the state already: they may start after that.
        let missing = logs[&group].len() - heard.len();
        assert!(missing <= 1);
        assert_eq!(heard, logs[&group][missing..], "live and by catching up, everybody got the log");
    }
    for log in logs.values() {
        assert_eq!(seqs(log), (1..=log.len() as u64).collect::<Vec<_>>(), "gapless");
    }
    for (sender, told) in acknowledged.iter().enumerate() {
        assert_eq!(told.len() as u64, MESSAGES);
        for (conversation, id, seq, words) in told {
            let entry = &logs[conversation][usize::try_from(*seq).expect("small") - 1];
            assert_eq!((entry.client_id, &said(entry)), (Some(*id), words), "user{sender}'s");
        }
    }
    assert_all_once_and_in_order(&logs, &users);
}

/// Sends with some on their way at once, and keeps what it was told.
async fn send_all(
    client: Client,
    sender: usize,
    places: [ConversationId; 2],
    told: Arc<AtomicU64>,
) -> Acknowledged {
    let mut acknowledged = Vec::new();
    let mut under_way = std::collections::VecDeque::new();
    for number in 1..=MESSAGES {
        let (place, id) = (places[usize::from(number % 2 == 0)], client.new_id());
        let words = format!("{sender} {number:03}");
        let mut send = requests::message(0, place, Body::Text(words.clone()));
        send.client_id = id;
        let pending = client.begin_send(send).await.expect("the client goes on");
        under_way.push_back((place, id, words, pending));
        if under_way.len() < 4 && number < MESSAGES {
            continue;
        }
        let leave = if number == MESSAGES { 0 } else { 3 };
        while under_way.len() > leave {
            let (place, id, words, pending) = under_way.pop_front().expect("there are some");
            let receipt = pending.await.expect("it is repeated until it is stored");
            acknowledged.push((place, id, receipt.seq, words));
            told.fetch_add(1, Ordering::Relaxed);
        }
    }
    acknowledged
}

/// Hears the whole log of the group, whatever happens to the connection.
async fn hear_all(
    client: Client,
    mut events: ClientEvents,
    group: ConversationId,
    last: Seq,
) -> (Vec<chat_core::Entry>, Vec<(ConversationId, Seq)>, Client) {
    let heard = clients::entries_to(&mut events, group, last).await;
    // Cursors name every conversation that this user has.
    let cursors = client.cursors();
    (heard, cursors, client)
}

fn assert_all_once_and_in_order(logs: &BTreeMap<ConversationId, Vec<chat_core::Entry>>, users: &[UserId]) {
    let places = logs.iter().filter(|(place, _)| !matches!(place, ConversationId::Inbox(_)));
    let mut total = 0;
    for (place, log) in places {
        for user in users {
            let texts = log.iter().filter(|entry| entry.sender == *user && entry.countable).map(said);
            let texts: Vec<_> = texts.collect();
            total += texts.len() as u64;
            assert!(texts.is_sorted_by(|a, b| a < b), "{place:?}: in the order of sending, once: {texts:?}");
        }
    }
    assert_eq!(total, PEOPLE as u64 * MESSAGES, "all, and nothing else");
}

async fn a_send_cut_at_any_byte_and_repeated_is_stored_once_and_seen_once_by_the_other_device(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (mut first, ada_in) = Connection::join(&server.address, "ada").await;
    let (_bob, bob_in) = Connection::join(&server.address, "bob").await;
    let mut second = Connection::open(&server.address).await;
    second.hello(None).await;
    second.enter(requests::login("ada")).await.expect("another device");
    let conversation = direct(ada_in.session, bob_in.session);
    let mut number = 0;
    let whole = first.frame(text(1, conversation, "words")).1.len();
    for cut in 0..=whole {
        number += 1;
        let (_, frame) = first.frame(text(number, conversation, "words"));
        first.write(&frame[..cut.min(frame.len())]).await;
        first.cut();
        first = Connection::resume(&server.address, ada_in.token.expect("a new device")).await;
        match first.ask(text(number, conversation, "words")).await {
            Ok(chat_proto::message::Reply::Receipt(receipt)) => assert_eq!(receipt.seq, number),
            other => panic!("a receipt expected: {other:?}"),
        }
    }
    let heard = second.entries(conversation, usize::try_from(number).expect("small")).await;
    assert_eq!(seqs(&heard), (1..=number).collect::<Vec<_>>());
    assert!(heard.iter().map(|entry| entry.client_id).eq((1..=number).map(|number| Some(id(number)))));
    assert_eq!(first.log(conversation).await, heard);
}

async fn a_thousand_offline_messages_arrive_in_order_at_log_in(kind: Kind) {
    let installation = Installation::new(kind).await;
    let server = installation.start();
    let (bob, bob_in) = Connection::join(&server.address, "bob").await;
    bob.leave().await;
    let (ada, _events, account) = clients::join(&server.address, "ada").await;
    let conversation = ConversationId::direct(account.user, bob_in.session.user).expect("two users");
    let mut under_way = Vec::new();
    for number in 1..=1000 {
        let send = requests::message(number, conversation, Body::Text(number.to_string()));
        under_way.push(ada.begin_send(send).await.expect("the client goes on"));
    }
    for pending in under_way {
        pending.await.expect("stored");
    }
    // Nothing of it is only in memory.
    server.kill();
    let server = installation.start();
    let token = bob_in.token.expect("a new device");
    let (_bob, mut events) = clients::resume(&server.address, token, Vec::new()).await;
    let heard = clients::entries_to(&mut events, conversation, 1000).await;
    assert_eq!(seqs(&heard), (1..=1000).collect::<Vec<_>>());
    assert!(heard.iter().map(said).eq((1..=1000).map(|number| number.to_string())));
}
