//! What a client asks for.

use chat_core::{
    Body, ContactAction, ConversationId, CreateGroup, Credentials, DisplayName, GroupAction, Handle,
    LeftMessages, Outgoing, Password, Range, Register, Send, Seq, Standing, Sync, UserId,
};

use super::account::device;
use super::group::{group_id, proposed_profile};
use super::login::account_name;
use super::{
    Malformed, Wire, client_id, count, optional_seq, position, seq, size, user, user_numbers, users,
    write_client_id,
};
use crate::message::{Hello, Request};
use crate::wire::client_frame::Request as Form;
use crate::wire::{self, group_request, send_request};

pub(crate) fn request_to_wire(request: &Request) -> Form {
    match request {
        Request::Hello(hello) => Form::Hello(hello.write()),
        Request::Register(register) => Form::Register(register.write()),
        Request::Login(credentials) => Form::Login(credentials.write()),
        Request::Ping => Form::Ping(wire::Ping {}),
        Request::Pong => Form::Pong(wire::Pong {}),
        Request::Send(send) => Form::Send(send.write()),
        Request::MarkRead { conversation, seq } => {
            Form::MarkRead(wire::MarkReadRequest { conversation: Some(conversation.write()), seq: *seq })
        }
        Request::MarkDelivered(positions) => Form::MarkDelivered(wire::MarkDeliveredRequest {
            positions: <(ConversationId, Seq)>::write_all(positions),
        }),
        Request::Typing(conversation) => {
            Form::Typing(wire::TypingRequest { conversation: Some(conversation.write()) })
        }
        Request::Sync(sync) => Form::Sync(sync.write()),
        Request::Entries { conversation, range } => Form::ReadEntries(wire::ReadEntriesRequest {
            conversation: Some(conversation.write()),
            range: Some(range.write()),
        }),
        Request::History { conversation, range } => Form::ReadHistory(wire::ReadHistoryRequest {
            conversation: Some(conversation.write()),
            range: Some(range.write()),
        }),
        Request::Conversation(conversation) => {
            Form::ReadConversation(wire::ReadConversationRequest { conversation: Some(conversation.write()) })
        }
        Request::LogOut(id) => Form::LogOut(wire::LogOutRequest { client_id: write_client_id(*id) }),
        Request::ChangePassword { client_id, current, new } => {
            Form::ChangePassword(wire::ChangePasswordRequest {
                client_id: write_client_id(*client_id),
                current: current.expose().into(),
                new: new.expose().into(),
            })
        }
        Request::ChangeDisplayName { client_id, name } => {
            Form::ChangeDisplayName(wire::ChangeDisplayNameRequest {
                client_id: write_client_id(*client_id),
                display_name: name.as_str().into(),
            })
        }
        Request::DeleteAccount { client_id, password, left } => {
            Form::DeleteAccount(wire::DeleteAccountRequest {
                client_id: write_client_id(*client_id),
                password: password.expose().into(),
                left_messages: left.write(),
            })
        }
        Request::Devices => Form::ListDevices(wire::ListDevicesRequest {}),
        Request::RevokeDevice { client_id, device } => Form::RevokeDevice(wire::RevokeDeviceRequest {
            client_id: write_client_id(*client_id),
            device: device.number(),
        }),
        Request::FindUser(name) => Form::FindUser(wire::FindUserRequest { name: name.as_str().into() }),
        Request::Profiles(users) => {
            Form::ReadProfiles(wire::ReadProfilesRequest { users: user_numbers(users) })
        }
        Request::Contact { client_id, user, action } => Form::Contact(wire::ContactRequest {
            client_id: write_client_id(*client_id),
            user: user.number(),
            action: contact_action_number(action).into(),
            note: match action {
                ContactAction::Request { note } => note.clone(),
                _ => String::new(),
            },
        }),
        Request::Contacts { after, limit } => Form::ListContacts(wire::ListContactsRequest {
            after: after.map_or(0, UserId::number),
            limit: count(*limit),
        }),
        Request::CreateGroup(create) => Form::CreateGroup(create.write()),
        Request::FindGroup(handle) => {
            Form::FindGroup(wire::FindGroupRequest { handle: handle.as_str().into() })
        }
        Request::Group { client_id, group, action } => Form::Group(wire::GroupRequest {
            client_id: write_client_id(*client_id),
            group: group.number(),
            action: Some(action.write()),
        }),
        Request::Roster { group, standing, after, limit } => Form::ListRoster(wire::ListRosterRequest {
            group: group.number(),
            standing: standing.as_ref().map_or(0, Standing::write),
            after: after.map(|(joined_seq, user)| wire::RosterPosition { joined_seq, user: user.number() }),
            limit: count(*limit),
        }),
    }
}

