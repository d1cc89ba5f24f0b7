//! The connection to the server together with what the profile remembers.

use std::time::Duration;

use chat_core::{
    Contact, Content, ConversationId, ConversationState, Credentials, DeviceId, EndReason, Entry, Error,
    ErrorKind, GroupId, Register, Sync, UserId,
};
use chat_proto::client::{Account, Client, ClientConfig, ClientError, ClientEvents};

use crate::address::{Address, GroupAddress, UserAddress};
use crate::failure::Failure;
use crate::names::{self, Names};
use crate::profile::{Identity, Profile};
use crate::render::Reader;
use crate::sanitise::Breaks;

const DEFAULT_SERVER: &str = "127.0.0.1:6060";

/// Most profiles asked for at once, and conversations of one page of a sync.
const PAGE: usize = 200;

/// How long a clean end of the connection may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A user at their desk: logged in, with what the profile remembers.
pub(crate) struct Chat {
    client: Client,
    server: String,
    me: UserId,
    /// The profile that is used.
    pub(crate) profile: Profile,
}

/// How somebody comes in who has no token yet.
pub(crate) enum Entrance {
    /// With a new account.
    Register(Register),
    /// With a password.
    LogIn(Credentials),
}

impl Chat {
    /// Comes in with the token that the profile holds; a failure gives the profile back.
    pub(crate) async fn resume(
        profile: Profile,
        server: Option<&str>,
    ) -> Result<(Self, ClientEvents), (Profile, Failure)> {
        let resumption = match Resumption::of(&profile, server) {
            Ok(resumption) => resumption,
            Err(failure) => return Err((profile, failure)),
        };
        let Resumption { server, me, config } = resumption;
        match Client::connect(config).await {
            Ok((client, events)) => Ok((Self { client, server, me, profile }, events)),
            Err(error) => Err((profile, failure(error, &server))),
        }
    }

    /// Comes in as somebody; the profile is theirs from then on. A failure gives it back.
    pub(crate) async fn enter(
        mut profile: Profile,
        server: Option<&str>,
        entrance: impl FnOnce(&Client) -> Entrance,
    ) -> Result<(Self, ClientEvents), (Profile, Failure)> {
        let known = profile.identity().map(|identity| identity.server.clone());
        let server = server.map(str::to_owned).or(known).unwrap_or_else(|| DEFAULT_SERVER.into());
        let entered = async {
            let connected = Client::connect(ClientConfig::new(server.clone())).await;
            let (client, events) = connected.map_err(|error| failure(error, &server))?;
            let account = match entrance(&client) {
                Entrance::Register(register) => client.register(register).await,
                Entrance::LogIn(credentials) => client.login(credentials).await,
            };
            let account = account.map_err(|error| failure(error, &server))?;
            Ok((client, events, account))
        };
        let (client, events, account) = match entered.await {
            Ok(entered) => entered,
            Err(failure) => return Err((profile, failure)),
        };
        let older = device_left(&profile, &server, &account);
        if let Err(failure) = begin(&mut profile, &server, &account) {
            return Err((profile, failure));
        }
        if let Some(older) = older {
            // One that stays for want of an answer can be revoked by hand.
            let _ = client.revoke_device(client.new_id(), older).await;
        }
        Ok((Self { client, server, me: account.user, profile }, events))
    }

    /// The connection.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Who is logged in.
    pub(crate) fn me(&self) -> UserId {
        self.me
    }

    /// What users and groups are called.
    pub(crate) fn names(&self) -> &Names {
        &self.profile.state.names
    }

