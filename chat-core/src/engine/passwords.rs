//! Hashing passwords: argon2id, off the async threads, a bounded number at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
    /// How many wait for a turn.
    waiting: AtomicUsize,
    /// What hashes were computed in, for the next ones: no more than there are turns. Given back to the
    /// allocator after each hash, some 20 MiB stay with each of the threads that ever computed one.
    memory: Arc<Memory>,
    environment: Environment,
    /// Verified against where there is no account, so that it takes the same time.
    nobody: String,
}

impl Passwords {
    /// # Errors
    /// A cost outside what argon2 admits.
    pub(crate) fn new(cost: PasswordCost, at_once: usize, environment: Environment) -> Result<Self, Error> {
        // In memory of its own: an engine that hashes nothing holds none.
        let nobody = Memory::default()
            .hash(cost, b"nobody's password", &[0; 16])
            .ok_or_else(|| Error::invalid("password cost outside what argon2 admits"))?;
        let (turns, memory) = (Arc::new(Semaphore::new(at_once.max(1))), Arc::default());
        Ok(Self { cost, turns, waiting: AtomicUsize::new(0), memory, environment, nobody })
    }

    /// How many hashes wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
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
        let (password, memory) = (password.clone(), Arc::clone(&self.memory));
        let hashed = self.run(move || memory.hash(cost, password.expose().as_bytes(), &salt)).await?;
        hashed.ok_or_else(|| Error::invalid("the password cannot be hashed"))
    }

    /// Whether it is the password of this hash; `None` takes as long and is never right.
    pub(crate) async fn verify(&self, password: &Password, hash: Option<String>) -> Result<bool, Error> {
        if password.expose().len() > Password::LIMIT_BYTES {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let (password, memory) = (password.clone(), Arc::clone(&self.memory));
        let right = self.run(move || memory.verify(password.expose().as_bytes(), &hash)).await?;
        Ok(right.unwrap_or(false) && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let ended = || Error::new(ErrorKind::Unavailable, "shutting down");
        let waiting = Waiting::begin(&self.waiting);
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| ended())?;
        drop(waiting);
        let (done, result) = oneshot::channel();
        self.environment.blocking.run(Box::new(move || {
            // The turn ends with the work, even when whoever waits for it has gone.
            let _turn = turn;
            let _ = done.send(work());
        }));
        result.await.map_err(|_| ended())
    }
}

/// One that waits, for as long as it does: whoever asked may go.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The memory of hashes that are computed at present in no one.
#[derive(Default)]
struct Memory(Mutex<Vec<Vec<Block>>>);

impl Memory {
    /// The hash in PHC string format, if the cost is one that argon2 admits.
    fn hash(&self, cost: PasswordCost, password: &[u8], salt: &[u8]) -> Option<String> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(self.compute(algorithm, version, params, password, salt)?),
        };
        Some(hash.to_string())
    }

    /// Whether it is the password of this hash, if that is one of argon2.
    fn verify(&self, password: &[u8], hash: &str) -> Option<bool> {
        let hash = PasswordHash::new(hash).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let computed = self.compute(algorithm, version, params, password, hash.salt?.as_ref())?;
        // Compared in constant time.
        Some(computed == hash.hash?)
    }

    fn compute(
        &self,
        algorithm: Algorithm,
        version: Version,
        params: Params,
        password: &[u8],
        salt: &[u8],
    ) -> Option<Output> {
        let mut blocks = self.blocks().pop().unwrap_or_default();
        blocks.resize(blocks.len().max(params.block_count()), Block::default());
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
        let argon2 = Argon2::new(algorithm, version, params);
        // What an earlier hash left is overwritten in the first pass before anything of it is read.
        let computed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        self.blocks().push(blocks);
        computed.ok()?;
        Output::new(output).ok()
    }

    fn blocks(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

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
        let hash = Memory::default().hash(PasswordCost::default(), b"correct horse", &[7; 16]);
        let hash = hash.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn hashes_are_those_of_argon2_whatever_was_computed_before_in_the_same_memory() {
        let memory = Memory::default();
        let cost = |memory_kib, passes| PasswordCost { memory_kib, passes };
        for (number, cost) in [cost(64, 2), cost(8, 1), cost(64, 1), cost(32, 3)].into_iter().enumerate() {
            let (password, salt) = ([number as u8; 8], [number as u8; 16]);
            let hash = memory.hash(cost, &password, &salt).expect("hashed");
            let parsed = PasswordHash::new(&hash).expect("PHC string format");
            assert!(Argon2::default().verify_password(&password, &parsed).is_ok());
            assert_eq!(memory.verify(&password, &hash), Some(true));
            assert_eq!(memory.verify(b"another one", &hash), Some(false));
        }
        assert_eq!(memory.blocks().len(), 1, "one at a time needs memory for one");
        assert_eq!(memory.verify(b"any", "no hash"), None);
    }
}
