//! Who is online: told to contacts, once a change has lasted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Inner;
use crate::{Ephemeral, UserId};

/// The users whose last session has ended lately. They count as online until it has lasted, so that
/// nobody sees a reconnection.
pub(crate) struct Presence {
    debounce: Duration,
    leaving: Mutex<Leaving>,
    wake: Notify,
}

/// Users by name and by when they are due, so that a storm of departures costs each of them the same.
#[derive(Default)]
struct Leaving {
    users: BTreeMap<UserId, Departure>,
    due: BTreeSet<(Instant, UserId)>,
}

struct Departure {
    due: Instant,
    contacts: BTreeSet<UserId>,
}

impl Leaving {
    fn insert(&mut self, user: UserId, departure: Departure) {
        self.remove(user);
        self.due.insert((departure.due, user));
        self.users.insert(user, departure);
    }

    fn remove(&mut self, user: UserId) -> Option<Departure> {
        let departure = self.users.remove(&user)?;
        self.due.remove(&(departure.due, user));
        Some(departure)
    }

    /// Takes those who are due by now.
    fn take_due(&mut self, now: Instant) -> Vec<(UserId, Departure)> {
        let mut gone = Vec::new();
        while let Some((due, user)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, user));
            gone.extend(self.users.remove(&user).map(|departure| (user, departure)));
        }
        gone
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

impl Presence {
    pub(crate) fn new(debounce: Duration) -> Self {
        Self { debounce, leaving: Mutex::default(), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Leaving> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether contacts see this user as online.
    pub(crate) fn seen_online(&self, user: UserId) -> bool {
        self.hub.is_online(user) || self.presence.lock().users.contains_key(&user)
    }

    /// A user's first session has begun, and its contacts are known.
    pub(crate) fn came_online(&self, user: UserId) {
        if self.presence.lock().remove(user).is_none() {
            self.tell_contacts(user, &self.hub.contacts(user), true);
        }
    }

    /// A user's last session has ended; `lasting` when it was meant so.
    pub(crate) fn went_offline(&self, user: UserId, contacts: BTreeSet<UserId>, lasting: Lasting) {
        let due = match lasting {
            Lasting::Yes => Instant::now(),
            Lasting::Unknown => Instant::now() + self.presence.debounce,
        };
        let mut leaving = self.presence.lock();
        leaving.insert(user, Departure { due, contacts });
        let is_next = leaving.next_due() == Some(due);
        drop(leaving);
        if is_next {
            self.presence.wake.notify_one();
        }
    }

    fn tell_contacts(&self, user: UserId, contacts: &BTreeSet<UserId>, online: bool) {
        for contact in contacts {
            // Both must count the other as a contact at this moment.
            if self.hub.contacts(*contact).contains(&user) {
                self.hub.tell_user(*contact, Ephemeral::Presence { user, online }, None);
            }
        }
    }
}

/// Whether a user is known to stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Logged out.
    Yes,
    /// The connection ended, perhaps to begin again.
    Unknown,
}

/// Announces users as offline once they have stayed away.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        let now = Instant::now();
        let (gone, next) = {
            let mut leaving = inner.presence.lock();
            (leaving.take_due(now), leaving.next_due())
        };
        for (user, departure) in gone {
            if !inner.hub.is_online(user) {
                inner.tell_contacts(user, &departure.contacts, false);
            }
        }
        let wake = inner.presence.wake.notified();
        match next {
            // Cancel-safe: the next look finds whatever the wake stood for.
            Some(due) => drop(tokio::time::timeout_at(due, wake).await),
            None => wake.await,
        }
    }
}
