//! An own program that serves the protocol beside whatever else it does, and admits its own users:
//! who shows the signature of the company's web session comes in, without a password.
//!
//! `cargo run -p chat-examples --example embed_tcp`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::memory::MemoryStore;
use chat_core::{
    AccountName, Authenticator, Body, Content, ConversationId, Credentials, Engine, Epoch, Error, ErrorKind,
    Identity, Outgoing, Send,
};
use chat_proto::client::{Client, ClientConfig, ClientEvent, ClientEvents};
use chat_proto::server::{ConnectionConfig, serve};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

/// Stands for the check of a real session: `SIGNATURE:NAME`.
struct WebSessions;

#[async_trait]
impl Authenticator for WebSessions {
    async fn authenticate(&self, secret: &Bytes) -> Result<Identity, Error> {
        let refused = || Error::new(ErrorKind::Unauthenticated, "no valid session");
        let text = std::str::from_utf8(secret).map_err(|_| refused())?;
        let name = text.strip_prefix("signed-by-us:").ok_or_else(refused)?;
        Ok(Identity { name: AccountName::parse(name)?, display_name: None })
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let engine = Engine::builder(MemoryStore::new(Epoch(1))).authenticator(WebSessions).start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = tokio::spawn(accept(listener, engine.clone()));

    let (ada, _ada_events) = connect(&address, "signed-by-us:ada").await?;
    let (bob, mut bob_events) = connect(&address, "signed-by-us:bob").await?;
    if let Err(refused) = connect(&address, "signed-by-somebody:eve").await {
        println!("eve stays outside: {refused}");
    }

    let (ada_id, bob_id) = (ada.user().ok_or("logged in")?, bob.user().ok_or("logged in")?);
    let pair = ConversationId::direct(ada_id, bob_id).ok_or("two users")?;
    let message = Outgoing::Message { body: Body::Text("Hello over TCP".into()), reply_to: None };
    ada.send(Send { client_id: ada.new_id(), conversation: pair, message, read_up_to: None }).await?;
    while let Some(event) = bob_events.next().await {
        if let ClientEvent::Entry { entry, .. } = event
            && let Content::Message(Body::Text(text)) = entry.decode_content()?
        {
            println!("bob reads: {text}");
            break;
        }
    }

    ada.close().await;
    bob.close().await;
    server.abort();
    engine.shutdown().await;
    Ok(())
}

/// Accepts connections; each is a task that ends with its client.
async fn accept(listener: TcpListener, engine: Engine) {
    let config = Arc::new(ConnectionConfig::default());
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, engine.clone(), Arc::clone(&config), std::future::pending()));
    }
}

async fn connect(address: &str, secret: &'static str) -> Result<(Client, ClientEvents), Failure> {
    let (client, events) = Client::connect(ClientConfig::new(address)).await?;
    let secret = Bytes::from_static(secret.as_bytes());
    client.login(Credentials::External { secret, device_label: "example".into() }).await?;
    Ok((client, events))
}
