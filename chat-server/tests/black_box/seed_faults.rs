//! The numbered faults of the earlier system, each against the real process.
//!
//! | faults | where |
//! |---|---|
//! | 1, 2 | `framing` |
//! | 3, 4 | `size` |
//! | 5 | `memory` |
//! | 6, 7, 8 | `security` |
//! | 9, 10, 14 | `delivery` |
//! | 11, 12, 16, 17 | `presence` |
//! | 18, 19 | `cost` |
//!
//! What takes several nodes to go wrong, or goes wrong behind them, is in the tests of the cluster: 13
//! and 15 (the link between nodes), of 14 subscriptions left behind on another node, of 16 users locked
//! out on other nodes, of 17 how a balancer spreads clients, of 18 database connections that drop. 20 is
//! the terminal client's.

mod cost;
mod delivery;
mod framing;
mod memory;
mod presence;
mod security;
mod size;
