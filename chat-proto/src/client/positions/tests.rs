use chat_core::{Kind, Relation, Timestamp, UserId};
use proptest::prelude::*;

use super::*;

const CONVERSATION: ConversationId = match UserId::new(1) {
    Ok(user) => ConversationId::Inbox(user),
    Err(_) => panic!("an id"),
};

fn entries(seqs: impl IntoIterator<Item = Seq>) -> Vec<Entry> {
    let entry = |seq| Entry {
        seq,
        time: Timestamp(seq),
        sender: UserId::new(2).expect("an id"),
        client_id: None,
        countable: true,
        ordinal: seq,
        target: None,
        kind: Kind::new(16).expect("a kind"),
        content: None,
    };
    seqs.into_iter().map(entry).collect()
}

fn state(first_seq: Seq, read: Seq, head: Seq) -> ConversationState {
    ConversationState {
        conversation: CONVERSATION,
        head,
        time: Timestamp(0),
        first_seq,
        read,
        unread: 0,
        delivered: 0,
        standing: Standing::Member,
        relation: Relation::None,
        blocked: false,
        muted_until: None,
        peer: None,
        group: None,
    }
}

fn seqs(advance: &Advance) -> Vec<Seq> {
    advance.entries.iter().map(|entry| entry.seq).collect()
}

fn at(seq: Seq) -> Positions {
    Positions::new([(CONVERSATION, seq)])
}

fn read(from: Seq, to: Seq) -> Option<Repair> {
    Some(Repair::Read { conversation: CONVERSATION, from, to })
}

const SETTLE: Option<Repair> = Some(Repair::Settle { conversation: CONVERSATION });

#[test]
fn consecutive_entries_pass_and_repeated_ones_do_not() {
    let mut positions = at(5);
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(6..=7))), [6, 7]);
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(5..=9))), [8, 9]);
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(1..=9))), []);
    assert_eq!(positions.next_repair(), None);
}

#[test]
fn a_hole_is_read_from_the_log_and_what_was_pushed_beyond_it_with_it() {
    let mut positions = at(5);
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(8..=9))), []);
    assert_eq!(positions.next_repair(), read(6, 9));
    assert_eq!(positions.next_repair(), None, "it is asked once");
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries([10]))), []);
    assert_eq!(seqs(&positions.read(CONVERSATION, entries(6..=9)).expect("fine")), [6, 7, 8, 9]);
    assert_eq!(positions.next_repair(), read(10, 10));
    assert_eq!(seqs(&positions.read(CONVERSATION, entries([10])).expect("fine")), [10]);
    assert_eq!(positions.next_repair(), None);
}

#[test]
fn a_conversation_that_begins_with_its_first_entry_needs_no_question() {
    let mut positions = Positions::default();
    assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(1..=2))), [1, 2]);
    assert_eq!(positions.next_repair(), None);
}

#[test]
fn an_unknown_conversation_starts_after_its_read_cursor_but_not_after_what_was_pushed() {
    for (cursor, first) in [(40, 41), (44, 45), (50, 50)] {
        let mut positions = Positions::default();
        assert_eq!(seqs(&positions.pushed(CONVERSATION, entries(50..=51))), []);
        assert_eq!(positions.next_repair(), SETTLE);
        let advance = positions.settled(&state(1, cursor, 51));
        assert_eq!(advance.passed, Some(first - 1));
        assert_eq!(positions.next_repair(), read(first, 51));
    }
}

#[test]
fn what_is_kept_no_more_is_passed_over() {
    let mut positions = at(5);
    positions.hear_of(CONVERSATION, None, 30);
    assert_eq!(positions.next_repair(), read(6, 30));
    positions.read(CONVERSATION, Vec::new()).expect("once is no contradiction");
    assert_eq!(positions.next_repair(), SETTLE);
    assert_eq!(positions.settled(&state(21, 0, 30)).passed, Some(20));
    assert_eq!(positions.next_repair(), read(21, 30));
}

