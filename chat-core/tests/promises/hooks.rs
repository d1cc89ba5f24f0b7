//! What an embedder may decide: which messages pass, and who comes in without a password.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Authenticator, Body, Chunk, Credentials, Error, ErrorKind, Hooks, Identity, LeftMessages, Outgoing,
    Password, Send, UserId, Verdict,
};

use crate::world::{World, config, direct, id, join, login, name, outgoing, registration, say, text, told};

/// Refuses what is rude, rewrites what is loud, and counts.
#[derive(Clone, Default)]
struct Moderator {
    asked: Arc<AtomicUsize>,
    committed: Arc<Mutex<Vec<u64>>>,
}

#[async_trait]
impl Hooks for Moderator {
    async fn before_send(&self, _: UserId, send: &Send) -> Verdict {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match &send.message {
            Outgoing::Message { body: Body::Text(text), .. } if text.contains("rude") => {
                Verdict::Refuse("mind your words".into())
            }
            Outgoing::Message { body: Body::Text(text), .. } if text.contains("LOUD") => {
                Verdict::Rewrite(Body::Text(text.to_lowercase()))
            }
            Outgoing::Message { body: Body::Text(text), .. } if text == "huge" => {
                Verdict::Rewrite(Body::Text("x".repeat(1 << 20)))
            }
            Outgoing::Reaction { .. } => Verdict::Rewrite(Body::Text("not a reaction".into())),
            _ => Verdict::Allow,
        }
    }

    fn committed(&self, chunk: &Chunk) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.extend(chunk.entries().iter().filter(|entry| entry.countable).map(|entry| entry.seq));
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_let_pass_refuse_and_rewrite() {
    let world = World::new();
    let hooks = Moderator::default();
    let engine = world.builder(config()).hooks(hooks.clone()).start().await.expect("an engine");
    let (ada, mut bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let at = direct(&ada, &bob);
    let first = say(&ada, at, "hello").await.seq;
    let refused = ada.send(text(at, "how rude")).await.expect_err("refused");
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::NotAllowed, "mind your words"));
    say(&ada, at, "very LOUD").await;
    let huge = ada.send(text(at, "huge")).await.expect_err("a hook does not lift limits");
    assert_eq!(huge.kind(), ErrorKind::Invalid);
    let reaction = Outgoing::Reaction { target: first, symbol: "+".into(), set: true };
    ada.send(outgoing(at, reaction)).await.expect("there is nothing to rewrite in it");
    bob.reaches(at, 3).await;
    assert_eq!(bob.texts(at), ["hello", "very loud"]);
    assert_eq!(*hooks.committed.lock().unwrap_or_else(PoisonError::into_inner), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn hooks_are_not_asked_about_repetitions() {
    let world = World::new();
    let hooks = Moderator::default();
    let engine = world.builder(config()).hooks(hooks.clone()).start().await.expect("an engine");
    let (ada, bob) = (join(&engine, "ada").await, join(&engine, "bob").await);
    let send = text(direct(&ada, &bob), "very LOUD");
    let first = ada.send(send.clone()).await.expect("sent");
    assert_eq!(ada.send(send.clone()).await.expect("repeated"), first, "what the client sent is compared");
    assert_eq!(hooks.asked.load(Ordering::Relaxed), 1);
    let message = Outgoing::Message { body: Body::Text("very loud".into()), reply_to: None };
    let other = Send { message, ..send };
    assert_eq!(ada.send(other).await.expect_err("another").kind(), ErrorKind::Conflict);
}

/// Believes whoever says who they are, unless they are nobody.
struct Gullible;

#[async_trait]
impl Authenticator for Gullible {
    async fn authenticate(&self, secret: &Bytes) -> Result<Identity, Error> {
        match std::str::from_utf8(secret) {
            Ok("nobody") | Err(_) => Err(Error::new(ErrorKind::Unauthenticated, "who are you?")),
            Ok(who) => Ok(Identity { name: name(who), display_name: None }),
        }
    }
}

fn external(who: &str) -> Credentials {
    Credentials::External { secret: Bytes::copy_from_slice(who.as_bytes()), device_label: "web".into() }
}

#[tokio::test(start_paused = true)]
async fn an_authenticator_admits_and_creates_accounts() {
    let world = World::new();
    let engine = world.builder(config()).authenticator(Gullible).start().await.expect("an engine");
    let attempts: Vec<_> = (0..5)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.login(external("ada")).await })
        })
        .collect();
    let mut users = Vec::new();
    for attempt in attempts {
        users.push(attempt.await.expect("no panic").expect("admitted").session.user());
    }
    assert!(users.iter().all(|user| *user == users[0]), "one account, however many come at once");
    let refused = engine.login(external("nobody")).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated);
    let ada = engine.login(external("ada")).await.expect("admitted");
    assert_eq!(
        told(login(&engine, "ada").await),
        told(login(&engine, "unknown").await),
        "an account without a password has none that is right"
    );
    let bob = join(&engine, "bob").await;
    assert_eq!(engine.login(external("bob")).await.expect("admitted").session.user(), bob.user());
    let taken = engine.register(registration("ada")).await.expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::Taken);
    let password = Password::new("any password");
    let refused = ada.session.delete_account(id(), password, LeftMessages::Keep).await;
    assert_eq!(refused.expect_err("cannot be proven").kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn without_an_authenticator_nobody_comes_in_by_other_proofs() {
    let world = World::new();
    let engine = world.alone().await;
    assert_eq!(engine.login(external("ada")).await.expect_err("refused").kind(), ErrorKind::Invalid);
}
