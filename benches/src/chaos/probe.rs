//! Whether messages pass: one that is sent on each node has to reach somebody on every other.

use std::time::{Duration, Instant};

use chat_core::{
    Body, ConversationId, CreateGroup, DisplayName, GroupProfile, HistoryPolicy, JoinPolicy, Outgoing, Send,
    Seq,
};
use chat_proto::client::{Client, ClientError, ClientEvent, ClientEvents};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::LOOK;
use super::bounds::HEALED;
use super::cluster::Cluster;
use super::presence::{config, registration};
use crate::load::participant::is_momentary;
use crate::measure::Failure;

/// Somebody on each node, connected to it alone, and a group of them.
pub(super) struct Probes {
    people: Vec<Person>,
    group: ConversationId,
}

struct Person {
    client: Client,
    /// The last entry of the group that has arrived.
    heard: watch::Receiver<Seq>,
    listening: JoinHandle<()>,
}

impl Probes {
    pub(super) async fn start(cluster: &Cluster) -> Result<Self, Failure> {
        let (mut clients, mut members) = (Vec::new(), Vec::new());
        for (number, node) in cluster.addresses().iter().enumerate() {
            let (client, events) = Client::connect(config(node)).await?;
            members.push(client.register(registration(&client, &format!("prober{number}"))).await?.user);
            clients.push((client, events));
        }
        let profile = GroupProfile {
            name: DisplayName::parse("probes")?,
            description: String::new(),
            handle: None,
            join: JoinPolicy::Invitation,
            history: HistoryPolicy::All,
        };
        let owner = &clients[0].0;
        let create = CreateGroup { client_id: owner.new_id(), profile, members: members[1..].to_vec() };
        let group = ConversationId::Group(owner.create_group(create).await?.group);
        let people = clients.into_iter().map(|(client, events)| Person::new(client, events, group)).collect();
        Ok(Self { people, group })
    }

    /// How many sessions they have.
    pub(super) fn sessions(&self) -> usize {
        self.people.len()
    }

    /// Sends through each node, and waits until it has arrived on all others; says how long that took.
    ///
    /// # Errors
    /// What had not come about after [`HEALED`].
    pub(super) async fn pass(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut waiting = String::new();
        let passing = async {
            for (from, sender) in self.people.iter().enumerate() {
                waiting = format!("node {} does not take a message", from + 1);
                let seq = sender.send(self.group).await?;
                for (to, receiver) in self.people.iter().enumerate().filter(|(to, _)| *to != from) {
                    waiting = format!("a message through node {} does not reach node {}", from + 1, to + 1);
                    let mut heard = receiver.heard.clone();
                    heard.wait_for(|heard| *heard >= seq).await.map_err(|_| "somebody does not listen")?;
                }
            }
            Ok::<_, String>(())
        };
        let passed = timeout(HEALED, passing).await;
        match passed {
            Ok(passed) => passed.map(|()| begun.elapsed()),
            Err(_) => Err(waiting),
        }
    }
}

impl Person {
    fn new(client: Client, mut events: ClientEvents, group: ConversationId) -> Self {
        let (hear, heard) = watch::channel(0);
        let listening = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let ClientEvent::Entry { conversation, entry } = event
                    && conversation == group
                {
                    hear.send_replace(entry.seq);
                }
            }
        });
        Self { client, heard, listening }
    }

    /// Sends until there is an answer; which entry it is.
    async fn send(&self, conversation: ConversationId) -> Result<Seq, String> {
        let message = Outgoing::Message { body: Body::Text("probe".into()), reply_to: None };
        let send = Send { client_id: self.client.new_id(), conversation, message, read_up_to: None };
        loop {
            match self.client.send(send.clone()).await {
                Ok(receipt) => return Ok(receipt.seq),
                Err(ClientError::Refused(error)) if !is_momentary(error.kind()) => {
                    return Err(format!("a message of a member is refused: {error}"));
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
