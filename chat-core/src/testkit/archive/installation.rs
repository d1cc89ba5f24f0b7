//! An installation that has something of everything.

use bytes::Bytes;

use crate::store::{
    Append, Batch, Digest, Item, Once, Outcome, RedactTarget, SeqRef, StandingChange, Store, Write, WriterId,
};
use crate::{
    Account, AccountName, Attachment, BootId, ClientId, ConversationId, Device, DeviceId, DisplayName, Group,
    GroupId, GroupProfile, Handle, HistoryPolicy, JoinPolicy, Kind, MAX_ID, Relation, Seq, Standing,
    Timestamp, TokenHash, UserId,
};

/// What a store was filled with: whom and what it can be asked for.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    /// Users, with and without accounts.
    pub users: Vec<UserId>,
    /// Names that accounts have, or had.
    pub names: Vec<AccountName>,
    /// Tokens that devices have, or had.
    pub tokens: Vec<TokenHash>,
    /// Devices, deleted ones included.
    pub devices: Vec<DeviceId>,
    /// Handles that groups have, or had.
    pub handles: Vec<Handle>,
    /// Conversations, those without entries included.
    pub conversations: Vec<ConversationId>,
    /// Commands that were committed, with their digests.
    pub commands: Vec<(Once, Digest)>,
    batches: u64,
}

/// The one whose ids are as great as ids get.
const GREATEST: u64 = MAX_ID - 1;
const USERS: [u64; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 300, GREATEST];
/// Groups: with everything, dissolved, without entries, trimmed in part, trimmed to the end, of one
/// user.
const CROWD: u64 = 10;
const DISSOLVED: u64 = 11;
const SILENT: u64 = 12;
const TRIMMED: u64 = 300;
const SPENT: u64 = 301;
const LONELY: u64 = GREATEST;

/// Numbers that differ with every seed and are the same for one (SplitMix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

impl Installation {
    /// Fills an empty store; equally for equal seeds.
    ///
    /// # Panics
    /// The store fails, or refuses something.
    pub async fn fill(store: &(impl Store + ?Sized), seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let mut filled = Self { users: USERS.map(user).to_vec(), ..Self::default() };
        filled.conversations = vec![
            direct(1, 2),
            direct(1, 3),
            direct(2, 4),
            direct(5, 6),
            direct(8, 9),
            direct(300, GREATEST),
            direct(7, 11),
        ];
        filled.conversations.extend(USERS.map(|number| ConversationId::Inbox(user(number))));
        filled.conversations.extend([CROWD, DISSOLVED, SILENT, TRIMMED, SPENT, LONELY].map(group));
        filled.put_accounts(store).await;
        filled.put_devices(store).await;
        filled.put_groups(store).await;
        filled.put_pairs(store).await;
        filled.talk(store, &mut numbers).await;
        filled.keep_some(store, &mut numbers).await;
        filled
    }

    /// Commits items that nothing stands against.
    async fn commit(&mut self, store: &(impl Store + ?Sized), items: Vec<Item>) {
        self.batches += 1;
        let (number, now) = (self.batches, Timestamp(1_700_000_000_000 + self.batches / 3));
        self.commands.extend(items.iter().filter_map(|item| item.once));
        let batch = Batch { writer: WriterId(u64::MAX), number, now, items };
        let outcomes = store.commit(&batch).await.expect("the store is in order");
        for outcome in outcomes {
            assert!(matches!(outcome, Outcome::Committed(_)), "nothing stands against it: {outcome:?}");
        }
    }