    /// How entries are put into words here.
    pub(crate) fn reader(&self, breaks: Breaks) -> Reader<'_> {
        Reader { names: self.names(), me: self.me, breaks }
    }

    /// What a client error means here.
    pub(crate) fn failure(&self, error: ClientError) -> Failure {
        failure(error, &self.server)
    }

    /// What the end of the session means here.
    pub(crate) fn ended(&self, reason: EndReason) -> Failure {
        let reason = match reason {
            EndReason::LoggedOut => "this device was logged out: log in again",
            EndReason::Superseded => "this device is connected from somewhere else, which ended this session",
            EndReason::Device(_) => "this device may no longer log in without the password: log in again",
            EndReason::AccountDeleted => "the account was deleted",
            _ => "the session has ended",
        };
        Failure::Refused(Error::new(ErrorKind::Ended, reason))
    }

    /// What it means that no more events come.
    pub(crate) fn lost(&self) -> Failure {
        Failure::Unreachable { server: self.server.clone(), reason: "the connection has ended".into() }
    }

    /// The server's history is another one than it was: nothing of it was shown yet.
    pub(crate) fn start_over(&mut self) {
        if let Some(epoch) = self.client.epoch() {
            self.profile.state.enter(epoch);
        }
    }

    /// Ends the connection and keeps what was learned; gives the profile back.
    pub(crate) async fn leave(self) -> Result<Profile, Failure> {
        let saved = self.profile.save();
        // A server that does not answer keeps nobody here.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.client.close()).await;
        saved.map(|()| self.profile)
    }

    /// The conversation that an address names.
    pub(crate) async fn conversation(&mut self, address: &Address) -> Result<ConversationId, Failure> {
        match address {
            Address::User(name) => {
                let user = self.user(&UserAddress(name.clone())).await?;
                ConversationId::direct(self.me, user).ok_or_else(|| {
                    Failure::Usage("that is you: there is no conversation with oneself".into())
                })
            }
            Address::Group(group) => self.group(group).await.map(ConversationId::Group),
            Address::Inbox => Ok(ConversationId::Inbox(self.me)),
        }
    }

    /// The user whom an address names.
    pub(crate) async fn user(&mut self, UserAddress(name): &UserAddress) -> Result<UserId, Failure> {
        if let Some(user) = self.names().user_named(name.as_str()) {
            return Ok(user);
        }
        let found = self.client.find_user(name).await.map_err(|error| self.failure(error))?;
        self.profile.state.names.learn_user(&found);
        Ok(found.user)
    }

    /// The users whom addresses name.
    pub(crate) async fn users(&mut self, addresses: &[UserAddress]) -> Result<Vec<UserId>, Failure> {
        let mut users = Vec::with_capacity(addresses.len());
        for address in addresses {
            users.push(self.user(address).await?);
        }
        Ok(users)
    }

    /// The group that an address names. A handle is asked for each time: unlike a user's name it can
    /// pass to another group, when its own was dissolved.
    pub(crate) async fn group(&mut self, address: &GroupAddress) -> Result<GroupId, Failure> {
        let handle = match address {
            GroupAddress::Id(group) => return Ok(*group),
            GroupAddress::Handle(handle) => handle,
        };
        let card = self.client.find_group(handle).await.map_err(|error| self.failure(error))?;
        self.profile.state.names.learn_card(&card);
        Ok(card.group)
    }

    /// How a conversation stands.
    pub(crate) async fn state(&mut self, conversation: ConversationId) -> Result<ConversationState, Failure> {
        let state = self.client.conversation(conversation).await.map_err(|error| self.failure(error))?;
        self.learn_state(&state);
        Ok(state)
    }

    /// How all conversations stand, with the names of all who are in direct ones.
    pub(crate) async fn states(&mut self) -> Result<Vec<ConversationState>, Failure> {
        let mut states = Vec::new();
        let mut after = None;
        loop {
            let page = Sync { cursors: vec![], after, until: None, limit: PAGE, entries_limit: 1 };
            let page = self.client.sync(&page).await.map_err(|error| self.failure(error))?;
            states.extend(page.conversations.into_iter().map(|synced| synced.state));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        states.iter().for_each(|state| self.learn_state(state));
        let peers = states.iter().filter_map(|state| self.peer(state.conversation)).collect();
        self.learn_users(peers).await?;
        Ok(states)
    }

    /// All contacts, requests and blocks.
    pub(crate) async fn contacts(&self) -> Result<Vec<Contact>, Failure> {
        let mut contacts: Vec<Contact> = Vec::new();
        loop {
            let after = contacts.last().map(|contact| contact.profile.user);
            let page = self.client.contacts(after, PAGE).await.map_err(|error| self.failure(error))?;
            if page.is_empty() {
                return Ok(contacts);
            }
            contacts.extend(page);
        }
    }

    /// Remembers what a conversation's state says about names.
    pub(crate) fn learn_state(&mut self, state: &ConversationState) {
        if let Some(group) = &state.group {
            self.profile.state.names.learn_group(group);
        }
    }

    /// Sees to it that everyone of whom these entries speak has a name.
    pub(crate) async fn learn_entries<'a>(
        &mut self,
        conversation: ConversationId,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<(), Failure> {
        let mut users = Vec::new();
        for entry in entries {
            users.extend(names::users_of(conversation, entry));
            let content = entry.decode_content().unwrap_or(Content::Redacted);
            self.profile.state.names.learn_entry(conversation, &content);
        }
        if let ConversationId::Group(group) = conversation
            && self.names().group(group).is_none()
        {
            self.state(conversation).await?;
        }
        self.learn_users(users).await
    }

    /// Sees to it that these users have names, as far as they have one.
    pub(crate) async fn learn_users(&mut self, mut users: Vec<UserId>) -> Result<(), Failure> {
        users.retain(|user| self.names().user(*user).is_none());
        users.sort_unstable();
        users.dedup();
        for page in users.chunks(PAGE) {
            let profiles = self.client.profiles(page).await.map_err(|error| self.failure(error))?;
            profiles.iter().flatten().for_each(|profile| self.profile.state.names.learn_user(profile));
        }
        Ok(())
    }

    fn peer(&self, conversation: ConversationId) -> Option<UserId> {
        match conversation {
            ConversationId::Direct(pair) => pair.peer_of(self.me),
            ConversationId::Group(_) | ConversationId::Inbox(_) => None,
        }
    }
}

