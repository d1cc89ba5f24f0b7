//! What holds while many commit at the same time: each task is a writer of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::fixture::{
    Writer, account, appending, command, committed, direct, group, head, inbox, log, message, row, seqs,
};
use super::journal::follow;
use crate::store::{Append, Item, JournalPosition, Outcome, Precondition, Store, Write};
use crate::{AccountName, ClientId};

const TASKS: u64 = 8;

/// Runs a task for each writer and returns what they return, in no particular order.
async fn race<F, T>(store: &Arc<dyn Store>, task: impl Fn(u64, Writer) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 1..=TASKS {
        tasks.spawn(task(number, Writer::new(store, number)));
    }
    tasks.join_all().await
}

/// **gapless** under races: every acknowledged seq is there once, and nothing else.
pub async fn racing_writers_leave_gapless_seqs(store: Arc<dyn Store>) {
    let here = direct(1, 2);
    let placed = race(&store, |task, writer| async move {
        let mut placed = Vec::new();
        for round in 0..10 {
            let items = (0..5).map(|n| command(task * 1_000 + round * 10 + n, message(here, 1 + n % 2, "a")));
            for outcome in writer.commit(items.collect()).await {
                placed.extend_from_slice(committed(&outcome));
            }
        }
        placed
    });
    let mut placed: Vec<_> = placed.await.into_iter().flatten().collect();
    placed.sort_by_key(|placed| placed.seq);
    let all: Vec<_> = (1..=TASKS * 50).collect();
    assert_eq!(placed.iter().map(|placed| placed.seq).collect::<Vec<_>>(), all);
    assert_eq!(placed.iter().map(|placed| placed.ordinal).collect::<Vec<_>>(), all);
    assert_eq!(seqs(&log(&store, here).await), all);
    let totals = row(&store, here, 1).await.own + row(&store, here, 2).await.own;
    assert_eq!(totals, TASKS * 50);
}

/// **once** under races: all who repeat a command get the same answer, and it is there once.
pub async fn racing_repetitions_commit_once(store: Arc<dyn Store>) {
    let here = direct(1, 2);
    let answers = race(&store, |_, writer| async move {
        let mut answers = Vec::new();
        for number in 0..20 {
            let answer = match writer.one(command(number, message(here, 1, "a"))).await {
                Outcome::Committed(placed) => (placed[0].seq, true),
                Outcome::Duplicate(stored) => (stored.seq, false),
                other => panic!("nothing else stands against it: {other:?}"),
            };
            answers.push((number, answer));
        }
        answers
    });
    let mut seq_of = BTreeMap::new();
    let mut first = 0;
    for (number, (seq, committed)) in answers.await.into_iter().flatten() {
        assert_eq!(*seq_of.entry(number).or_insert(seq), seq, "command {number}");
        first += u64::from(committed);
    }
    assert_eq!(first, 20);
    let ids: Vec<Option<ClientId>> = log(&store, here).await.iter().map(|entry| entry.client_id).collect();
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(Option::is_some));
}

/// Of those who want a name at the same time one gets it.
pub async fn racing_takers_of_one_name_leave_one_holder(store: Arc<dyn Store>) {
    let outcomes = race(&store, |task, writer| async move {
        let item = Item {
            require: vec![Precondition::NameFree(AccountName::from_stored("ada"))],
            write: vec![Write::PutAccount(account(task, "ada"))],
            ..command(task, message(inbox(task), task, "created"))
        };
        (task, writer.one(item).await)
    });
    let outcomes = outcomes.await;
    let holders: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Committed(_))).collect();
    assert_eq!(holders.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Taken).count() as u64, TASKS - 1);
    let found = store.account_named(&AccountName::from_stored("ada")).await.expect("the store is in order");
    assert_eq!(found.map(|account| account.user.number()), Some(holders[0].0));
    for (task, outcome) in &outcomes {
        let written = head(&store, inbox(*task)).await.seq;
        assert_eq!(written == 1, matches!(outcome, Outcome::Committed(_)), "all of it or nothing");
    }
}

