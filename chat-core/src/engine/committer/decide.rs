//! How a committer makes items of what it has gathered, on rules that it has or reads.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use super::{Committer, Decided, Pending, Reply, SendWork, Submission, Work, queue, store_error};
use crate::engine::messages::look;
use crate::engine::planted::Defect;
use crate::engine::rules::{self, Rules};
use crate::store::{Outcome, StoreError};
use crate::{ConversationId, Error, UserId};

/// The rules of those who send.
type KnownRules = BTreeMap<(ConversationId, UserId), Rules>;

impl Committer {
    /// Makes items of what was gathered. Sends that are refused are answered here: with the receipt
    /// they got the first time, when they are repetitions.
    pub(super) async fn decide(&self, mut submissions: Vec<Submission>) -> Decided {
        let known = match self.read_what_decides(&mut submissions).await {
            Ok(known) => known,
            Err(error) => {
                self.inner.watch.failed(&error);
                for submission in submissions {
                    submission.reply.send(Err(store_error(&error)), &self.queue.counts);
                }
                return Decided::default();
            }
        };
        self.withdraw(&mut submissions, Instant::now());
        let mut decided = Decided::default();
        let mut refused = Vec::new();
        let (mut changed, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        for submission in submissions {
            let Submission { work, deadline, reply, .. } = submission;
            match work {
                Work::Item(item) => {
                    decided.items.push(*item);
                    decided.pending.push(Pending { deadline, reply: Some(reply), send: None });
                }
                Work::Send(send) => {
                    let (at, sender) = (send.append.conversation, send.append.sender);
                    // What an earlier one changes must be stored before this one looks at it.
                    if send.wish.changed().is_some_and(|target| !changed.insert((at, target))) {
                        waiting.insert(at);
                    }
                    if waiting.contains(&at) {
                        decided.deferred.push(Submission::new(&at, Work::Send(send), deadline, reply));
                        continue;
                    }
                    let rules = known.get(&(at, sender)).cloned().ok_or_else(Error::not_allowed);
                    let allowed = rules.and_then(|rules| self.allows(&rules, &send).map(|()| rules));
                    match allowed {
                        Ok(rules) => {
                            decided.items.push(send.item(&rules));
                            let send = Some((send, rules));
                            decided.pending.push(Pending { deadline, reply: Some(reply), send });
                        }
                        Err(error) => refused.push((send, deadline, reply, error)),
                    }
                }
            }
        }
        if !refused.is_empty() {
            self.answer_refused(refused).await;
        }
        decided
    }

    async fn read_what_decides(&self, submissions: &mut Vec<Submission>) -> Result<KnownRules, StoreError> {
        // In this order: edits and recalls raise `rules_seq`, so that one of another node that the
        // look does not see makes what is decided on it stale.
        let known = self.load_rules(submissions).await?;
        self.look_at_targets(submissions).await?;
        Ok(known)
    }

    /// Looks at what is edited and recalled. In this turn, since all that this node wrote before is
    /// stored by now: a recall empties every edit, and an edit finds what was taken back.
    async fn look_at_targets(&self, submissions: &mut Vec<Submission>) -> Result<(), StoreError> {
        let changes = |submission: &Submission| match &submission.work {
            Work::Send(send) => send.wish.changed().map(|target| (send.append.conversation, target)),
            Work::Item(_) => None,
        };
        let targets: BTreeSet<_> = submissions.iter().filter_map(changes).collect();
        for (conversation, seq) in targets {
            let looking = look(&*self.inner.store, conversation, seq);
            let found = self.reading(submissions, looking).await?;
            for submission in submissions.iter_mut() {
                if changes(submission) == Some((conversation, seq))
                    && let Work::Send(send) = &mut submission.work
                {
                    found.concern(send);
                    if self.inner.planted.is(Defect::RecallEmptiesNothing) {
                        send.redact.clear();
                    }
                }
            }
        }
        Ok(())
    }

    fn allows(&self, rules: &Rules, send: &SendWork) -> Result<(), Error> {
        let (policy, now) = (self.inner.config.writing, self.inner.environment.clock.now());
        rules::decide(rules, send.wish, send.append.sender, policy, now)
    }

    /// The rules that the sends of a batch are decided on: one version for each, so that of the sends
    /// of one session none overtakes another that is stale.
    async fn load_rules(&self, submissions: &mut Vec<Submission>) -> Result<KnownRules, StoreError> {
        let mut missing = BTreeSet::new();
        let mut known = BTreeMap::new();
        for submission in submissions.iter() {
            if let Work::Send(send) = &submission.work {
                let key = (send.append.conversation, send.append.sender);
                if missing.contains(&key) {
                    continue;
                }
                let rules = known.remove(&key).or_else(|| self.inner.rules.find(key.0, key.1));
                // The lock finds a permission that no longer holds; nothing finds such a refusal, so
                // that one is made only on what was just read.
                match rules.filter(|rules| self.allows(rules, send).is_ok()) {
                    Some(rules) => drop(known.insert(key, rules)),
                    None => drop(missing.insert(key)),
                }
            }
        }
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().collect();
            let loaded = self.reading(submissions, rules::load(&*self.inner.store, &missing)).await?;
            for (key, rules) in missing.into_iter().zip(loaded) {
                if let Some(rules) = rules {
                    self.inner.rules.insert(key.0, key.1, rules.clone());
                    known.insert(key, rules);
                }
            }
        }
        Ok(known)
    }

