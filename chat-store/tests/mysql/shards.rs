//! What an engine writes together when conversations fall into shards: the server itself notes of each
//! row which transaction wrote it.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use chat_core::store::Store;
use chat_core::{
    AccountName, BlockingInline, Body, ClientId, ConversationId, CreateGroup, DisplayName, Engine,
    EngineConfig, GroupId, GroupProfile, HistoryPolicy, JoinPolicy, LoggedIn, Outgoing, Password,
    PasswordCost, Register, Send, Session, UserId,
};
use chat_store::mysql::{MysqlOptions, MysqlStore};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::server::{Server, address, connect, shared};

const SHARDS: u32 = 4;

mod conformance {
    use super::*;

    chat_core::store_conformance!(async {
        let url = shared().await.database().await;
        let store: Arc<dyn Store> = Arc::new(in_shards(&url, SHARDS).await);
        (store, ())
    });
}

async fn in_shards(url: &str, shards: u32) -> MysqlStore {
    let mut options = MysqlOptions::default();
    options.shards = shards;
    MysqlStore::connect(url, &options).await.expect("a database in order")
}

/// What the tables of conversations hold is noted in another, each row of which names the transaction
/// that wrote it: a history that the server keeps by transactions has their numbers.
async fn watch(admin: &mut Conn) -> Result<(), Box<dyn Error>> {
    let table = "CREATE TABLE written (
                     place        VARCHAR(16)   NOT NULL,
                     conversation VARBINARY(17) NOT NULL,
                     transaction BIGINT UNSIGNED GENERATED ALWAYS AS ROW START,
                     gone        BIGINT UNSIGNED GENERATED ALWAYS AS ROW END,
                     PERIOD FOR SYSTEM_TIME (transaction, gone)
                 ) ENGINE = InnoDB WITH SYSTEM VERSIONING";
    admin.query_drop(table).await?;
    for table in ["log", "referring", "member", "head", "trimmed_command"] {
        for event in ["INSERT", "UPDATE"] {
            let note = format!(
                "CREATE TRIGGER {event}_{table} BEFORE {event} ON {table} FOR EACH ROW
                 INSERT INTO written (place, conversation) VALUES ('{table}', NEW.conversation)"
            );
            admin.query_drop(note).await?;
        }
    }
    Ok(())
}

/// How many transactions wrote to several conversations, and how many of these to several shards.
async fn written(admin: &mut Conn) -> Result<(u64, u64), Box<dyn Error>> {
    let count = format!(
        "SELECT COALESCE(SUM(conversations > 1), 0), COALESCE(SUM(shards > 1), 0) FROM (
             SELECT COUNT(DISTINCT conversation) AS conversations,
                    COUNT(DISTINCT CRC32(conversation) MOD {SHARDS}) AS shards
             FROM written GROUP BY transaction
         ) AS of_transactions"
    );
    Ok(admin.query_first(count).await?.expect("sums have one row"))
}

/// Nodes of one database, which is watched.
struct Watched {
    admin: Conn,
    url: String,
    commands: u128,
}

impl Watched {
    async fn on(server: &Server) -> Result<Self, Box<dyn Error>> {
        let database = server.make_database().await;
        let url = address(&database, server.port());
        // It makes the tables.
        connect(&url).await.close().await;
        let mut admin = server.admin().await;
        admin.query_drop(format!("USE {database}")).await?;
        watch(&mut admin).await?;
        Ok(Self { admin, url, commands: 0 })
    }

    /// An engine that draws the same ids in every run.
    async fn engine(&self, node: &str, shards: u32) -> Engine {
        let mut config = EngineConfig::default();
        config.node = node.into();
        config.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
        config.commands_per_second = 0;
        let store = Arc::new(in_shards(&self.url, shards).await);
        let builder = Engine::builder_shared(store).config(config).blocking(BlockingInline);
        builder.seed(shards.into()).start().await.expect("an engine")
    }

    fn id(&mut self) -> ClientId {
        self.commands += 1;
        ClientId(self.commands.to_be_bytes())
    }

    async fn join(&mut self, engine: &Engine, who: &str) -> LoggedIn {
        let register = Register {
            client_id: self.id(),
            name: AccountName::parse(who).expect("a name"),
            display_name: None,
            password: Password::new("correct horse"),
            device_label: String::new(),
        };
        engine.register(register).await.expect("registered")
    }

