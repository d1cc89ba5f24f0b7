//! Registering and logging in: who comes in, on which device, and what that does to the others.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::committer::store_error;
use super::config::DevicePolicy;
use super::passwords::Passwords;
use super::session::{self, Events, Session};
use super::{Core, Engine, inbox_once};
use crate::bus::Origin;
use crate::store::{Append, Digest, Item, Outcome, Precondition, SeqRef, StandingChange, Write};
use crate::{
    Account, AccountName, Attachment, ClientId, Content, ConversationId, Credentials, Device, DeviceEvent,
    DeviceId, DisplayName, Error, ErrorKind, Password, Register, Standing, Token, TokenHash, UserId,
};

/// A device that has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// What it can do.
    pub session: Session,
    /// What it hears.
    pub events: Events,
    /// What it logs in with from now on, when it is a new device.
    pub token: Option<Token>,
}

/// So many devices of a user keep their tokens where only one may be online.
const KEPT_DEVICES: usize = 16;

/// So often a log-in is decided again when others change the account's devices.
const ATTEMPTS: usize = 32;

impl Engine {
    /// Creates an account and logs its first device in. Repeated with the same client id, name and
    /// password it logs in.
    ///
    /// # Errors
    /// [`ErrorKind::Taken`] when the name belongs to somebody, [`ErrorKind::Invalid`] for a password
    /// or label out of bounds.
    ///
    /// # Cancel safety
    /// A dropped future may have created the account.
    pub async fn register(&self, register: Register) -> Result<LoggedIn, Error> {
        self.core.count_refused(self.register_uncounted(register).await)
    }

    async fn register_uncounted(&self, register: Register) -> Result<LoggedIn, Error> {
        Passwords::check_new(&register.password)?;
        check_label(&register.device_label)?;
        let core = &self.core;
        let hash = core.passwords.hash(&register.password).await?;
        let digest = registration_digest(&register);
        let display_name =
            register.display_name.clone().unwrap_or_else(|| DisplayName::from_stored(register.name.as_str()));
        for _ in 0..ATTEMPTS {
            let new = NewDevice::draw(core, &register.device_label);
            let user = UserId::from_random(core.environment.random.number());
            let account = Account {
                user,
                name: register.name.clone(),
                display_name: display_name.clone(),
                password_hash: Some(hash.clone()),
                created: core.now(),
                deleted: None,
            };
            let mut item = creation(account, new.row(core, user));
            item.once = Some((inbox_once(register.client_id, user), digest));
            match core.commit(&ConversationId::Inbox(user), item).await? {
                Outcome::Committed(_) => return new.begin(core, user).await,
                Outcome::Taken => return self.register_again(register, digest).await,
                _ => {}
            }
        }
        Err(busy())
    }

    /// The name is taken: by this very registration, or by somebody else.
    async fn register_again(&self, register: Register, digest: Digest) -> Result<LoggedIn, Error> {
        let taken = || Error::new(ErrorKind::Taken, "the name is taken");
        let account = self.core.account_named(&register.name).await?.ok_or_else(taken)?;
        let once = inbox_once(register.client_id, account.user);
        let recorded = self.core.store.recorded(&[once]).await.map_err(|error| store_error(&error))?;
        let same = recorded.into_iter().flatten().any(|stored| stored.digest == digest);
        if !same || account.deleted.is_some() {
            return Err(taken());
        }
        if !self.core.passwords.verify(&register.password, account.password_hash).await? {
            return Err(taken());
        }
        new_device(&self.core, account.user, &register.device_label).await
    }

    /// Logs a device in: by password a new one, by token a known one.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a wrong name, password or token, whichever it is;
    /// [`ErrorKind::AlreadyOnline`] and [`ErrorKind::LimitReached`] as the device policy has it.
    ///
    /// # Cancel safety
    /// A dropped future may have added a device.
    pub async fn login(&self, credentials: Credentials) -> Result<LoggedIn, Error> {
        self.core.count_refused(self.login_uncounted(credentials).await)
    }

