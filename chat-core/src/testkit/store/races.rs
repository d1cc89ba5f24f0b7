//! What holds while many commit at the same time: each task is a writer of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::fixture::{
    EVERYTHING, Writer, account, appending, attachment, command, committed, device, device_id, direct,
    enters, group, head, inbox, log, message, once, row, seqs, settings, user, writing,
};
use super::journal::follow;
use crate::store::{Append, Item, JournalPosition, Once, Outcome, Precondition, SeqRef, Store, Write};
use crate::{
    Account, AccountName, ClientId, ConversationId, Device, Group, GroupId, Handle, Standing, Timestamp,
};

const IN_ORDER: &str = "the store is in order";
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
    let found = store.account_named(&AccountName::from_stored("ada")).await.expect(IN_ORDER);
    assert_eq!(found.map(|account| account.user.number()), Some(holders[0].0));
    for (task, outcome) in &outcomes {
        let written = head(&store, inbox(*task)).await.seq;
        assert_eq!(written == 1, matches!(outcome, Outcome::Committed(_)), "all of it or nothing");
    }
}

/// Of those who want a handle at the same time one gets it.
pub async fn racing_takers_of_one_handle_leave_one_holder(store: Arc<dyn Store>) {
    let outcomes = race(&store, |task, writer| async move {
        let item = Item {
            require: vec![Precondition::HandleFree(Handle::from_stored("rust"))],
            write: vec![Write::PutGroup(settings(task, Some("rust")))],
            ..command(task, message(inbox(task), task, "created"))
        };
        (task, writer.one(item).await)
    });
    let holder = one_of(&outcomes.await, &Outcome::Taken);
    let found = store.group_with_handle(&Handle::from_stored("rust")).await.expect(IN_ORDER);
    assert_eq!(found.map(GroupId::number), Some(holder));
    for task in 1..=TASKS {
        assert_eq!(head(&store, group(task)).await.group.is_some(), task == holder, "all of it or nothing");
    }
}

/// Of those who drew the same id one gets it; the others draw again.
pub async fn racing_takers_of_one_id_leave_one_holder(store: Arc<dyn Store>) {
    let outcomes = race(&store, |task, writer| async move {
        let item = Item {
            require: vec![Precondition::UserFree(user(99))],
            write: vec![Write::PutAccount(account(99, &format!("name{task}")))],
            ..command(task, message(inbox(99), 99, "created"))
        };
        (task, writer.one(item).await)
    });
    let holder = one_of(&outcomes.await, &Outcome::Stale);
    let found = store.accounts(&[user(99)]).await.expect(IN_ORDER).remove(0);
    assert_eq!(found, Some(account(99, &format!("name{holder}"))));
    assert_eq!(seqs(&log(&store, inbox(99)).await), [1], "all of it or nothing");
}

/// Of the sessions that find a slot empty at the same time one attaches.
pub async fn racing_sessions_attach_to_one_slot_once(store: Arc<dyn Store>) {
    Writer::new(&store, 99).done(writing([Write::PutDevice(device(1, 1, 1))])).await;
    let outcomes = race(&store, |task, writer| async move {
        let slot = Some(attachment("north", task));
        let item = Item {
            require: vec![Precondition::Slot(device_id(1), None)],
            ..writing([Write::Attach { device: device_id(1), slot, now: Timestamp(task) }])
        };
        (task, writer.one(item).await)
    });
    let holder = one_of(&outcomes.await, &Outcome::Stale);
    let attached = Some(attachment("north", holder));
    let expected = Device { attached, last_seen: Timestamp(holder), ..device(1, 1, 1) };
    assert_eq!(store.devices(user(1)).await.expect(IN_ORDER), [expected]);
}

/// The one task that was not refused; all others were, and so.
fn one_of(outcomes: &[(u64, Outcome)], refused: &Outcome) -> u64 {
    let committed: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Committed(_))).collect();
    assert_eq!(committed.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|(_, outcome)| outcome == refused).count() as u64, TASKS - 1);
    committed[0].0
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

/// **reads see commits**, whatever is read: each read looks in a place of its own.
pub async fn racing_reads_of_every_kind_see_acknowledged_commits(store: Arc<dyn Store>) {
    race(&store, |task, writer| {
        let store = Arc::clone(&store);
        async move {
            for round in 0..5 {
                let end = store.journal_end().await.expect(IN_ORDER);
                let number = 10 * task + round;
                let created = Created::new(number);
                writer.done(created.item(number)).await;
                created.is_seen_by_every_read(&store, &end).await;
            }
        }
    })
    .await;
}

