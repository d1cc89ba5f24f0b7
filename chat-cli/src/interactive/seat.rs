//! A user's seat at the terminal: what is typed is carried out, what arrives is shown.

use chat_core::{ConversationId, Entry, Ephemeral};
use chat_proto::client::{ClientEvent, ClientEvents};

use super::blocked::Blocked;
use super::completion::Candidates;
use super::dialogue;
use super::line::{self, COMMANDS, Line};
use super::missed::Missed;
use super::terminal::Terminal;
use crate::address::Address;
use crate::arguments::Command;
use crate::chat::Chat;
use crate::commands::{self, account};
use crate::failure::Failure;
use crate::output::Output;
use crate::profile::{Autosave, Profile};
use crate::sanitise::Breaks;

/// Messages shown when a conversation becomes the current one.
const SHOWN_ON_SWITCH: u16 = 20;

/// How somebody left.
pub(super) enum Departure {
    /// To come back without a password.
    Quit,
    /// For good; the profile is empty.
    LoggedOut(Box<Profile>),
}

/// What is to happen after a line.
enum Next {
    Stay,
    Quit,
    LogOut,
}

struct Seat<'a> {
    terminal: &'a Terminal,
    chat: Chat,
    current: Option<(Address, ConversationId)>,
    /// What arrives is gathered here until one has caught up.
    missed: Option<Missed>,
    blocked: Blocked,
    autosave: Autosave,
    connected: bool,
}

/// Chats until the user leaves or the session ends for good.
pub(super) async fn sit(
    terminal: &Terminal,
    chat: Chat,
    mut events: ClientEvents,
) -> Result<Departure, Failure> {
    terminal.remember(Some(chat.profile.lines_file()?)).await;
    let blocked = Blocked::of(&chat).await?;
    let mut seat = Seat {
        terminal,
        chat,
        blocked,
        current: None,
        missed: Some(Missed::default()),
        autosave: Autosave::default(),
        connected: true,
    };
    seat.greet();
    let mut line = terminal.begin_line(seat.prompt());
    loop {
        // Each branch waits for one message or a point in time, and takes nothing unless chosen.
        tokio::select! {
            biased;
            typed = &mut line => {
                let Some(typed) = typed.ok().flatten() else {
                    return seat.chat.leave().await.map(|_| Departure::Quit);
                };
                match seat.obey(&typed).await {
                    Next::Stay => {}
                    Next::Quit => return seat.chat.leave().await.map(|_| Departure::Quit),
                    Next::LogOut => {
                        let emptied = account::leave_for_good(seat.chat).await?;
                        return Ok(Departure::LoggedOut(Box::new(emptied)));
                    }
                }
                line = terminal.begin_line(seat.prompt());
            }
            () = seat.autosave.due() => {
                if let Err(failure) = seat.chat.profile.save() {
                    terminal.say(failure.to_string());
                }
            }
            event = events.next() => {
                let failure = match event {
                    Some(ClientEvent::Ended(reason)) => seat.chat.ended(reason),
                    Some(ClientEvent::GaveUp(error)) => seat.chat.failure(error),
                    Some(event) => {
                        seat.hear(event).await;
                        continue;
                    }
                    None => seat.chat.lost(),
                };
                // The terminal is the reader's until the line is done; it is left in order.
                terminal.say(format!("{failure}\npress Enter to leave"));
                let _ = line.await;
                seat.chat.leave().await?;
                return Err(failure);
            }
        }
    }
}