    async fn login_uncounted(&self, credentials: Credentials) -> Result<LoggedIn, Error> {
        let core = &self.core;
        match credentials {
            Credentials::Password { name, password, device_label } => {
                check_label(&device_label)?;
                let user = verify(core, &name, &password).await?;
                new_device(core, user, &device_label).await
            }
            Credentials::Token(token) => known_device(core, &token).await,
            Credentials::External { secret, device_label } => {
                check_label(&device_label)?;
                let authenticator = core.authenticator.as_ref().ok_or_else(|| {
                    Error::invalid("this installation admits nobody by external credentials")
                })?;
                let identity = authenticator.authenticate(&secret).await?;
                let user = find_or_create(core, &identity.name, identity.display_name).await?;
                new_device(core, user, &device_label).await
            }
        }
    }
}

impl Core {
    pub(super) fn now(&self) -> crate::Timestamp {
        self.environment.clock.now()
    }

    /// The sessions that are about to begin; held for one look.
    fn arriving(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn account_named(&self, name: &AccountName) -> Result<Option<Account>, Error> {
        self.store.account_named(name).await.map_err(|error| store_error(&error))
    }

    /// Whether a slot's session still exists. One of an earlier run of this node does not; one of
    /// another node is believed until that node is known to be dead.
    pub(super) fn is_live(&self, user: UserId, slot: &Attachment) -> bool {
        if *slot.node != *self.origin.node {
            let node = Origin { node: (*slot.node).into(), boot: slot.boot };
            return !self.presence.is_over(&node);
        }
        // In this order: a session is in the hub before it has arrived.
        slot.boot == self.origin.boot
            && (self.arriving().contains(&slot.session)
                || self.hub.sessions(user).iter().any(|session| session.session == slot.session))
    }
}

/// A slot on its way into the store. It counts as live until its session has begun or come to nothing:
/// a rival that finds it stored would otherwise see nobody behind it and be admitted, too.
struct Arriving {
    core: Arc<Core>,
    slot: Attachment,
}

impl Arriving {
    fn draw(core: &Arc<Core>) -> Self {
        let session = core.draw_session();
        core.arriving().insert(session);
        let slot = Attachment { node: (*core.origin.node).into(), boot: core.origin.boot, session };
        Self { core: Arc::clone(core), slot }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.core.arriving().remove(&self.slot.session);
    }
}

/// A device that is not stored yet, and the token that only it will know.
struct NewDevice {
    id: DeviceId,
    token: Token,
    arriving: Arriving,
    label: String,
}

impl NewDevice {
    fn draw(core: &Arc<Core>, label: &str) -> Self {
        Self {
            id: DeviceId::from_random(core.environment.random.number()),
            token: Token(core.environment.random.bytes()),
            arriving: Arriving::draw(core),
            label: label.to_owned(),
        }
    }

    fn row(&self, core: &Core, user: UserId) -> Device {
        let now = core.now();
        Device {
            id: self.id,
            user,
            label: self.label.clone(),
            token_hash: hash(&self.token),
            created: now,
            last_seen: now,
            attached: Some(self.arriving.slot.clone()),
        }
    }

