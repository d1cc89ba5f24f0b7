//! Who listens to what: gates come with their first listener and go with their last.

use std::sync::Arc;

use super::{Hub, lock};
use crate::engine::gate::Gate;
use crate::engine::outbox::Outbox;
use crate::{ConversationId, Seq};

impl Hub {
    /// Lets a session listen to a conversation. Whether the gate knew its position; else
    /// [`Hub::begin`] must follow with the head read after this.
    pub(crate) fn attach(&self, conversation: ConversationId, outbox: &Arc<Outbox>) -> bool {
        // Of a direct conversation that had no head when they began, earlier sessions of its users
        // have no gate: once there is one, nothing else would let them listen.
        let bystanders = match self.gate(&conversation) {
            Some(_) => Vec::new(),
            None => self.participants(&conversation),
        };
        let known = {
            let mut gates = self.gate_shard(&conversation);
            let is_new = !gates.contains_key(&conversation);
            let gate = gates.entry(conversation).or_insert_with(|| Arc::new(Gate::new(conversation, None)));
            // Under the shard's lock, as wherever a gate and its listener part: both know of each other,
            // or neither does.
            outbox.remember(conversation);
            let known = gate.attach(outbox);
            for bystander in bystanders.iter().filter(|one| is_new && one.session != outbox.session) {
                bystander.remember(conversation);
                if bystander.opens(conversation) {
                    gate.attach(bystander);
                } else {
                    gate.attach_bystander(bystander);
                }
            }
            known
        };
        self.detach_ended(&conversation, outbox);
        for bystander in &bystanders {
            self.detach_ended(&conversation, bystander);
        }
        known
    }

    /// Tells a gate where a session begins that was attached before its position was known.
    pub(crate) fn begin(&self, conversation: &ConversationId, outbox: &Outbox, head: Seq) {
        if let Some(gate) = self.gate(conversation) {
            let offered = gate.begin(outbox, head);
            self.carry_on(&gate, offered);
        }
    }

    /// Lets a session listen to a conversation no more.
    pub(crate) fn leave(&self, conversation: &ConversationId, outbox: &Outbox) {
        self.close_if(conversation, |gate| {
            outbox.forget(conversation);
            gate.detach(outbox.session)
        });
        self.go_on_without(conversation);
    }

    /// Lets everybody listen to nothing more: whoever listens from now on begins anew.
    pub(crate) fn forget_gates(&self) {
        for shard in &self.gates {
            let mut gates = lock(shard);
            for (conversation, gate) in std::mem::take(&mut *gates) {
                for listener in gate.detach_user(None) {
                    listener.forget(&conversation);
                }
                lock(&self.closed).insert(conversation);
            }
        }
        self.closed_wake.notify_one();
    }

    pub(super) fn gate_or_create(&self, conversation: ConversationId) -> Option<Arc<Gate>> {
        if let Some(gate) = self.gate(&conversation) {
            return Some(gate);
        }
        let sessions = self.participants(&conversation);
        if sessions.is_empty() {
            return None;
        }
        let gate = {
            let mut gates = self.gate_shard(&conversation);
            // Sessions attach to all conversations that have a head when they begin: where one has begun
            // and there is no gate, this one had none. Where all are beginning right now, it may be long,
            // and they say where to go on.
            let beginning = sessions.iter().filter(|session| session.opens(conversation)).count();
            let last = (beginning < sessions.len()).then_some(0);
            // Nobody else finds the gate before the sessions listen: what passes it is heard.
            let gate = gates.entry(conversation).or_insert_with(|| Arc::new(Gate::new(conversation, last)));
            for session in &sessions {
                session.remember(conversation);
                gate.attach(session);
            }
            Arc::clone(gate)
        };
        for session in &sessions {
            self.detach_ended(&conversation, session);
        }
        Some(gate)
    }

    /// The sessions here of the two users of a direct conversation; none of another one.
    fn participants(&self, conversation: &ConversationId) -> Vec<Arc<Outbox>> {
        let ConversationId::Direct(pair) = conversation else { return Vec::new() };
        let mut sessions = self.sessions(pair.low());
        sessions.extend(self.sessions(pair.high()));
        sessions
    }

    /// A session that ended meanwhile may have left its gates before this one knew it.
    fn detach_ended(&self, conversation: &ConversationId, outbox: &Outbox) {
        if outbox.ended().is_some() {
            self.leave(conversation, outbox);
        }
    }

    /// Lets those who stay hear a direct conversation, if somebody left who would have said where it begins.
    pub(super) fn go_on_without(&self, conversation: &ConversationId) {
        if let (ConversationId::Direct(_), Some(gate)) = (conversation, self.gate(conversation)) {
            let offered = gate.begin_abandoned();
            self.carry_on(&gate, offered);
        }
    }

    pub(super) fn close_if(&self, conversation: &ConversationId, is_last: impl FnOnce(&Gate) -> bool) {
        let mut gates = self.gate_shard(conversation);
        if gates.get(conversation).is_some_and(|gate| is_last(gate)) {
            gates.remove(conversation);
            drop(gates);
            lock(&self.closed).insert(*conversation);
            self.closed_wake.notify_one();
        }
    }
}
