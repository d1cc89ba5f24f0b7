//! What planted defects do that the engine otherwise does not do at all.

use std::time::Duration;

use crate::bus::{Message, Payload};
use crate::engine::hub::Hub;
use crate::engine::planted::Defect;
use crate::engine::{Inner, Session};
use crate::store::{Item, SeqRef, Write};
use crate::{Chunk, Entry, Error, Member};

impl Inner {
    /// [`Defect::EchoDeliveredTwice`]: gives sessions what this node published itself.
    pub(in crate::engine) fn echo(&self, message: &Message) {
        if let Payload::Chunk(chunk) = &message.payload
            && self.planted.is(Defect::EchoDeliveredTwice)
            && let Some(gate) = self.hub.gate(&chunk.conversation())
        {
            for listener in gate.listeners().iter() {
                listener.push(chunk);
            }
        }
    }
}

impl Inner {
    /// [`Defect::MembershipReadBeforeListening`]: some time passes between the two.
    pub(in crate::engine) async fn hesitate_to_listen(&self) {
        if self.planted.is(Defect::MembershipReadBeforeListening) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Hub {
    /// [`Defect::OwnEntryOvertakes`]: takes what precedes a chunk for released.
    pub(in crate::engine) fn pass_over_before(&self, chunk: &Chunk) {
        if let Some(gate) = self.gate(&chunk.conversation()) {
            gate.pass_over(chunk.first() - 1);
        }
    }
}

impl Session {
    /// [`Defect::OfflineRowsDeletedEarly`]: what is about to be sent counts as delivered.
    pub(in crate::engine) async fn take_for_delivered(
        &self,
        member: &Member,
        entries: &[Entry],
    ) -> Result<(), Error> {
        if let Some(last) = entries.last()
            && self.core().planted.is(Defect::OfflineRowsDeletedEarly)
        {
            let (conversation, user, to) = (member.conversation, member.user, SeqRef::At(last.seq));
            let write = vec![Write::Delivered { conversation, user, to }];
            self.core().commit(&conversation, Item { write, ..Item::default() }).await?;
        }
        Ok(())
    }
}