#[test]
fn a_page_that_begins_later_passes_over_what_is_not_there_for_this_user() {
    let mut positions = at(5);
    positions.hear_of(CONVERSATION, None, 30);
    positions.next_repair();
    let advance = positions.read(CONVERSATION, entries(29..=30)).expect("fine");
    assert_eq!(advance.passed, Some(28));
    assert_eq!(seqs(&advance), [29, 30]);
    assert_eq!(positions.next_repair(), None);
}

#[test]
fn a_former_member_reads_up_to_the_visible_head() {
    let mut positions = at(5);
    positions.hear_of(CONVERSATION, None, 30);
    positions.next_repair();
    positions.read(CONVERSATION, entries(6..=10)).expect("fine");
    assert_eq!(positions.next_repair(), read(11, 30));
    positions.read(CONVERSATION, Vec::new()).expect("once is no contradiction");
    assert_eq!(positions.next_repair(), SETTLE);
    positions.settled(&ConversationState { standing: Standing::Former, ..state(1, 0, 10) });
    assert_eq!(positions.next_repair(), None);
}

#[test]
fn a_server_that_names_a_head_and_never_gives_it_contradicts_itself() {
    let mut positions = at(5);
    positions.hear_of(CONVERSATION, None, 30);
    let contradicted = (0..10).find(|_| {
        assert_eq!(positions.next_repair(), read(6, 30));
        let contradiction = positions.read(CONVERSATION, Vec::new()).is_err();
        if !contradiction {
            assert_eq!(positions.next_repair(), SETTLE);
            positions.settled(&state(1, 0, 30));
        }
        contradiction
    });
    assert_eq!(contradicted, Some(usize::from(FRUITLESS_LIMIT)));
}

#[test]
fn entries_that_are_pushed_while_an_answer_is_on_its_way_are_not_forgotten() {
    let mut positions = at(5);
    positions.hear_of(CONVERSATION, None, 7);
    positions.next_repair();
    positions.read(CONVERSATION, Vec::new()).expect("once is no contradiction");
    assert_eq!(positions.next_repair(), SETTLE);
    positions.pushed(CONVERSATION, entries([8]));
    positions.settled(&state(1, 0, 5));
    assert_eq!(positions.next_repair(), read(6, 8));
}

#[test]
fn a_sync_says_what_is_owed() {
    let mut positions = at(5);
    positions.sync_began();
    assert!(!positions.is_caught_up());
    assert_eq!(seqs(&positions.synced(&state(1, 0, 9), entries(6..=7)).expect("fine")), [6, 7]);
    positions.sync_ended();
    assert!(!positions.is_caught_up());
    assert_eq!(positions.next_repair(), read(8, 9));
    positions.pushed(CONVERSATION, entries([10]));
    positions.read(CONVERSATION, entries(8..=9)).expect("fine");
    assert!(positions.is_caught_up(), "what came later is not owed");
}

#[test]
fn unknown_conversations_wait_for_the_sync_that_is_under_way() {
    let mut positions = Positions::default();
    positions.sync_began();
    positions.pushed(CONVERSATION, entries([9]));
    assert_eq!(positions.next_repair(), None);
    positions.sync_ended();
    assert_eq!(positions.next_repair(), SETTLE);
}

#[test]
fn an_invitation_lets_nothing_be_read() {
    let mut positions = Positions::default();
    positions.sync_began();
    let invited = ConversationState { standing: Standing::Invited, ..state(1, 0, 0) };
    assert_eq!(positions.synced(&invited, Vec::new()), Ok(Advance::default()));
    positions.sync_ended();
    assert_eq!(positions.next_repair(), None);
    assert!(positions.is_caught_up());
}

