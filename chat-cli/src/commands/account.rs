//! The own account: registering, logging in and out, name and password.

use chat_core::{Credentials, DisplayName, Password, Register};
use chat_proto::client::ClientEvents;
use serde_json::json;

use crate::address::UserAddress;
use crate::arguments::LogInOptions;
use crate::chat::{Chat, Entrance};
use crate::failure::Failure;
use crate::output::Output;
use crate::password::Source;
use crate::profile::Profile;
use crate::render::json;

/// Makes an account; the profile is its from then on.
pub(crate) async fn register(
    profile: Profile,
    server: Option<&str>,
    name: UserAddress,
    display_name: Option<DisplayName>,
    options: LogInOptions,
) -> Result<(Chat, ClientEvents), Failure> {
    let password = Source::of_flag(options.password_stdin).choose()?;
    let entrance = |client: &chat_proto::client::Client| {
        Entrance::Register(Register {
            client_id: client.new_id(),
            name: name.0,
            display_name,
            password,
            device_label: options.device,
        })
    };
    Chat::enter(profile, server, entrance).await.map_err(|(_, failure)| failure)
}

/// Logs in with a password; the profile is the account's from then on.
pub(crate) async fn log_in(
    profile: Profile,
    server: Option<&str>,
    name: UserAddress,
    options: LogInOptions,
) -> Result<(Chat, ClientEvents), Failure> {
    let password = Source::of_flag(options.password_stdin).read("Password: ")?;
    let credentials = Credentials::Password { name: name.0, password, device_label: options.device };
    let entered = Chat::enter(profile, server, |_| Entrance::LogIn(credentials)).await;
    entered.map_err(|(_, failure)| failure)
}

/// Takes this device's token away on the server.
pub(crate) async fn log_out(chat: &Chat) -> Result<(), Failure> {
    let client = chat.client();
    client.log_out(client.new_id()).await.map_err(|error| chat.failure(error))
}

/// Leaves after logging out: nothing of the user stays in the profile.
pub(crate) async fn leave_for_good(chat: Chat) -> Result<Profile, Failure> {
    let mut profile = chat.leave().await?;
    profile.forget()?;
    Ok(profile)
}

/// Says who is logged in.
pub(crate) fn whoami(chat: &Chat, output: &mut Output) -> Result<(), Failure> {
    let Some(identity) = chat.profile.identity() else {
        return Err(Failure::Usage("nobody is logged in".into()));
    };
    output.result(
        || {
            format!(
                "@{} on {} (user {}, device {})",
                identity.name, identity.server, identity.user, identity.device
            )
        },
        || {
            json!({
                "type": "account",
                "id": identity.user,
                "name": identity.name,
                "device": identity.device,
                "server": identity.server,
            })
        },
    )
}

/// Changes the display name.
pub(crate) async fn rename(chat: &Chat, output: &mut Output, name: DisplayName) -> Result<(), Failure> {
    let client = chat.client();
    let shown = name.as_str().to_owned();
    client.change_display_name(client.new_id(), name).await.map_err(|error| chat.failure(error))?;
    output.result(
        || format!("your display name is now “{}”", crate::sanitise::name(&shown)),
        || json::done(json!({ "display_name": shown })),
    )
}

/// Changes the password.
pub(crate) async fn change_password(
    chat: &Chat,
    output: &mut Output,
    current: Password,
    new: Password,
) -> Result<(), Failure> {
    let client = chat.client();
    client.change_password(client.new_id(), current, new).await.map_err(|error| chat.failure(error))?;
    output.result(|| "your password was changed".into(), || json::done(json!({})))
}
