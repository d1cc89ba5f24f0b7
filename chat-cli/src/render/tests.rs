use bytes::Bytes;
use chat_core::{
    AccountName, ClientId, DeviceId, DisplayName, GroupId, GroupProfile, Handle, History, HistoryPolicy,
    JoinPolicy, Kind, Profile, Seq, Timestamp,
};

use super::*;

fn user(number: u64) -> UserId {
    UserId::new(number).expect("valid")
}

fn names() -> Names {
    let mut names = Names::default();
    for (number, name) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        names.learn_user(&Profile {
            user: user(number),
            name: AccountName::parse(name).expect("valid"),
            display_name: DisplayName::parse(name).expect("valid"),
            deleted: false,
        });
    }
    names
}

fn entry(seq: Seq, sender: u64, content: &Content, target: Option<Seq>) -> Entry {
    Entry {
        seq,
        time: Timestamp(1_700_000_000_000),
        sender: user(sender),
        client_id: Some(ClientId([1; 16])),
        countable: content.is_countable(),
        ordinal: seq,
        target,
        kind: content.kind().expect("not redacted"),
        content: Some(content.encode()),
    }
}

fn text(text: &str) -> Content {
    Content::Message(Body::Text(text.into()))
}

fn said(content: &Content, target: Option<Seq>) -> String {
    let names = names();
    let reader = Reader { names: &names, me: user(1), breaks: Breaks::Marked };
    reader.sentence(&entry(5, 2, content, target))
}

fn profile() -> GroupProfile {
    GroupProfile {
        name: DisplayName::parse("Rust Berlin").expect("valid"),
        description: String::new(),
        handle: Some(Handle::parse("rust").expect("valid")),
        join: JoinPolicy::Open,
        history: HistoryPolicy::SinceJoin,
    }
}

#[test]
fn every_kind_of_entry_has_its_words() {
    let group = GroupId::new(9).expect("valid");
    for (content, target, words) in [
        (text("hi"), None, "@bob: hi"),
        (text("yes"), Some(3), "@bob (answering 3): yes"),
        (Content::Edit(Body::Text("hello".into())), Some(3), "@bob changed 3: hello"),
        (Content::Recall, Some(3), "@bob took back 3"),
        (Content::Reaction { symbol: "👍".into(), set: true }, Some(3), "@bob reacted 👍 to 3"),
        (Content::Reaction { symbol: "👍".into(), set: false }, Some(3), "@bob took 👍 off 3"),
        (
            Content::Message(Body::Data {
                media_type: "image/png".into(),
                bytes: Bytes::from_static(b"abc"),
            }),
            None,
            "@bob: (image/png, 3 bytes)",
        ),
        (
            Content::GroupCreated { profile: profile(), members: vec![user(2), user(3)] },
            None,
            "@bob created the group “Rust Berlin” with @carol",
        ),
        (
            Content::GroupChanged(profile()),
            None,
            "@bob changed the group’s profile: “Rust Berlin”, #rust, open to everyone, history since one's joining",
        ),
        (Content::MembersAdded(vec![user(1), user(3)]), None, "@bob added @alice, @carol"),
        (Content::Joined, None, "@bob joined"),
        (Content::Left, None, "@bob left"),
        (Content::MemberRemoved(user(3)), None, "@bob removed @carol"),
        (Content::RoleChanged { user: user(3), role: Standing::Admin }, None, "@bob made @carol an admin"),
        (
            Content::Muted { user: user(3), until: Timestamp(1_700_000_060_000) },
            None,
            "@bob muted @carol until 2023-11-14 22:14",
        ),
        (Content::Muted { user: user(3), until: Timestamp(0) }, None, "@bob let @carol write again"),
        (Content::Dissolved, None, "@bob dissolved the group"),
        (
            Content::Contact { event: ContactEvent::Requested, peer: user(2), note: "it is me".into() },
            None,
            "@bob asks to become your contact: it is me",
        ),
        (
            Content::Group { event: GroupEvent::Invited, group, user: user(1), name: "Rust".into() },
            None,
            "you are invited to “Rust” (id:9)",
        ),
        (
            Content::Device {
                event: DeviceEvent::Revoked,
                device: DeviceId::new(4).expect("valid"),
                label: "phone".into(),
            },
            None,
            "your device 4 “phone” was revoked",
        ),
        (
            Content::Unknown(Kind::new(500).expect("valid"), Bytes::new()),
            None,
            "@bob: (of kind 500, which this version does not know)",
        ),
    ] {
        assert_eq!(said(&content, target), words);
    }
}