    async fn group(&mut self, owner: &Session, members: Vec<UserId>) -> ConversationId {
        let profile = GroupProfile {
            name: DisplayName::parse("a group").expect("a name"),
            description: String::new(),
            handle: None,
            join: JoinPolicy::Invitation,
            history: HistoryPolicy::SinceJoin,
        };
        let command = CreateGroup { client_id: self.id(), profile, members };
        ConversationId::Group(owner.create_group(command).await.expect("created").group)
    }

    fn text(&mut self, conversation: ConversationId) -> Send {
        let message = Outgoing::Message { body: Body::Text("some words".into()), reply_to: None };
        Send { client_id: self.id(), conversation, message, read_up_to: None }
    }

    async fn forget(&mut self) -> Result<(), Box<dyn Error>> {
        // A history cannot be emptied otherwise.
        self.admin.query_drop("DELETE FROM written").await?;
        Ok(self.admin.query_drop("DELETE HISTORY FROM written").await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_several_shards_are_never_in_one_transaction() -> Result<(), Box<dyn Error>> {
    const GROUPS: usize = 24;
    const ROUNDS: usize = 10;
    let mut watched = Watched::on(shared().await).await?;
    for shards in [1, SHARDS] {
        let engine = watched.engine(&format!("node{shards}"), shards).await;
        let ada = watched.join(&engine, &format!("ada{shards}")).await;
        let mut groups = Vec::new();
        for _ in 0..GROUPS {
            groups.push(watched.group(&ada.session, Vec::new()).await);
        }
        watched.forget().await?;
        let mut pending = Vec::new();
        for _ in 0..ROUNDS {
            for group in &groups {
                pending.push(ada.session.begin_send(watched.text(*group)).await?);
            }
        }
        for sent in pending {
            sent.await?;
        }
        let (of_several, of_shards) = written(&mut watched.admin).await?;
        // Else nothing was gathered that could have been separated.
        assert!(of_several > 0);
        assert_eq!(of_shards > 0, shards == 1, "{of_shards} of {of_several}");
        engine.shutdown().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn item_that_concerns_several_shards_is_still_written_at_once() -> Result<(), Box<dyn Error>> {
    let mut watched = Watched::on(shared().await).await?;
    let engine = watched.engine("node", SHARDS).await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(watched.join(&engine, &format!("user{number}")).await);
    }
    watched.forget().await?;
    let users: Vec<_> = people.iter().map(|person| person.session.user()).collect();
    let group = watched.group(&people[0].session, users[1..].to_vec()).await;
    // The group's first entry, and a notice to each.
    let mut expected: Vec<_> = users.into_iter().map(ConversationId::Inbox).chain([group]).collect();
    expected.sort_unstable();
    let store = in_shards(&watched.url, SHARDS).await;
    let shards: BTreeSet<_> = expected.iter().map(|of| store.shard(of)).collect();
    assert!(shards.len() > 1);
    let find = "SELECT conversation, transaction FROM written WHERE place = 'log' ORDER BY conversation";
    let rows: Vec<(Vec<u8>, u64)> = watched.admin.query(find).await?;
    assert!(rows.iter().all(|(_, transaction)| *transaction == rows[0].1), "{rows:?}");
    let keys: Vec<_> = rows.into_iter().map(|(conversation, _)| conversation).collect();
    assert_eq!(keys, expected.iter().map(|of| of.key().to_vec()).collect::<Vec<_>>());
    engine.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn shard_is_what_the_server_makes_of_a_conversation_too() -> Result<(), Box<dyn Error>> {
    let server = shared().await;
    let store = in_shards(&server.database().await, SHARDS).await;
    let mut admin = server.admin().await;
    let mut seen = BTreeSet::new();
    for number in 1..=64 {
        let of = ConversationId::Group(GroupId::new(number).expect("within bounds"));
        let found = admin.exec_first("SELECT CRC32(?) MOD ?", (&*of.key(), SHARDS)).await?;
        assert_eq!(found, Some(store.shard(&of)));
        seen.insert(store.shard(&of));
    }
    assert_eq!(seen.len(), SHARDS as usize, "all of them are used");
    Ok(())
}
