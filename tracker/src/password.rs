//! Passwords: hashed with argon2id, slowly, on the blocking pool and never more at once than there are cores.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;

use argon2::password_hash::{self, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use common::secret::Secret;
use tokio::sync::{OnceCell, Semaphore};

use crate::limits::MAX_WAITING_HASHES;

/// KiB of memory that one hash takes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// About how long one hash takes; only for telling how long to wait.
const ONE_HASH_MS: u64 = 60;

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many passwords wait to be checked")]
    Busy {
        /// When the line ought to be shorter.
        retry_after_ms: u64,
    },
    /// A stored hash is not one, or hashing failed.
    #[error("a password cannot be hashed")]
    Hash(#[from] password_hash::Error),
    /// The operating system gave no randomness for a salt.
    #[error("the operating system gave no randomness")]
    NoRandomness(#[from] getrandom::Error),
    /// The work was lost with its thread.
    #[error("the hashing of a password was lost")]
    Lost,
}

/// What a check of a password found.
#[derive(Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is another one, or there is nobody to have one.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, and this is its hash under the parameters of today.
    Rehashed(String),
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct PasswordPool {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    max_waiting: usize,
    runs: Arc<AtomicU64>,
    cores: usize,
    hasher: Argon2<'static>,
    /// What the password of a name that nobody has is checked against: the time it takes tells nothing then.
    dummy: Arc<OnceCell<String>>,
}

impl PasswordPool {
    /// A pool of the recommended strength.
    ///
    /// # Errors
    /// When argon2 does not take the parameters, which are fixed.
    pub fn new() -> Result<Self, PasswordError> {
        Self::with_strength(MEMORY_KIB, PASSES, MAX_WAITING_HASHES)
    }

    /// A pool of another strength, for tests.
    ///
    /// # Errors
    /// When argon2 does not take the parameters.
    pub fn with_strength(memory_kib: u32, passes: u32, max_waiting: usize) -> Result<Self, PasswordError> {
        let params = Params::new(memory_kib, passes, LANES, None).map_err(password_hash::Error::from)?;
        let cores = available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            permits: Arc::new(Semaphore::new(cores)),
            waiting: Arc::default(),
            max_waiting,
            runs: Arc::default(),
            cores,
            hasher: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            dummy: Arc::default(),
        })
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// When too many wait already, or hashing fails.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let hasher = self.hasher.clone();
        self.run(move || hash(&hasher, &password)).await
    }

    /// Whether `password` is the one of `hash`. Without a hash it is wrong, after the same time.
    ///
    /// # Errors
    /// When too many wait already, or the hash is not one.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<Verdict, PasswordError> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.dummy().await?,
        };
        let hasher = self.hasher.clone();
        let verdict = self.run(move || verify(&hasher, &password, &hash)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    /// How often a password was hashed or checked so far.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Makes the dummy now: the first unknown name would take twice the time otherwise.
    ///
    /// # Errors
    /// When hashing fails.
    pub async fn prepare(&self) -> Result<(), PasswordError> {
        self.dummy().await.map(drop)
    }

    async fn dummy(&self) -> Result<String, PasswordError> {
        self.dummy.get_or_try_init(|| self.hash(Secret::new("nobody's password"))).await.cloned()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.queue()?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| PasswordError::Lost)?;
        drop(place);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let job = move || {
            // Held by the work and not by who waits for it: who goes away frees no core.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| PasswordError::Lost)?
    }

    fn queue(&self) -> Result<Place, PasswordError> {
        let place = Place(self.waiting.clone());
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= self.max_waiting {
            let rounds = before.div_ceil(self.cores) as u64;
            return Err(PasswordError::Busy { retry_after_ms: rounds * ONE_HASH_MS });
        }
        Ok(place)
    }
}

/// A place in the line, given up when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(hasher: &Argon2<'_>, password: &Secret) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt)?;
    let salt = SaltString::encode_b64(&salt)?;
    Ok(hasher.hash_password(password.expose().as_bytes(), &salt)?.to_string())
}

fn verify(hasher: &Argon2<'_>, password: &Secret, stored: &str) -> Result<Verdict, PasswordError> {
    let parsed = PasswordHash::new(stored)?;
    // The parameters of the stored hash count, not those of today.
    match Argon2::default().verify_password(password.expose().as_bytes(), &parsed) {
        Ok(()) => {}
        Err(password_hash::Error::Password) => return Ok(Verdict::Wrong),
        Err(error) => return Err(error.into()),
    }
    let params = Params::try_from(&parsed)?;
    let today = hasher.params();
    let same = |of: fn(&Params) -> u32| of(&params) == of(today);
    if same(Params::m_cost) && same(Params::t_cost) && same(Params::p_cost) {
        return Ok(Verdict::Right);
    }
    hash(hasher, password).map(Verdict::Rehashed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(passes: u32, max_waiting: usize) -> PasswordPool {
        PasswordPool::with_strength(64, passes, max_waiting).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let pool = weak(1, 4);
        let hash = pool.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(pool.verify(secret("correct horse"), Some(hash.clone())).await.unwrap() == Verdict::Right);
        assert!(pool.verify(secret("correct hors"), Some(hash)).await.unwrap() == Verdict::Wrong);
        assert!(pool.verify(secret("nobody's password"), None).await.unwrap() == Verdict::Wrong);
        assert!(pool.verify(secret("x"), Some("not a hash".into())).await.is_err());
    }

    #[tokio::test]
    async fn an_older_hash_is_made_anew_when_the_password_is_right() {
        let old = weak(1, 4).hash(secret("correct horse")).await.unwrap();
        let pool = weak(2, 4);
        assert!(pool.verify(secret("wrong"), Some(old.clone())).await.unwrap() == Verdict::Wrong);
        let verdict = pool.verify(secret("correct horse"), Some(old)).await.unwrap();
        let Verdict::Rehashed(new) = verdict else { panic!("not made anew") };
        assert!(pool.verify(secret("correct horse"), Some(new)).await.unwrap() == Verdict::Right);
    }

    #[tokio::test]
    async fn beyond_the_waiting_line_it_says_when_to_come_back() {
        let pool = weak(1, 2);
        let held = pool.permits.clone().acquire_many_owned(pool.cores as u32).await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                tokio::spawn({
                    let pool = pool.clone();
                    async move { pool.hash(secret("x")).await }
                })
            })
            .collect();
        while pool.waiting.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        let refused = pool.hash(secret("x")).await;
        assert!(matches!(refused, Err(PasswordError::Busy { retry_after_ms: 1.. })), "{refused:?}");
        drop(held);
        for job in waiting {
            assert!(job.await.unwrap().is_ok());
        }
        assert_eq!(pool.waiting.load(Ordering::Relaxed), 0);
        assert!(pool.hash(secret("x")).await.is_ok());
    }

    #[test]
    fn the_strength_is_the_recommended_one() {
        let pool = PasswordPool::new().unwrap();
        let params = pool.hasher.params();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19_456, 2, 1));
    }
}