    async fn begin(self, core: &Arc<Core>, user: UserId) -> Result<LoggedIn, Error> {
        let slot = self.arriving.slot.clone();
        let (session, events) = session::begin(core, user, self.id, &hash(&self.token), slot).await?;
        Ok(LoggedIn { session, events, token: Some(self.token) })
    }
}

async fn verify(core: &Core, name: &AccountName, password: &Password) -> Result<UserId, Error> {
    let account = core.account_named(name).await?.filter(|account| account.deleted.is_none());
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = core.passwords.verify(password, hash).await?;
    match account {
        Some(account) if right => Ok(account.user),
        _ => Err(unauthenticated("wrong name or password")),
    }
}

async fn find_or_create(
    core: &Core,
    name: &AccountName,
    display_name: Option<DisplayName>,
) -> Result<UserId, Error> {
    for _ in 0..ATTEMPTS {
        if let Some(account) = core.account_named(name).await? {
            return match account.deleted {
                None => Ok(account.user),
                Some(_) => Err(unauthenticated("the account was deleted")),
            };
        }
        let user = UserId::from_random(core.environment.random.number());
        let account = Account {
            user,
            name: name.clone(),
            display_name: display_name.clone().unwrap_or_else(|| DisplayName::from_stored(name.as_str())),
            password_hash: None,
            created: core.now(),
            deleted: None,
        };
        let mut item = account_item(account);
        let id = ClientId(core.environment.random.bytes());
        item.once = Some((inbox_once(id, user), Digest::of(&[b"external"])));
        if let Outcome::Committed(_) = core.commit(&ConversationId::Inbox(user), item).await? {
            return Ok(user);
        }
    }
    Err(busy())
}

/// Adds a device to an account, as far as the policy lets it.
async fn new_device(core: &Arc<Core>, user: UserId, label: &str) -> Result<LoggedIn, Error> {
    let inbox = ConversationId::Inbox(user);
    for _ in 0..ATTEMPTS {
        let rules = core.rules_seq(&[inbox]).await?;
        let devices = core.store.devices(user).await.map_err(|error| store_error(&error))?;
        let giving_way = give_way(core.config.devices, &devices, |slot| core.is_live(user, slot))?;
        let new = NewDevice::draw(core, label);
        let mut append = vec![device_notice(user, DeviceEvent::Added, new.id, label)];
        let mut write = evictions(core, &devices);
        for device in giving_way {
            append.push(device_notice(user, DeviceEvent::Replaced, device.id, &device.label));
            write.push(Write::DeleteDevice(device.id));
        }
        write.push(Write::PutDevice(new.row(core, user)));
        let require = vec![Precondition::Rules(inbox, rules[0])];
        let item = Item { once: None, require, append, write };
        if let Outcome::Committed(_) = core.commit(&inbox, item).await? {
            return new.begin(core, user).await;
        }
    }
    Err(busy())
}

/// Logs a known device in again.
async fn known_device(core: &Arc<Core>, token: &Token) -> Result<LoggedIn, Error> {
    let revoked = || unauthenticated("the token is not valid; log in with the password");
    let token_hash = hash(token);
    for _ in 0..ATTEMPTS {
        let device = core.store.device_with_token(&token_hash).await.map_err(|error| store_error(&error))?;
        let device = device.ok_or_else(revoked)?;
        let user = device.user;
        let inbox = ConversationId::Inbox(user);
        let arriving = Arriving::draw(core);
        let slot = arriving.slot.clone();
        let mut require = vec![Precondition::Slot(device.id, device.attached.clone())];
        let mut write = vec![Write::Attach { device: device.id, slot: Some(slot.clone()), now: core.now() }];
        let mut evicted = Vec::new();
        if core.config.devices == DevicePolicy::RefuseWhileOnline {
            // Two devices that log in at the same moment change the same rules: one is stale and
            // then sees the other.
            let rules = core.rules_seq(&[inbox]).await?;
            let devices = core.store.devices(user).await.map_err(|error| store_error(&error))?;
            let others: Vec<_> = devices.into_iter().filter(|other| other.id != device.id).collect();
            give_way(core.config.devices, &others, |slot| core.is_live(user, slot))?;
            require.push(Precondition::Rules(inbox, rules[0]));
            write.push(Write::RaiseRules(inbox));
            evicted = evictions(core, &others);
        }
        // A session that another node may still have hears so, and looks who has the slot.
        let elsewhere = device.attached.as_ref().is_some_and(|slot| *slot.node != *core.origin.node);
        let tell = elsewhere || !evicted.is_empty();
        write.append(&mut evicted);
        let append = tell
            .then(|| device_notice(user, DeviceEvent::Added, device.id, &device.label))
            .into_iter()
            .collect();
        let item = Item { require, append, write, ..Item::default() };
        if let Outcome::Committed(_) = core.commit(&inbox, item).await? {
            let (session, events) = session::begin(core, user, device.id, &token_hash, slot).await?;
            return Ok(LoggedIn { session, events, token: None });
        }
    }
    Err(busy())
}

/// Takes the slots that dead nodes hold, where only one device may be online. A node that was taken
/// for dead and lives (it was frozen, or cut off from the bus) finds that out from the inbox, and
/// ends its session: two are never online for longer than that takes.
fn evictions(core: &Core, devices: &[Device]) -> Vec<Write> {
    if core.config.devices != DevicePolicy::RefuseWhileOnline {
        return Vec::new();
    }
    let elsewhere = |slot: &Attachment| *slot.node != *core.origin.node;
    let evicted = devices.iter().filter(|device| device.attached.as_ref().is_some_and(elsewhere));
    evicted.map(|device| Write::Attach { device: device.id, slot: None, now: device.last_seen }).collect()
}

/// Which devices give way to a new one.
fn give_way(
    policy: DevicePolicy,
    devices: &[Device],
    is_live: impl Fn(&Attachment) -> bool,
) -> Result<Vec<&Device>, Error> {
    let online = |device: &&Device| device.attached.as_ref().is_some_and(&is_live);
    match policy {
        DevicePolicy::NewestOnly => Ok(devices.iter().collect()),
        DevicePolicy::RefuseWhileOnline if devices.iter().any(|device| online(&device)) => {
            Err(Error::new(ErrorKind::AlreadyOnline, "the account is in use on another device"))
        }
        DevicePolicy::RefuseWhileOnline => {
            give_way(DevicePolicy::Several { limit: KEPT_DEVICES }, devices, is_live)
        }
        DevicePolicy::Several { limit } if devices.len() < limit.max(1) => Ok(Vec::new()),
        DevicePolicy::Several { .. } => {
            let idle = devices.iter().filter(|device| !online(device)).min_by_key(|device| device.last_seen);
            idle.map(|device| vec![device]).ok_or_else(|| {
                Error::new(ErrorKind::LimitReached, "too many devices are online; log one out first")
            })
        }
    }
}

/// The account, its inbox and its first device.
fn creation(account: Account, device: Device) -> Item {
    let mut item = account_item(account);
    item.append.push(device_notice(device.user, DeviceEvent::Added, device.id, &device.label));
    item.write.push(Write::PutDevice(device));
    item
}

fn account_item(account: Account) -> Item {
    let user = account.user;
    let inbox = ConversationId::Inbox(user);
    let place = StandingChange {
        standing: Some(Standing::Member),
        joined: Some(SeqRef::At(0)),
        ..StandingChange::of(inbox, user)
    };
    Item {
        once: None,
        require: vec![Precondition::NameFree(account.name.clone()), Precondition::UserFree(user)],
        append: vec![notice(user, user, &Content::AccountCreated, Rules::Change)],
        write: vec![Write::PutAccount(account), Write::Standing(place)],
    }
}

fn device_notice(user: UserId, event: DeviceEvent, device: DeviceId, label: &str) -> Append {
    let content = Content::Device { event, device, label: label.to_owned() };
    notice(user, user, &content, Rules::Change)
}

/// Whether an entry changes who may do what where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Change,
    Stay,
}

