//! A thousand clients in processes of their own: this binary, run again with its part in the
//! environment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use chat_core::{ConversationId, GroupId, Token, UserId};
use chat_proto::message::{Reply, Request};

use crate::clients::seqs;
use crate::connection::Connection;
use crate::requests::{befriend, group_of, said, text};
use crate::server::{Installation, Kind, LOOK, in_time};

stories! {
    everywhere: [
        half_of_a_crowd_is_killed_and_seen_offline_while_the_rest_goes_on,
    ];
}

const PART: &str = "BLACK_BOX_CROWD";
const PROCESSES: usize = 4;
const CLIENTS: usize = 250;
/// Messages before the kill, and as many after it.
const MESSAGES: u64 = 15;
/// More connections than the nodes open to a database meanwhile.
const OTHERS: usize = 100;
/// So many of each process are contacts of the one who watches.
const WATCHED: usize = 10;

async fn half_of_a_crowd_is_killed_and_seen_offline_while_the_rest_goes_on(kind: Kind) {
    if let Ok(part) = std::env::var(PART) {
        return be_a_part(&part).await;
    }
    let installation = Installation::with(
        kind,
        &[("CHAT_CONTACTS_REQUESTS", "immediate"), ("CHAT_GROUPS_FIRST_MEMBERS_LIMIT", "2000")],
    )
    .await;
    let server = installation.start();
    let (mut ada, _) = Connection::join(&server.address, "ada").await;
    let people = register_all(&server.address).await;
    let users: Vec<_> = people.iter().map(|(user, _)| *user).collect();
    for (number, user) in (1..).zip(users.chunks(CLIENTS).flat_map(|part| &part[..WATCHED])) {
        ada.ask(befriend(number, *user)).await.expect("contacts");
    }
    let created = ada.ask(Request::CreateGroup(group_of(1000, users.clone()))).await;
    let Ok(Reply::GroupCreated(created)) = created else { panic!("a group expected: {created:?}") };
    let group = ConversationId::Group(created.group);

    let tokens = installation.folder().join("tokens");
    let bytes: Vec<_> = people.iter().flat_map(|(_, token)| token.0).collect();
    std::fs::write(&tokens, bytes).expect("it can be written");
    let mut parts: Vec<_> =
        (0..PROCESSES).map(|part| Part::start(kind, &server.address, created.group, part, &tokens)).collect();
    for part in &mut parts {
        part.says("ready").await;
    }
    assert_eq!(online(&mut ada).await.len(), PROCESSES * WATCHED);
    for number in 1..=MESSAGES {
        ada.ask(text(2000 + number, group, number.to_string())).await.expect("stored");
    }
    for part in &mut parts {
        part.says("half").await;
    }

    let crowded = server.open_files();
    for killed in parts.drain(..PROCESSES / 2) {
        killed.kill();
    }
    let mut left: Vec<_> = users[PROCESSES / 2 * CLIENTS..]
        .chunks(CLIENTS)
        .flat_map(|part| part[..WATCHED].iter().copied())
        .collect();
    left.sort_unstable();
    in_time("the killed are seen offline", async {
        while online(&mut ada).await != left {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    let gone = PROCESSES / 2 * CLIENTS;
    in_time("their connections are given back", async {
        while server.open_files().zip(crowded).is_some_and(|(now, crowded)| now + gone > crowded + OTHERS) {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    for number in MESSAGES + 1..=2 * MESSAGES {
        ada.ask(text(2000 + number, group, number.to_string())).await.expect("stored");
    }
    for part in &mut parts {
        part.says("all").await;
    }
}

/// Everybody's account and token.
async fn register_all(address: &str) -> Vec<(UserId, Token)> {
    let parts: Vec<_> = (0..PROCESSES * CLIENTS / 50)
        .map(|part| {
            let address = address.to_owned();
            tokio::spawn(async move {
                let mut people = Vec::new();
                for number in 0..50 {
                    let name = format!("user{part}x{number}");
                    let (connection, logged_in) = Connection::join(&address, &name).await;
                    people.push((logged_in.session.user, logged_in.token.expect("a new device")));
                    connection.leave().await;
                }
                people
            })
        })
        .collect();
    let mut people = Vec::new();
    for part in parts {
        people.extend(part.await.expect("everybody registers"));
    }
    people
}

/// The contacts that are online, in the order of their ids.
async fn online(watcher: &mut Connection) -> Vec<UserId> {
    match watcher.ask(Request::Contacts { after: None, limit: 100 }).await {
        Ok(Reply::Contacts(contacts)) => {
            let online = contacts.iter().filter(|contact| contact.online == Some(true));
            online.map(|contact| contact.profile.user).collect()
        }
        other => panic!("contacts expected: {other:?}"),
    }
}

/// What one process does: logs its clients in, and hears everything once and in order with each.
async fn be_a_part(part: &str) {
    let words: Vec<_> = part.split(' ').collect();
    let [address, group, number, tokens] = words[..] else { panic!("four words expected: {part}") };
    let group = ConversationId::Group(group.parse().expect("an id"));
    let number: usize = number.parse().expect("a number");
    let bytes = std::fs::read(tokens).expect("it was written");
    let tokens = bytes.chunks_exact(32).map(|token| Token(token.try_into().expect("32 bytes")));
    let mut clients = Vec::new();
    for token in tokens.skip(number * CLIENTS).take(CLIENTS) {
        let mut client = Connection::resume(address, token).await;
        // Ahead of the messages stands the group's creation, of which who is just coming may be told.
        client.know(group, 1);
        clients.push(client);
    }
    println!("\nready");
    for (word, numbers) in [("half", 1..=MESSAGES), ("all", MESSAGES + 1..=2 * MESSAGES)] {
        for client in &mut clients {
            let heard = client.entries(group, usize::try_from(MESSAGES).expect("small")).await;
            assert_eq!(seqs(&heard), numbers.clone().map(|number| number + 1).collect::<Vec<_>>());
            assert!(heard.iter().map(said).eq(numbers.clone().map(|number| number.to_string())));
        }
        println!("\n{word}");
    }
}

/// A process of clients; killed when it is dropped.
struct Part {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Part {
    fn start(kind: Kind, address: &str, group: GroupId, number: usize, tokens: &Path) -> Self {
        let kind = format!("{kind:?}").to_lowercase();
        let name =
            format!("crowd::{kind}::half_of_a_crowd_is_killed_and_seen_offline_while_the_rest_goes_on");
        let mut child = Command::new(std::env::current_exe().expect("a test binary is a file"))
            .args(["--exact", &name, "--nocapture", "--test-threads=1"])
            .env(PART, format!("{address} {group} {number} {}", tokens.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let output = Some(BufReader::new(child.stdout.take().expect("it is piped")));
        Self { child, output }
    }

    /// Waits until it says this on a line of its own.
    async fn says(&mut self, word: &'static str) {
        let mut output = self.output.take().expect("it is put back");
        let reading = tokio::task::spawn_blocking(move || {
            loop {
                let mut line = String::new();
                output.read_line(&mut line).expect("text");
                assert!(!line.is_empty(), "it ended before it was {word}");
                if line.trim() == word {
                    return output;
                }
            }
        });
        self.output = Some(in_time(word, reading).await.expect("it says so"));
    }

    /// Ends it with SIGKILL.
    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
