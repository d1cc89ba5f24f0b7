//! Who is seen online: asked on every node, and compared with who is.

use std::time::{Duration, Instant};

use chat_core::{AccountName, ContactAction, Password, Register, UserId};
use chat_proto::client::{Account, Client, ClientConfig, ClientEvents};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::LOOK;
use super::bounds::HEALED;
use super::cluster::Cluster;
use crate::measure::Failure;

/// How many people come and go.
const GUESTS: usize = 6;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How long somebody may take to come in.
const PATIENCE: Duration = Duration::from_secs(60);

/// People who come and go through nginx, and on each node somebody who is a contact of all of them.
pub(super) struct Presence {
    watchers: Vec<Here>,
    guests: Vec<Guest>,
    address: String,
}

struct Guest {
    account: Account,
    here: Option<Here>,
}

/// A client whose events are taken from it. Dropped, its connection ends without a word.
struct Here {
    client: Client,
    listening: JoinHandle<()>,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Presence {
    pub(super) async fn start(cluster: &Cluster) -> Result<Self, Failure> {
        let address = cluster.address().await;
        let mut watchers = Vec::new();
        for (number, node) in cluster.addresses().iter().enumerate() {
            let (client, events) = Client::connect(config(node)).await?;
            let account = client.register(registration(&client, &format!("watcher{number}"))).await?;
            watchers.push((Here::new(client, events), account.user));
        }
        let mut guests = Vec::new();
        for number in 0..GUESTS {
            let (client, events) = Client::connect(config(&address)).await?;
            let account = client.register(registration(&client, &format!("guest{number}"))).await?;
            for (watcher, user) in &watchers {
                let request = ContactAction::Request { note: String::new() };
                watcher.client.contact(watcher.client.new_id(), account.user, request).await?;
                client.contact(client.new_id(), *user, ContactAction::Accept).await?;
            }
            guests.push(Guest { account, here: Some(Here::new(client, events)) });
        }
        let watchers = watchers.into_iter().map(|(watcher, _)| watcher).collect();
        Ok(Self { watchers, guests, address })
    }

    /// One guest leaves, or comes back.
    pub(super) async fn turn(&mut self, number: usize) -> Result<(), Failure> {
        let guest = &mut self.guests[number % GUESTS];
        if guest.here.take().is_some() {
            return Ok(());
        }
        let mut config = config(&self.address);
        config.token = guest.account.token;
        let give_up = Instant::now() + PATIENCE;
        loop {
            match Client::connect(config.clone()).await {
                Ok((client, events)) => {
                    guest.here = Some(Here::new(client, events));
                    return Ok(());
                }
                Err(error) if Instant::now() > give_up => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// How many sessions there are.
    pub(super) fn sessions(&self) -> usize {
        self.watchers.len() + self.guests.iter().filter(|guest| guest.here.is_some()).count()
    }

    /// Waits until every node says the truth of everybody; says how long that took.
    ///
    /// # Errors
    /// What was still said after [`HEALED`].
    pub(super) async fn converges(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let mut wrong = Vec::new();
            for (node, watcher) in self.watchers.iter().enumerate() {
                wrong.extend(self.wrong(node, &watcher.client).await);
            }
            if wrong.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > HEALED {
                return Err(wrong.join(", "));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn wrong(&self, node: usize, watcher: &Client) -> Vec<String> {
        let node = node + 1;
        let contacts = match timeout(ANSWER, watcher.contacts(None, 100)).await {
            Ok(Ok(contacts)) => contacts,
            Ok(Err(error)) => return vec![format!("node {node} answers {error}")],
            Err(_) => return vec![format!("node {node} does not answer")],
        };
        let seen = |user: UserId| contacts.iter().find(|contact| contact.profile.user == user)?.online;
        let guests = self.guests.iter().enumerate();
        let wrong = guests.filter(|(_, guest)| seen(guest.account.user) != Some(guest.here.is_some()));
        wrong
            .map(|(number, guest)| {
                let seen = seen(guest.account.user);
                format!("node {node} says {seen:?} of guest{number}'s being online")
            })
            .collect()
    }
}

impl Here {
    fn new(client: Client, mut events: ClientEvents) -> Self {
        Self { client, listening: tokio::spawn(async move { while events.next().await.is_some() {} }) }
    }
}

/// One that does not wait long before it comes back.
pub(super) fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new(address);
    config.connect_timeout = Duration::from_secs(3);
    config.request_timeout = PATIENCE;
    config.backoff.first = Duration::from_millis(50);
    config.backoff.max = Duration::from_millis(500);
    config
}

pub(super) fn registration(client: &Client, name: &str) -> Register {
    Register {
        client_id: client.new_id(),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: "chaos".into(),
    }
}