/// An entry in the inbox of `user`.
pub(super) fn notice(user: UserId, sender: UserId, content: &Content, rules: Rules) -> Append {
    entry(ConversationId::Inbox(user), sender, content, rules)
}

/// An entry that is no message.
pub(super) fn entry(at: ConversationId, sender: UserId, content: &Content, rules: Rules) -> Append {
    Append {
        conversation: at,
        sender,
        kind: content.kind().expect("contents that are written have a kind"),
        countable: false,
        target: None,
        content: content.encode(),
        changes_rules: rules == Rules::Change,
    }
}

fn hash(token: &Token) -> TokenHash {
    TokenHash(Sha256::digest(token.0).into())
}

fn registration_digest(register: &Register) -> Digest {
    let display_name = register.display_name.as_ref().map_or("", DisplayName::as_str);
    Digest::of(&[b"register", register.name.as_str().as_bytes(), display_name.as_bytes()])
}

fn check_label(label: &str) -> Result<(), Error> {
    if label.len() > Device::LABEL_LIMIT_BYTES || label.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the device label must have at most {} bytes and no control characters",
            Device::LABEL_LIMIT_BYTES
        )));
    }
    Ok(())
}

fn unauthenticated(message: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message)
}

fn busy() -> Error {
    Error::new(ErrorKind::Overloaded, "too many log-ins at the same time")
        .retry_after(std::time::Duration::from_millis(500))
}
