//! The commands of a client, one for each of a session's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chat_core::{
    AccountName, ClientId, Contact, ContactAction, ConversationId, ConversationState, CreateGroup, DeviceId,
    DeviceInfo, DisplayName, Entry, GroupAction, GroupCard, GroupCreated, GroupId, GroupMember, Handle,
    History, LeftMessages, Password, Profile, Range, Receipt, Send, Seq, Standing, Sync, SyncPage, UserId,
};
use tokio::sync::oneshot;

use super::error::ClientError;
use super::handle::Client;
use crate::message::{Reply, Request};

/// Takes the variant that answers a request out of its reply.
macro_rules! expect_reply {
    ($reply:expr, $pattern:pat => $value:expr) => {
        match $reply {
            $pattern => Ok($value),
            _ => Err(ClientError::protocol("an answer that does not fit its request")),
        }
    };
}

/// A send that has its place in the order of sends; resolves once it is durable.
#[must_use = "a send that nobody awaits tells nobody whether it succeeded"]
#[derive(Debug)]
pub struct PendingSend {
    answered: oneshot::Receiver<Result<Reply, ClientError>>,
}

impl Future for PendingSend {
    type Output = Result<Receipt, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answered).poll(cx)).unwrap_or(Err(ClientError::Closed));
        Poll::Ready(answer.and_then(|reply| expect_reply!(reply, Reply::Receipt(receipt) => receipt)))
    }
}

/// Conversations.
///
/// Every command fails with the server's refusal, with [`ClientError::TimedOut`], or with
/// [`ClientError::Closed`].
impl Client {
    /// Writes into a conversation; resolves once it is durable. Sends take effect in the order in
    /// which their futures were first polled. One that the server had no room for at first is repeated
    /// and comes after those that it took meanwhile.
    ///
    /// # Errors
    /// As for every command.
    pub async fn send(&self, send: Send) -> Result<Receipt, ClientError> {
        self.begin_send(send).await?.await
    }

    /// Gives a send its place in the order of sends. The result awaits that it is durable, so that
    /// many can be on their way at once.
    ///
    /// # Errors
    /// As for every command.
    pub async fn begin_send(&self, send: Send) -> Result<PendingSend, ClientError> {
        Ok(PendingSend { answered: self.submit(Request::Send(send)).await? })
    }

    /// Reads one page of what changed in all conversations. The client does so by itself after each
    /// log-in; this is for applications that list conversations.
    ///
    /// # Errors
    /// As for every command.
    pub async fn sync(&self, sync: &Sync) -> Result<SyncPage, ClientError> {
        expect_reply!(self.ask(Request::Sync(sync.clone())).await?, Reply::SyncPage(page) => page)
    }

    /// Reads a part of a log.
    ///
    /// # Errors
    /// As for every command.
    pub async fn entries(
        &self,
        conversation: ConversationId,
        range: &Range,
    ) -> Result<Vec<Entry>, ClientError> {
        let request = Request::Entries { conversation, range: *range };
        expect_reply!(self.ask(request).await?, Reply::Entries(entries) => entries)
    }

    /// Reads a part of a log by messages.
    ///
    /// # Errors
    /// As for every command.
    pub async fn history(&self, conversation: ConversationId, range: &Range) -> Result<History, ClientError> {
        let request = Request::History { conversation, range: *range };
        expect_reply!(self.ask(request).await?, Reply::History(history) => history)
    }

    /// Asks how a conversation stands.
    ///
    /// # Errors
    /// As for every command.
    pub async fn conversation(&self, conversation: ConversationId) -> Result<ConversationState, ClientError> {
        let request = Request::Conversation(conversation);
        expect_reply!(self.ask(request).await?, Reply::Conversation(state) => *state)
    }

    /// Moves the own read cursor forward.
    ///
    /// # Errors
    /// As for every command.
    pub async fn mark_read(&self, conversation: ConversationId, seq: Seq) -> Result<(), ClientError> {
        self.done(Request::MarkRead { conversation, seq }).await
    }

    /// Says what has reached this device. The client does so by itself for entries that it delivered.
    ///
    /// # Errors
    /// As for every command.
    pub async fn mark_delivered(&self, positions: &[(ConversationId, Seq)]) -> Result<(), ClientError> {
        self.done(Request::MarkDelivered(positions.to_vec())).await
    }

    /// Tells the others that the user is typing. Not repeated when the connection breaks.
    ///
    /// # Errors
    /// As for every command.
    pub async fn typing(&self, conversation: ConversationId) -> Result<(), ClientError> {
        self.done(Request::Typing(conversation)).await
    }

    async fn done(&self, request: Request) -> Result<(), ClientError> {
        expect_reply!(self.ask(request).await?, Reply::Done => ())
    }

