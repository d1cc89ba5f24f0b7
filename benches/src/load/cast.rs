//! Who takes part in a run and where they meet: accounts, devices, groups and pairs, made over the wire
//! before the run begins.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_core::{
    AccountName, Body, ConversationId, CreateGroup, DisplayName, GroupAction, GroupProfile, HistoryPolicy,
    JoinPolicy, Outgoing, Send, Seq, UserId,
};
use tokio::task::JoinSet;

use super::accounts::{self, Person};
use super::participant::{Participant, Stage};
use super::witness::Venue;
use crate::measure::Failure;

/// So many enter, or groups are made, at the same time.
const AT_ONCE: usize = 32;

/// So many users are added to a group with one command.
const ADDED_AT_ONCE: usize = 500;

/// Within this time everybody has what was written while the cast was made.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a scenario needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The number of devices of each user.
    pub devices: Vec<u32>,
    /// Where users meet; they are named by their place in `devices`.
    pub meetings: Vec<Meeting>,
}

/// Where users meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// A direct conversation.
    Pair(usize, usize),
    /// A group, its owner first.
    Group(Vec<usize>),
}

/// Who takes part.
#[derive(Debug)]
pub struct Cast {
    /// The clients by number: the users' first devices in the order of the plan, then further devices.
    pub participants: Vec<Arc<Participant>>,
    /// Where they meet, in the order of the plan.
    pub venues: Vec<Venue>,
}

