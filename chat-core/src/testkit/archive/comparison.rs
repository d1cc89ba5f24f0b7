//! Whether two stores hold the same installation, by everything that can be asked of them.

use std::fmt::Debug;

use super::Installation;
use super::installation::{appending, message, writing};
use crate::store::{
    Batch, Digest, Item, Once, Outcome, Precondition, SeqRef, Store, StoreError, StoreErrorKind, Write,
    WriterId,
};
use crate::{ConversationId, Direction, Range, Seq, Standing, Timestamp};

/// Every read of both stores gives the same, but for the epoch and the journal.
///
/// # Panics
/// One does not, or fails.
pub async fn assert_alike(
    one: &(impl Store + ?Sized),
    other: &(impl Store + ?Sized),
    installation: &Installation,
) {
    accounts_are_alike(one, other, installation).await;
    let Installation { users, conversations, commands, .. } = installation;
    same("heads", one.heads(conversations).await, other.heads(conversations).await);
    let pairs: Vec<_> =
        conversations.iter().flat_map(|place| users.iter().map(move |user| (*place, *user))).collect();
    same("members", one.members(&pairs).await, other.members(&pairs).await);
    let keys: Vec<Once> = commands.iter().map(|(once, _)| *once).collect();
    assert!(!keys.is_empty(), "there are commands");
    same("recorded", one.recorded(&keys).await, other.recorded(&keys).await);
    let elsewhere: Vec<_> = keys.iter().map(|once| Once { sender: users[0], ..*once }).collect();
    same("recorded", one.recorded(&elsewhere).await, other.recorded(&elsewhere).await);
    for user in users {
        for (after, limit) in [(None, 1_000), (None, 2), (Some(conversations[1]), 3)] {
            let found = one.memberships(*user, after, limit).await;
            same("memberships", found, other.memberships(*user, after, limit).await);
        }
    }
    for place in conversations {
        logs_are_alike(one, other, *place).await;
    }
}

/// The same answer, or an error of the same kind that stands for one.
fn same<T: PartialEq + Debug>(what: &str, one: Result<T, StoreError>, other: Result<T, StoreError>) {
    let answer = |found: Result<T, StoreError>| {
        found.map_err(|error| match error.kind() {
            StoreErrorKind::Trimmed => "trimmed",
            _ => panic!("the store is in order: {error:?}"),
        })
    };
    let (one, other) = (answer(one), answer(other));
    assert!(one == other, "{what}: {one:?} and {other:?}");
}

async fn accounts_are_alike(
    one: &(impl Store + ?Sized),
    other: &(impl Store + ?Sized),
    installation: &Installation,
) {
    let users = &installation.users;
    same("accounts", one.accounts(users).await, other.accounts(users).await);
    for name in &installation.names {
        same("account_named", one.account_named(name).await, other.account_named(name).await);
    }
    for user in users {
        same("devices", one.devices(*user).await, other.devices(*user).await);
    }
    for token in &installation.tokens {
        let found = one.device_with_token(token).await;
        same("device_with_token", found, other.device_with_token(token).await);
    }
    for handle in &installation.handles {
        let found = one.group_with_handle(handle).await;
        same("group_with_handle", found, other.group_with_handle(handle).await);
    }
}