pub(crate) fn request_from_wire(form: Option<Form>) -> Result<Request, Malformed> {
    let form = form.ok_or_else(|| Malformed::new("request", "none that this version knows"))?;
    let conversation = |form| ConversationId::required("conversation", form);
    Ok(match form {
        Form::Hello(form) => Request::Hello(Hello::read(form)?),
        Form::Register(form) => Request::Register(Register::read(form)?),
        Form::Login(form) => Request::Login(Credentials::read(form)?),
        Form::Ping(_) => Request::Ping,
        Form::Pong(_) => Request::Pong,
        Form::Send(form) => Request::Send(Send::read(form)?),
        Form::MarkRead(form) => Request::MarkRead {
            conversation: conversation(form.conversation)?,
            seq: position("seq", form.seq)?,
        },
        Form::MarkDelivered(form) => {
            Request::MarkDelivered(<(ConversationId, Seq)>::read_all(form.positions)?)
        }
        Form::Typing(form) => Request::Typing(conversation(form.conversation)?),
        Form::Sync(form) => Request::Sync(Sync::read(form)?),
        Form::ReadEntries(form) => Request::Entries {
            conversation: conversation(form.conversation)?,
            range: Range::required("range", form.range)?,
        },
        Form::ReadHistory(form) => Request::History {
            conversation: conversation(form.conversation)?,
            range: Range::required("range", form.range)?,
        },
        Form::ReadConversation(form) => Request::Conversation(conversation(form.conversation)?),
        Form::LogOut(form) => Request::LogOut(client_id(&form.client_id)?),
        Form::ChangePassword(form) => Request::ChangePassword {
            client_id: client_id(&form.client_id)?,
            current: Password::new(form.current),
            new: Password::new(form.new),
        },
        Form::ChangeDisplayName(form) => Request::ChangeDisplayName {
            client_id: client_id(&form.client_id)?,
            name: DisplayName::parse(&form.display_name).map_err(Malformed::at("display_name"))?,
        },
        Form::DeleteAccount(form) => Request::DeleteAccount {
            client_id: client_id(&form.client_id)?,
            password: Password::new(form.password),
            left: LeftMessages::read(form.left_messages)?,
        },
        Form::ListDevices(_) => Request::Devices,
        Form::RevokeDevice(form) => Request::RevokeDevice {
            client_id: client_id(&form.client_id)?,
            device: device("device", form.device)?,
        },
        Form::FindUser(form) => Request::FindUser(account_name("name", &form.name)?),
        Form::ReadProfiles(form) => Request::Profiles(users("users", form.users)?),
        Form::Contact(form) => Request::Contact {
            client_id: client_id(&form.client_id)?,
            user: user("user", form.user)?,
            action: contact_action(form.action, form.note)?,
        },
        Form::ListContacts(form) => Request::Contacts {
            after: (form.after != 0).then(|| user("after", form.after)).transpose()?,
            limit: size(form.limit),
        },
        Form::CreateGroup(form) => Request::CreateGroup(CreateGroup::read(form)?),
        Form::FindGroup(form) => {
            Request::FindGroup(Handle::parse(&form.handle).map_err(Malformed::at("handle"))?)
        }
        Form::Group(form) => Request::Group {
            client_id: client_id(&form.client_id)?,
            group: group_id("group", form.group)?,
            action: GroupAction::required("action", form.action)?,
        },
        Form::ListRoster(form) => Request::Roster {
            group: group_id("group", form.group)?,
            standing: (form.standing != 0).then(|| Standing::read(form.standing)).transpose()?,
            after: match form.after {
                Some(after) => {
                    Some((position("after.joined_seq", after.joined_seq)?, user("after.user", after.user)?))
                }
                None => None,
            },
            limit: size(form.limit),
        },
    })
}

