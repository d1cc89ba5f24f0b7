use super::*;

const LEASE: Duration = Duration::from_secs(9);
const BEAT: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(2);

fn user(number: u64) -> UserId {
    UserId::new(number).expect("valid")
}

fn users(numbers: &[u64]) -> Arc<[UserId]> {
    numbers.iter().map(|number| user(*number)).collect()
}

fn run_of(node: &str, boot: u64) -> Origin {
    Origin { node: node.into(), boot: BootId(boot) }
}

fn changed(online: &[u64], offline: &[u64]) -> NodeSaid {
    NodeSaid::Changed { online: users(online), offline: users(offline) }
}

fn all(part: u32, parts: u32, online: &[u64]) -> NodeSaid {
    NodeSaid::All { part, parts, online: users(online) }
}

/// What an observer hears, second by second.
struct Observer {
    elsewhere: Elsewhere,
    now: Instant,
}

impl Observer {
    fn new() -> Self {
        Self { elsewhere: Elsewhere::new(LEASE, GRACE, Planted::default()), now: Instant::now() }
    }

    fn hears(&mut self, from: &Origin, version: u64, said: NodeSaid) -> Consequences {
        self.elsewhere.hear(from, &NodePresence { version, said }, self.now)
    }

    /// Time goes by, in which own messages come back and these nodes are heard.
    fn passes(&mut self, time: Duration, alive: &[(&Origin, u64)]) -> Vec<UserId> {
        let (end, mut gone) = (self.now + time, Vec::new());
        while self.now < end {
            self.now += BEAT;
            self.elsewhere.returned(self.now);
            for (origin, version) in alive {
                self.hears(origin, *version, NodeSaid::Beat);
            }
            gone.extend(self.elsewhere.expire(self.now));
        }
        gone
    }

