//! Hashing passwords: argon2id, off the async threads, a bounded number at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{Semaphore, oneshot};

use super::environment::Environment;
use crate::{Error, ErrorKind, Password};

/// What one hash costs. The default is OWASP's recommendation for argon2id (Password Storage Cheat
/// Sheet): 19 MiB, two passes, one lane; some 15 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB; at least 8.
    pub memory_kib: u32,
    /// Passes over it; at least 1.
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2 }
    }
}

/// Hashes and verifies; waits its turn, so that a storm of log-ins cannot starve chat.
pub(crate) struct Passwords {
    cost: PasswordCost,
    turns: Arc<Semaphore>,
    environment: Environment,
    /// Verified against where there is no account, so that it takes the same time.
    nobody: String,
}

impl Passwords {
    /// # Errors
    /// A cost outside what argon2 admits.
    pub(crate) fn new(cost: PasswordCost, at_once: usize, environment: Environment) -> Result<Self, Error> {
        let nobody = hash(cost, b"nobody's password", &[0; 16])
            .ok_or_else(|| Error::invalid("password cost outside what argon2 admits"))?;
        Ok(Self { cost, turns: Arc::new(Semaphore::new(at_once.max(1))), environment, nobody })
    }

    /// Checks that a password may be chosen.
    pub(crate) fn check_new(password: &Password) -> Result<(), Error> {
        let len = password.expose().len();
        if (Password::MINIMUM_BYTES..=Password::LIMIT_BYTES).contains(&len) {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "the password must have {} to {} bytes",
                Password::MINIMUM_BYTES,
                Password::LIMIT_BYTES
            )))
        }
    }

    /// The hash of a new password, in PHC string format.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Error> {
        self.hash_salted(password, self.environment.random.bytes()).await
    }

    /// The same with a given salt.
    pub(crate) async fn hash_salted(&self, password: &Password, salt: [u8; 16]) -> Result<String, Error> {
        let cost = self.cost;
        let password = password.clone();
        let hashed = self.run(move || hash(cost, password.expose().as_bytes(), &salt)).await?;
        hashed.ok_or_else(|| Error::invalid("the password cannot be hashed"))
    }

    /// Whether it is the password of this hash; `None` takes as long and is never right.
    pub(crate) async fn verify(&self, password: &Password, hash: Option<String>) -> Result<bool, Error> {
        if password.expose().len() > Password::LIMIT_BYTES {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let password = password.clone();
        let right = self
            .run(move || {
                PasswordHash::new(&hash).is_ok_and(|hash| {
                    Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
                })
            })
            .await?;
        Ok(right && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let ended = || Error::new(ErrorKind::Unavailable, "shutting down");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| ended())?;
        let (done, result) = oneshot::channel();
        self.environment.blocking.run(Box::new(move || {
            // The turn ends with the work, even when whoever waits for it has gone.
            let _turn = turn;
            let _ = done.send(work());
        }));
        result.await.map_err(|_| ended())
    }
}

fn hash(cost: PasswordCost, password: &[u8], salt: &[u8]) -> Option<String> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Some(argon2.hash_password_with_salt(password, salt).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::environment::{BlockingInline, Random, SystemClock};
    use super::*;

    fn passwords() -> Passwords {
        let environment = Environment {
            clock: Arc::new(SystemClock),
            blocking: Arc::new(BlockingInline),
            random: Arc::new(Random::seeded(1)),
        };
        let cost = PasswordCost { memory_kib: 8, passes: 1 };
        Passwords::new(cost, 1, environment).expect("an admissible cost")
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = passwords();
        let right = Password::new("correct horse");
        let hash = passwords.hash(&right).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(passwords.verify(&right, Some(hash.clone())).await.expect("verified"));
        assert!(!passwords.verify(&Password::new("wrong horse"), Some(hash)).await.expect("verified"));
        assert!(!passwords.verify(&Password::new("nobody's password"), None).await.expect("verified"));
    }

    #[test]
    fn the_default_cost_is_owasps() {
        let hash = hash(PasswordCost::default(), b"correct horse", &[7; 16]).expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }
}
