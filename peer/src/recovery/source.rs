//! Somebody who may have what is missing.

use common::entry::{Checkpoint, RawEntry};
use common::id::Epoch;
use common::link::{Link, RequestError};
use common::proto::recovery::{Fetch, Proofs};
use common::proto::status::Refusal;
use common::signed::Signed;

/// Somebody who may have what is missing. Nothing of what they say is believed.
pub trait Source {
    /// What they are called, for people.
    fn name(&self) -> &str;

    /// What they have of the host's signatures on the entries after a number, a page of it.
    fn proofs(&self, after: u64) -> impl Future<Output = Result<Vec<Signed<Checkpoint>>, Refusal>>;

    /// The entries right after a number, a page of them; none when they have not the first.
    fn entries(&self, after: u64) -> impl Future<Output = Result<Vec<RawEntry>, Refusal>>;
}

/// A connected member.
#[derive(Clone, Debug)]
pub struct Member {
    /// What they are called.
    pub name: String,
    /// Their connection.
    pub link: Link,
    /// The life of the log that is meant.
    pub epoch: Epoch,
}

impl Source for Member {
    fn name(&self) -> &str {
        &self.name
    }

    async fn proofs(&self, after: u64) -> Result<Vec<Signed<Checkpoint>>, Refusal> {
        let proven = self.link.request(&Proofs { epoch: self.epoch, after }).await;
        proven.map(|proven| proven.checkpoints).map_err(RequestError::into_refusal)
    }

    async fn entries(&self, after: u64) -> Result<Vec<RawEntry>, Refusal> {
        let fetched = self.link.request(&Fetch { epoch: self.epoch, after }).await;
        fetched.map(|fetched| fetched.entries).map_err(RequestError::into_refusal)
    }
}
