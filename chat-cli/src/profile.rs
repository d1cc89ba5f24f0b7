//! What the client keeps between runs: one folder per profile, which belongs to one user on one
//! server and is readable by its owner only.
//!
//! | file | holds |
//! |---|---|
//! | `account.json` | which server, which user, which device |
//! | `token` | what the device logs in with, in hexadecimal |
//! | `state.json` | the epoch, how far each conversation was shown, names |
//! | `lines` | what was typed in the interactive client |
//! | `lock` | held by the process that uses the profile |
//!
//! A device has one connection at a time, so a profile has one user at a time.

mod autosave;
mod files;
mod state;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chat_core::{DeviceId, Epoch, Token, UserId};
use serde::{Deserialize, Serialize};

pub(crate) use autosave::Autosave;
pub(crate) use state::State;

use crate::failure::Failure;

/// How long a command waits for another one that uses the profile: commands are short, `tail` and
/// the interactive client are not.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Whose a profile is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// On which server, as it was given.
    pub(crate) server: String,
    /// The user's id.
    pub(crate) user: u64,
    /// The account's name.
    pub(crate) name: String,
    /// This device's id.
    pub(crate) device: u64,
}

impl Identity {
    /// An identity on a server.
    pub(crate) fn new(server: &str, user: UserId, name: &str, device: DeviceId) -> Self {
        Self { server: server.into(), user: user.number(), name: name.into(), device: device.number() }
    }

    fn is_same_user(&self, other: &Self) -> bool {
        self.server == other.server && self.user == other.user
    }
}

/// An opened profile; no other process uses it meanwhile.
#[derive(Debug)]
pub(crate) struct Profile {
    folder: PathBuf,
    name: String,
    _lock: File,
    identity: Option<Identity>,
    token: Option<Token>,
    /// What is known of the user's conversations.
    pub(crate) state: State,
}

impl Profile {
    /// Opens the profile called `name` among those in `root`; makes it when it is absent.
    pub(crate) fn open(root: &Path, name: &str) -> Result<Self, Failure> {
        let plain =
            |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '@');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Failure::Usage(format!(
                "a profile's name has letters, digits, - and _; `{}` does not do",
                crate::sanitise::name(name)
            )));
        }
        let folder = root.join(name);
        let failed = |source: io::Error| Failure::Profile { folder: folder.display().to_string(), source };
        files::make_folder(&folder).map_err(failed)?;
        let lock = lock(&folder).map_err(failed)?.ok_or_else(|| {
            Failure::Usage(format!(
                "the profile `{name}` is in use by another chat-cli; stop that one, or log in with another --profile"
            ))
        })?;
        let identity: Option<Identity> = files::read_json(&folder.join("account.json")).map_err(failed)?;
        let token = files::read_token(&folder.join("token")).map_err(failed)?;
        let state = match identity {
            Some(_) => files::read_json(&folder.join("state.json")).map_err(failed)?.unwrap_or_default(),
            None => State::default(),
        };
        Ok(Self { folder, name: name.into(), _lock: lock, identity, token, state })
    }

    /// Makes the profile this user's. Whatever it held of another one is gone before that.
    pub(crate) fn begin(&mut self, identity: Identity, token: Token, epoch: Epoch) -> Result<(), Failure> {
        if self.identity.as_ref().is_none_or(|known| !known.is_same_user(&identity)) {
            self.forget()?;
        }
        self.state.enter(epoch);
        files::write_token(&self.folder.join("token"), &token).map_err(|source| self.failed(source))?;
        files::write_json(&self.folder.join("account.json"), &identity)
            .map_err(|source| self.failed(source))?;
        self.identity = Some(identity);
        self.token = Some(token);
        self.save()
    }

    /// Empties the profile.
    pub(crate) fn forget(&mut self) -> Result<(), Failure> {
        for file in ["token", "state.json", "lines", "account.json"] {
            files::remove(&self.folder.join(file)).map_err(|source| self.failed(source))?;
        }
        (self.identity, self.token, self.state) = (None, None, State::default());
        Ok(())
    }

    /// Writes the state, if it belongs to somebody.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        if self.identity.is_none() {
            return Ok(());
        }
        files::write_json(&self.folder.join("state.json"), &self.state).map_err(|source| self.failed(source))
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whose it is.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What its device logs in with.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Where the lines typed in the interactive client are kept; the file exists and is private.
    pub(crate) fn lines_file(&self) -> Result<PathBuf, Failure> {
        let path = self.folder.join("lines");
        files::touch(&path).map_err(|source| self.failed(source))?;
        Ok(path)
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::Profile { folder: self.folder.display().to_string(), source }
    }
}

