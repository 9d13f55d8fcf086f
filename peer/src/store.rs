//! What a peer keeps of itself: its session, the channels it knows, and its outbox.
//!
//! What it has received stands in `client::archive`, what it keeps as a host in `host::log`.

use common::entry::Position;
use common::id::{ChannelId, Epoch, Subject};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::device::Revoked;
use common::proto::directory::ChannelRecord;
use common::proto::limits::MAX_FORKS;
use common::proto::moving::taken_along;
use common::proto::presence::User;
use common::storage::{Abort, Direction, KeyRange, ReadError, Store, StoreError, Table, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::outbox::Item;
use crate::pace::{KeptPace, Tried};
use crate::session::Session;

const SESSION: Table = Table::new("session");
const CHANNELS: Table = Table::new("channels");
const OUTBOX: Table = Table::new("outbox");
const PACE: Table = Table::new("pace");
const HOSTING: Table = Table::new("hosting");
const SETTINGS: Table = Table::new("settings");
const REVOKED: Table = Table::new("revoked");
const WATCHED: Table = Table::new("watched");

const THE_SESSION: &[u8] = b"session";
const THE_PORT: &[u8] = b"listen_port";

/// A channel this peer has joined at some time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownChannel {
    /// As the tracker had it; id, owner and host key are pinned.
    pub record: ChannelRecord,
    /// Whether the user wants to be in it.
    pub joined: bool,
    /// A log of before, of which it is still to be found out what of this user's own is not in the one that the host went
    /// on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Epoch>,
    /// The keys that hosted it before: what they have signed counts as it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<PeerKey>,
    /// What of the archive is to be put aside before the channel is entered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The logs that were received before the one of now, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<FormerLog>,
}

/// A log that another one has taken the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerLog {
    /// Which.
    pub epoch: Epoch,
    /// Up to this entry it is in the one that came after it; 0 when that was begun anew.
    pub kept: u64,
}

/// A channel has moved, and its host went on behind this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// What was received behind it is in a side branch.
    pub from: Position,
    /// The number of the hosting that went on.
    pub term: u64,
}

impl KnownChannel {
    /// A channel that was not joined yet.
    pub fn new(record: ChannelRecord) -> Self {
        Self { record, joined: false, unasked: None, former_keys: Vec::new(), cut: None, before: Vec::new() }
    }

    /// The channel is hosted where `fresh` says from now on. Returns where it was known to be, if it has moved.
    pub fn adopt(&mut self, fresh: ChannelRecord) -> Option<ChannelRecord> {
        let known = std::mem::replace(&mut self.record, fresh);
        let fresh = &self.record;
        // It may have moved away meanwhile, and back.
        let cut = taken_along(known.term, fresh).map(|from| Cut { from, term: fresh.term });
        self.cut = self.cut.or(cut);
        if known.host_key == fresh.host_key {
            return None;
        }
        self.former_keys.retain(|key| *key != known.host_key && *key != fresh.host_key);
        self.former_keys.push(known.host_key);
        Some(known)
    }

    /// Another log has taken the place of one that was received so far.
    pub fn leave_behind(&mut self, log: FormerLog) {
        self.before.retain(|known| known.epoch != log.epoch);
        self.before.push(log);
        self.before.drain(..self.before.len().saturating_sub(MAX_FORKS));
    }

    /// The channel's name.
    pub fn name(&self) -> &ChannelName {
        &self.record.name
    }
}

/// The peer's own tables.
#[derive(Clone)]
pub struct PeerStore(Store);