#[test]
fn cursors_come_in_parts_that_name_their_end() {
    let inbox = |number| ConversationId::Inbox(UserId::new(number).expect("an id"));
    let positions = Positions::new((1..=5).map(|number| (inbox(number), 0)));
    let part = |after, limit| {
        let (cursors, until) = positions.cursors(after, limit);
        (cursors.len(), until)
    };
    assert_eq!(part(None, 2), (2, Some(inbox(2))));
    assert_eq!(part(Some(inbox(2)), 2), (2, Some(inbox(4))));
    assert_eq!(part(Some(inbox(4)), 2), (1, None));
    assert_eq!(part(None, 5), (5, None));
    assert_eq!(part(Some(inbox(5)), 5), (0, None));
}

/// What a server does, in an order that nobody can rely on.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u8),
    Push { from: u8, len: u8 },
    PushWithoutRoom,
    Behind,
    Disconnect,
    Sync { limit: u8 },
    Answer { limit: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..5_u8).prop_map(Step::Write),
        (any::<u8>(), 1..9_u8).prop_map(|(from, len)| Step::Push { from, len }),
        Just(Step::PushWithoutRoom),
        Just(Step::Behind),
        Just(Step::Disconnect),
        (0..4_u8).prop_map(|limit| Step::Sync { limit }),
        (0..5_u8).prop_map(|limit| Step::Answer { limit }),
    ]
}

/// A log with one reader, whose questions are answered late.
struct Model {
    head: Seq,
    start: Seq,
    positions: Positions,
    asked: Vec<Repair>,
    delivered: Vec<Seq>,
}

impl Model {
    fn take(&mut self, advance: &Advance) {
        self.delivered.extend(seqs(advance));
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Write(count) => self.head += Seq::from(count),
            Step::Push { from, len } => {
                if self.head > 0 {
                    let from = Seq::from(from) % self.head + 1;
                    let pushed = entries(from..=self.head.min(from + Seq::from(len)));
                    let advance = self.positions.pushed(CONVERSATION, pushed);
                    self.take(&advance);
                }
            }
            Step::PushWithoutRoom if self.head > 0 => {
                self.positions.hear_of(CONVERSATION, Some(self.head), self.head);
            }
            Step::Behind if self.head > 0 => self.positions.hear_of(CONVERSATION, None, self.head),
            Step::PushWithoutRoom | Step::Behind => {}
            Step::Disconnect => {
                self.positions.disconnected();
                self.asked.clear();
            }
            Step::Sync { limit } => {
                self.positions.sync_began();
                let have = self.delivered.last().copied().unwrap_or(self.start);
                let page = entries((have + 1..=self.head).take(limit.into()));
                let advance = self.positions.synced(&state(1, self.start, self.head), page);
                self.take(&advance.expect("no contradiction"));
                self.positions.sync_ended();
            }
            Step::Answer { limit } => self.answer(limit),
        }
        self.asked.extend(self.positions.next_repair());
    }

    fn answer(&mut self, limit: u8) {
        let Some(repair) = self.asked.pop() else { return };
        let advance = match repair {
            Repair::Read { from, to, .. } => {
                let page = entries((from..=to.min(self.head)).take(usize::from(limit) + 1));
                self.positions.read(CONVERSATION, page).expect("no contradiction")
            }
            Repair::Settle { .. } => self.positions.settled(&state(1, self.start, self.head)),
        };
        self.take(&advance);
    }
}

proptest! {
    #[test]
    fn whatever_the_order_each_entry_passes_once_and_in_order(
        start in 0..6_u64,
        known in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let positions = if known { at(start) } else { Positions::default() };
        let mut model = Model { head: start, start, positions, asked: Vec::new(), delivered: Vec::new() };
        for step in steps {
            model.run(step);
        }
        // At last nothing is lost any more.
        model.run(Step::Disconnect);
        model.run(Step::Sync { limit: 2 });
        while !model.asked.is_empty() {
            model.run(Step::Answer { limit: 3 });
        }
        prop_assert!(model.positions.is_caught_up());
        let first = model.delivered.first().copied().unwrap_or(model.head + 1);
        let starts_right = if known { first == start + 1 } else { first <= start + 1 };
        prop_assert!(starts_right, "begins with {}", first);
        prop_assert_eq!(model.delivered, (first..=model.head).collect::<Vec<_>>());
    }
}