impl Wire for Send {
    type Form = wire::SendRequest;

    fn write(&self) -> wire::SendRequest {
        let message = match &self.message {
            Outgoing::Message { body, reply_to } => send_request::Message::New(wire::NewMessage {
                body: Some(body.write()),
                reply_to: reply_to.unwrap_or(0),
            }),
            Outgoing::Edit { target, body } => {
                send_request::Message::Edit(wire::EditMessage { target: *target, body: Some(body.write()) })
            }
            Outgoing::Recall { target } => {
                send_request::Message::Recall(wire::RecallMessage { target: *target })
            }
            Outgoing::Reaction { target, symbol, set } => send_request::Message::React(wire::React {
                target: *target,
                symbol: symbol.clone(),
                set: *set,
            }),
        };
        wire::SendRequest {
            client_id: write_client_id(self.client_id),
            conversation: Some(self.conversation.write()),
            message: Some(message),
            read_up_to: self.read_up_to.unwrap_or(0),
        }
    }

    fn read(form: wire::SendRequest) -> Result<Self, Malformed> {
        let message = match form.message.ok_or_else(|| Malformed::missing("message"))? {
            send_request::Message::New(form) => Outgoing::Message {
                body: Body::required("new.body", form.body)?,
                reply_to: optional_seq("new.reply_to", form.reply_to)?,
            },
            send_request::Message::Edit(form) => Outgoing::Edit {
                target: seq("edit.target", form.target)?,
                body: Body::required("edit.body", form.body)?,
            },
            send_request::Message::Recall(form) => {
                Outgoing::Recall { target: seq("recall.target", form.target)? }
            }
            send_request::Message::React(form) => Outgoing::Reaction {
                target: seq("react.target", form.target)?,
                symbol: form.symbol,
                set: form.set,
            },
        };
        Ok(Self {
            client_id: client_id(&form.client_id)?,
            conversation: ConversationId::required("conversation", form.conversation)?,
            message,
            read_up_to: optional_seq("read_up_to", form.read_up_to)?,
        })
    }
}

impl Wire for Sync {
    type Form = wire::SyncRequest;

    fn write(&self) -> wire::SyncRequest {
        wire::SyncRequest {
            cursors: <(ConversationId, Seq)>::write_all(&self.cursors),
            after: self.after.as_ref().map(ConversationId::write),
            until: self.until.as_ref().map(ConversationId::write),
            limit: count(self.limit),
            entries_limit: count(self.entries_limit),
        }
    }

    fn read(form: wire::SyncRequest) -> Result<Self, Malformed> {
        let cursors = <(ConversationId, Seq)>::read_all(form.cursors)?;
        if !cursors.is_sorted_by(|(before, _), (after, _)| before < after) {
            return Err(Malformed::new("cursors", "not in the order of conversations"));
        }
        Ok(Self {
            cursors,
            after: form.after.map(ConversationId::read).transpose()?,
            until: form.until.map(ConversationId::read).transpose()?,
            limit: size(form.limit),
            entries_limit: size(form.entries_limit),
        })
    }
}

impl Wire for CreateGroup {
    type Form = wire::CreateGroupRequest;

    fn write(&self) -> wire::CreateGroupRequest {
        wire::CreateGroupRequest {
            client_id: write_client_id(self.client_id),
            profile: Some(self.profile.write()),
            members: user_numbers(&self.members),
        }
    }

    fn read(form: wire::CreateGroupRequest) -> Result<Self, Malformed> {
        Ok(Self {
            client_id: client_id(&form.client_id)?,
            profile: proposed_profile(form.profile)?,
            members: users("members", form.members)?,
        })
    }
}

impl Wire for GroupAction {
    type Form = group_request::Action;

