//! Where an embedder has a say: who may log in, and what may be sent.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{AccountName, Body, Chunk, DisplayName, Error, Send as Sending, UserId};

/// Admits users by proofs of an embedder's own: a token of its web session, a certificate.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Who this proof is of. An account is created when there is none with that name.
    ///
    /// # Errors
    /// Return [`ErrorKind::Unauthenticated`](crate::ErrorKind) for a proof that does not hold.
    async fn authenticate(&self, secret: &Bytes) -> Result<Identity, Error>;
}

/// Whom an [`Authenticator`] recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's name.
    pub name: AccountName,
    /// The name shown, for a new account.
    pub display_name: Option<DisplayName>,
}

/// Sees messages on their way. The methods do nothing unless overridden.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Before a send is accepted. It has not been sent before; whether its sender may write there is
    /// decided afterwards. A slow hook slows that session only.
    async fn before_send(&self, sender: UserId, send: &Sending) -> Verdict {
        let _ = (sender, send);
        Verdict::Allow
    }

    /// After entries were committed. Only a hint: not called for what was committed while a node
    /// died. What must not be missed follows the store's journal. Must return quickly.
    fn committed(&self, chunk: &Chunk) {
        let _ = chunk;
    }
}

/// What a hook says to a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it pass.
    Allow,
    /// Let it pass with another body; only for messages and edits.
    Rewrite(Body),
    /// Refuse it, with words for its sender.
    Refuse(String),
}
