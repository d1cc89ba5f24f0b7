//! Breaking a real cluster while clients use it, and saying what came of it.
//!
//! MariaDB, Redis, three nodes with links of their own to both, and nginx, all of them processes of this
//! program's own on free ports, which end with it. `chat-load` sends through nginx all the time and
//! verifies what it saw. What is done meanwhile is drawn from a seed ([`schedule`]), so that a run can be
//! repeated, as far as processes and networks repeat anything.
//!
//! ```text
//! run ── schedule: windows of faults
//!  ├──── cluster ── node, link, and the servers that the tests start
//!  ├──── load: chat-load's process
//!  ├──── presence: who is seen online, asked on every node
//!  ├──── probe: whether messages pass from every node to every other
//!  ├──── watch: what nodes say of themselves, twice a second
//!  └──── timeline, bounds, verdict
//! ```

#[path = "../../chat-bus/tests/redis/authority.rs"]
#[expect(dead_code, reason = "the bus's own tests want it")]
mod authority;
mod bounds;
pub mod cluster;
#[path = "../../chat-server/tests/black_box/guard.rs"]
mod guard;
mod inject;
#[path = "../../chat-server/tests/cluster/link.rs"]
mod link;
mod load;
#[path = "../../chat-store/tests/mysql/server.rs"]
#[expect(dead_code, reason = "the store's own tests want more of it")]
mod mariadb;
#[path = "../../chat-server/tests/black_box/nginx.rs"]
mod nginx;
mod node;
#[path = "../../chat-server/tests/black_box/ports.rs"]
mod ports;
mod presence;
mod probe;
#[path = "../../chat-bus/tests/redis/servers.rs"]
#[expect(dead_code, reason = "the bus's own tests want more of it")]
mod redis;
pub mod run;
pub mod schedule;
pub mod timeline;
pub mod verdict;
mod watch;

use std::time::Duration;

/// How many nodes there are, and masters where Redis is a cluster.
pub const NODES: usize = 3;

/// How long between two looks at what can only be looked at.
const LOOK: Duration = Duration::from_millis(50);
