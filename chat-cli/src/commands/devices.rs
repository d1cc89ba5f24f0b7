//! The devices that may log in without the password.

use serde_json::json;

use crate::arguments::DevicesCommand;
use crate::chat::Chat;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::{json, time};
use crate::sanitise;

pub(super) async fn carry_out(
    chat: &Chat,
    output: &mut Output,
    command: DevicesCommand,
) -> Result<(), Failure> {
    let client = chat.client();
    match command {
        DevicesCommand::List => {
            let devices = client.devices().await.map_err(|error| chat.failure(error))?;
            for device in &devices {
                output.result(
                    || {
                        let label = sanitise::name(&device.label);
                        let mut line = format!("{}  “{label}”", device.device);
                        if device.current {
                            line += "  this one";
                        } else if device.online {
                            line += "  online";
                        } else {
                            line += &format!("  last seen {}", time::minute(device.last_seen));
                        }
                        line
                    },
                    || json::device(device),
                )?;
            }
            Ok(())
        }
        DevicesCommand::Revoke { device } => {
            client.revoke_device(client.new_id(), device).await.map_err(|error| chat.failure(error))?;
            output.result(
                || format!("revoked the device {device}"),
                || json::done(json!({ "device": device.number() })),
            )
        }
    }
}