    async fn receipt(&self, request: Request) -> Result<Receipt, ClientError> {
        expect_reply!(self.ask(request).await?, Reply::Receipt(receipt) => receipt)
    }
}

/// The account and its devices.
impl Client {
    /// Voids the device's token and ends the client.
    ///
    /// # Errors
    /// As for every command.
    pub async fn log_out(&self, id: ClientId) -> Result<(), ClientError> {
        self.done(Request::LogOut(id)).await
    }

    /// Changes the password.
    ///
    /// # Errors
    /// As for every command.
    pub async fn change_password(
        &self,
        id: ClientId,
        current: Password,
        new: Password,
    ) -> Result<Receipt, ClientError> {
        self.receipt(Request::ChangePassword { client_id: id, current, new }).await
    }

    /// Changes the name shown.
    ///
    /// # Errors
    /// As for every command.
    pub async fn change_display_name(&self, id: ClientId, name: DisplayName) -> Result<Receipt, ClientError> {
        self.receipt(Request::ChangeDisplayName { client_id: id, name }).await
    }

    /// Deletes the account and ends the client.
    ///
    /// # Errors
    /// As for every command.
    pub async fn delete_account(
        &self,
        id: ClientId,
        password: Password,
        left: LeftMessages,
    ) -> Result<(), ClientError> {
        self.done(Request::DeleteAccount { client_id: id, password, left }).await
    }

    /// Lists the own devices.
    ///
    /// # Errors
    /// As for every command.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, ClientError> {
        expect_reply!(self.ask(Request::Devices).await?, Reply::Devices(devices) => devices)
    }

    /// Voids another device's token and ends its session.
    ///
    /// # Errors
    /// As for every command.
    pub async fn revoke_device(&self, id: ClientId, device: DeviceId) -> Result<Receipt, ClientError> {
        self.receipt(Request::RevokeDevice { client_id: id, device }).await
    }

    /// Finds a user by the account's name.
    ///
    /// # Errors
    /// As for every command.
    pub async fn find_user(&self, name: &AccountName) -> Result<Profile, ClientError> {
        expect_reply!(self.ask(Request::FindUser(name.clone())).await?, Reply::Profile(profile) => profile)
    }

    /// What everyone may know of these users, in the order asked for.
    ///
    /// # Errors
    /// As for every command.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<Option<Profile>>, ClientError> {
        expect_reply!(self.ask(Request::Profiles(users.to_vec())).await?, Reply::Profiles(found) => found)
    }
}

/// Contacts and groups.
impl Client {
    /// Does something about another user.
    ///
    /// # Errors
    /// As for every command.
    pub async fn contact(
        &self,
        id: ClientId,
        user: UserId,
        action: ContactAction,
    ) -> Result<Receipt, ClientError> {
        self.receipt(Request::Contact { client_id: id, user, action }).await
    }

    /// Lists contacts, requests and blocks; the next page comes after the last user of this one.
    ///
    /// # Errors
    /// As for every command.
    pub async fn contacts(&self, after: Option<UserId>, limit: usize) -> Result<Vec<Contact>, ClientError> {
        let request = Request::Contacts { after, limit };
        expect_reply!(self.ask(request).await?, Reply::Contacts(contacts) => contacts)
    }

    /// Creates a group.
    ///
    /// # Errors
    /// As for every command.
    pub async fn create_group(&self, create: CreateGroup) -> Result<GroupCreated, ClientError> {
        expect_reply!(self.ask(Request::CreateGroup(create)).await?, Reply::GroupCreated(created) => created)
    }

    /// Finds a group by its handle.
    ///
    /// # Errors
    /// As for every command.
    pub async fn find_group(&self, handle: &Handle) -> Result<GroupCard, ClientError> {
        expect_reply!(self.ask(Request::FindGroup(handle.clone())).await?, Reply::GroupCard(card) => card)
    }

    /// Does something in or about a group.
    ///
    /// # Errors
    /// As for every command.
    pub async fn group(
        &self,
        id: ClientId,
        group: GroupId,
        action: GroupAction,
    ) -> Result<Receipt, ClientError> {
        self.receipt(Request::Group { client_id: id, group, action }).await
    }

    /// Lists a group's members, or with a standing who asks or is invited; the next page comes after
    /// the last member of this one.
    ///
    /// # Errors
    /// As for every command.
    pub async fn roster(
        &self,
        group: GroupId,
        standing: Option<Standing>,
        after: Option<(Seq, UserId)>,
        limit: usize,
    ) -> Result<Vec<GroupMember>, ClientError> {
        let request = Request::Roster { group, standing, after, limit };
        expect_reply!(self.ask(request).await?, Reply::Roster(members) => members)
    }
}
