//! A link between a node and a server behind it, which a test can freeze.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on until it is frozen: from then on nothing passes, and nobody is told.
pub(crate) struct Link {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
    passing: JoinHandle<()>,
}

impl Link {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let (frozen, freezes) = watch::channel(false);
        let passing = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let freezes = freezes.clone();
                tokio::spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", port)).await.expect("the server accepts");
                    let ((near_reads, near_writes), (far_reads, far_writes)) =
                        (near.into_split(), far.into_split());
                    tokio::join!(
                        pass(near_reads, far_writes, freezes.clone()),
                        pass(far_reads, near_writes, freezes)
                    );
                });
            }
        });
        Self { address, frozen, passing }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the moment in which this returns nothing passes that had not been read before.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut freezes: watch::Receiver<bool>,
) {
    let mut bytes = [0; 4096];
    loop {
        let count = tokio::select! {
            biased;
            // Cancel-safe, both: it stays frozen, and a read that is dropped has taken nothing.
            () = frozen(&mut freezes) => return std::future::pending().await,
            count = from.read(&mut bytes) => count.unwrap_or(0),
        };
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            // The other side is told; the other direction may go on.
            let _ = to.shutdown().await;
            return;
        }
    }
}

async fn frozen(freezes: &mut watch::Receiver<bool>) {
    // The test that could freeze it may be over.
    let _ = freezes.wait_for(|frozen| *frozen).await;
}
