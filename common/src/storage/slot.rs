//! Where readers find the database, while the committer may open it again under them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use super::error::ReadError;
use super::limits::{REOPEN_FOR, REOPEN_PAUSE};

/// The database, if there is one at the moment.
#[derive(Debug)]
pub(super) struct Slot {
    state: RwLock<State>,
}

#[derive(Debug)]
enum State {
    Open(Arc<sled::Db>),
    /// It could not be opened again, for this reason.
    Broken(String),
    Closed,
}

impl Slot {
    pub fn new(db: sled::Db) -> Self {
        Self { state: RwLock::new(State::Open(Arc::new(db))) }
    }

    /// The database, to be let go soon: the committer waits for it, but not for long.
    pub fn get(&self) -> Result<Arc<sled::Db>, ReadError> {
        match &*self.read() {
            State::Open(db) => Ok(Arc::clone(db)),
            State::Broken(reason) => Err(ReadError::failed(reason)),
            State::Closed => Err(ReadError::Closed),
        }
    }

    /// Drops the database and puts there what `open` answers; readers wait meanwhile.
    ///
    /// If reads under way go on for too long, the old one stays, and the caller has to come again.
    pub fn replace(&self, open: impl FnOnce() -> Result<sled::Db, String>) -> Result<(), String> {
        let mut state = self.write();
        if !wait_until_unshared(&state) {
            return Err("reads under way hold the database, which has to be opened again".to_owned());
        }
        *state = State::Broken("the database is being opened again".to_owned());
        match open() {
            Ok(db) => {
                *state = State::Open(Arc::new(db));
                Ok(())
            }
            Err(reason) => {
                tracing::error!(reason, "the store cannot open its database again");
                *state = State::Broken(reason.clone());
                Err(reason)
            }
        }
    }

    /// Drops the database for good, once reads under way have ended or have taken too long.
    pub fn close(&self) {
        let mut state = self.write();
        wait_until_unshared(&state);
        *state = State::Closed;
    }

    // Nothing is left half done under this lock, so that a panic under it says nothing about the state.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody else has the database; to be called under the write lock, under which nobody gets it.
fn wait_until_unshared(state: &State) -> bool {
    let State::Open(db) = state else { return true };
    let since = Instant::now();
    while Arc::strong_count(db) > 1 {
        if since.elapsed() > REOPEN_FOR {
            return false;
        }
        std::thread::park_timeout(REOPEN_PAUSE);
    }
    true
}
