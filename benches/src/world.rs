//! Engines with users in them, made for measuring: passwords cost nothing and no rate is limited.

use std::time::Duration;

use chat_core::store::Store;
use chat_core::{
    AccountName, Body, ClientId, ConversationId, CreateGroup, DisplayName, Engine, EngineConfig, GroupId,
    GroupProfile, HistoryPolicy, JoinPolicy, LoggedIn, Outgoing, Password, PasswordCost, Register, Send,
};

/// Settings under which an engine is measured.
pub fn config() -> EngineConfig {
    let mut config = EngineConfig::default();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    config.commands_per_second = 0;
    config.reads_per_second = 0;
    config.presence_debounce = Duration::ZERO;
    config
}

/// An engine over a store.
///
/// # Panics
/// Where the store cannot be read.
pub async fn engine(store: impl Store) -> Engine {
    Engine::builder(store).config(config()).start().await.expect("the store is readable")
}

/// Client ids in ascending order, as time-ordered ids are.
#[derive(Debug, Default)]
pub struct Ids(u64);

impl Ids {
    /// The next id.
    pub fn next_id(&mut self) -> ClientId {
        self.0 += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.0.to_be_bytes());
        ClientId(id)
    }
}

impl From<u64> for Ids {
    /// Ids from here on.
    fn from(start: u64) -> Self {
        Self(start)
    }
}

/// Registers users named `PREFIX0`, `PREFIX1`, …
///
/// # Panics
/// Where registering fails.
pub async fn users(engine: &Engine, ids: &mut Ids, prefix: &str, count: usize) -> Vec<LoggedIn> {
    let mut users = Vec::with_capacity(count);
    for number in 0..count {
        let register = Register {
            client_id: ids.next_id(),
            name: AccountName::parse(&format!("{prefix}{number}")).expect("a plain name"),
            display_name: None,
            password: Password::new("correct horse"),
            device_label: String::new(),
        };
        users.push(engine.register(register).await.expect("registered"));
    }
    users
}

/// A group of these users, the first of them its owner.
///
/// # Panics
/// Where creating it fails.
pub async fn group(ids: &mut Ids, users: &[LoggedIn]) -> GroupId {
    let create = CreateGroup {
        client_id: ids.next_id(),
        profile: GroupProfile {
            name: DisplayName::parse("a group").expect("a plain name"),
            description: String::new(),
            handle: None,
            join: JoinPolicy::Invitation,
            history: HistoryPolicy::All,
        },
        members: users[1..].iter().map(|user| user.session.user()).collect(),
    };
    users[0].session.create_group(create).await.expect("created").group
}

/// A text of 100 bytes for a conversation.
pub fn text(ids: &mut Ids, conversation: ConversationId) -> Send {
    Send {
        client_id: ids.next_id(),
        conversation,
        message: Outgoing::Message { body: Body::Text("x".repeat(100)), reply_to: None },
        read_up_to: None,
    }
}
