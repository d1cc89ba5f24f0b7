//! Members: standing, intervals, totals, rosters and memberships.

use std::sync::Arc;

use super::fixture::{
    Writer, appending, committed, direct, enters, group, head, inbox, member, message, notice, reads, row,
    settings, user, writing,
};
use crate::store::{Item, SeqRef, StandingChange, Store, Write};
use crate::{ConversationId, Member, Relation, Seq, Standing, Timestamp, UserId};

const IN_ORDER: &str = "the store is in order";

/// A change starts from a blank row where there is none, and sets only what it names.
pub async fn standing_creates_a_blank_row_and_sets_what_it_names(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    let change = |change: StandingChange| writing([Write::Standing(change)]);
    let blank = || StandingChange::of(here, user(1));
    for id in [here, group(1), inbox(1)] {
        writer.done(change(StandingChange::of(id, user(1)))).await;
        assert_eq!(row(&store, id, 1).await, Member::blank(id, user(1)));
    }
    writer.done(change(StandingChange { relation: Some(Relation::Outgoing), ..blank() })).await;
    writer.done(change(StandingChange { blocked: Some(true), ..blank() })).await;
    writer.done(change(StandingChange { muted_until: Some(Some(Timestamp(9))), ..blank() })).await;
    writer.done(change(StandingChange { standing: Some(Standing::Former), ..blank() })).await;
    writer.done(change(StandingChange { visible_from: Some(SeqRef::At(3)), ..blank() })).await;
    let expected = Member {
        relation: Relation::Outgoing,
        blocked: true,
        muted_until: Some(Timestamp(9)),
        standing: Standing::Former,
        visible_from: 3,
        ..Member::blank(here, user(1))
    };
    assert_eq!(row(&store, here, 1).await, expected);
    let undo = StandingChange { blocked: Some(false), muted_until: Some(None), ..blank() };
    writer.done(change(undo)).await;
    assert_eq!(row(&store, here, 1).await, Member { blocked: false, muted_until: None, ..expected });
    assert_eq!(member(&store, here, 2).await, None);
    assert_eq!(head(&store, here).await.rules_seq, 0, "rules are raised when asked to, not by a standing");
    for relation in [Relation::None, Relation::Outgoing, Relation::Incoming, Relation::Contact] {
        writer.done(change(StandingChange { relation: Some(relation), ..blank() })).await;
        assert_eq!(row(&store, here, 1).await.relation, relation);
    }
    for standing in [
        Standing::Owner,
        Standing::Admin,
        Standing::Member,
        Standing::Invited,
        Standing::Asking,
        Standing::Former,
    ] {
        writer.done(change(StandingChange { standing: Some(standing), ..blank() })).await;
        assert_eq!(row(&store, here, 1).await.standing, standing);
    }
}

/// Joining clears `left_seq`, and moves positions to the join when they are before it.
pub async fn joined_clears_left_and_moves_both_positions_to_the_join(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    writer.done(appending((0..5).map(|_| message(here, 9, "a")))).await;
    let join = Item {
        write: vec![enters(here, 1, Standing::Member, SeqRef::Appended(1))],
        ..appending([message(here, 1, "hello"), notice(here, 1, "joined")])
    };
    writer.done(join).await;
    let joined = row(&store, here, 1).await;
    assert_eq!((joined.joined_seq, joined.visible_from, joined.left_seq), (7, 7, None));
    assert_eq!((joined.read.seq, joined.read.ordinal, joined.read.own), (7, 6, 1));
    assert_eq!((joined.delivered, joined.own), (7, 1));
    writer.done(appending((0..2).map(|_| message(here, 1, "b")))).await;
    writer.done(writing([reads(here, 1, 9)])).await;
    let again = StandingChange {
        joined: Some(SeqRef::At(8)),
        left: Some(SeqRef::At(9)),
        ..StandingChange::of(here, user(1))
    };
    writer.done(writing([Write::Standing(again)])).await;
    let back = row(&store, here, 1).await;
    assert_eq!((back.joined_seq, back.visible_from, back.left_seq), (8, 7, Some(9)));
    assert_eq!((back.read.seq, back.read.ordinal, back.read.own), (9, 8, 3), "it was past the join");
    assert_eq!(back.delivered, 8);
}

/// Leaving closes the interval with the entry of the leave; a later join opens it again.
pub async fn left_is_the_last_entry_that_may_be_read(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let with = |write| Item { write: vec![write], ..appending([notice(here, 1, "x")]) };
    writer.done(with(enters(here, 1, Standing::Member, SeqRef::Appended(0)))).await;
    let leave = StandingChange {
        standing: Some(Standing::Former),
        left: Some(SeqRef::Appended(0)),
        ..StandingChange::of(here, user(1))
    };
    writer.done(with(Write::Standing(leave))).await;
    let left = row(&store, here, 1).await;
    assert_eq!((left.standing, left.joined_seq, left.left_seq), (Standing::Former, 1, Some(2)));
    assert!(left.may_read(2) && !left.may_read(3));
    writer.done(with(enters(here, 1, Standing::Member, SeqRef::Appended(0)))).await;
    let back = row(&store, here, 1).await;
    assert_eq!((back.standing, back.joined_seq, back.left_seq), (Standing::Member, 3, None));
}

