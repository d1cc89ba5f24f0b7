//! A mix like that of people who chat. Of five clients four are users' first devices, which act, and one is
//! a second device of one of them, which listens, and is closed and opened again now and then.
//!
//! | in 100 acts | |
//! |---|---|
//! | 50 | a message to one of two neighbours |
//! | 24 | a message to the own circle, a group of six |
//! | 2 | a message to the group of everybody |
//! | 8 | a reaction to the newest message of one of these places |
//! | 4 | an edit of the own newest message |
//! | 8 | the read cursor is moved to the newest message |
//! | 4 | typing |
//!
//! Of the messages 60 % have 8 to 60 bytes, 30 % up to 300, and 10 % up to 2,000. One in five answers the
//! newest message of its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat_core::{Body, Outgoing, Seq};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::{Run, Usual, text};
use crate::load::cast::{Meeting, Plan};
use crate::load::participant::Participant;
use crate::load::sending::{Act, Script};
use crate::measure::Failure;

/// Acts per second of each client that acts, unless another pace is asked for.
const ACTS_PER_SECOND: f64 = 2.0;

/// How many users form a circle.
const CIRCLE: usize = 6;

/// For how long a second device is open and closed, in milliseconds.
const OPEN_MS: std::ops::Range<u64> = 3_000..20_000;
const CLOSED_MS: std::ops::Range<u64> = 500..6_000;

pub(super) fn plan(clients: usize) -> Plan {
    let users = (clients * 4).div_ceil(5).max(2);
    let mut devices = vec![1; users];
    for further in 0..clients.saturating_sub(users) {
        devices[(4 * further) % users] += 1;
    }
    let mut meetings = vec![Meeting::Group((0..users).collect())];
    let circles: Vec<_> = (0..users).collect();
    // The last circle takes up who is left over, so that none has a single member.
    let count = (users / CIRCLE).max(1);
    for circle in 0..count {
        let end = if circle + 1 == count { users } else { (circle + 1) * CIRCLE };
        meetings.push(Meeting::Group(circles[circle * CIRCLE..end].to_vec()));
    }
    if users == 2 {
        meetings.push(Meeting::Pair(0, 1));
    } else {
        meetings.extend((0..users).map(|user| Meeting::Pair(user, (user + 1) % users)));
    }
    Plan { devices, meetings }
}

pub(super) async fn play(run: &Run) -> Result<(), Failure> {
    let newest: Vec<_> = (0..run.witness.places()).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let places: Vec<Vec<u32>> = (0..run.witness.places()).map(|place| run.witness.members(place)).collect();
    let users = plan(run.cast.participants.len()).devices.len();
    let (acting, listening) = run.cast.participants.split_at(users);
    let actors = acting.iter().map(|who| {
        let own: Vec<_> = (0..).zip(&places).filter(|(_, members)| members.contains(&who.number)).collect();
        let seed = run.stage.seed ^ (u64::from(who.number) << 32);
        let mut person = Person {
            who: who.number,
            bytes: run.options.bytes,
            random: StdRng::seed_from_u64(seed),
            circles: own.iter().map(|(place, _)| *place).filter(|place| is_group(run, *place)).collect(),
            pairs: own.iter().map(|(place, _)| *place).filter(|place| !is_group(run, *place)).collect(),
            mine: newest.iter().map(|_| Arc::new(AtomicU64::new(0))).collect(),
            newest: newest.clone(),
            sent: 0,
        };
        let script: Script = Box::new(move || person.act());
        (Arc::clone(who), script)
    });
    let until = Instant::now() + run.span();
    let mut coming_and_going = JoinSet::new();
    for who in listening {
        let random = StdRng::seed_from_u64(run.stage.seed ^ (u64::from(who.number) << 32));
        coming_and_going.spawn(come_and_go(Arc::clone(who), random, until));
    }
    run.act(actors.collect(), Usual::RateEach(ACTS_PER_SECOND)).await?;
    let returned = coming_and_going.join_all();
    // Whoever cannot come back by then is told at the end by what did not reach them.
    if let Ok(times) = tokio::time::timeout(run.settle(), returned).await {
        run.figure("devices_opened", times.into_iter().sum::<u64>() as f64);
    }
    Ok(())
}

fn is_group(run: &Run, place: u32) -> bool {
    matches!(run.witness.conversation(place), chat_core::ConversationId::Group(_))
}