#[test]
fn nothing_that_others_wrote_reaches_the_terminal_raw() {
    let evil = "\u{1b}[31m\u{202e}x\ny";
    let group = GroupId::new(9).expect("valid");
    for content in [
        text(evil),
        Content::Edit(Body::Text(evil.into())),
        Content::Message(Body::Data { media_type: evil.into(), bytes: Bytes::new() }),
        Content::Reaction { symbol: evil.into(), set: true },
        Content::Reaction { symbol: evil.into(), set: false },
        Content::GroupCreated {
            profile: GroupProfile {
                name: DisplayName::from_stored(evil),
                description: evil.into(),
                handle: Some(Handle::from_stored(evil)),
                ..profile()
            },
            members: vec![],
        },
        Content::GroupChanged(GroupProfile {
            name: DisplayName::from_stored(evil),
            description: evil.into(),
            handle: Some(Handle::from_stored(evil)),
            ..profile()
        }),
        Content::DisplayNameChanged(DisplayName::from_stored(evil)),
        Content::Device {
            event: DeviceEvent::Added,
            device: DeviceId::new(4).expect("valid"),
            label: evil.into(),
        },
        Content::Contact { event: ContactEvent::Requested, peer: user(2), note: evil.into() },
        Content::Group { event: GroupEvent::Invited, group, user: user(1), name: evil.into() },
    ] {
        let shown = said(&content, Some(1));
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\n']), "{shown:?}");
    }
}

fn page() -> History {
    History {
        entries: vec![
            entry(1, 1, &text("first"), None),
            Entry { content: None, ..entry(2, 2, &text("gone"), None) },
            entry(3, 2, &text("third"), Some(1)),
        ],
        referring: vec![
            entry(4, 1, &Content::Edit(Body::Text("once".into())), Some(1)),
            entry(5, 1, &Content::Edit(Body::Text("twice".into())), Some(1)),
            entry(6, 2, &Content::Recall, Some(2)),
            entry(7, 2, &Content::Reaction { symbol: "👍".into(), set: true }, Some(1)),
            entry(8, 3, &Content::Reaction { symbol: "👍".into(), set: true }, Some(1)),
            entry(9, 2, &Content::Reaction { symbol: "👍".into(), set: false }, Some(1)),
            entry(10, 2, &Content::Reaction { symbol: "🎉".into(), set: true }, Some(3)),
            entry(11, 2, &Content::Reaction { symbol: "🎉".into(), set: false }, Some(3)),
        ],
        more: false,
    }
}

#[test]
fn history_shows_messages_as_they_stand_now() {
    let names = names();
    let reader = Reader { names: &names, me: user(1), breaks: Breaks::Marked };
    let lines: Vec<String> =
        history::fold(page(), vec![]).iter().map(|folded| reader.folded_line(folded)).collect();
    assert_eq!(
        lines,
        [
            "1  2023-11-14 22:13  @alice: twice (edited)  [👍 @carol]",
            "2  2023-11-14 22:13  @bob: (taken back)",
            "3  2023-11-14 22:13  @bob (answering 1): third",
        ]
    );
}

#[test]
fn the_json_of_history_has_the_documented_fields() {
    let names = names();
    let conversation = ConversationId::direct(user(1), user(2)).expect("two users");
    let folded = history::fold(page(), vec![]);
    assert_eq!(
        json::folded(&names, user(1), conversation, &folded[0]),
        serde_json::json!({
            "type": "entry",
            "to": "@bob",
            "seq": 1,
            "time": "2023-11-14T22:13:20.000Z",
            "sender": { "id": 1, "name": "alice" },
            "countable": true,
            "target": null,
            "kind": "text",
            "text": "twice",
            "edited": true,
            "recalled": false,
            "reactions": [{ "symbol": "👍", "users": [{ "id": 3, "name": "carol" }] }],
        })
    );
    assert_eq!(json::folded(&names, user(1), conversation, &folded[1])["kind"], "redacted");
}

#[test]
fn texts_in_json_are_as_they_were_sent() {
    let conversation = ConversationId::direct(user(1), user(2)).expect("two users");
    let object = json::entry(&names(), user(1), conversation, &entry(1, 2, &text("\u{1b}[2J\nx"), None));
    assert_eq!(object["text"], "\u{1b}[2J\nx");
    assert!(!object.to_string().contains(['\u{1b}', '\n']), "one line without a raw control");
}