/// What a profile says about how to come in again.
struct Resumption {
    server: String,
    me: UserId,
    config: ClientConfig,
}

impl Resumption {
    fn of(profile: &Profile, asked: Option<&str>) -> Result<Self, Failure> {
        let (Some(identity), Some(token)) = (profile.identity(), profile.token()) else {
            return Err(Failure::Usage(format!(
                "nobody is logged in with the profile `{}`: `chat-cli login NAME` or `chat-cli register NAME`",
                profile.name()
            )));
        };
        let server = identity.server.clone();
        if let Some(asked) = asked.filter(|asked| *asked != server) {
            return Err(Failure::Usage(format!(
                "the profile `{}` belongs to @{} on {server}; for {asked} use another --profile, or log in there \
                 with this one",
                profile.name(),
                identity.name,
            )));
        }
        let me = UserId::new(identity.user)
            .map_err(|_| Failure::Usage("the profile's account.json is damaged: log in again".into()))?;
        let mut config = ClientConfig::new(server.clone());
        config.token = Some(token);
        config.cursors = profile.state.cursors();
        config.epoch = profile.state.epoch();
        Ok(Self { server, me, config })
    }
}

/// The device that the same user was with this profile before: its token is about to be forgotten.
fn device_left(profile: &Profile, server: &str, account: &Account) -> Option<DeviceId> {
    let known = profile.identity()?;
    let same = known.server == server && known.user == account.user.number();
    let device = DeviceId::new(known.device).ok()?;
    (same && device != account.device).then_some(device)
}

fn begin(profile: &mut Profile, server: &str, account: &Account) -> Result<(), Failure> {
    let token = account.token.ok_or_else(|| {
        Failure::Usage("the server gave no token, so that this device cannot be remembered".into())
    })?;
    let identity = Identity::new(server, account.user, account.name.as_str(), account.device);
    profile.begin(identity, token, account.epoch)
}

fn failure(error: ClientError, server: &str) -> Failure {
    match error {
        ClientError::Refused(error) => Failure::Refused(error),
        ClientError::Unreachable { source } => {
            Failure::Unreachable { server: server.into(), reason: source.to_string() }
        }
        other => Failure::Unreachable { server: server.into(), reason: other.to_string() },
    }
}