impl PeerStore {
    /// The tables within a store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.0
    }

    /// Whether what nothing could take the place of can be read: joined channels, and what waits to be sent.
    ///
    /// # Errors
    /// When some of it cannot.
    pub fn check(&self) -> Result<(), ReadError> {
        self.channels()?.iter().try_for_each(|channel| self.outbox(channel.record.id).map(drop))
    }

    /// The session as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn session(&self) -> Result<Option<Session>, ReadError> {
        Ok(self.0.reader().get(SESSION, THE_SESSION)?.and_then(|bytes| parse(&bytes)))
    }

    /// Keeps the session.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub async fn keep_session(&self, session: &Session) -> Result<(), StoreError> {
        self.put(SESSION, THE_SESSION.to_vec(), json(session)).await
    }

    /// The port this peer listened on last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn port(&self) -> Result<Option<u16>, ReadError> {
        Ok(self.0.reader().get(SETTINGS, THE_PORT)?.and_then(|bytes| parse(&bytes)))
    }

    /// Keeps the port this peer listens on.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub async fn keep_port(&self, port: u16) -> Result<(), StoreError> {
        self.put(SETTINGS, THE_PORT.to_vec(), json(&port)).await
    }

    /// The channels that are to be hosted from the start.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn hosting(&self) -> Result<Vec<ChannelId>, ReadError> {
        let rows = self.0.reader().scan(HOSTING, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().filter_map(|(_, value)| parse(value)).collect())
    }

    /// Keeps whether a channel is to be hosted from the start.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub async fn keep_hosting(&self, channel: ChannelId, is_hosted: bool) -> Result<(), StoreError> {
        if is_hosted {
            return self.put(HOSTING, key(channel), json(&channel)).await;
        }
        self.delete(HOSTING, key(channel)).await
    }

    /// The channels this peer has joined at some time, or written to.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is damaged.
    pub fn channels(&self) -> Result<Vec<KnownChannel>, ReadError> {
        let rows = self.0.reader().scan(CHANNELS, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        rows.iter().map(|(_, value)| parse_whole("what is kept of a channel", value)).collect()
    }

    /// Keeps what is known of a channel, in the order of the calls; the answer comes when it is on disk.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn keep_channel(
        &self,
        channel: &KnownChannel,
    ) -> Result<impl Future<Output = Result<(), StoreError>> + use<>, StoreError> {
        let (key, value) = (key(channel.record.id), json(channel));
        self.0.submit(move |tx| {
            tx.put(CHANNELS, key, value);
            Ok::<_, Abort>(())
        })
    }

    /// What of the archive of a channel is to be put aside.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn cut(&self, channel: ChannelId) -> Result<Option<Cut>, ReadError> {
        let row = self.0.reader().get(CHANNELS, key(channel))?;
        Ok(row.and_then(|row| parse::<KnownChannel>(&row)).and_then(|known| known.cut))
    }

    /// Keeps that something of the archive of a channel is to be put aside, if there is one.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub async fn keep_cut(&self, channel: ChannelId, cut: Cut) -> Result<(), StoreError> {
        let keep = move |tx: &mut Transaction<'_>| {
            let row = tx.get(CHANNELS, key(channel))?;
            if let Some(mut known) = row.and_then(|row| parse::<KnownChannel>(&row)) {
                known.cut = known.cut.or(Some(cut));
                tx.put(CHANNELS, key(channel), json(&known));
            }
            Ok::<_, Abort>(())
        };
        self.0.write(keep).await
    }

    /// What waits to go out to a channel, in order.
    ///
    /// # Errors
    /// When it cannot be read, or a message in it is damaged.
    pub fn outbox(&self, channel: ChannelId) -> Result<Vec<Item>, ReadError> {
        let range = KeyRange::prefix(key(channel));
        let rows = self.0.reader().scan(OUTBOX, range, usize::MAX, Direction::Forward)?;
        rows.iter().map(|(_, value)| parse_whole("a message in the outbox", value)).collect()
    }

    /// Puts a new message into the outbox, and what is known of its channel beside it, unless that is kept already: a
    /// queue is worked off after a restart only where the channel is known.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn add_item(
        &self,
        channel: &KnownChannel,
        item: &Item,
    ) -> Result<impl Future<Output = Result<(), StoreError>> + use<>, StoreError> {
        let (channel_key, channel_value) = (key(channel.record.id), json(channel));
        let (key, value) = (outbox_key(channel.record.id, item.number), json(item));
        self.0.submit(move |tx| {
            if tx.get(CHANNELS, &channel_key)?.is_none() {
                tx.put(CHANNELS, channel_key, channel_value);
            }
            tx.put(OUTBOX, key, value);
            Ok::<_, Abort>(())
        })
    }

    /// Writes a message of the outbox anew, in the order of the calls; the answer comes when it is on disk.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn keep_item(
        &self,
        channel: ChannelId,
        item: &Item,
    ) -> Result<impl Future<Output = Result<(), StoreError>> + use<>, StoreError> {
        let (key, value) = (outbox_key(channel, item.number), json(item));
        self.0.submit(move |tx| {
            tx.put(OUTBOX, key, value);
            Ok::<_, Abort>(())
        })
    }

    /// Takes a message out of the outbox, in the order of the calls. Whoever does not wait for it loses nothing: a
    /// stored message that is still there at the next start goes out again under its id, and is stored once.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn drop_item(
        &self,
        channel: ChannelId,
        number: u64,
    ) -> Result<impl Future<Output = Result<(), StoreError>> + use<>, StoreError> {
        let key = outbox_key(channel, number);
        self.0.submit(move |tx| {
            tx.delete(OUTBOX, key);
            Ok::<_, Abort>(())
        })
    }

    /// How often something that fails is tried.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn pace(&self, tried: &Tried) -> Result<Option<KeptPace>, ReadError> {
        Ok(self.0.reader().get(PACE, tried.key())?.and_then(|bytes| parse(&bytes)))
    }

    /// Keeps how often something that fails is tried, or that it works. Nobody waits for it: what is lost of it makes
    /// one attempt come early.
    pub fn keep_pace(&self, tried: &Tried, kept: Option<&KeptPace>) {
        let (key, value) = (tried.key(), kept.map(json));
        let submitted = self.0.submit(move |tx| {
            match value {
                Some(value) => tx.put(PACE, key, value),
                None => tx.delete(PACE, key),
            }
            Ok::<_, Abort>(())
        });
        match submitted {
            Ok(submitted) => drop(submitted),
            Err(error) => tracing::debug!(err = %error, "a pace could not be kept"),
        }
    }

    /// What the tracker has revoked, as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn revoked(&self) -> Result<Vec<Revoked>, ReadError> {
        let rows = self.0.reader().scan(REVOKED, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().filter_map(|(_, value)| parse(value)).collect())
    }

    /// Keeps what the tracker has revoked; `dead` are the numbers of those that can be forgotten.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub async fn keep_revoked(&self, revoked: &[Revoked], dead: Vec<u64>) -> Result<(), StoreError> {
        let rows: Vec<_> = revoked.iter().map(|revoked| (revoked.rev.to_be_bytes(), json(revoked))).collect();
        let keep = move |tx: &mut Transaction<'_>| {
            for (rev, row) in rows {
                tx.put(REVOKED, rev, row);
            }
            for rev in dead {
                tx.delete(REVOKED, rev.to_be_bytes());
            }
            Ok::<_, Abort>(())
        };
        self.0.write(keep).await
    }

    /// Whom this peer's user watches by name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn watched(&self) -> Result<Vec<User>, ReadError> {
        let rows = self.0.reader().scan(WATCHED, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().filter_map(|(_, value)| parse(value)).collect())
    }

    /// Keeps that some are watched, and others not any more.
    ///
    /// # Errors
    /// When it is not known to be on disk.
    pub fn keep_watched(
        &self,
        watched: &[User],
        unwatched: &[Subject],
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let key = |subject: &Subject| subject.to_string().into_bytes();
        let rows: Vec<_> = watched.iter().map(|user| (key(&user.subject), json(user))).collect();
        let gone: Vec<_> = unwatched.iter().map(key).collect();
        let (store, keep) = (self.0.clone(), move |tx: &mut Transaction<'_>| {
            for (key, row) in rows {
                tx.put(WATCHED, key, row);
            }
            for key in gone {
                tx.delete(WATCHED, key);
            }
            Ok::<_, Abort>(())
        });
        async move { store.write(keep).await }
    }

    async fn delete(&self, table: Table, key: Vec<u8>) -> Result<(), StoreError> {
        let delete = move |tx: &mut Transaction<'_>| {
            tx.delete(table, key);
            Ok::<_, Abort>(())
        };
        self.0.write(delete).await
    }

    async fn put(&self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let put = move |tx: &mut Transaction<'_>| {
            tx.put(table, key, value);
            Ok::<_, Abort>(())
        };
        self.0.write(put).await
    }
}