/// **preconditions under the lock**: of those who decided on the same rules one changes them.
pub async fn racing_decisions_on_the_same_rules_commit_once(store: Arc<dyn Store>) {
    let here = group(1);
    let won = race(&store, |task, writer| {
        let store = Arc::clone(&store);
        async move {
            let mut won = 0;
            while won < 5 {
                let decided_on = head(&store, here).await.rules_seq;
                let item = Item {
                    require: vec![Precondition::Rules(here, decided_on)],
                    ..appending([Append { changes_rules: true, ..message(here, task, "a") }])
                };
                match writer.one(item).await {
                    Outcome::Committed(placed) => {
                        assert_eq!(placed[0].seq, decided_on + 1, "nobody came between");
                        won += 1;
                    }
                    outcome => assert_eq!(outcome, Outcome::Stale),
                }
            }
            won
        }
    });
    assert_eq!(won.await.into_iter().sum::<u64>(), TASKS * 5);
    assert_eq!(head(&store, here).await.seq, TASKS * 5);
}

/// **reads see commits**, each as soon as it is acknowledged, and items whole.
pub async fn racing_readers_see_only_whole_items_and_every_acknowledged_commit(store: Arc<dyn Store>) {
    let here = group(1);
    race(&store, |task, writer| {
        let store = Arc::clone(&store);
        async move {
            for _ in 0..10 {
                let pair = appending([message(here, task, "first"), message(here, task, "second")]);
                let last = writer.done(pair).await[1].seq;
                let found = head(&store, here).await;
                assert!(found.seq >= last, "an acknowledged commit is seen");
                assert_eq!(found.seq % 2, 0, "an item is seen whole");
                let entries = log(&store, here).await;
                assert!(entries.len() as u64 >= found.seq && entries.len() % 2 == 0);
                assert!(row(&store, here, task).await.own >= 2);
            }
        }
    })
    .await;
}

/// **heads in key order**: batches that name the same heads in different orders all get through.
pub async fn racing_batches_over_the_same_conversations_all_commit(store: Arc<dyn Store>) {
    let places: Vec<_> = (1..=6).map(group).chain((1..=6).map(inbox)).collect();
    race(&store, |task, writer| {
        let mut places = places.clone();
        places.rotate_left(task as usize);
        if task % 2 == 0 {
            places.reverse();
        }
        async move {
            for _ in 0..5 {
                let items = places.iter().map(|place| appending([message(*place, task, "a")]));
                let outcomes = writer.commit(items.collect()).await;
                assert!(outcomes.iter().all(|outcome| !committed(outcome).is_empty()));
            }
        }
    })
    .await;
    let heads = store.heads(&places).await.expect("the store is in order");
    assert!(heads.iter().all(|head| head.seq == TASKS * 5), "{heads:?}");
}

/// **complete in order** while others write: what becomes visible later never has an earlier position.
pub async fn journal_is_complete_under_racing_writers(store: Arc<dyn Store>) {
    let writing = race(&store, |task, writer| async move {
        for round in 0..20 {
            writer.done(appending([message(group(1 + (task + round) % 5), 1, "a")])).await;
        }
    });
    let following = async {
        let mut furthest = BTreeMap::new();
        let mut position = JournalPosition::default();
        while furthest.values().sum::<u64>() < TASKS * 20 {
            let (told, next) = follow(&store, &position, 3).await;
            furthest.extend(told);
            position = next;
            tokio::task::yield_now().await;
        }
        furthest
    };
    let limit = std::time::Duration::from_secs(60);
    let (_, furthest) = tokio::join!(writing, tokio::time::timeout(limit, following));
    let furthest = furthest.expect("the journal tells everything");
    for (conversation, seq) in furthest {
        assert_eq!(head(&store, conversation).await.seq, seq);
    }
}