/// The folder that holds the profiles, from what the environment says.
pub(crate) fn root(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    given
        .or_else(|| variable("XDG_CONFIG_HOME").map(|folder| folder.join("chat")))
        .or_else(|| variable("HOME").map(|home| home.join(".config/chat")))
        .ok_or_else(|| Failure::Usage("there is no home folder: name one with --profile-dir".into()))
}

fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = files::open_private(&folder.join("lock"))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{ConversationId, GroupId};

    use super::*;

    fn identity(user: u64) -> Identity {
        Identity { server: "here:1".into(), user, name: format!("user{user}"), device: 7 }
    }

    fn conversation() -> ConversationId {
        ConversationId::Group(GroupId::new(9).expect("valid"))
    }

    fn begun(root: &Path, user: u64) -> Profile {
        let mut profile = Profile::open(root, "default").expect("opens");
        profile.begin(identity(user), Token([3; 32]), Epoch(5)).expect("begins");
        profile.state.show(conversation(), 4);
        profile.save().expect("saves");
        std::fs::write(profile.lines_file().expect("a file"), "secret").expect("written");
        profile
    }

    #[test]
    fn what_was_kept_is_there_the_next_time() {
        let root = tempfile::tempdir().expect("a folder");
        drop(begun(root.path(), 1));
        let profile = Profile::open(root.path(), "default").expect("opens");
        assert_eq!(profile.identity(), Some(&identity(1)));
        assert_eq!(profile.token(), Some(Token([3; 32])));
        assert_eq!(profile.state.cursors(), [(conversation(), 4)]);
        assert_eq!(profile.state.epoch(), Some(Epoch(5)));
    }

    #[test]
    fn another_user_finds_nothing_of_the_one_before() {
        let root = tempfile::tempdir().expect("a folder");
        let mut profile = begun(root.path(), 1);
        profile.begin(identity(2), Token([4; 32]), Epoch(5)).expect("begins");
        assert!(profile.state.cursors().is_empty());
        let lines = std::fs::read_to_string(profile.lines_file().expect("a file")).expect("readable");
        assert_eq!(lines, "");
        drop(profile);
        let profile = Profile::open(root.path(), "default").expect("opens");
        assert_eq!(profile.identity(), Some(&identity(2)));
        assert!(profile.state.cursors().is_empty());
    }

    #[test]
    fn the_same_user_on_another_server_is_another_user() {
        let root = tempfile::tempdir().expect("a folder");
        let mut profile = begun(root.path(), 1);
        let elsewhere = Identity { server: "there:1".into(), ..identity(1) };
        profile.begin(elsewhere, Token([4; 32]), Epoch(5)).expect("begins");
        assert!(profile.state.cursors().is_empty());
    }

    #[test]
    fn logging_in_again_keeps_what_is_known() {
        let root = tempfile::tempdir().expect("a folder");
        let mut profile = begun(root.path(), 1);
        profile.begin(identity(1), Token([4; 32]), Epoch(5)).expect("begins");
        assert_eq!(profile.state.cursors(), [(conversation(), 4)]);
    }

    #[test]
    fn after_logging_out_nothing_is_left() {
        let root = tempfile::tempdir().expect("a folder");
        let mut profile = begun(root.path(), 1);
        profile.forget().expect("forgets");
        drop(profile);
        let names = std::fs::read_dir(root.path().join("default")).expect("a folder");
        let left: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(left, ["lock"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_a_profile() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a folder");
        let profile = begun(root.path(), 1);
        let mode = |path: &Path| std::fs::metadata(path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode(&profile.folder), 0o700);
        for entry in std::fs::read_dir(&profile.folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_profile_in_use_is_refused_with_what_to_do() {
        let root = tempfile::tempdir().expect("a folder");
        let _held = begun(root.path(), 1);
        let error = Profile::open(root.path(), "default").expect_err("refused").to_string();
        assert!(error.contains("--profile"), "{error}");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let root = tempfile::tempdir().expect("a folder");
        for bad in ["", "..", ".hidden", "a/b", "../x", "a b"] {
            assert!(matches!(Profile::open(root.path(), bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
