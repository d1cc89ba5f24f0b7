//! Sends that are refused for a while, and repeated until they are stored.

use chat_core::{Error, ErrorKind};
use chat_proto::message::Request;

use crate::connection::Connection;
use crate::server::{LOOK, in_time};

/// That a retry may help.
pub(crate) fn assert_momentary(error: &Error) {
    let kinds = [ErrorKind::Overloaded, ErrorKind::Unavailable, ErrorKind::OutcomeUnknown];
    assert!(kinds.contains(&error.kind()), "{error:?}");
}

/// Repeats a send until it is stored.
pub(crate) async fn settle(sender: &mut Connection, send: Request) {
    in_time("it is stored", async {
        while let Err(error) = sender.ask(send.clone()).await {
            assert_momentary(&error);
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}