/// Closes and opens a device; it is open in the end. How often it was opened.
async fn come_and_go(who: Arc<Participant>, mut random: StdRng, until: Instant) -> u64 {
    let mut opened = 0;
    loop {
        let close = Instant::now() + Duration::from_millis(random.random_range(OPEN_MS));
        if close >= until {
            return opened;
        }
        tokio::time::sleep_until(close.into()).await;
        who.go().await;
        tokio::time::sleep(Duration::from_millis(random.random_range(CLOSED_MS))).await;
        who.come().await;
        opened += 1;
    }
}

/// Somebody who acts.
struct Person {
    who: u32,
    bytes: Option<u32>,
    random: StdRng,
    /// The group of everybody, and the own circle.
    circles: Vec<u32>,
    pairs: Vec<u32>,
    /// The own newest message of each place.
    mine: Vec<Arc<AtomicU64>>,
    /// The newest message of each place that anybody has an answer to.
    newest: Vec<Arc<AtomicU64>>,
    sent: u64,
}

impl Person {
    fn act(&mut self) -> Act {
        let drawn = self.random.random_range(0..100);
        let pair = self.pairs[self.random.random_range(0..self.pairs.len())];
        let (everybody, circle) = (self.circles[0], self.circles[self.circles.len() - 1]);
        let place = [pair, circle, everybody][[0, 0, 1, 1, 2][self.random.random_range(0..5)]];
        let newest = self.newest[place as usize].load(Ordering::Relaxed);
        let mine = self.mine[place as usize].load(Ordering::Relaxed);
        match drawn {
            0..50 => self.message(pair),
            50..74 => self.message(circle),
            74..76 => self.message(everybody),
            76..84 if newest > 0 => self.reaction(place, newest),
            84..88 if mine > 0 => self.edit(place, mine),
            88..96 if newest > 0 => Act::MarkRead { place, seq: newest },
            96..100 => Act::Typing { place },
            // There is nothing yet that could be reacted to or edited.
            _ => self.message(pair),
        }
    }

    fn message(&mut self, place: u32) -> Act {
        let newest = self.newest[place as usize].load(Ordering::Relaxed);
        let answers = newest > 0 && self.random.random_range(0..5) == 0;
        let outgoing = match self.text() {
            Outgoing::Message { body, .. } => Outgoing::Message { body, reply_to: answers.then_some(newest) },
            other => other,
        };
        let tell = vec![Arc::clone(&self.newest[place as usize]), Arc::clone(&self.mine[place as usize])];
        Act::Send { place, outgoing, tell }
    }

    fn reaction(&mut self, place: u32, target: Seq) -> Act {
        let symbol = ["👍", "❤️", "😂", "🎉"][self.random.random_range(0..4)].to_owned();
        Act::Send { place, outgoing: Outgoing::Reaction { target, symbol, set: true }, tell: Vec::new() }
    }

    fn edit(&mut self, place: u32, target: Seq) -> Act {
        let body = match self.text() {
            Outgoing::Message { body, .. } => body,
            _ => Body::Text("edited".into()),
        };
        Act::Send { place, outgoing: Outgoing::Edit { target, body }, tell: Vec::new() }
    }

    fn text(&mut self) -> Outgoing {
        self.sent += 1;
        let bytes = match (self.bytes, self.random.random_range(0..10)) {
            (Some(bytes), _) => bytes as usize,
            (None, 0..6) => self.random.random_range(8..=60),
            (None, 6..9) => self.random.random_range(61..=300),
            (None, _) => self.random.random_range(301..=2_000),
        };
        text(self.who, self.sent, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_circle_and_neighbours() {
        for clients in [2, 3, 5, 10, 30, 97] {
            let plan = plan(clients);
            let users = plan.devices.len();
            assert_eq!(plan.devices.iter().sum::<u32>() as usize, clients.max(2), "{clients}");
            for user in 0..users {
                let groups = plan.meetings.iter().filter(|meeting| match meeting {
                    Meeting::Group(members) => members.contains(&user),
                    Meeting::Pair(..) => false,
                });
                assert_eq!(groups.count(), 2, "everybody, and a circle");
                let pairs = plan.meetings.iter().filter(|meeting| match meeting {
                    Meeting::Pair(a, b) => *a == user || *b == user,
                    Meeting::Group(_) => false,
                });
                assert!(pairs.count() > 0);
            }
            let alone =
                plan.meetings.iter().any(|meeting| matches!(meeting, Meeting::Group(one) if one.len() < 2));
            assert!(!alone, "{clients}");
        }
    }
}
