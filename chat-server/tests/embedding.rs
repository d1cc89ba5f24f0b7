//! The server inside another program: started, used beside the network, stopped.

use std::time::Duration;

use chat_core::{AccountName, Password, Register};
use chat_proto::client::{Client, ClientConfig, ClientEvent};
use chat_server::{Server, Settings, StartError, Stopped};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

fn settings(folder: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.listen = "127.0.0.1:0".parse().expect("an address");
    settings.data = folder.path().to_owned();
    settings.accounts.password_memory_kib = 8;
    settings.accounts.password_passes = 1;
    settings
}

fn register(client: &Client, name: &str) -> Register {
    Register {
        client_id: client.new_id(),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: "test".into(),
    }
}

#[tokio::test]
async fn an_embedder_uses_the_engine_behind_the_network() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(settings(&folder)).await.expect("starts");
    let config = ClientConfig::new(server.local_addr().to_string());
    let (client, _events) = Client::connect(config).await.expect("connects");
    client.register(register(&client, "alice")).await.expect("registered");
    assert_eq!(server.engine().sessions(), 1);
    client.close().await;
    assert_eq!(server.stop().await, Stopped::Cleanly);
}

#[tokio::test]
async fn a_stop_tells_clients_to_come_back_and_they_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(settings(&folder)).await.expect("starts");
    let address = server.local_addr();
    let mut config = ClientConfig::new(address.to_string());
    config.backoff.first = Duration::from_millis(10);
    config.backoff.max = Duration::from_millis(50);
    let (client, mut events) = Client::connect(config).await.expect("connects");
    client.register(register(&client, "alice")).await.expect("registered");
    assert_eq!(server.stop().await, Stopped::Cleanly);
    while !matches!(events.next().await.expect("goes on"), ClientEvent::Disconnected { .. }) {}
    let mut again = settings(&folder);
    again.listen = address;
    let server = Server::start(again).await.expect("the port is free at once");
    while !matches!(events.next().await.expect("goes on"), ClientEvent::Connected) {}
    client.devices().await.expect("logged in again");
    client.close().await;
    assert_eq!(server.stop().await, Stopped::Cleanly);
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(settings(&folder)).await.expect("starts");
    let mut silent = TcpStream::connect(server.local_addr()).await.expect("connects");
    // Connections are taken in their order: when a later one is served, this one was taken.
    let config = ClientConfig::new(server.local_addr().to_string());
    let (later, _events) = Client::connect(config).await.expect("connects");
    later.close().await;
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        silent.read_to_end(&mut heard).await.map(|_| heard)
    });
    assert_eq!(server.stop().await, Stopped::Cleanly);
    assert!(!heard.await.expect("no panic").expect("an orderly end").is_empty(), "told to come back");
}

#[tokio::test]
async fn what_is_in_the_way_of_a_start_has_its_own_kind() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let server = Server::start(settings(&one)).await.expect("starts");
    let error = Server::start(settings(&one)).await.expect_err("the folder is in use");
    assert!(matches!(error, StartError::Store(_)), "{error:?}");
    let mut taken = settings(&other);
    taken.listen = server.local_addr();
    let error = Server::start(taken).await.expect_err("the port is in use");
    assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
    assert_eq!(server.stop().await, Stopped::Cleanly);
    let server = Server::start(settings(&other)).await.expect("a start that failed has left its folder");
    assert_eq!(server.stop().await, Stopped::Cleanly);
}