impl Seat<'_> {
    fn greet(&self) {
        if let Some(identity) = self.chat.profile.identity() {
            let server = crate::sanitise::name(&identity.server);
            self.terminal
                .say(format!("you are @{} on {server}; /help shows what can be typed", identity.name));
        }
        self.terminal.offer(Candidates::of(self.chat.names()));
    }

    fn prompt(&self) -> String {
        let name = self.chat.profile.identity().map_or("", |identity| identity.name.as_str());
        match &self.current {
            Some((address, _)) => format!("{name} → {address}> "),
            None => format!("{name}> "),
        }
    }

    async fn obey(&mut self, typed: &str) -> Next {
        let current = self.current.as_ref().map(|(address, _)| address);
        let line = match line::parse(typed, current) {
            Ok(line) => line,
            Err(wrong) => {
                self.terminal.say(wrong);
                return Next::Stay;
            }
        };
        let result = match line {
            Line::Empty => Ok(()),
            Line::Quit => return Next::Quit,
            Line::LogOut => match account::log_out(&self.chat).await {
                Ok(()) => return Next::LogOut,
                Err(failure) => Err(failure),
            },
            Line::Help => {
                self.help();
                Ok(())
            }
            Line::Say(text) => match current.cloned() {
                Some(to) => self.run(Command::Send { to, reply_to: None, text: vec![text] }).await,
                None => Err(Failure::Usage(
                    "no conversation is current: /switch @NAME, or /msg @NAME TEXT; /help shows more".into(),
                )),
            },
            Line::Switch(None) => {
                self.current = None;
                Ok(())
            }
            Line::Switch(Some(address)) => self.switch(address).await,
            Line::Password => self.change_password().await,
            Line::Run(command) => self.run(command).await,
        };
        if let Err(failure) = result {
            self.terminal.say(failure.to_string());
        }
        self.terminal.offer(Candidates::of(self.chat.names()));
        Next::Stay
    }

    async fn run(&mut self, command: Command) -> Result<(), Failure> {
        let writes = matches!(
            command,
            Command::Send { .. } | Command::Edit { .. } | Command::Recall { .. } | Command::React { .. }
        );
        let mut output = Output::held();
        let result = commands::carry_out(&mut self.chat, &mut output, command).await;
        let text = output.into_text();
        // What one writes arrives as an entry like everyone else's; a receipt beside it says nothing new.
        if !writes && !text.is_empty() {
            self.terminal.say(text);
        }
        result
    }

    async fn switch(&mut self, address: Address) -> Result<(), Failure> {
        let conversation = self.chat.conversation(&address).await?;
        let history = Command::History { to: address.clone(), limit: SHOWN_ON_SWITCH, before: None };
        self.run(history).await?;
        let read = Command::Read { to: address.clone(), up_to: None };
        commands::carry_out(&mut self.chat, &mut Output::held(), read).await?;
        self.current = Some((address, conversation));
        Ok(())
    }

    async fn change_password(&mut self) -> Result<(), Failure> {
        let Some(current) = self.terminal.password("Current password: ").await else { return Ok(()) };
        let Some(new) = dialogue::choose_password(self.terminal).await else { return Ok(()) };
        let mut output = Output::held();
        account::change_password(&self.chat, &mut output, current, new).await?;
        self.terminal.say(output.into_text());
        Ok(())
    }

    fn help(&self) {
        let lines = COMMANDS.map(|(command, arguments, does)| {
            let usage = format!("{command} {arguments}");
            format!("  {usage:<44} {does}")
        });
        self.terminal.say(lines.join("\n"));
    }

    async fn hear(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Connected if !self.connected => {
                self.connected = true;
                self.terminal.say("connected again");
            }
            ClientEvent::Disconnected { .. } => {
                if self.connected {
                    self.connected = false;
                    self.terminal.say("the connection is lost; trying again");
                }
                self.missed.get_or_insert_default();
            }
            ClientEvent::Conversation(state) => {
                self.chat.learn_state(&state);
                if let Some(missed) = &mut self.missed {
                    missed.note(&state);
                }
            }
            ClientEvent::Entry { conversation, entry } => match &mut self.missed {
                Some(missed) => missed.add(conversation, entry),
                None => self.show(conversation, &entry).await,
            },
            ClientEvent::CaughtUp => self.catch_up().await,
            ClientEvent::Ephemeral(Ephemeral::Presence { user, online }) => {
                // Without a name there is still a number to show.
                let _ = self.chat.learn_users(vec![user]).await;
                let state = if online { "online" } else { "offline" };
                self.terminal.say(format!("{} is {state}", self.chat.names().mention(user)));
            }
            ClientEvent::EpochChanged => {
                self.chat.start_over();
                self.terminal.say("the server's history has changed; starting over");
            }
            _ => {}
        }
    }

    /// Shows what was missed, and says where messages are unread.
    async fn catch_up(&mut self) {
        let Some(mut missed) = self.missed.take() else { return };
        let (bundles, mut unread) = missed.take();
        for (conversation, bundle) in bundles {
            if bundle.earlier > 0 {
                let title = self.chat.names().title(conversation, self.chat.me());
                self.terminal.say(format!("[{title}] {} earlier ones: /history", bundle.earlier));
            }
            for entry in &bundle.entries {
                self.show(conversation, entry).await;
            }
        }
        if let Some((_, current)) = self.current {
            unread.remove(&current);
        }
        if !unread.is_empty() {
            let titles: Vec<String> = unread
                .iter()
                .map(|(conversation, count)| {
                    format!("{} {count}", self.chat.names().title(*conversation, self.chat.me()))
                })
                .collect();
            self.terminal.say(format!("unread: {}", titles.join(", ")));
        }
        self.terminal.offer(Candidates::of(self.chat.names()));
    }

    /// Shows an entry; in the current conversation it counts as read by that.
    async fn show(&mut self, conversation: ConversationId, entry: &Entry) {
        self.chat.profile.state.show(conversation, entry.seq);
        self.autosave.changed();
        self.blocked.follow(conversation, entry);
        if self.blocked.hides(entry) {
            return;
        }
        // Without a name there is still a number to show.
        let _ = self.chat.learn_entries(conversation, std::iter::once(entry)).await;
        let is_current = self.current.as_ref().is_some_and(|(_, current)| *current == conversation);
        let reader = self.chat.reader(Breaks::Indented);
        let line = if is_current { reader.line(entry) } else { reader.line_in(conversation, entry) };
        self.terminal.say(line);
        if is_current && entry.sender != self.chat.me() {
            // The next one that is read carries this one too.
            let _ = self.chat.client().mark_read(conversation, entry.seq).await;
        }
    }
}
