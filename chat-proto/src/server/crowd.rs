//! What the connections of one configuration hold together: bytes, and places without a session.
//!
//! Each connection alone is bounded; many of them are, too. Bytes count while they wait: frames that have
//! not arrived as a whole, output that the peer has not taken, and the pages that are being read for it.
//! Whoever takes what it is sent, and sends whole frames, holds nothing between two turns, so that where
//! there is no room left it is those who hold on to it that make room. Connections with a session and
//! without one have rooms of their own: strangers take nothing from users.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What is counted; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<Counts>);

/// Whose room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Of connections without a session: a quarter of the whole.
    Strangers,
    /// Of connections with one: the rest.
    Users,
}

#[derive(Debug, Default)]
struct Counts {
    strangers: AtomicUsize,
    users: AtomicUsize,
    /// Guards who waits for a session, in the order of coming.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    places: BTreeMap<u64, Arc<Ticket>>,
}

/// What says whether a place was taken back. Held for one look.
#[derive(Debug, Default)]
struct Ticket(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    back: bool,
    /// Whoever is to be told.
    waker: Option<Waker>,
}

impl Ticket {
    fn take_back(&self) {
        let mut taken = self.lock();
        taken.back = true;
        let waker = taken.waker.take();
        drop(taken);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_taken_back(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut taken = self.lock();
        if taken.back {
            return Poll::Ready(());
        }
        match &mut taken.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    fn bytes(&self, room: Room) -> &AtomicUsize {
        match room {
            Room::Strangers => &self.0.strangers,
            Room::Users => &self.0.users,
        }
    }

    /// A place for a connection without a session. Where there are more than `limit`, the one that has
    /// waited longest loses its own: whoever means to log in needs it for a moment, and whoever wants to
    /// keep others out would have to come again and again.
    pub(super) fn enter(&self, limit: usize) -> Place {
        let ticket = Arc::<Ticket>::default();
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, Arc::clone(&ticket));
        let longest = if waiting.places.len() > limit.max(1) { waiting.places.pop_first() } else { None };
        drop(waiting);
        if let Some((_, longest)) = longest {
            longest.take_back();
        }
        Place { crowd: self.clone(), number, ticket }
    }

    /// What a connection holds, nothing yet, of a whole of so many bytes.
    pub(super) fn share(&self, room: Room, whole_bytes: usize) -> Share {
        let strangers = whole_bytes / 4;
        let limit_bytes = match room {
            Room::Strangers => strangers,
            Room::Users => whole_bytes - strangers,
        };
        Share { crowd: self.clone(), room, limit_bytes, bytes: 0 }
    }

    /// What all connections hold, with a session and without.
    pub(super) fn held_bytes(&self) -> usize {
        self.0.strangers.load(Ordering::Relaxed) + self.0.users.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place without a session, until it is dropped.
pub(super) struct Place {
    crowd: Crowd,
    number: u64,
    ticket: Arc<Ticket>,
}

impl Place {
    /// Ready once others need it more.
    pub(super) fn poll_taken_back(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.ticket.poll_taken_back(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.waiting().places.remove(&self.number);
    }
}

/// What one connection holds of a room, until it is dropped.
pub(super) struct Share {
    crowd: Crowd,
    room: Room,
    limit_bytes: usize,
    bytes: usize,
}

impl Share {
    /// Sets how many bytes it holds.
    pub(super) fn set(&mut self, bytes: usize) {
        let count = self.crowd.bytes(self.room);
        if bytes > self.bytes {
            count.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            count.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Whether as much is held in the room as may be.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowd.bytes(self.room).load(Ordering::Relaxed) >= self.limit_bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Told(AtomicBool);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn is_taken_back(place: &Place) -> bool {
        place.poll_taken_back(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_has_waited_longest_makes_room() {
        let crowd = Crowd::default();
        let places: Vec<_> = (0..3).map(|_| crowd.enter(3)).collect();
        assert!(!places.iter().any(is_taken_back));
        let _fourth = crowd.enter(3);
        assert_eq!(places.iter().map(is_taken_back).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn who_waits_is_told_by_the_waker_that_was_seen_last() {
        let crowd = Crowd::default();
        let place = crowd.enter(1);
        let (earlier, later) = (Arc::<Told>::default(), Arc::<Told>::default());
        for told in [&earlier, &later] {
            let waker = Arc::clone(told).into();
            assert!(place.poll_taken_back(&mut Context::from_waker(&waker)).is_pending());
        }
        let _other = crowd.enter(1);
        assert!(later.0.load(Ordering::Relaxed) && !earlier.0.load(Ordering::Relaxed));
        assert!(is_taken_back(&place));
    }

    #[test]
    fn who_has_left_or_logged_in_needs_no_room() {
        let crowd = Crowd::default();
        let (first, second) = (crowd.enter(2), crowd.enter(2));
        drop(second);
        let _third = crowd.enter(2);
        assert!(!is_taken_back(&first));
    }

    #[test]
    fn shares_of_a_room_add_up_and_are_given_back() {
        let crowd = Crowd::default();
        let (mut one, mut other) = (crowd.share(Room::Users, 16), crowd.share(Room::Users, 16));
        let stranger = crowd.share(Room::Strangers, 16);
        one.set(10);
        other.set(1);
        assert!(!one.is_crowded());
        other.set(2);
        assert!(one.is_crowded() && other.is_crowded());
        assert!(!stranger.is_crowded());
        assert_eq!(one.crowd.held_bytes(), 12);
        drop(one);
        assert!(!other.is_crowded());
    }
}