    /// Awaits a read of the store. Meanwhile what passes its deadline is withdrawn, here and in the
    /// queue: nothing of it was handed over.
    pub(super) async fn reading<T>(
        &self,
        submissions: &mut Vec<Submission>,
        read: impl Future<Output = T>,
    ) -> T {
        let mut read = pin!(read);
        loop {
            let here = submissions.iter().map(|submission| submission.deadline).min();
            let far = Instant::now() + Duration::from_secs(60);
            let next = here.into_iter().chain(self.queue.next_deadline()).min().unwrap_or(far);
            tokio::select! {
                biased;
                // Cancel-safe: the pinned future is polled again, never dropped before it is done.
                result = &mut read => return result,
                () = tokio::time::sleep_until(next) => {
                    let now = Instant::now();
                    self.withdraw(submissions, now);
                    self.queue.withdraw(now);
                }
            }
        }
    }

    async fn answer_refused(&self, refused: Vec<(Box<SendWork>, Instant, Reply, Error)>) {
        let keys: Vec<_> = refused.iter().map(|(send, ..)| send.once).collect();
        let deadline = refused.iter().map(|(_, deadline, ..)| *deadline).min();
        let recorded = self.inner.store.recorded(&keys);
        let recorded = match tokio::time::timeout_at(deadline.unwrap_or_else(Instant::now), recorded).await {
            Ok(Ok(recorded)) => Ok(recorded),
            // Not known to be new, and so not to be told that it is refused.
            Ok(Err(error)) => Err(store_error(&error)),
            Err(_) => Err(queue::overloaded()),
        };
        for (index, (send, _, reply, error)) in refused.into_iter().enumerate() {
            let answer = match &recorded {
                Ok(_) if self.inner.planted.is(Defect::RepetitionRefused) => Err(error),
                Ok(recorded) => match recorded.get(index).cloned().flatten() {
                    Some(stored) if stored.digest == send.digest => Ok(Outcome::Duplicate(stored)),
                    Some(_) => Ok(Outcome::Conflict),
                    None => Err(error),
                },
                Err(unread) => Err(unread.clone()),
            };
            reply.send(answer, &self.queue.counts);
        }
    }

    /// Withdraws what is past its deadline; nothing of it was written.
    fn withdraw(&self, submissions: &mut Vec<Submission>, now: Instant) {
        for late in submissions.extract_if(.., |submission| submission.deadline <= now) {
            late.reply.send(Err(queue::overloaded()), &self.queue.counts);
        }
    }
}