/// `SeqRef::Appended` is the seq that its own item's entry was given, for each kind of write.
pub async fn seq_refs_stand_for_entries_of_their_own_item(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), group(1));
    let enter = |who: u64| Item {
        write: vec![enters(here, who, Standing::Member, SeqRef::Appended(1))],
        ..appending([message(inbox(who), who, "notice"), message(here, who, "joined")])
    };
    let outcomes = writer.commit(vec![enter(1), enter(2), enter(3)]).await;
    for (index, who) in [1, 2, 3].into_iter().enumerate() {
        let seq = committed(&outcomes[index])[1].seq;
        assert_eq!(seq, who);
        assert_eq!(row(&store, here, who).await.joined_seq, seq);
    }
    let send = Item {
        write: vec![
            Write::Read { conversation: here, user: user(1), to: SeqRef::Appended(2) },
            Write::Delivered { conversation: here, user: user(1), to: SeqRef::Appended(0) },
        ],
        ..appending([message(here, 1, "a"), message(inbox(2), 1, "b"), message(here, 1, "c")])
    };
    writer.done(send).await;
    let reader = row(&store, here, 1).await;
    assert_eq!((reader.read.seq, reader.read.ordinal, reader.read.own), (5, 5, 3));
    assert_eq!(reader.delivered, 4);
}

/// `own` is the number of countable entries that a user wrote, who gets a row by writing.
pub async fn own_total_grows_with_countable_entries_only(store: Arc<dyn Store>) {
    let (writer, here) = (Writer::new(&store, 1), direct(1, 2));
    writer.done(appending([message(here, 1, "a"), notice(here, 1, "n"), message(here, 1, "b")])).await;
    assert_eq!(row(&store, here, 1).await, Member { own: 2, ..Member::blank(here, user(1)) });
    writer.done(appending([notice(here, 2, "n")])).await;
    assert_eq!(member(&store, here, 2).await, None);
    writer.commit(vec![appending([message(here, 2, "c")]), appending([message(here, 1, "d")])]).await;
    assert_eq!(row(&store, here, 1).await.own, 3);
    assert_eq!(row(&store, here, 2).await.own, 1);
    let muted = StandingChange { muted_until: Some(Some(Timestamp(1))), ..StandingChange::of(here, user(1)) };
    let mixed = Item { write: vec![Write::Standing(muted)], ..appending([message(here, 1, "e")]) };
    writer.commit(vec![mixed, appending([message(here, 1, "f")])]).await;
    assert_eq!(row(&store, here, 1).await.own, 5);
    writer.done(appending([message(group(4), 3, "x")])).await;
    assert_eq!(row(&store, group(4), 3).await, Member { own: 1, ..Member::blank(group(4), user(3)) });
}

/// Members are in the order of the request, `None` where nothing is stored.
pub async fn single_members_come_in_the_order_asked_for(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    writer.done(appending([message(direct(1, 2), 1, "a"), message(group(3), 2, "b")])).await;
    let asked = [(group(3), user(2)), (group(4), user(2)), (direct(1, 2), user(2)), (direct(1, 2), user(1))];
    let found = store.members(&asked).await.expect(IN_ORDER);
    let found: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|row| (row.conversation, row.user))).collect();
    assert_eq!(found, [Some(asked[0]), None, None, Some(asked[3])]);
}

/// Users 1 to 8 of a group, of every standing, who joined in an order that is not that of their ids.
async fn populated(store: &Arc<dyn Store>) -> ConversationId {
    let (writer, here) = (Writer::new(store, 1), group(1));
    writer.done(appending((0..9).map(|_| notice(here, 9, "x")))).await;
    let places = [
        (5, Standing::Owner, 1),
        (4, Standing::Member, 3),
        (7, Standing::Member, 3),
        (1, Standing::Former, 4),
        (8, Standing::Admin, 5),
        (3, Standing::Member, 9),
    ];
    let rows = places.map(|(who, standing, joined)| enters(here, who, standing, SeqRef::At(joined)));
    writer.done(writing(rows.into_iter().rev())).await;
    let waiting = [(2, Standing::Invited), (6, Standing::Asking)].map(|(who, standing)| {
        Write::Standing(StandingChange { standing: Some(standing), ..StandingChange::of(here, user(who)) })
    });
    writer.done(writing(waiting)).await;
    writer.done(writing([enters(group(2), 1, Standing::Owner, SeqRef::At(0))])).await;
    here
}

async fn roster_by(
    store: &Arc<dyn Store>,
    here: ConversationId,
    standing: Option<Standing>,
    limit: usize,
) -> Vec<u64> {
    let mut found = Vec::new();
    let mut after: Option<(Seq, UserId)> = None;
    loop {
        let page = store.roster(here, standing, after, limit).await.expect(IN_ORDER);
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return found };
        after = Some((last.joined_seq, last.user));
        found.extend(page.iter().map(|member| member.user.number()));
    }
}