fn key(channel: ChannelId) -> Vec<u8> {
    channel.0.as_bytes().to_vec()
}

fn outbox_key(channel: ChannelId, number: u64) -> Vec<u8> {
    [key(channel).as_slice(), &number.to_be_bytes()].concat()
}

pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // What is kept are plain structs, which always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A value that nothing could take the place of.
pub(crate) fn parse_whole<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ReadError> {
    parse(bytes).ok_or_else(|| ReadError::Damaged { what: what.to_owned() })
}

/// A value of another form is as good as none: what it said is asked anew.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes)
        .inspect_err(|error| tracing::warn!(err = %error, "kept value passed over"))
        .ok()
}

#[cfg(test)]
mod tests {
    use common::clock::Timestamp;
    use common::id::{IdentityKind, Subject};
    use common::proto::directory::Owner;

    use super::*;

    fn known() -> KnownChannel {
        let (id, key) = (ChannelId::new(), PeerKey::from_bytes([1; 32]));
        let owner =
            Owner { subject: Subject::Guest(key), name: "ken".parse().unwrap(), kind: IdentityKind::Guest };
        let record = ChannelRecord {
            id,
            name: "first".parse().unwrap(),
            owner,
            host_key: key,
            addresses: Vec::new(),
            head: Position::start(id, Epoch::new()),
            term: 1,
            online: false,
            moved: None,
        };
        KnownChannel::new(record)
    }

