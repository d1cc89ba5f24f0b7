use chat_core::{AccountName, Credentials, Password, Receipt, Timestamp};
use chat_core::{Body, ClientId, ConversationId, Outgoing, Register, Send, Sync, UserId};

use super::*;

const LIMIT: usize = 100;
const FOREVER: Duration = Duration::from_secs(30);

type Waiting = oneshot::Receiver<Result<Reply, ClientError>>;

fn send(number: u8) -> Request {
    let user = |number| UserId::new(number).expect("an id");
    Request::Send(Send {
        client_id: ClientId([number; 16]),
        conversation: ConversationId::direct(user(1), user(2)).expect("two users"),
        message: Outgoing::Message { body: Body::Text("hi".into()), reply_to: None },
        read_up_to: None,
    })
}

fn login() -> Request {
    Request::Login(Credentials::Password {
        name: AccountName::parse("ada").expect("a name"),
        password: Password::new("correct horse"),
        device_label: String::new(),
    })
}

fn register() -> Request {
    Request::Register(Register {
        client_id: ClientId([1; 16]),
        name: AccountName::parse("ada").expect("a name"),
        display_name: None,
        password: Password::new("correct horse"),
        device_label: String::new(),
    })
}

fn add(requests: &mut Requests, request: Request, deadline: Instant) -> Waiting {
    let (waiter, waiting) = oneshot::channel();
    requests.add(request, Asker::Application(waiter), deadline);
    waiting
}

/// Sends what can be sent; the first byte of client ids.
fn sent(requests: &mut Requests, stage: Stage, limit: usize, now: Instant) -> Vec<(u64, u8)> {
    std::iter::from_fn(|| {
        let (id, request) = requests.next_to_send(stage, limit, now)?;
        let number = if let Request::Send(send) = request { send.client_id.0[0] } else { 0 };
        Some((id, number))
    })
    .collect()
}

fn numbers(sent: &[(u64, u8)]) -> Vec<u8> {
    sent.iter().map(|(_, number)| *number).collect()
}

fn receipt() -> Result<Reply, Error> {
    Ok(Reply::Receipt(Receipt { seq: 1, time: Timestamp(1) }))
}

fn refused(kind: ErrorKind, retry_after: Duration) -> Result<Reply, Error> {
    Err(Error::new(kind, "not now").retry_after(retry_after))
}