/// Members come in the order in which they joined, then of their ids; rejoining moves to the end.
pub async fn roster_is_in_the_order_of_joining(store: Arc<dyn Store>) {
    let here = populated(&store).await;
    assert_eq!(roster_by(&store, here, None, 100).await, [5, 4, 7, 8, 3]);
    let rejoin = enters(here, 4, Standing::Member, SeqRef::At(9));
    Writer::new(&store, 2).done(writing([rejoin])).await;
    assert_eq!(roster_by(&store, here, None, 100).await, [5, 7, 8, 3, 4]);
    let page = store.roster(here, None, None, 1).await.expect(IN_ORDER);
    assert_eq!(page, [row(&store, here, 5).await]);
    assert_eq!(store.roster(group(9), None, None, 10).await.expect(IN_ORDER), []);
}

/// `standing` keeps to one, `None` to all that are members at present; pages join without a gap.
pub async fn roster_pages_are_gapless_under_every_filter(store: Arc<dyn Store>) {
    let here = populated(&store).await;
    for limit in [1, 2, 3, 100] {
        assert_eq!(roster_by(&store, here, None, limit).await, [5, 4, 7, 8, 3]);
        assert_eq!(roster_by(&store, here, Some(Standing::Member), limit).await, [4, 7, 3]);
        assert_eq!(roster_by(&store, here, Some(Standing::Owner), limit).await, [5]);
        assert_eq!(roster_by(&store, here, Some(Standing::Admin), limit).await, [8]);
        assert_eq!(roster_by(&store, here, Some(Standing::Former), limit).await, [1]);
        assert_eq!(roster_by(&store, here, Some(Standing::Invited), limit).await, [2]);
        assert_eq!(roster_by(&store, here, Some(Standing::Asking), limit).await, [6]);
    }
}

/// Everything in which a user is or was, each with its head, in the order of the keys.
pub async fn memberships_are_in_the_order_of_keys_with_their_heads(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let places = [direct(1, 3), direct(1, 300), group(2), group(70_000), inbox(1)];
    for place in places.iter().rev() {
        writer.done(appending([message(*place, 1, "a"), message(*place, 9, "b")])).await;
    }
    writer
        .done(writing([
            Write::PutGroup(settings(2, None)),
            Write::Standing(StandingChange::of(direct(1, 2), user(1))),
        ]))
        .await;
    let found = store.memberships(user(1), None, 100).await.expect(IN_ORDER);
    let ids: Vec<_> = found.iter().map(|(head, _)| head.conversation).collect();
    assert_eq!(ids[0], direct(1, 2), "without an entry too");
    assert_eq!(ids[1..], places);
    for (found_head, found_member) in &found {
        assert_eq!(*found_head, head(&store, found_head.conversation).await);
        assert_eq!(*found_member, row(&store, found_head.conversation, 1).await);
    }
    assert_eq!(store.memberships(user(2), None, 100).await.expect(IN_ORDER), []);
}

/// What was left is listed with its interval, and counts for pages as the rest does.
pub async fn memberships_hold_what_a_user_has_left(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let places: Vec<_> = (1..=4).map(group).collect();
    for place in &places {
        let join = Item {
            write: vec![enters(*place, 1, Standing::Member, SeqRef::Appended(0))],
            ..appending([notice(*place, 1, "joined")])
        };
        writer.done(join).await;
    }
    for place in &places[1..3] {
        let leave = StandingChange {
            standing: Some(Standing::Former),
            left: Some(SeqRef::Appended(0)),
            ..StandingChange::of(*place, user(1))
        };
        let leave = Item { write: vec![Write::Standing(leave)], ..appending([notice(*place, 1, "left")]) };
        writer.done(leave).await;
    }
    let whole = store.memberships(user(1), None, 100).await.expect(IN_ORDER);
    let left: Vec<_> = whole.iter().map(|(_, member)| member.left_seq).collect();
    assert_eq!(left, [None, Some(2), Some(2), None]);
    let second = store.memberships(user(1), Some(group(1)), 1).await.expect(IN_ORDER);
    assert_eq!(second, whole[1..2]);
}

/// Pages of any size join without a gap or an overlap.
pub async fn memberships_pages_are_gapless(store: Arc<dyn Store>) {
    let writer = Writer::new(&store, 1);
    let mut places: Vec<_> = (1..=5).map(group).chain((2..=4).map(|peer| direct(1, peer))).collect();
    writer.done(writing(places.iter().map(|place| enters(*place, 1, Standing::Member, SeqRef::At(0))))).await;
    places.sort();
    for limit in 1..=9 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.memberships(user(1), after, limit).await.expect(IN_ORDER);
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(last.conversation);
            found.extend(page.iter().map(|(head, _)| head.conversation));
        }
        assert_eq!(found, places, "limit {limit}");
    }
}