/// A user with an account, a device and a group, made by one item.
struct Created {
    account: Account,
    device: Device,
    group: Group,
    here: ConversationId,
    key: Once,
}

impl Created {
    fn new(number: u64) -> Self {
        Self {
            account: account(number, &format!("name{number}")),
            device: device(number, number, 1),
            group: settings(number, Some(&format!("handle{number}"))),
            here: group(number),
            key: once(number, number, group(number)),
        }
    }

    fn item(&self, number: u64) -> Item {
        Item {
            write: vec![
                Write::PutAccount(self.account.clone()),
                Write::PutDevice(self.device.clone()),
                Write::PutGroup(self.group.clone()),
                enters(self.here, number, Standing::Owner, SeqRef::Appended(0)),
            ],
            ..command(number, message(self.here, number, "created"))
        }
    }

    async fn is_seen_by_every_read(&self, store: &Arc<dyn Store>, before: &JournalPosition) {
        let (who, here) = (self.account.user, self.here);
        let (account, device) = (Some(self.account.clone()), Some(self.device.clone()));
        let handle = self.group.profile.handle.clone().expect("it has one");
        assert!(store.recorded(&[self.key]).await.expect(IN_ORDER)[0].is_some());
        assert_eq!(store.accounts(&[who]).await.expect(IN_ORDER), std::slice::from_ref(&account));
        assert_eq!(store.account_named(&self.account.name).await.expect(IN_ORDER), account);
        assert_eq!(store.devices(who).await.expect(IN_ORDER), std::slice::from_ref(&self.device));
        assert_eq!(store.device_with_token(&self.device.token_hash).await.expect(IN_ORDER), device);
        assert_eq!(store.group_with_handle(&handle).await.expect(IN_ORDER), Some(self.group.id));
        let head = head(store, here).await;
        assert_eq!((head.seq, head.group.as_ref()), (1, Some(&self.group)));
        let member = store.members(&[(here, who)]).await.expect(IN_ORDER).remove(0).expect("it was written");
        assert_eq!(store.roster(here, None, None, 10).await.expect(IN_ORDER), std::slice::from_ref(&member));
        assert_eq!(store.memberships(who, None, 10).await.expect(IN_ORDER), [(head, member)]);
        assert_eq!(seqs(&log(store, here).await), [1]);
        assert_eq!(seqs(&store.history(here, &EVERYTHING).await.expect(IN_ORDER).entries), [1]);
        assert_eq!(follow(store, before, 10).await.0.get(&here), Some(&1));
    }
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
    let heads = store.heads(&places).await.expect(IN_ORDER);
    assert!(heads.iter().all(|head| head.seq == TASKS * 5), "{heads:?}");
}

/// **complete in order** while others write: what becomes visible later never has an earlier position.
/// Each batch moves a conversation of its own too, so that no later batch makes up for its loss.
pub async fn journal_is_complete_under_racing_writers(store: Arc<dyn Store>) {
    let writing = race(&store, |task, writer| async move {
        for round in 0..20 {
            let places = [group(1 + (task + round) % 5), group(100 * task + round)];
            writer.done(appending(places.map(|place| message(place, 1, "a")))).await;
        }
    });
    let (mut furthest, mut position) = (BTreeMap::new(), JournalPosition::default());
    let mut writing = std::pin::pin!(writing);
    let mut is_over = false;
    // Once more after the writers are done: then everything is to be had.
    while !is_over {
        is_over = futures_util::FutureExt::now_or_never(writing.as_mut()).is_some();
        let (told, next) = follow(&store, &position, 3).await;
        furthest.extend(told);
        position = next;
        tokio::task::yield_now().await;
    }
    let own = (1..=TASKS).flat_map(|task| (0..20).map(move |round| group(100 * task + round)));
    let moved: Vec<_> = (1..=5).map(group).chain(own).collect();
    let heads = store.heads(&moved).await.expect(IN_ORDER);
    let reached: BTreeMap<_, _> = heads.iter().map(|head| (head.conversation, head.seq)).collect();
    assert_eq!(furthest, reached);
}
