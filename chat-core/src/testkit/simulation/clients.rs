//! The clients: each is one device of a user that comes in, acts, hears and goes, on whatever node
//! lets it in.
//!
//! A client does what a sound application does. It names every command and repeats it under the same
//! name until it is answered; it keeps the log of each conversation, drops what it has, reads where it
//! is told that it is behind, and notes every gap that its memberships do not explain.

mod acts;
mod mind;
mod reader;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::signal::Signal;
use super::access::{Access, Connection, Entered, Entrance};
use super::draw::Draw;
use super::nodes::{Node, Nodes};
use super::record::{Record, What};
use super::report::{ClientNumber, Fault, NodeNumber};
use super::settings::Settings;
use crate::{AccountName, ClientId, Credentials, ErrorKind, Password, Register};
use mind::Directory;
pub(super) use mind::Mind;
use reader::Reader;
use writer::Writer;

/// What all clients have in common.
pub(super) struct World {
    pub(super) nodes: Arc<Nodes>,
    pub(super) record: Record,
    pub(super) settings: Settings,
    pub(super) access: Arc<dyn Access>,
    pub(super) phase: Signal<Phase>,
    pub(super) directory: Directory,
}

/// What clients are to do for the time being.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Act; in a storm they vanish and stall, too.
    Acting(Sea),
    /// Only finish what was begun. These users, by number, go offline.
    Calm(BTreeSet<usize>),
    /// The same, and tell what is known of contacts.
    Telling(BTreeSet<usize>),
    /// Stop.
    Over,
}

/// Whether clients misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sea {
    Fair,
    Stormy,
}

impl World {
    /// Whether clients do this at present.
    pub(super) fn suffers(&self, fault: Fault) -> bool {
        self.phase.now() == Phase::Acting(Sea::Stormy) && self.settings.faults.contains(&fault)
    }
}

/// One simulated client.
pub(super) struct Client {
    pub(super) number: ClientNumber,
    /// Which user it belongs to, from 0.
    user: usize,
    world: Arc<World>,
    mind: Arc<Mind>,
    draw: Draw,
    reader_draw: Draw,
}

/// What clients know of each other at first: nothing.
pub(super) fn directory() -> Directory {
    Directory::default()
}

/// Why a client's connection ended, from its own side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// It was lost, or the client gave it up.
    Lost,
    /// The client is to stay away, or to stop.
    Away,
}

/// No request takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const PASSWORD: &str = "correct horse";

impl Client {
    pub(super) fn new(number: ClientNumber, user: usize, seed: u64, world: Arc<World>) -> Self {
        let stream = 100 + 2 * number.0 as u64;
        let (draw, reader_draw) = (Draw::new(seed, stream), Draw::new(seed, stream + 1));
        Self { number, user, world, mind: Arc::new(Mind::new(number)), draw, reader_draw }
    }

    pub(super) fn mind(&self) -> Arc<Mind> {
        Arc::clone(&self.mind)
    }

    /// Lives until the run is over.
    pub(super) async fn run(mut self) {
        loop {
            let stays_away = |phase: &Phase| match phase {
                Phase::Acting(_) => false,
                Phase::Calm(absent) | Phase::Telling(absent) => absent.contains(&self.user),
                Phase::Over => true,
            };
            let now = self.world.phase.now();
            if now == Phase::Over {
                return;
            }
            if stays_away(&now) {
                self.world.phase.until(|phase| *phase != now).await;
                continue;
            }
            if let Some((node, entered)) = self.come_in().await {
                self.live(&node, &*entered.connection).await;
                self.mind.goes_offline();
                self.world.record.put(What::Vanished(self.number));
            }
        }
    }

    /// Tries to get in once.
    async fn come_in(&mut self) -> Option<(Node, Entered)> {
        let number = NodeNumber(self.draw.below(self.world.settings.nodes));
        let entrance = self.entrance();
        let (Some(node), Some(entrance)) = (self.world.nodes.running(number), entrance) else {
            tokio::time::sleep(self.draw.millis(20, 200)).await;
            return None;
        };
        let entering = tokio::time::timeout(PATIENCE, self.world.access.enter(&node.engine, entrance));
        let entered = tokio::select! {
            biased;
            () = node.life.over() => None,
            entered = entering => entered.ok(),
        };
        match entered {
            Some(Ok(entered)) => {
                let Entered { user, device, token, .. } = entered;
                self.mind.comes_online(user, device, token);
                self.world.directory.put_user(self.user, user);
                self.world.record.put(What::Entered { client: self.number, node: number, user, device });
                Some((node, entered))
            }
            failed => {
                if failed.and_then(Result::err).is_some_and(|e| e.kind() == ErrorKind::Unauthenticated) {
                    self.mind.forgets_device();
                }
                tokio::time::sleep(self.draw.millis(50, 500)).await;
                None
            }
        }
    }

    /// How it comes in now: the first client of a user registers, others wait for that.
    fn entrance(&mut self) -> Option<Entrance> {
        if let Some(token) = self.mind.token() {
            return Some(Entrance::Login(Credentials::Token(token)));
        }
        let name = AccountName::parse(&format!("user{}", self.user + 1)).expect("a name");
        let (password, device_label) = (Password::new(PASSWORD), self.number.to_string());
        if self.world.directory.user(self.user).is_some() {
            return Some(Entrance::Login(Credentials::Password { name, password, device_label }));
        }
        let first = self.number.0.is_multiple_of(self.world.settings.clients_per_user);
        let client_id = ClientId((self.user as u128 + 1).to_be_bytes());
        let register = Register { client_id, name, display_name: None, password, device_label };
        first.then_some(Entrance::Register(register))
    }

    /// What it does while it is connected.
    async fn live(&mut self, node: &Node, connection: &dyn Connection) -> Leaving {
        let (world, mind) = (&*self.world, &*self.mind);
        let mut reader = Reader::new(world, mind, connection, &mut self.reader_draw);
        let mut writer = Writer { world, mind, connection, draw: &mut self.draw, user: self.user };
        tokio::select! {
            biased;
            () = node.life.over() => Leaving::Lost,
            () = reader.run() => Leaving::Lost,
            leaving = writer.run() => leaving,
        }
    }
}
