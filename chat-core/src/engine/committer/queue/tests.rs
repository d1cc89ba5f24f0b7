use bytes::Bytes;
use tokio::time::{advance, timeout};

use super::*;
use crate::store::Append;
use crate::{GroupId, Kind, UserId};

const DEADLINE: Duration = Duration::from_secs(10);

fn queue(batches: usize) -> Queue {
    Queue::new(Bounds { rows: 1_000, bytes: 1 << 20, batch_rows: 512, batch_bytes: 1 << 20, batches })
}

/// Something about a group, told apart by its kind.
fn submission(about: u64, kind: u64) -> Submission {
    let conversation = ConversationId::Group(GroupId::new(about).expect("valid"));
    let append = Append {
        conversation,
        sender: UserId::new(1).expect("valid"),
        kind: Kind::new(kind).expect("valid"),
        countable: true,
        target: None,
        content: Bytes::from_static(b"text"),
        changes_rules: false,
    };
    let work = Work::Item(Box::new(Item { append: vec![append], ..Item::default() }));
    let reply = Reply::to(oneshot::channel().0, &work);
    Submission::new(&conversation, work, Instant::now() + DEADLINE, reply)
}

fn push(queue: &Queue, about: u64, kinds: std::ops::Range<u64>) {
    kinds.for_each(|kind| queue.push(submission(about, kind)).expect("there is room"));
}

fn kinds(submissions: &[Submission]) -> Vec<u64> {
    let kind = |submission: &Submission| match &submission.work {
        Work::Item(item) => u64::from(item.append[0].kind.number()),
        Work::Send(_) => panic!("none was submitted"),
    };
    submissions.iter().map(kind).collect()
}

async fn at_once(queue: &Queue) -> Gathered {
    timeout(Duration::ZERO, queue.gather()).await.expect("it need not wait").expect("it is open")
}

#[tokio::test(start_paused = true)]
async fn what_is_little_waits_for_the_batch_before_unless_that_is_stuck() {
    let queue = queue(2);
    push(&queue, 1, 16..17);
    let (stuck, began) = (at_once(&queue).await, Instant::now());
    push(&queue, 2, 17..18);
    assert!(timeout(PATIENCE / 2, queue.gather()).await.is_err(), "it is not worth a batch yet");
    let second = queue.gather().await.expect("it is open");
    assert_eq!((kinds(&second.submissions), began.elapsed()), (vec![17], PATIENCE));
    push(&queue, 3, 18..19);
    assert!(timeout(PATIENCE / 2, queue.gather()).await.is_err(), "the second is not stuck");
    queue.release(second.lanes, Vec::new());
    let third = at_once(&queue).await;
    assert_eq!(kinds(&third.submissions), [18], "nothing else is in flight that is not stuck");
    queue.release(third.lanes, Vec::new());
    queue.release(stuck.lanes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_much_goes_to_all_who_are_free() {
    let queue = queue(4);
    for about in 1..=200 {
        push(&queue, about, 16..20);
    }
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(at_once(&queue).await.submissions.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 800);
    assert!(sizes.iter().all(|size| (196..=204).contains(size)), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_with_one_committer_and_what_it_gives_back_comes_first() {
    let queue = queue(2);
    push(&queue, 1, 16..18);
    let Gathered { submissions, lanes } = at_once(&queue).await;
    push(&queue, 1, 18..20);
    push(&queue, 2, 20..21);
    advance(PATIENCE).await;
    let other = at_once(&queue).await;
    assert_eq!(kinds(&other.submissions), [20]);
    assert_eq!(queue.waiting().0, 2);
    queue.release(lanes, submissions);
    queue.release(other.lanes, Vec::new());
    assert_eq!(kinds(&at_once(&queue).await.submissions), [16, 17, 18, 19]);
    assert_eq!(queue.waiting(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_bytes_and_has_one_at_least() {
    let one = submission(1, 16).work.size_bytes();
    let bounds = Bounds { rows: 1_000, bytes: 1 << 20, batch_rows: 512, batch_bytes: 1, batches: 1 };
    let narrow = Queue::new(bounds);
    push(&narrow, 1, 16..18);
    for kind in [16, 17] {
        let Gathered { submissions, lanes } = at_once(&narrow).await;
        assert_eq!(kinds(&submissions), [kind]);
        narrow.release(lanes, Vec::new());
    }
    let two = Queue::new(Bounds { batch_bytes: 2 * one, ..bounds });
    for about in 1..=3 {
        push(&two, about, 16..17);
    }
    assert_eq!(at_once(&two).await.submissions.len(), 2);
    assert_eq!(two.waiting(), (1, one));
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_withdrawn_wherever_it_waits() {
    let queue = queue(2);
    push(&queue, 1, 16..17);
    let first = at_once(&queue).await;
    // Behind what is in flight, and in a lane of its own.
    push(&queue, 1, 17..18);
    push(&queue, 2, 18..19);
    assert_eq!(queue.next_deadline(), Some(Instant::now() + DEADLINE));
    advance(DEADLINE / 2).await;
    push(&queue, 2, 19..20);
    advance(DEADLINE / 2).await;
    queue.withdraw(Instant::now());
    assert_eq!(queue.next_deadline(), Some(Instant::now() + DEADLINE / 2));
    queue.release(first.lanes, Vec::new());
    assert_eq!(kinds(&at_once(&queue).await.submissions), [19]);
    assert_eq!((queue.waiting(), queue.next_deadline()), ((0, 0), None));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_gives_out_what_it_has_and_ends() {
    let queue = queue(2);
    push(&queue, 1, 16..17);
    let first = at_once(&queue).await;
    push(&queue, 2, 17..18);
    queue.close();
    assert!(queue.push(submission(3, 18)).is_err());
    assert_eq!(kinds(&at_once(&queue).await.submissions), [17], "nobody is waited for any more");
    assert!(timeout(Duration::ZERO, queue.gather()).await.expect("at once").is_none());
    queue.release(first.lanes, first.submissions);
    assert_eq!(kinds(&at_once(&queue).await.submissions), [16], "who gave it back takes it again");
}
