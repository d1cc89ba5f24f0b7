//! How many connections the process can have open.

/// What the process opens beside connections: the store's files, the listener, standard streams,
/// connections that are being refused.
const HEADROOM: usize = 256;

/// Raises the soft limit of open files to the hard one, and says how many connections fit below it
/// of those that are wanted.
pub(crate) fn connections_within(wanted: usize) -> usize {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "cannot tell how many files may be open; connections are not kept below it");
            return wanted;
        }
    };
    let fitting = fitting(wanted, limit);
    if fitting < wanted {
        tracing::info!(wanted, fitting, limit, "connections are kept below the limit of open files");
    }
    fitting
}

fn fitting(wanted: usize, limit: usize) -> usize {
    wanted.min(limit.saturating_sub(HEADROOM).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_stores_files() {
        assert_eq!(fitting(100_000, 20_000), 20_000 - HEADROOM);
        assert_eq!(fitting(100, 20_000), 100);
        assert_eq!(fitting(100, 10), 1, "a server that admits nobody helps nobody");
    }
}
