//! Passes that the tracker has revoked: heard of by all hosts at once, and kept over restarts.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use common::proto::device::Revoked;

use super::Hosting;
use crate::revocations::Revocations;
use crate::store::PeerStore;

/// What is revoked, and when each row on disk can be forgotten.
pub(super) struct Revoking {
    known: Revocations,
    on_disk: BTreeMap<u64, Timestamp>,
    /// What could not be written. It goes with the next, so that the newest on disk has no hole below it.
    unwritten: Vec<Revoked>,
}

impl Revoking {
    /// What was kept.
    pub fn load(store: &PeerStore) -> Self {
        let kept = store.revoked().unwrap_or_else(|error| {
            // The tracker is asked for all of them then.
            tracing::warn!(err = %error, "what is revoked cannot be read");
            Vec::new()
        });
        let (known, now) = (Revocations::default(), Timestamp::now());
        for revoked in &kept {
            known.add(revoked, now);
        }
        let on_disk = kept.into_iter().map(|revoked| (revoked.rev, revoked.until)).collect();
        Self { known, on_disk, unwritten: Vec::new() }
    }

    /// What all hosts heed.
    pub fn known(&self) -> Revocations {
        self.known.clone()
    }

    /// Takes the rows that can be forgotten, but for the newest: it says how far the tracker has told.
    fn take_dead(&mut self, now: Timestamp) -> Vec<u64> {
        let newest = self.on_disk.last_key_value().map(|(rev, _)| *rev);
        let dead: Vec<u64> = self
            .on_disk
            .iter()
            .filter(|(rev, until)| **until <= now && Some(**rev) != newest)
            .map(|(rev, _)| *rev)
            .collect();
        self.on_disk.retain(|rev, _| !dead.contains(rev));
        dead
    }
}

impl Hosting {
    /// Puts out at once whose passes were revoked, and then sees to it that they stay out after a restart.
    pub(super) async fn revoked(&mut self, revoked: Vec<Revoked>) {
        let now = Timestamp::now();
        for one in &revoked {
            self.revoking.known.add(one, now);
            self.revoking.on_disk.insert(one.rev, one.until);
        }
        for host in self.config.hosts.all() {
            // One that has ended has nobody to put out.
            let _ = host.revoked().await;
        }
        let dead = self.revoking.take_dead(now);
        self.revoking.unwritten.extend(revoked);
        self.revoking.unwritten.retain(|revoked| revoked.until > now);
        match self.config.store.keep_revoked(&self.revoking.unwritten, dead).await {
            Ok(()) => self.revoking.unwritten.clear(),
            Err(error) => {
                tracing::warn!(err = %error, "what was revoked could not be kept; it is asked for again at the next start");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dead_goes_and_the_newest_stays() {
        let at = Timestamp::from_millis;
        let on_disk = BTreeMap::from([(1, at(10)), (2, at(20)), (3, at(10)), (4, at(10))]);
        let mut revoking = Revoking { known: Revocations::default(), on_disk, unwritten: Vec::new() };
        assert_eq!(revoking.take_dead(at(10)), [1, 3]);
        assert_eq!(revoking.take_dead(at(30)), [2]);
        assert_eq!(revoking.on_disk.len(), 1);
    }
}