    fn online(&self) -> Vec<u64> {
        (1..100).filter(|number| self.elsewhere.is_online(user(*number))).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn changes_in_order_make_the_roster_and_repeated_ones_nothing() {
    let (mut observer, node) = (Observer::new(), run_of("a", 1));
    assert_eq!(observer.hears(&node, 0, NodeSaid::Beat), Consequences::default());
    for _ in 0..2 {
        observer.hears(&node, 1, changed(&[1, 2], &[]));
    }
    observer.hears(&node, 2, changed(&[3], &[1]));
    observer.hears(&node, 1, changed(&[1, 2], &[]));
    assert_eq!(observer.online(), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_change_is_found_and_all_is_asked_for_once() {
    let (mut observer, node) = (Observer::new(), run_of("a", 1));
    observer.hears(&node, 0, NodeSaid::Beat);
    assert!(observer.hears(&node, 2, changed(&[2], &[])).ask);
    assert_eq!(observer.online(), [], "what precedes it is unknown");
    assert!(!observer.hears(&node, 3, changed(&[3], &[])).ask, "the answer may be on its way");
    assert!(!observer.hears(&node, 3, all(1, 2, &[3])).ask);
    assert_eq!(observer.online(), []);
    assert_eq!(observer.hears(&node, 3, all(0, 2, &[1, 2])).changed, users(&[1, 2, 3]).to_vec());
    assert_eq!(observer.online(), [1, 2, 3]);
    observer.hears(&node, 2, all(0, 1, &[9]));
    assert_eq!(observer.online(), [1, 2, 3], "an older roster");
    observer.now += LEASE;
    assert!(observer.hears(&node, 5, NodeSaid::Beat).ask, "a beat tells as well that something is missing");
}

#[tokio::test(start_paused = true)]
async fn parts_of_different_rosters_are_not_put_together() {
    let (mut observer, node) = (Observer::new(), run_of("a", 1));
    observer.hears(&node, 5, all(0, 2, &[1]));
    observer.hears(&node, 6, all(1, 2, &[2]));
    observer.hears(&node, 5, all(1, 2, &[3]));
    assert_eq!(observer.online(), []);
    observer.hears(&node, 6, all(0, 2, &[4]));
    assert_eq!(observer.online(), [2, 4]);
    observer.hears(&node, 7, all(0, u32::MAX, &[5]));
    assert_eq!(observer.online(), [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_user_of_two_nodes_goes_with_the_last() {
    let (mut observer, a, b) = (Observer::new(), run_of("a", 1), run_of("b", 1));
    for node in [&a, &b] {
        observer.hears(node, 0, NodeSaid::Beat);
        observer.hears(node, 1, changed(&[7], &[]));
    }
    observer.hears(&a, 2, changed(&[], &[7]));
    assert_eq!(observer.online(), [7]);
    observer.hears(&b, 2, changed(&[], &[7]));
    assert_eq!(observer.online(), []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_dead_after_a_lease_and_takes_no_others_users() {
    let (mut observer, a, b) = (Observer::new(), run_of("a", 1), run_of("b", 1));
    for (node, number) in [(&a, 1), (&b, 2)] {
        observer.hears(node, 1, all(0, 1, &[number]));
    }
    assert_eq!(observer.passes(LEASE, &[(&a, 1), (&b, 1)]), []);
    assert_eq!(observer.passes(LEASE - BEAT, &[(&a, 1)]), []);
    assert!(!observer.elsewhere.is_over(&b, observer.now));
    assert_eq!(observer.passes(BEAT, &[(&a, 1)]), [user(2)]);
    assert!(observer.elsewhere.is_over(&b, observer.now) && !observer.elsewhere.is_over(&a, observer.now));
    assert_eq!(observer.online(), [1]);
    assert!(observer.hears(&b, 1, NodeSaid::Beat).ask, "it was frozen, and is told of anew");
    observer.hears(&b, 1, all(0, 1, &[2]));
    assert_eq!(observer.online(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn silence_says_nothing_while_own_messages_do_not_come_back() {
    let (mut observer, a) = (Observer::new(), run_of("a", 1));
    observer.hears(&a, 1, all(0, 1, &[1]));
    observer.passes(LEASE, &[(&a, 1)]);
    observer.now += LEASE * 10;
    assert_eq!(observer.elsewhere.expire(observer.now), [], "the bus was away, or this node was frozen");
    assert_eq!(observer.passes(LEASE - BEAT, &[]), [], "not for a lease yet");
    assert_eq!(observer.online(), [1]);
    assert_eq!(observer.passes(BEAT * 2, &[]), [user(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_a_new_run_end_the_old_after_the_time_to_come_back() {
    for said in [NodeSaid::Leaving, NodeSaid::Beat] {
        let (mut observer, old, new) = (Observer::new(), run_of("a", 1), run_of("a", 2));
        observer.hears(&old, 1, all(0, 1, &[1, 2]));
        let from = if said == NodeSaid::Leaving { &old } else { &new };
        assert_eq!(observer.hears(from, 0, said), Consequences::default());
        assert!(observer.elsewhere.is_over(&old, observer.now));
        assert_eq!(observer.online(), [1, 2]);
        observer.hears(&new, 1, all(0, 1, &[2]));
        observer.now += GRACE;
        assert_eq!(observer.elsewhere.expire(observer.now), [user(1)]);
        assert_eq!(observer.online(), [2], "who has come back stays");
        assert!(!observer.hears(&old, 2, changed(&[3], &[])).revenant, "said before it ended");
        assert!(observer.hears(&old, 2, NodeSaid::Beat).revenant);
        assert_eq!(observer.online(), [2]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_node_is_believed_until_it_would_have_been_heard() {
    let (mut observer, unknown) = (Observer::new(), run_of("a", 1));
    assert!(!observer.elsewhere.is_over(&unknown, observer.now));
    observer.passes(LEASE, &[]);
    assert!(!observer.elsewhere.is_over(&unknown, observer.now));
    observer.passes(BEAT, &[]);
    assert!(observer.elsewhere.is_over(&unknown, observer.now));
    let (mut observer, next) = (Observer::new(), run_of("a", 2));
    observer.hears(&next, 0, NodeSaid::Beat);
    assert!(observer.elsewhere.is_over(&unknown, observer.now), "it was started anew");
}