fn unused(_tries: u32) -> Duration {
    panic!("the server says when")
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_sent_again_in_the_old_order() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting: Vec<_> = (1..=5).map(|number| add(&mut requests, send(number), now + FOREVER)).collect();
    let first = sent(&mut requests, Stage::Session, 4, now);
    assert_eq!(numbers(&first), [1, 2, 3, 4]);
    assert!(requests.answered(first[1].0, receipt(), now, unused).is_some());
    requests.disconnected();
    let _last = add(&mut requests, send(6), now + FOREVER);
    assert_eq!(numbers(&sent(&mut requests, Stage::Session, LIMIT, now)), [1, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_the_server_admits() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting: Vec<_> = (1..=5).map(|number| add(&mut requests, send(number), now + FOREVER)).collect();
    let first = sent(&mut requests, Stage::Session, 2, now);
    assert_eq!(numbers(&first), [1, 2]);
    requests.answered(first[0].0, receipt(), now, unused);
    assert_eq!(numbers(&sent(&mut requests, Stage::Session, 2, now)), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_moment_is_repeated_when_the_server_wants() {
    use ErrorKind::{OutcomeUnknown, Overloaded, RateLimited, Unavailable};
    for kind in [RateLimited, Overloaded, Unavailable, OutcomeUnknown] {
        let (mut requests, now) = (Requests::new(), Instant::now());
        let mut waiting = add(&mut requests, send(1), now + FOREVER);
        let [(id, _)] = sent(&mut requests, Stage::Session, LIMIT, now)[..] else { panic!("one request") };
        let later = Duration::from_secs(3);
        assert!(requests.answered(id, refused(kind, later), now, unused).is_none());
        assert!(waiting.try_recv().is_err(), "nobody is told");
        let _added_later = add(&mut requests, send(2), now + FOREVER);
        assert!(sent(&mut requests, Stage::Session, LIMIT, now).is_empty());
        assert_eq!(requests.due(now), Some(now + later));
        assert_eq!(numbers(&sent(&mut requests, Stage::Session, LIMIT, now + later)), [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_passed_on_when_there_is_no_time_to_repeat() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting = add(&mut requests, send(1), now + FOREVER);
    let [(id, _)] = sent(&mut requests, Stage::Session, LIMIT, now)[..] else { panic!("one request") };
    let answered = requests.answered(id, refused(ErrorKind::RateLimited, FOREVER), now, unused);
    assert!(matches!(answered, Some(Answered { answer: Err(_), .. })));
    assert_eq!(requests.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_refusals_are_passed_on_at_once() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting = add(&mut requests, send(1), now + FOREVER);
    let [(id, _)] = sent(&mut requests, Stage::Session, LIMIT, now)[..] else { panic!("one request") };
    assert!(requests.answered(id, Err(Error::not_allowed()), now, unused).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_late_command_times_out_and_keeps_its_place_in_flight() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let mut waiting = add(&mut requests, send(1), now + FOREVER);
    let [(id, _)] = sent(&mut requests, Stage::Session, LIMIT, now)[..] else { panic!("one request") };
    assert_eq!(requests.expire(now + FOREVER), Lateness::OfCommands);
    assert!(matches!(waiting.try_recv(), Ok(Err(ClientError::TimedOut))));
    let _second = add(&mut requests, send(2), now + 2 * FOREVER);
    assert!(sent(&mut requests, Stage::Session, 1, now).is_empty(), "the server still works on it");
    requests.answered(id, receipt(), now, unused);
    assert_eq!(numbers(&sent(&mut requests, Stage::Session, 1, now)), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_nobody_awaits_any_more_is_not_repeated() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting = add(&mut requests, send(1), now + FOREVER);
    sent(&mut requests, Stage::Session, LIMIT, now);
    requests.expire(now + FOREVER);
    requests.disconnected();
    assert_eq!(requests.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn registrations_are_repeated_and_log_ins_are_not() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let mut registering = add(&mut requests, register(), now + FOREVER);
    assert_eq!(sent(&mut requests, Stage::Entrance, LIMIT, now).len(), 1);
    requests.disconnected();
    let again = sent(&mut requests, Stage::Entrance, LIMIT, now);
    assert_eq!(again.len(), 1);
    assert!(registering.try_recv().is_err(), "still waiting");
    requests.answered(again[0].0, Err(Error::not_allowed()), now, unused);

    let mut entering = add(&mut requests, login(), now + FOREVER);
    requests.disconnected();
    assert_eq!(sent(&mut requests, Stage::Entrance, LIMIT, now).len(), 1, "it had not been sent");
    requests.disconnected();
    assert!(matches!(entering.try_recv(), Ok(Err(ClientError::Unreachable { .. }))));
}

#[tokio::test(start_paused = true)]
async fn nothing_but_log_ins_is_sent_before_there_is_a_session() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _entering = add(&mut requests, login(), now + FOREVER);
    let _waiting = add(&mut requests, send(1), now + FOREVER);
    assert_eq!(numbers(&sent(&mut requests, Stage::Entrance, LIMIT, now)), [0]);
    assert_eq!(numbers(&sent(&mut requests, Stage::Session, LIMIT, now)), [1]);
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_wait_for_sends_that_are_too_fast() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _sending = add(&mut requests, send(1), now + FOREVER);
    let [(id, _)] = sent(&mut requests, Stage::Session, LIMIT, now)[..] else { panic!("one request") };
    requests.answered(id, refused(ErrorKind::RateLimited, Duration::from_secs(1)), now, unused);
    let _reading = add(&mut requests, Request::Devices, now + FOREVER);
    let next = requests.next_to_send(Stage::Session, LIMIT, now);
    assert!(matches!(next, Some((_, Request::Devices))));
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_requests_go_first_and_end_with_the_connection() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _sending = add(&mut requests, send(1), now + FOREVER);
    requests.add(Request::Ping, Asker::Keepalive, now + FOREVER);
    let next = requests.next_to_send(Stage::Session, 0, now);
    assert!(matches!(next, Some((_, Request::Ping))));
    requests.add(Request::MarkDelivered(Vec::new()), Asker::Acknowledgement, now + FOREVER);
    let lost = requests.disconnected();
    assert!(matches!(lost[..], [Request::Ping, Request::MarkDelivered(_)]));
    assert_eq!(requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn own_requests_without_an_answer_condemn_the_connection() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    requests.add(Request::Ping, Asker::Keepalive, now + FOREVER);
    requests.next_to_send(Stage::Session, LIMIT, now);
    assert_eq!(requests.expire(now + FOREVER), Lateness::OfConnection);
}

#[tokio::test(start_paused = true)]
async fn a_log_out_that_was_sent_is_answered_by_the_void_token() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    let _waiting = add(&mut requests, Request::LogOut(ClientId([1; 16])), now + FOREVER);
    assert!(requests.take_farewell().is_none(), "it was never sent");
    requests.next_to_send(Stage::Session, LIMIT, now);
    requests.disconnected();
    assert!(matches!(requests.take_farewell(), Some((Request::LogOut(_), Asker::Application(_)))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_nothing_is_passed_over() {
    let (mut requests, now) = (Requests::new(), Instant::now());
    assert!(requests.answered(77, receipt(), now, unused).is_none());
    let sync = Sync { cursors: Vec::new(), after: None, until: None, limit: 1, entries_limit: 1 };
    let _waiting = add(&mut requests, Request::Sync(sync), now + FOREVER);
    assert!(requests.answered(2, receipt(), now, unused).is_none(), "it was not asked yet");
    assert_eq!(requests.len(), 1);
}