impl Cast {
    /// Makes what the plan asks for, with accounts of this file as far as there are.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn gather(stage: &Arc<Stage>, plan: &Plan, file: Option<&Path>) -> Result<Self, Failure> {
        let kept = file.map(accounts::load).transpose()?.unwrap_or_default();
        let (people, owners) = people(plan, &kept)?;
        let firsts = plan.devices.len();
        let (first, further) = people.split_at(firsts);
        // Accounts come before their further devices.
        let mut entered = enter(stage, first, 0).await?;
        entered.extend(enter(stage, further, firsts).await?);
        if let Some(file) = file {
            let used: BTreeMap<_, _> =
                entered.iter().map(|(person, _)| ((person.name.clone(), person.device), person)).collect();
            let mut all: Vec<_> = entered.iter().map(|(person, _)| person.clone()).collect();
            all.extend(kept.into_iter().filter(|kept| !used.contains_key(&(kept.name.clone(), kept.device))));
            accounts::save(file, &all)?;
        }
        let participants: Vec<_> = entered.into_iter().map(|(_, participant)| participant).collect();
        let mut clients = vec![Vec::new(); firsts];
        for (client, owner) in (0..).zip(&owners) {
            clients[*owner].push(client);
        }
        let mut cast = Self { participants, venues: Vec::new() };
        let patience = tokio::time::timeout(PATIENCE, cast.convene(plan, &clients)).await;
        cast.venues = patience.map_err(|_| "not everybody got what was written before the run")??;
        Ok(cast)
    }

    /// Opens the conversations, and waits until everybody knows them.
    async fn convene(&self, plan: &Plan, clients: &[Vec<u32>]) -> Result<Vec<Venue>, Failure> {
        for participant in &self.participants {
            participant.has_caught_up().await;
        }
        let opened = at_once(plan.meetings.iter().enumerate(), |(number, meeting)| {
            let users: Vec<_> = match meeting {
                Meeting::Pair(a, b) => vec![*a, *b],
                Meeting::Group(users) => users.clone(),
            };
            let is_group = matches!(meeting, Meeting::Group(_));
            let owner = Arc::clone(&self.participants[users[0]]);
            let ids: Vec<_> = users.iter().map(|user| self.participants[*user].user).collect();
            let mut members: Vec<_> = users.iter().flat_map(|user| clients[*user].clone()).collect();
            members.sort_unstable();
            async move {
                let (conversation, base) = if is_group {
                    open_group(&owner, number, &ids[1..]).await?
                } else {
                    open_pair(&owner, ids[1]).await?
                };
                Ok(Venue { conversation, base, members })
            }
        })
        .await?;
        for venue in &opened {
            for member in &venue.members {
                let member = &self.participants[*member as usize];
                // It arrives without anything else happening; the caller limits the time.
                while !member.has(venue.conversation, venue.base).await {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        Ok(opened)
    }
}

/// The devices of the plan, with accounts that were kept as far as there are; and whose they are.
fn people(plan: &Plan, kept: &[Person]) -> Result<(Vec<Person>, Vec<usize>), Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let kept_firsts: Vec<_> = kept.iter().filter(|person| person.device == 0).collect();
    let (mut firsts, mut further, mut owners) =
        (Vec::new(), Vec::new(), (0..plan.devices.len()).collect::<Vec<_>>());
    for (user, devices) in plan.devices.iter().enumerate() {
        let first = match kept_firsts.get(user) {
            Some(kept) => Person::clone(kept),
            None => {
                Person::new(AccountName::parse(&format!("load{since:x}p{}x{user}", std::process::id()))?, 0)
            }
        };
        for device in 1..*devices {
            let known = kept.iter().find(|kept| kept.name == first.name && kept.device == device);
            further.push(known.cloned().unwrap_or_else(|| Person::new(first.name.clone(), device)));
            owners.push(user);
        }
        firsts.push(first);
    }
    firsts.extend(further);
    Ok((firsts, owners))
}

async fn enter(
    stage: &Arc<Stage>,
    people: &[Person],
    from: usize,
) -> Result<Vec<(Person, Arc<Participant>)>, Failure> {
    at_once(people.iter().enumerate(), |(number, person)| {
        let (stage, mut person) = (Arc::clone(stage), person.clone());
        async move {
            let number = u32::try_from(from + number)?;
            let participant = Participant::enter(&stage, number, &mut person).await?;
            Ok((person, participant))
        }
    })
    .await
}

async fn open_pair(owner: &Participant, other: UserId) -> Result<(ConversationId, Seq), Failure> {
    let client = owner.client().await;
    let conversation = ConversationId::direct(owner.user, other).ok_or("nobody chats alone")?;
    let message = Outgoing::Message { body: Body::Text("before the run".into()), reply_to: None };
    let send = Send { client_id: client.new_id(), conversation, message, read_up_to: None };
    Ok((conversation, client.send(send).await?.seq))
}

async fn open_group(
    owner: &Participant,
    number: usize,
    others: &[UserId],
) -> Result<(ConversationId, Seq), Failure> {
    let client = owner.client().await;
    let profile = GroupProfile {
        name: DisplayName::parse(&format!("load {number}"))?,
        description: String::new(),
        handle: None,
        join: JoinPolicy::Invitation,
        history: HistoryPolicy::All,
    };
    let (first, rest) = others.split_at(others.len().min(ADDED_AT_ONCE));
    let create = CreateGroup { client_id: client.new_id(), profile, members: first.to_vec() };
    let group = client.create_group(create).await?.group;
    for part in rest.chunks(ADDED_AT_ONCE) {
        client.group(client.new_id(), group, GroupAction::Add(part.to_vec())).await?;
    }
    let conversation = ConversationId::Group(group);
    Ok((conversation, client.conversation(conversation).await?.head))
}

/// Does something with each, a limited number at the same time; the results are in the order of `items`.
pub(super) async fn at_once<T, R, F>(
    items: impl IntoIterator<Item = T>,
    begin: impl Fn(T) -> F,
) -> Result<Vec<R>, Failure>
where
    R: std::marker::Send + 'static,
    F: Future<Output = Result<R, Failure>> + std::marker::Send + 'static,
{
    let (mut under_way, mut done) = (JoinSet::new(), BTreeMap::new());
    for (number, item) in items.into_iter().enumerate() {
        if under_way.len() >= AT_ONCE
            && let Some(one) = under_way.join_next().await
        {
            let (number, result): (usize, Result<R, Failure>) = one?;
            done.insert(number, result?);
        }
        let one = begin(item);
        under_way.spawn(async move { (number, one.await) });
    }
    while let Some(one) = under_way.join_next().await {
        let (number, result) = one?;
        done.insert(number, result?);
    }
    Ok(done.into_values().collect())
}
