//! A store's folder with users and a group in it, made by the engine without a server.

use std::path::Path;

use chat_core::store::Store;
use chat_core::{ConversationId, GroupAction, GroupId, LoggedIn, Token, UserId};
use chat_store::sqlite::{SqliteOptions, SqliteStore};

use super::Failure;
use crate::world::{self, Ids};

/// Someone who can log in.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// By what.
    pub token: Token,
}

/// What a folder holds.
#[derive(Debug)]
pub struct Prepared {
    /// The users, in the order in which they were made.
    pub people: Vec<Person>,
    /// The group, if one was asked for.
    pub group: Option<GroupId>,
}

/// Makes so many users, and a group of the first `group` of them.
///
/// # Errors
/// The folder cannot be used.
///
/// # Panics
/// Where the engine refuses what it never should.
pub async fn prepare(folder: &Path, users: usize, group: usize) -> Result<Prepared, Failure> {
    prepare_in(SqliteStore::open(folder, &SqliteOptions::default())?, users, group).await
}

/// The same in any store.
///
/// # Errors
/// The store cannot be used as it should.
pub async fn prepare_in(store: impl Store, users: usize, group: usize) -> Result<Prepared, Failure> {
    let (engine, mut ids) = (world::engine(store).await, Ids::default());
    let mut people = Vec::with_capacity(users);
    let mut logged_in: Vec<LoggedIn> = Vec::new();
    // Logged in at the same time are only those who found the group; the others come and go.
    for start in (0..users).step_by(512) {
        let count = 512.min(users - start);
        let batch = world::users(&engine, &mut ids, &format!("user{start}x"), count).await;
        for one in batch {
            let token = one.token.ok_or("a new device has a token")?;
            people.push(Person { user: one.session.user(), token });
            if logged_in.is_empty() && group > 0 {
                logged_in.push(one);
            }
        }
    }
    let group = if let Some(owner) = logged_in.first() {
        let id = world::group(&mut ids, std::slice::from_ref(owner)).await;
        let members: Vec<_> = people[1..group].iter().map(|person| person.user).collect();
        for part in members.chunks(500) {
            let add = GroupAction::Add(part.to_vec());
            owner.session.group(ids.next_id(), id, add).await?;
        }
        Some(id)
    } else {
        None
    };
    drop(logged_in);
    engine.shutdown().await;
    Ok(Prepared { people, group })
}

/// Fills a direct conversation of the first two users.
///
/// # Errors
/// The folder cannot be used.
pub async fn backlog(folder: &Path, people: &[Person], messages: usize) -> Result<(), Failure> {
    let store = SqliteStore::open(folder, &SqliteOptions::default())?;
    let (engine, mut ids) = (world::engine(store).await, Ids::from(1 << 40));
    let from = engine.login(chat_core::Credentials::Token(people[0].token)).await?;
    let pair = ConversationId::direct(people[0].user, people[1].user).ok_or("two users")?;
    for start in (0..messages).step_by(1000) {
        let mut pending = Vec::new();
        for _ in 0..1000.min(messages - start) {
            pending.push(from.session.begin_send(world::text(&mut ids, pair)).await?);
        }
        for send in pending {
            send.await?;
        }
    }
    drop(from);
    engine.shutdown().await;
    Ok(())
}

/// Writes users to a file for a process of clients.
///
/// # Errors
/// The file cannot be written.
pub fn save(people: &[Person], file: &Path) -> Result<(), Failure> {
    let mut bytes = Vec::with_capacity(people.len() * 40);
    for person in people {
        bytes.extend_from_slice(&person.user.number().to_le_bytes());
        bytes.extend_from_slice(&person.token.0);
    }
    Ok(std::fs::write(file, bytes)?)
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// The file cannot be read.
pub fn load(file: &Path) -> Result<Vec<Person>, Failure> {
    let bytes = std::fs::read(file)?;
    bytes
        .chunks_exact(40)
        .map(|one| {
            let user = UserId::new(u64::from_le_bytes(one[..8].try_into()?))?;
            Ok(Person { user, token: Token(one[8..].try_into()?) })
        })
        .collect()
}