    fn write(&self) -> group_request::Action {
        use group_request::Action;
        const VERB: wire::GroupVerb = wire::GroupVerb {};
        match self {
            Self::Join => Action::Join(VERB),
            Self::WithdrawRequest => Action::WithdrawRequest(VERB),
            Self::Leave => Action::Leave(VERB),
            Self::Invite(user) => Action::Invite(user.number()),
            Self::WithdrawInvitation(user) => Action::WithdrawInvitation(user.number()),
            Self::AcceptInvitation => Action::AcceptInvitation(VERB),
            Self::DeclineInvitation => Action::DeclineInvitation(VERB),
            Self::Approve(user) => Action::Approve(user.number()),
            Self::Reject(user) => Action::Reject(user.number()),
            Self::Add(users) => Action::Add(wire::GroupUsers { users: user_numbers(users) }),
            Self::Remove(user) => Action::Remove(user.number()),
            Self::SetRole(user, role) => {
                Action::SetRole(wire::SetRole { user: user.number(), role: role.write() })
            }
            Self::Transfer(user) => Action::Transfer(user.number()),
            Self::Mute(user, until) => Action::Mute(wire::Mute { user: user.number(), until: until.0 }),
            Self::ChangeProfile(profile) => Action::ChangeProfile(profile.write()),
            Self::Dissolve => Action::Dissolve(VERB),
        }
    }

    fn read(form: group_request::Action) -> Result<Self, Malformed> {
        use group_request::Action;
        Ok(match form {
            Action::Join(_) => Self::Join,
            Action::WithdrawRequest(_) => Self::WithdrawRequest,
            Action::Leave(_) => Self::Leave,
            Action::Invite(number) => Self::Invite(user("invite", number)?),
            Action::WithdrawInvitation(number) => {
                Self::WithdrawInvitation(user("withdraw_invitation", number)?)
            }
            Action::AcceptInvitation(_) => Self::AcceptInvitation,
            Action::DeclineInvitation(_) => Self::DeclineInvitation,
            Action::Approve(number) => Self::Approve(user("approve", number)?),
            Action::Reject(number) => Self::Reject(user("reject", number)?),
            Action::Add(form) => Self::Add(users("add.users", form.users)?),
            Action::Remove(number) => Self::Remove(user("remove", number)?),
            Action::SetRole(form) => {
                Self::SetRole(user("set_role.user", form.user)?, Standing::read(form.role)?)
            }
            Action::Transfer(number) => Self::Transfer(user("transfer", number)?),
            Action::Mute(form) => Self::Mute(user("mute.user", form.user)?, chat_core::Timestamp(form.until)),
            Action::ChangeProfile(form) => Self::ChangeProfile(proposed_profile(Some(form))?),
            Action::Dissolve(_) => Self::Dissolve,
        })
    }
}

fn contact_action_number(action: &ContactAction) -> wire::ContactAction {
    match action {
        ContactAction::Request { .. } => wire::ContactAction::Request,
        ContactAction::Accept => wire::ContactAction::Accept,
        ContactAction::Decline => wire::ContactAction::Decline,
        ContactAction::Withdraw => wire::ContactAction::Withdraw,
        ContactAction::Remove => wire::ContactAction::Remove,
        ContactAction::Block => wire::ContactAction::Block,
        ContactAction::Unblock => wire::ContactAction::Unblock,
    }
}

fn contact_action(number: i32, note: String) -> Result<ContactAction, Malformed> {
    let number =
        wire::ContactAction::try_from(number).map_err(|_| Malformed::new("action", "unknown number"))?;
    Ok(match number {
        wire::ContactAction::Unspecified => return Err(Malformed::missing("action")),
        wire::ContactAction::Request => ContactAction::Request { note },
        wire::ContactAction::Accept => ContactAction::Accept,
        wire::ContactAction::Decline => ContactAction::Decline,
        wire::ContactAction::Withdraw => ContactAction::Withdraw,
        wire::ContactAction::Remove => ContactAction::Remove,
        wire::ContactAction::Block => ContactAction::Block,
        wire::ContactAction::Unblock => ContactAction::Unblock,
    })
}