    fn item() -> Item {
        let writer = Subject::Guest(PeerKey::from_bytes([2; 32]));
        Item {
            number: 0,
            id: common::id::MessageId::new(),
            text: "hello".to_owned(),
            offers: None,
            sent_at: Timestamp::from_millis(1),
            writer,
            writer_name: "charlie".to_owned(),
            expires: None,
            head_seen: None,
            refused: None,
            wish: None,
            stored: None,
        }
    }

    fn store() -> (tempfile::TempDir, PeerStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = PeerStore::new(Store::open(folder.path(), crate::SCHEMA).unwrap());
        (folder, store)
    }

    #[tokio::test]
    async fn a_message_is_kept_with_its_channel_and_changes_nothing_about_it() {
        let (_folder, store) = store();
        let channel = known();
        store.add_item(&channel, &item()).unwrap().await.unwrap();
        assert_eq!(store.channels().unwrap().len(), 1);
        store.keep_channel(&KnownChannel { joined: true, ..channel.clone() }).unwrap().await.unwrap();
        store.add_item(&channel, &Item { number: 1, ..item() }).unwrap().await.unwrap();
        assert!(store.channels().unwrap()[0].joined);
        assert_eq!(store.outbox(channel.record.id).unwrap().len(), 2);
        store.check().unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_never_passed_over() {
        for table in [CHANNELS, OUTBOX] {
            let (_folder, store) = store();
            let channel = known();
            store.add_item(&channel, &item()).unwrap().await.unwrap();
            store.put(table, outbox_key(channel.record.id, 7), b"{".to_vec()).await.unwrap();
            assert!(matches!(store.check(), Err(ReadError::Damaged { .. })));
        }
    }
}
