//! Turning a connection away.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::message::{Close, CloseCode, Push, ServerFrame};

/// Says why, and hangs up: for a server that has too many connections, or is on its way down.
///
/// Takes `patience` at most, for the words to arrive.
pub async fn refuse<S>(mut io: S, code: CloseCode, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut frame = BytesMut::new();
    ServerFrame::Push(Push::Close(Close::from(code))).encode(&mut frame);
    // It is the peer's loss if it does not listen.
    let _in_time = timeout(patience, async {
        io.write_all(&frame).await?;
        io.shutdown().await?;
        // Whatever the peer has sent is read, lest a reset overtakes the words.
        while io.read(&mut [0; 512]).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
