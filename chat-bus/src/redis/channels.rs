//! The names of topics in Redis.

use chat_core::bus::Topic;

/// Gives each topic its channel within a namespace.
///
/// Names hold no braces, so that Redis Cluster hashes the whole of each and so spreads topics over
/// its nodes.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    prefix: Box<str>,
}

impl Channels {
    /// Channels under a namespace: 1 to 64 letters, digits and `-_.:`, not beginning with `_`, since
    /// Redis notifies under such names. `None` for any other.
    pub(super) fn new(namespace: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let sound = (1..=64).contains(&namespace.len())
            && namespace.bytes().all(allowed)
            && !namespace.starts_with('_');
        sound.then(|| Self { prefix: format!("{namespace}:").into() })
    }

    /// Where messages of a topic are published.
    pub(super) fn of(&self, topic: Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::Nodes => format!("{prefix}n"),
            Topic::User(user) => format!("{prefix}u:{user}"),
            Topic::Group(group) => format!("{prefix}g:{group}"),
        }
    }

    /// Where one endpoint sends messages to itself.
    pub(super) fn proof(&self, endpoint: u64) -> String {
        format!("{}p:{endpoint:016x}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_would_gather_all_topics_on_one_node_are_refused() {
        for namespace in ["", "{chat}", "chat room", "__keyspace@0__", "ä", &"x".repeat(65)] {
            assert!(Channels::new(namespace).is_none(), "{namespace}");
        }
        assert!(Channels::new("chat-1_a.b:c").is_some());
    }
}
