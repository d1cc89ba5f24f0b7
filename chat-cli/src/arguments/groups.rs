//! The commands about groups.

use std::time::Duration;

use chat_core::{DisplayName, Handle, HistoryPolicy, JoinPolicy, Standing};
use clap::{Subcommand, ValueEnum};

use super::display_name;
use crate::address::{GroupAddress, UserAddress};

/// What can be done in and about groups.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List the own groups and invitations.
    List,
    /// Make a group.
    Create {
        /// The name shown.
        #[arg(value_parser = display_name)]
        name: DisplayName,
        /// The unique name by which others find it.
        #[arg(long, value_parser = handle)]
        handle: Option<Handle>,
        /// Who may join [default: open with a handle, else invitation].
        #[arg(long, value_enum)]
        join: Option<Join>,
        /// How far back a new member may read.
        #[arg(long, value_enum, default_value = "since-join")]
        history: Since,
        /// What it is about.
        #[arg(long, default_value = "")]
        description: String,
        /// Who is in it from the start.
        #[arg(long = "member", value_name = "USER")]
        members: Vec<UserAddress>,
    },
    /// Show the group that has a handle.
    Find {
        /// The handle.
        group: GroupAddress,
    },
    /// Join an open group, or ask to be admitted.
    Join {
        /// Which.
        group: GroupAddress,
    },
    /// Take back an own request to join.
    Withdraw {
        /// Where.
        group: GroupAddress,
    },
    /// Leave a group.
    Leave {
        /// Which.
        group: GroupAddress,
    },
    /// Invite a user.
    Invite {
        /// To which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
    },
    /// Take back an invitation.
    Uninvite {
        /// To which group.
        group: GroupAddress,
        /// Whose.
        user: UserAddress,
    },
    /// Accept an invitation.
    Accept {
        /// To which group.
        group: GroupAddress,
    },
    /// Decline an invitation.
    Decline {
        /// To which group.
        group: GroupAddress,
    },
    /// Admit a user who asked.
    Approve {
        /// To which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
    },
    /// Turn down a user who asked.
    Reject {
        /// From which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
    },
    /// Add contacts without asking them.
    Add {
        /// To which group.
        group: GroupAddress,
        /// Whom.
        #[arg(required = true)]
        users: Vec<UserAddress>,
    },
    /// Remove a member.
    Remove {
        /// From which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
    },
    /// List the members.
    Members {
        /// Of which group.
        group: GroupAddress,
        /// List who was invited or who asked instead.
        #[arg(long, value_enum)]
        only: Option<Waiting>,
    },
    /// Make a member an admin, or an admin a member.
    Role {
        /// In which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
        /// What.
        #[arg(value_enum)]
        role: Role,
    },
    /// Make another member the owner.
    Transfer {
        /// Of which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
    },
    /// Keep a member from writing for a while.
    Mute {
        /// In which group.
        group: GroupAddress,
        /// Whom.
        user: UserAddress,
        /// For how long: 90s, 10m, 2h, 7d; 0s lifts it.
        #[arg(value_parser = span)]
        span: Duration,
    },
    /// Change the group's profile.
    Set {
        /// Which group.
        group: GroupAddress,
        /// A new name.
        #[arg(long, value_parser = display_name)]
        name: Option<DisplayName>,
        /// A new description.
        #[arg(long)]
        description: Option<String>,
        /// A handle, if it has none.
        #[arg(long, value_parser = handle)]
        handle: Option<Handle>,
        /// Who may join.
        #[arg(long, value_enum)]
        join: Option<Join>,
        /// How far back a new member may read.
        #[arg(long, value_enum)]
        history: Option<Since>,
    },
    /// End the group for everyone.
    Dissolve {
        /// Which.
        group: GroupAddress,
    },
}

/// Who may join a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Join {
    /// Everyone.
    Open,
    /// Who asks and is approved.
    Request,
    /// Who is invited or added.
    Invitation,
}

impl From<Join> for JoinPolicy {
    fn from(join: Join) -> Self {
        match join {
            Join::Open => Self::Open,
            Join::Request => Self::Request,
            Join::Invitation => Self::Invitation,
        }
    }
}

/// How far back a new member may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Since {
    /// From their joining.
    SinceJoin,
    /// From the beginning.
    All,
}

impl From<Since> for HistoryPolicy {
    fn from(since: Since) -> Self {
        match since {
            Since::SinceJoin => Self::SinceJoin,
            Since::All => Self::All,
        }
    }
}

/// Who waits at a group's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Waiting {
    /// Who was invited.
    Invited,
    /// Who asked.
    Asking,
}

impl From<Waiting> for Standing {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Invited => Self::Invited,
            Waiting::Asking => Self::Asking,
        }
    }
}

/// What a member can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// One who may admit, remove and mute.
    Admin,
    /// One who reads and writes.
    Member,
}

impl From<Role> for Standing {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Member => Self::Member,
        }
    }
}

fn handle(text: &str) -> Result<Handle, String> {
    Handle::parse(text.strip_prefix('#').unwrap_or(text)).map_err(|error| error.to_string())
}

fn span(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a number with s, m, h or d, such as 10m; found `{text}`");
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| expected())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}