async fn logs_are_alike(one: &(impl Store + ?Sized), other: &(impl Store + ?Sized), place: ConversationId) {
    let standings = [
        Standing::Owner,
        Standing::Admin,
        Standing::Member,
        Standing::Invited,
        Standing::Asking,
        Standing::Former,
    ];
    for standing in standings.map(Some).into_iter().chain([None]) {
        let found = one.roster(place, standing, None, 1_000).await;
        same("roster", found, other.roster(place, standing, None, 1_000).await);
    }
    let second = one.roster(place, None, None, 2).await.expect("the store is in order").pop();
    let after = second.map(|member| (member.joined_seq, member.user));
    same("roster", one.roster(place, None, after, 2).await, other.roster(place, None, after, 2).await);

    let head = one.heads(&[place]).await.expect("the store is in order").remove(0);
    let middle = head.first_seq.midpoint(head.seq);
    for (from, to) in [
        (1, Seq::MAX),
        (head.first_seq, head.seq),
        (head.first_seq, Seq::MAX),
        (middle, Seq::MAX),
        (head.first_seq, middle),
        (head.first_seq.saturating_sub(1), middle),
        (head.seq, head.seq),
        (head.seq + 1, Seq::MAX),
        (5, 4),
    ] {
        for direction in [Direction::Forward, Direction::Backward] {
            for (limit, limit_bytes) in [(100_000, 1 << 30), (3, 1 << 30), (20, 1_000)] {
                let range = Range { from, to, direction, limit, limit_bytes };
                same("entries", one.entries(place, &range).await, other.entries(place, &range).await);
                same("history", one.history(place, &range).await, other.history(place, &range).await);
            }
        }
    }
}

/// What is committed to both stores from now on has the same outcomes, and leaves them alike.
///
/// # Panics
/// It does not, or one fails.
pub async fn assert_goes_on_alike(
    one: &(impl Store + ?Sized),
    other: &(impl Store + ?Sized),
    installation: &Installation,
) {
    let heads = one.heads(&installation.conversations).await.expect("the store is in order");
    let repeated = |digest: Option<Digest>| {
        installation.commands.iter().map(move |(once, recorded)| Item {
            once: Some((*once, digest.unwrap_or(*recorded))),
            ..appending([message(once.conversation, once.sender.number(), "again")])
        })
    };
    let requiring = |precondition| Item { require: vec![precondition], ..Item::default() };
    let mut items: Vec<Item> = repeated(None).chain(repeated(Some(Digest([9; 16])))).collect();
    let repetitions = items.len() / 2;
    items.extend(installation.names.iter().cloned().map(Precondition::NameFree).map(requiring));
    items.extend(installation.users.iter().copied().map(Precondition::UserFree).map(requiring));
    items.extend(installation.handles.iter().cloned().map(Precondition::HandleFree).map(requiring));
    for device in &installation.devices {
        items.push(requiring(Precondition::Slot(*device, None)));
        items.push(writing([Write::Attach { device: *device, slot: None, now: Timestamp(1) }]));
    }
    for head in heads {
        let (conversation, rules) = (head.conversation, head.rules_seq);
        let entry = message(conversation, 1, "goes on");
        items.push(Item {
            require: vec![Precondition::Rules(conversation, rules)],
            ..appending([entry.clone(), entry])
        });
        for user in &installation.users {
            let (user, to) = (*user, SeqRef::At(head.seq));
            items.push(writing([
                Write::Read { conversation, user, to },
                Write::Delivered { conversation, user, to },
            ]));
        }
        items.push(writing([Write::RaiseRules(conversation)]));
        items.push(requiring(Precondition::Rules(conversation, rules)));
        items.push(writing([Write::Trim { conversation, first_seq: head.seq + 1 }]));
    }
    let now = Timestamp(1_800_000_000_000);
    // In a journal of its own: that of the source is no part of it.
    for (number, items) in (1..).zip(items.chunks(100)) {
        let batch = Batch { writer: WriterId(77), number, now, items: items.to_vec() };
        let outcomes = one.commit(&batch).await.expect("the store is in order");
        same(
            "commit",
            Ok(&outcomes),
            other.commit(&batch).await.as_ref().map_err(|error| StoreError::new(error.kind(), "committing")),
        );
        let first = usize::try_from(number - 1).expect("small") * 100;
        for (index, outcome) in outcomes.iter().enumerate() {
            if first + index < repetitions {
                assert!(matches!(outcome, Outcome::Duplicate(_)), "{outcome:?}");
            } else if first + index < 2 * repetitions {
                assert_eq!(outcome, &Outcome::Conflict);
            }
        }
    }
    assert_alike(one, other, installation).await;
}
