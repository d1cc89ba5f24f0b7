//! Two users chat inside one process: no socket, no server, nothing to configure.
//!
//! `cargo run -p chat-examples --example quickstart`

use chat_core::memory::MemoryStore;
use chat_core::{
    AccountName, Body, ClientId, Content, ConversationId, Engine, Epoch, Event, LoggedIn, Outgoing, Password,
    Register, Send,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(MemoryStore::new(Epoch(1))).start().await?;
    let ada = register(&engine, 1, "ada").await?;
    let mut bob = register(&engine, 2, "bob").await?;

    let pair = ConversationId::direct(ada.session.user(), bob.session.user()).ok_or("one user alone")?;
    let receipt = ada
        .session
        .send(Send {
            client_id: ClientId([3; 16]),
            conversation: pair,
            message: Outgoing::Message { body: Body::Text("Hello, Bob!".into()), reply_to: None },
            read_up_to: None,
        })
        .await?;
    println!("ada's message is stored as entry {}", receipt.seq);

    while let Some(event) = bob.events.next().await {
        let Event::Entries(chunk) = event else { continue };
        for entry in chunk.entries() {
            if let Content::Message(Body::Text(text)) = entry.decode_content()? {
                println!("bob reads: {text}");
                println!("bob has {} unread", bob.session.conversation(pair).await?.unread);
                bob.session.mark_read(pair, entry.seq).await?;
                println!("bob has {} unread", bob.session.conversation(pair).await?.unread);
                engine.shutdown().await;
                return Ok(());
            }
        }
    }
    Err("the session ended".into())
}

async fn register(engine: &Engine, id: u8, name: &str) -> Result<LoggedIn, Box<dyn std::error::Error>> {
    let register = Register {
        client_id: ClientId([id; 16]),
        name: AccountName::parse(name)?,
        display_name: None,
        password: Password::new("correct horse"),
        device_label: "example".into(),
    };
    Ok(engine.register(register).await?)
}
