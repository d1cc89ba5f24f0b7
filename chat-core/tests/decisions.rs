//! Commands that meet a change of what they were decided on.

use chat_core::memory::MemoryStore;
use chat_core::{
    AccountName, Body, ClientId, ConversationId, CreateGroup, Credentials, DisplayName, Engine, EngineConfig,
    Epoch, ErrorKind, GroupAction, GroupProfile, Handle, HistoryPolicy, JoinPolicy, LoggedIn, Outgoing,
    Password, PasswordCost, Register, Send,
};

async fn engine() -> Engine {
    let mut config = EngineConfig::default();
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
    Engine::builder(MemoryStore::new(Epoch(1))).config(config).start().await.expect("starts")
}

fn id(number: u8) -> ClientId {
    ClientId([number; 16])
}

async fn registered(engine: &Engine, name: &str) -> LoggedIn {
    let register = Register {
        client_id: id(0),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: "device".into(),
    };
    engine.register(register).await.expect("registered")
}

#[tokio::test]
async fn who_was_refused_may_write_as_soon_as_they_are_admitted() {
    let engine = engine().await;
    let (alice, bob) = (registered(&engine, "alice").await, registered(&engine, "bob").await);
    let (alice, bob) = (&alice.session, &bob.session);
    let profile = GroupProfile {
        name: DisplayName::parse("Rust").expect("a name"),
        description: String::new(),
        handle: Some(Handle::parse("rust").expect("a handle")),
        join: JoinPolicy::Open,
        history: HistoryPolicy::SinceJoin,
    };
    let created = alice.create_group(CreateGroup { client_id: id(1), profile, members: vec![] }).await;
    let group = created.expect("created").group;
    let send = |number| Send {
        client_id: id(number),
        conversation: ConversationId::Group(group),
        message: Outgoing::Message { body: Body::Text("hi".into()), reply_to: None },
        read_up_to: None,
    };
    let early = bob.send(send(2)).await.expect_err("not a member");
    assert_eq!(early.kind(), ErrorKind::NotAllowed);
    bob.group(id(3), group, GroupAction::Join).await.expect("joined");
    bob.send(send(4)).await.expect("a member");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_leaves_and_returns_at_once_is_never_refused() {
    let engine = engine().await;
    let token = registered(&engine, "alice").await.token.expect("a new device");
    // The slot of the session that ends is given up while the next log-in takes it.
    for _ in 0..500 {
        drop(engine.login(Credentials::Token(token)).await.expect("the token is good"));
    }
}