    async fn put_accounts(&mut self, store: &(impl Store + ?Sized)) {
        let display = [
            "Ada",
            "Zoë 🦀",
            "עברית",
            "",
            "of old",
            "日本語",
            "x",
            "y",
            "z",
            "\u{1F469}\u{200D}\u{1F4BB}",
            "_",
            "%",
            "'",
        ];
        let account = |(number, display): (u64, &str)| Account {
            user: user(number),
            name: AccountName::from_stored(format!("user{number}")),
            display_name: DisplayName::from_stored(display),
            password_hash: (number != 6).then(|| format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdA${number}")),
            created: Timestamp(1_600_000_000_000 + number % 3),
            deleted: None,
        };
        let accounts: Vec<_> = USERS.into_iter().zip(display).map(account).collect();
        self.names.extend(accounts.iter().map(|account| account.name.clone()));
        let unicode = AccountName::from_stored("łódź");
        self.names.extend([unicode.clone(), AccountName::from_stored("nobody")]);
        let mut deleted = accounts[4].clone();
        (deleted.deleted, deleted.password_hash) = (Some(Timestamp(1_650_000_000_000)), None);
        let renamed = Account { name: unicode, ..accounts[6].clone() };
        // User 11 has none: users of embedders need not.
        let kept = accounts.into_iter().filter(|account| account.user != user(11));
        self.commit(store, kept.map(|account| writing([Write::PutAccount(account)])).collect()).await;
        self.commit(store, vec![writing([Write::PutAccount(deleted), Write::PutAccount(renamed)])]).await;
    }

    async fn put_devices(&mut self, store: &(impl Store + ?Sized)) {
        let ids = [1, 2, 3, 4, 5, 6, 7, 300, GREATEST];
        self.devices = ids.map(device_id).to_vec();
        let device = |number: u64| Device {
            id: device_id(number),
            user: user(1 + number % 3),
            label: if number == 4 { String::new() } else { format!("Gerät {number} 📱") },
            token_hash: TokenHash([(number % 253) as u8; 32]),
            created: Timestamp(1_600_000_000_000 + number % 2),
            last_seen: Timestamp(1_600_000_000_000 + number % 7),
            attached: None,
        };
        let devices: Vec<_> = ids.into_iter().map(device).collect();
        self.tokens = devices.iter().map(|device| device.token_hash).collect();
        self.tokens.push(TokenHash([255; 32]));
        let items = devices.into_iter().map(|device| writing([Write::PutDevice(device)])).collect();
        self.commit(store, items).await;
        let attach = |number, node: &str, boot, session| Write::Attach {
            device: device_id(number),
            slot: Some(Attachment { node: node.into(), boot: BootId(boot), session }),
            now: Timestamp(1_700_000_000_000 + number % 10),
        };
        let leave = Write::Attach { device: device_id(3), slot: None, now: Timestamp(1_700_000_000_009) };
        let slots = [
            attach(1, "", u64::MAX, u64::MAX),
            attach(2, "node-é", 1 << 63, 0),
            attach(3, "one", 3, 4),
            leave,
            attach(GREATEST, "two", 0, 1),
            Write::DeleteDevice(device_id(7)),
        ];
        self.commit(store, vec![writing(slots)]).await;
    }

    async fn put_groups(&mut self, store: &(impl Store + ?Sized)) {
        let settings = |number: u64, handle: Option<&str>| Group {
            id: group_id(number),
            profile: GroupProfile {
                name: DisplayName::from_stored(format!("Gruppe {number} ✨")),
                description: "für alle\n".repeat((number % 50) as usize),
                handle: handle.map(Handle::from_stored),
                join: match number % 3 {
                    0 => JoinPolicy::Open,
                    1 => JoinPolicy::Request,
                    _ => JoinPolicy::Invitation,
                },
                history: if number.is_multiple_of(2) { HistoryPolicy::All } else { HistoryPolicy::SinceJoin },
            },
            members: (number % 7) as u32,
            dissolved: false,
        };
        self.handles =
            ["crowd", "over", "naïve", "spent", "moved", "nobodys"].map(Handle::from_stored).to_vec();
        let groups = [
            settings(CROWD, Some("moved")),
            settings(DISSOLVED, Some("over")),
            settings(SILENT, None),
            settings(TRIMMED, Some("naïve")),
            settings(SPENT, Some("spent")),
            settings(LONELY, None),
        ];
        self.commit(store, groups.into_iter().map(|group| writing([Write::PutGroup(group)])).collect()).await;
        let renamed = Write::PutGroup(settings(CROWD, Some("crowd")));
        let dissolved = Group { dissolved: true, members: 0, ..settings(DISSOLVED, Some("over")) };
        self.commit(store, vec![writing([renamed]), writing([Write::PutGroup(dissolved)])]).await;
        // In the crowd: the owner, staff, members, one invited, one who asks.
        let standings = [
            (1, Standing::Owner),
            (2, Standing::Admin),
            (3, Standing::Member),
            (4, Standing::Member),
            (5, Standing::Member),
            (6, Standing::Invited),
            (7, Standing::Asking),
            (300, Standing::Member),
            (GREATEST, Standing::Member),
        ];
        for (who, standing) in standings {
            let mut item = appending([rule(group(CROWD), 1, "enters")]);
            item.write.push(enters(group(CROWD), who, standing, SeqRef::Appended(0)));
            self.commit(store, vec![item]).await;
        }
        // User 4 leaves and returns, user 5 leaves for good, user 3 is muted, user 300 was.
        for (who, what) in [(4, "leaves"), (5, "leaves")] {
            let mut item = appending([rule(group(CROWD), who, what)]);
            item.write.push(Write::Standing(StandingChange {
                standing: Some(Standing::Former),
                left: Some(SeqRef::Appended(0)),
                ..StandingChange::of(group(CROWD), user(who))
            }));
            self.commit(store, vec![item]).await;
        }
        let mut again = appending([rule(group(CROWD), 4, "enters again")]);
        again.write.push(enters(group(CROWD), 4, Standing::Member, SeqRef::Appended(0)));
        let mute = |who, until| {
            Write::Standing(StandingChange {
                muted_until: Some(until),
                ..StandingChange::of(group(CROWD), user(who))
            })
        };
        let mutes = [
            mute(3, Some(Timestamp(u64::MAX))),
            mute(300, Some(Timestamp(0))),
            mute(2, Some(Timestamp(7))),
            mute(2, None),
        ];
        self.commit(store, vec![again, writing(mutes)]).await;
        for number in [DISSOLVED, TRIMMED, SPENT, LONELY] {
            let mut item = appending([rule(group(number), 1, "founded")]);
            item.write.push(enters(group(number), 1, Standing::Owner, SeqRef::Appended(0)));
            item.write.push(enters(group(number), 2, Standing::Member, SeqRef::Appended(0)));
            self.commit(store, vec![item]).await;
        }
    }

    async fn put_pairs(&mut self, store: &(impl Store + ?Sized)) {
        let stands = |of, who, relation, blocked| {
            Write::Standing(StandingChange {
                standing: Some(Standing::Member),
                relation: Some(relation),
                blocked: Some(blocked),
                ..StandingChange::of(of, user(who))
            })
        };
        let pair = |a, b, (first, second), blocked| {
            writing([stands(direct(a, b), a, first, blocked), stands(direct(a, b), b, second, false)])
        };
        let contacts = (Relation::Contact, Relation::Contact);
        let asked = (Relation::Outgoing, Relation::Incoming);
        self.commit(
            store,
            vec![
                pair(1, 2, contacts, false),
                pair(1, 3, asked, false),
                pair(2, 4, (Relation::None, Relation::None), true),
                // Nothing was ever written there: members without a head.
                pair(8, 9, asked, true),
                pair(300, GREATEST, contacts, false),
                // Rules without entries: a head without a log.
                writing([Write::RaiseRules(direct(7, 11))]),
                writing([Write::RaiseRules(direct(2, 4)), Write::RaiseRules(direct(2, 4))]),
            ],
        )
        .await;
    }

    /// Commands of every kind in every conversation that has a log.
    async fn talk(&mut self, store: &(impl Store + ?Sized), numbers: &mut Numbers) {
        let places = [direct(1, 2), direct(1, 3), direct(5, 6), direct(300, GREATEST)];
        let places: Vec<_> = places.into_iter().chain([CROWD, TRIMMED, SPENT, LONELY].map(group)).collect();
        for turn in 0..120_u64 {
            let mut items = Vec::new();
            for _ in 0..1 + numbers.below(4) {
                let here = numbers.of(&places);
                let sender = match here {
                    ConversationId::Direct(pair) => numbers.of(&[pair.low(), pair.high()]),
                    _ => user(numbers.of(&USERS)),
                };
                items.push(self.spoken(numbers, here, sender));
            }
            // Several commands of one client id: of other senders, and in other conversations.
            if turn.is_multiple_of(20) {
                let shared = ClientId([turn as u8; 16]);
                for (place, who) in [(direct(1, 2), 1), (direct(1, 2), 2), (group(TRIMMED), 1), (inbox(1), 1)]
                {
                    items.push(command(shared, message(place, who, "shared")));
                }
            }
            // A command that concerns several conversations, and is recorded in the first.
            if turn.is_multiple_of(15) {
                let mut item = command(id(numbers), notice(inbox(3), 3, "requested"));
                item.append.push(notice(inbox(2), 3, "asked"));
                item.append.push(message(direct(1, 3), 3, "hello"));
                items.push(item);
            }
            self.commit(store, items).await;
        }
        let large = Bytes::from(vec![b'x'; 300_000]);
        let mut item = command(id(numbers), message(group(CROWD), 2, ""));
        item.append[0].content = large;
        self.commit(store, vec![item, command(id(numbers), message(group(CROWD), 2, "after"))]).await;
    }

    fn spoken(&mut self, numbers: &mut Numbers, here: ConversationId, sender: UserId) -> Item {
        let words = "wörter ".repeat(numbers.below(30) as usize);
        let number = sender.number();
        let target = 1 + numbers.below(30);
        let entry = match numbers.below(10) {
            0 => Append { target: Some(target), kind: Kind::REACTION, ..notice(here, number, "+") },
            1 => Append { target: Some(target), kind: Kind::EDIT, ..notice(here, number, &words) },
            // A reply.
            2 => Append { target: Some(target), ..message(here, number, &words) },
            3 => notice(here, number, &words),
            4 => Append { kind: Kind::new(18_999).expect("within bounds"), ..notice(here, number, "?") },
            _ => message(here, number, &words),
        };
        match numbers.below(8) {
            0 => appending([entry]),
            1 => appending([entry, notice(here, number, "follows")]),
            _ => command(id(numbers), entry),
        }
    }

    /// What is read, redacted and trimmed.
    async fn keep_some(&mut self, store: &(impl Store + ?Sized), numbers: &mut Numbers) {
        let mut writes = Vec::new();
        for place in self.conversations.clone() {
            for who in [1, 2, 3, 4, 300, GREATEST].map(user) {
                let at = |seq| SeqRef::At(seq);
                let to = 1 + numbers.below(60);
                writes.push(Write::Read { conversation: place, user: who, to: at(to) });
                let to = to + numbers.below(20);
                writes.push(Write::Delivered { conversation: place, user: who, to: at(to) });
            }
        }
        let redact = |conversation, target| Write::Redact { conversation, target };
        writes.extend((0..10).map(|_| redact(direct(1, 2), RedactTarget::Entry(1 + numbers.below(30)))));
        writes.push(redact(group(CROWD), RedactTarget::SentBy(user(3), 40)));
        writes.push(redact(group(TRIMMED), RedactTarget::SentBy(user(1), Seq::MAX >> 2)));
        let seq = async |place| store.heads(&[place]).await.expect("the store is in order").remove(0).seq;
        let trim = |conversation, first_seq| Write::Trim { conversation, first_seq };
        writes.push(trim(group(TRIMMED), seq(group(TRIMMED)).await / 2));
        writes.push(trim(group(SPENT), seq(group(SPENT)).await + 1));
        writes.push(trim(inbox(3), seq(inbox(3)).await));
        writes.push(trim(direct(300, GREATEST), 2));
        self.commit(store, vec![writing(writes)]).await;
        // Trimmed to its end, and gone on with.
        let end = seq(inbox(2)).await + 1;
        self.commit(store, vec![writing([trim(inbox(2), end)])]).await;
        self.commit(store, vec![command(id(numbers), notice(inbox(2), 2, "after"))]).await;
    }
}

pub(super) fn user(number: u64) -> UserId {
    UserId::new(number).expect("within bounds")
}

fn device_id(number: u64) -> DeviceId {
    DeviceId::new(number).expect("within bounds")
}

fn group_id(number: u64) -> GroupId {
    GroupId::new(number).expect("within bounds")
}

fn group(number: u64) -> ConversationId {
    ConversationId::Group(group_id(number))
}

fn inbox(number: u64) -> ConversationId {
    ConversationId::Inbox(user(number))
}

fn direct(a: u64, b: u64) -> ConversationId {
    ConversationId::direct(user(a), user(b)).expect("two users")
}

fn id(numbers: &mut Numbers) -> ClientId {
    let (high, low) = (numbers.below(u64::MAX), numbers.below(u64::MAX));
    ClientId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// A countable entry of a kind that no version knows.
pub(super) fn message(conversation: ConversationId, sender: u64, text: &str) -> Append {
    Append {
        conversation,
        sender: user(sender),
        kind: Kind::new(900).expect("within bounds"),
        countable: true,
        target: None,
        content: Bytes::copy_from_slice(text.as_bytes()),
        changes_rules: false,
    }
}

fn notice(conversation: ConversationId, sender: u64, text: &str) -> Append {
    Append { countable: false, ..message(conversation, sender, text) }
}

fn rule(conversation: ConversationId, sender: u64, text: &str) -> Append {
    Append { changes_rules: true, ..notice(conversation, sender, text) }
}

pub(super) fn appending(entries: impl IntoIterator<Item = Append>) -> Item {
    Item { append: entries.into_iter().collect(), ..Item::default() }
}

pub(super) fn writing(writes: impl IntoIterator<Item = Write>) -> Item {
    Item { write: writes.into_iter().collect(), ..Item::default() }
}

fn command(client_id: ClientId, entry: Append) -> Item {
    let once = Once { client_id, sender: entry.sender, conversation: entry.conversation };
    let digest = Digest::of(&[&entry.content]);
    Item { once: Some((once, digest)), ..appending([entry]) }
}

fn enters(conversation: ConversationId, who: u64, standing: Standing, joined: SeqRef) -> Write {
    Write::Standing(StandingChange {
        standing: Some(standing),
        joined: Some(joined),
        visible_from: Some(joined),
        ..StandingChange::of(conversation, user(who))
    })
}
