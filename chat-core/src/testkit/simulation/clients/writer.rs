//! The half of a client that acts: it does one thing after the other, and repeats what was not
//! answered under the same name.

use futures_util::future::join_all;

use super::super::access::{Answer, Command, Connection, Done, Question};
use super::super::draw::Draw;
use super::super::record::{Source, Told, What};
use super::super::report::{Act, Fault};
use super::acts::{Deed, choose};
use super::mind::Mind;
use super::{Leaving, PATIENCE, Phase, World};
use crate::{ConversationId, ErrorKind};

pub(super) struct Writer<'a> {
    pub(super) world: &'a World,
    pub(super) mind: &'a Mind,
    pub(super) connection: &'a dyn Connection,
    pub(super) draw: &'a mut Draw,
    /// Whose it is, by number.
    pub(super) user: usize,
}

/// In how many of a hundred requests a client vanishes that does.
const VANISH_PERCENT: u64 = 3;

/// Whether an error passes, so that the same command is to be tried again.
pub(super) fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Overloaded
            | ErrorKind::RateLimited
            | ErrorKind::Ended
    )
}

impl Writer<'_> {
    /// Acts until it leaves.
    pub(super) async fn run(&mut self) -> Leaving {
        let mut phase = self.world.phase.subscribe();
        loop {
            let now = phase.borrow_and_update().clone();
            match &now {
                Phase::Over => return Leaving::Away,
                Phase::Calm(absent) | Phase::Telling(absent) if absent.contains(&self.user) => {
                    return Leaving::Away;
                }
                _ => {}
            }
            let lost = if !self.mind.look().pending.is_empty() {
                self.attempt().await
            } else if let Phase::Acting(_) = now {
                self.act().await
            } else if matches!(now, Phase::Telling(_)) && !self.mind.has_told() {
                self.tell().await;
                Ok(())
            } else {
                // The sender lives as long as the world.
                let _changed = phase.changed().await;
                Ok(())
            };
            if let Err(leaving) = lost {
                return leaving;
            }
        }
    }

    /// Tells what its node says of its contacts.
    async fn tell(&mut self) {
        match self.connection.ask(Question::Contacts).await {
            Ok(Answer::Contacts(contacts)) => self.mind.is_told(contacts),
            _ => tokio::time::sleep(self.draw.millis(50, 200)).await,
        }
    }

    async fn act(&mut self) -> Result<(), Leaving> {
        let most = u64::try_from(self.world.settings.think_at_most.as_millis()).unwrap_or(u64::MAX);
        tokio::time::sleep(self.draw.millis(5, most.max(5))).await;
        match choose(self.draw, self.mind, self.world, self.user) {
            Some(Deed::Do(commands)) => {
                self.mind.look().pending = commands;
                self.attempt().await
            }
            Some(Deed::Ask(act, question)) => self.ask(act, question).await,
            Some(Deed::Reconnect) => {
                self.world.record.answered(Act::Reconnect, Told::Acknowledged(Done::Nothing));
                Err(Leaving::Lost)
            }
            None => Ok(()),
        }
    }

    /// Tries everything that waits for an answer once, in order and at the same time.
    async fn attempt(&mut self) -> Result<(), Leaving> {
        let pending = self.mind.look().pending.clone();
        let (record, client) = (&self.world.record, self.mind.number);
        let user = self.mind.look().user.ok_or(Leaving::Lost)?;
        let vanishes = self.world.suffers(Fault::Vanish) && self.draw.happens(VANISH_PERCENT);
        let patience = if vanishes { self.draw.millis(0, 30) } else { PATIENCE };
        let this = &*self;
        let asked = pending.iter().map(|(act, command)| {
            let (act, attempt) = (*act, record.len() as u64);
            let asked = What::Asked { client, user, attempt, act, command: Box::new(command.clone()) };
            record.put(asked);
            async move {
                let answer = this.connection.carry_out(command.clone()).await;
                let answer = match answer {
                    Ok(done) => Told::Acknowledged(done),
                    Err(error) if is_passing(error.kind()) => Told::Unknown(Some(error.kind())),
                    Err(error) => Told::Refused(error.kind()),
                };
                record.put(What::Answered { client, attempt, answer });
                record.answered(act, answer);
                if !matches!(answer, Told::Unknown(_)) {
                    this.settled(command, answer);
                }
                answer
            }
        });
        let answers = tokio::time::timeout(patience, join_all(asked.collect::<Vec<_>>())).await;
        let Ok(answers) = answers else {
            self.world.record.put(What::Fault(Fault::Vanish, None, patience));
            return Err(Leaving::Lost);
        };
        if answers.contains(&Told::Unknown(Some(ErrorKind::Ended))) {
            return Err(Leaving::Lost);
        }
        let left = pending.iter().any(|(act, _)| *act == Act::LogOut);
        if left && self.mind.look().pending.is_empty() {
            return Err(Leaving::Lost);
        }
        if answers.iter().any(|answer| matches!(answer, Told::Unknown(_))) {
            tokio::time::sleep(self.draw.millis(30, 400)).await;
            // Perhaps another node knows.
            if self.draw.happens(20) {
                return Err(Leaving::Lost);
            }
        }
        Ok(())
    }

    /// A command was answered for good.
    fn settled(&self, command: &Command, answer: Told) {
        let mut state = self.mind.look();
        state.pending.retain(|(_, pending)| pending != command);
        // A log-out ends the device that could repeat it.
        if matches!(answer, Told::Acknowledged(_)) && !matches!(command, Command::LogOut(_)) {
            state.is_done(command);
        }
        drop(state);
        match answer {
            Told::Acknowledged(Done::Group(created)) => self.world.directory.put_group(created.group),
            Told::Acknowledged(_) if matches!(command, Command::LogOut(_)) => self.mind.forgets_device(),
            _ => {}
        }
    }

    async fn ask(&mut self, act: Act, question: Question) -> Result<(), Leaving> {
        let (record, client) = (&self.world.record, self.mind.number);
        let (since, about) = (record.len(), about(&question));
        let vanishes = self.world.suffers(Fault::Vanish) && self.draw.happens(VANISH_PERCENT);
        let patience = if vanishes { self.draw.millis(0, 10) } else { PATIENCE };
        let Ok(answer) = tokio::time::timeout(patience, self.connection.ask(question)).await else {
            record.answered(act, Told::Unknown(None));
            record.put(What::Fault(Fault::Vanish, None, patience));
            return Err(Leaving::Lost);
        };
        record.answered(
            act,
            match &answer {
                Ok(_) => Told::Acknowledged(Done::Nothing),
                Err(error) if is_passing(error.kind()) => Told::Unknown(Some(error.kind())),
                Err(error) => Told::Refused(error.kind()),
            },
        );
        let shown = |conversation, entries| record.put(What::Shown { client, conversation, entries });
        match answer {
            Ok(Answer::Entries(entries)) => about.into_iter().for_each(|at| shown(at, entries.clone())),
            Ok(Answer::History(mut page)) => {
                page.entries.append(&mut page.referring);
                about.into_iter().for_each(|at| shown(at, page.entries.clone()));
            }
            Ok(Answer::Conversation(state)) => {
                record.put(What::State { client, since, source: Source::Single, state });
            }
            Ok(Answer::Sync(page)) => {
                for synced in page.conversations {
                    shown(synced.state.conversation, synced.entries);
                    let state = Box::new(synced.state);
                    record.put(What::State { client, since, source: Source::Sync, state });
                }
            }
            Ok(Answer::Contacts(_)) => {}
            Err(error) if error.kind() == ErrorKind::Ended => return Err(Leaving::Lost),
            Err(_) => {}
        }
        Ok(())
    }
}

fn about(question: &Question) -> Option<ConversationId> {
    match question {
        Question::Entries(of, _) | Question::History(of, _) | Question::Conversation(of) => Some(*of),
        Question::Sync(_) | Question::Contacts => None,
    }
}
