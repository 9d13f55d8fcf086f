//! What is offered, either way, and what may become of it. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::clock::Timestamp;
use common::id::{ChannelId, FileId, MessageId};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::file::{FileEnd, FileOutcome, Offer};
use common::proto::limits::{MAX_FILE_BYTES, MAX_FOLDER_FILES, MAX_MANIFEST_BYTES};
use common::proto::status::{Code, Refusal};
use common::transport::Address;
use serde::{Deserialize, Serialize};

use super::names;
use crate::api::{FileChange, FileDirection, FileState};
use crate::direct::book::ContactId;

/// How many are remembered.
pub const MAX_TRANSFERS: usize = 1000;
/// How many that others offer in one place may wait for this user: nobody there fills the book for all.
pub const MAX_WAITING_EACH: usize = 50;

/// Something offered, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What; of what is being prepared only id and name count.
    pub offer: Offer,
    /// Where it is offered.
    #[serde(flatten)]
    pub place: Place,
    /// The entry that offers it in a channel, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<MessageId>,
    /// By whom, or to whom; absent of what this peer offers in a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The device that offers it; absent when this one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PeerKey>,
    /// How far it is.
    pub state: State,
    /// How many bytes are on disk, at whoever fetches.
    pub have: u64,
    /// Where it is on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The name that it was about to be given when it was whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// Why it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What the other side has still to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Untold>,
    /// Since when it is known.
    pub since: Timestamp,
}

/// Where something is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the conversation with a contact.
    Contact(ContactId),
    /// In a channel.
    Channel {
        /// Which.
        id: ChannelId,
        /// Its name.
        name: ChannelName,
        /// Where the peer that offers it can be reached.
        addresses: Vec<Address>,
    },
}

impl Place {
    /// Whether it is the same conversation or channel.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Contact(one), Self::Contact(other)) => one == other,
            (Self::Channel { id: one, .. }, Self::Channel { id: other, .. }) => one == other,
            _ => false,
        }
    }

    fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Channel { id, .. } => Some(*id),
            Self::Contact(_) => None,
        }
    }
}

/// What the other side has still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untold {
    /// That it is offered.
    Offer,
    /// What became of it.
    End(FileOutcome),
}

/// How far it is, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is looked through before it is offered.
    Preparing,
    /// It is offered.
    Offered,
    /// It is wanted by this user.
    Accepted,
    /// This user has stopped it for now.
    Paused,
    /// It is all there.
    Done,
    /// It is not wanted.
    Rejected,
    /// It was stopped for good.
    Cancelled,
    /// It cannot go on by itself.
    Failed,
}

impl State {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Rejected | Self::Cancelled)
    }
}

impl Transfer {
    /// Which way it goes.
    pub fn direction(&self) -> FileDirection {
        if self.from.is_some() { FileDirection::In } else { FileDirection::Out }
    }

    /// How far it is, when nothing of it is under way.
    pub fn shown_state(&self) -> FileState {
        match self.state {
            State::Preparing => FileState::Preparing,
            State::Offered => FileState::Offered,
            State::Accepted => FileState::Waiting,
            State::Paused => FileState::Paused,
            State::Done => FileState::Done,
            State::Rejected => FileState::Rejected,
            State::Cancelled => FileState::Cancelled,
            State::Failed => FileState::Failed,
        }
    }

    /// Whether somebody else offers it, and this user has not said anything to it.
    fn is_waiting(&self) -> bool {
        self.state == State::Offered && self.from.is_some()
    }

    /// Whether it is of the conversation with this contact.
    pub fn is_of(&self, contact: ContactId) -> bool {
        self.place == Place::Contact(contact)
    }

    /// Whether it is an offer in this channel that the device with this key makes; `own` is this device's.
    pub fn is_said_by(&self, place: &Place, key: PeerKey, own: PeerKey) -> bool {
        self.channel().is_some() && self.channel() == place.channel() && self.from.unwrap_or(own) == key
    }

    fn channel(&self) -> Option<ChannelId> {
        self.place.channel()
    }

    /// What the other side is told of how it ended.
    pub fn end(&self, outcome: FileOutcome) -> FileEnd {
        FileEnd { id: self.offer.id, name: self.offer.name.clone(), outcome }
    }

    /// Does what its user wants. Whether anything is another by that.
    ///
    /// # Errors
    /// `wrong_phase` where it makes no sense.
    pub fn change(&mut self, change: FileChange) -> Result<bool, Refusal> {
        use State::{Accepted, Cancelled, Done, Failed, Offered, Paused, Preparing, Rejected};
        let next = match (self.direction(), change, self.state) {
            (FileDirection::In, FileChange::Accept, Offered | Rejected) => Accepted,
            (FileDirection::In, FileChange::Accept, Accepted) => return Ok(false),
            (FileDirection::In, FileChange::Reject, Offered) => Rejected,
            (FileDirection::In, FileChange::Pause, Accepted) => Paused,
            (FileDirection::In, FileChange::Resume, Paused | Failed) => Accepted,
            (FileDirection::In, FileChange::Resume, Accepted) => return Ok(false),
            (FileDirection::In, FileChange::Cancel, Accepted | Paused | Failed) => Cancelled,
            (FileDirection::In, FileChange::Cancel, Offered) => Rejected,
            (FileDirection::Out, FileChange::Pause, Offered) => Paused,
            (FileDirection::Out, FileChange::Resume, Paused) => Offered,
            (FileDirection::Out, FileChange::Resume, Failed) => Preparing,
            (FileDirection::Out, FileChange::Resume, Offered) => return Ok(false),
            (FileDirection::Out, FileChange::Cancel, Preparing | Offered | Paused | Failed) => Cancelled,
            (_, FileChange::Cancel, Cancelled | Rejected | Done) => return Ok(false),
            (direction, ..) => return Err(self.senseless(direction, change)),
        };
        self.untold = match next {
            Rejected => Some(Untold::End(FileOutcome::Rejected)),
            // Of what was never offered nobody knows.
            Cancelled if self.state == Preparing || self.untold == Some(Untold::Offer) => None,
            Cancelled => Some(Untold::End(FileOutcome::Cancelled)),
            _ => self.untold.filter(|untold| *untold == Untold::Offer),
        };
        (self.state, self.refusal) = (next, None);
        Ok(true)
    }

    fn senseless(&self, direction: FileDirection, change: FileChange) -> Refusal {
        let reason = match (direction, change) {
            (FileDirection::Out, FileChange::Accept | FileChange::Reject) => "that is an offer of your own",
            _ if self.state.is_over() => "that is over; type: files",
            (FileDirection::In, _) if self.state == State::Offered => "accept it or reject it first",
            _ => "that makes no sense with what it is now; type: files",
        };
        Refusal::new(Code::WrongPhase, reason)
    }

    /// The other side says what became of it. Whether that is news.
    pub fn ended(&mut self, outcome: FileOutcome) -> bool {
        let next = match (self.direction(), outcome) {
            (FileDirection::Out, FileOutcome::Done) => State::Done,
            (FileDirection::Out, FileOutcome::Rejected) => State::Rejected,
            (_, FileOutcome::Cancelled) => State::Cancelled,
            _ => return false,
        };
        let is_news = match self.direction() {
            FileDirection::Out => self.state != State::Cancelled && self.state != next,
            FileDirection::In => !self.state.is_over(),
        };
        if is_news {
            self.state = next;
            self.refusal = None;
            if next == State::Done {
                self.have = self.offer.size;
            }
        }
        is_news
    }
}

/// Looks at what somebody offers before anything is done with it.
///
/// # Errors
/// `bad_file_name`, or `bad_request` with what is wrong.
pub fn check(offer: &Offer) -> Result<(), Refusal> {
    names::check_name(&offer.name)?;
    let is_possible = offer.size <= MAX_FILE_BYTES
        && offer
            .folder
            .is_none_or(|folder| folder.files <= MAX_FOLDER_FILES && folder.size <= MAX_MANIFEST_BYTES);
    if is_possible {
        Ok(())
    } else {
        Err(Refusal::new(Code::BadRequest, "it is larger than anything can be"))
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Book(BTreeMap<FileId, Transfer>);

impl Book {
    /// The book as it was kept.
    pub fn load(transfers: impl IntoIterator<Item = Transfer>) -> Self {
        Self(transfers.into_iter().map(|transfer| (transfer.offer.id, transfer)).collect())
    }

    /// Adds one; which was forgotten for it: of too many that wait in one place the oldest, else of those that are over,
    /// else of all that wait.
    ///
    /// # Errors
    /// `too_many_requests` when no other makes room.
    pub fn add(&mut self, transfer: Transfer) -> Result<Option<FileId>, Refusal> {
        let is_beside = |known: &Transfer| known.is_waiting() && known.place.is_same(&transfer.place);
        let beside = self.0.values().filter(|known| is_beside(known)).count();
        let forgotten = if transfer.is_waiting() && beside >= MAX_WAITING_EACH {
            self.oldest(is_beside)
        } else if self.0.len() >= MAX_TRANSFERS {
            let over = self.oldest(|known| known.state.is_over() && known.untold.is_none());
            let makes_room = over.or_else(|| self.oldest(Transfer::is_waiting));
            let full = || format!("{MAX_TRANSFERS} files are offered already; type: files, and cancel some");
            Some(makes_room.ok_or_else(|| Refusal::new(Code::TooManyRequests, full()))?)
        } else {
            None
        };
        if let Some(id) = forgotten {
            self.0.remove(&id);
        }
        self.0.insert(transfer.offer.id, transfer);
        Ok(forgotten)
    }

    fn oldest(&self, of: impl Fn(&Transfer) -> bool) -> Option<FileId> {
        let all = self.0.values().filter(|known| of(known));
        all.min_by_key(|known| (known.since, known.offer.id)).map(|known| known.offer.id)
    }

    /// One of them.
    pub fn get(&self, id: FileId) -> Option<&Transfer> {
        self.0.get(&id)
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, id: FileId) -> Option<&mut Transfer> {
        self.0.get_mut(&id)
    }

    /// What these entries of a channel offer.
    pub fn offered_by(&self, channel: ChannelId, entries: &[MessageId]) -> Vec<FileId> {
        let is_it = |transfer: &&Transfer| {
            transfer.channel() == Some(channel)
                && transfer.entry.is_some_and(|entry| entries.contains(&entry))
        };
        self.0.values().filter(is_it).map(|transfer| transfer.offer.id).collect()
    }

    /// All, the oldest first.
    pub fn all(&self) -> Vec<&Transfer> {
        let mut all: Vec<&Transfer> = self.0.values().collect();
        all.sort_by_key(|transfer| (transfer.since, transfer.offer.id));
        all
    }

    /// The one that is meant by the end of its id: of several that which is not over.
    ///
    /// # Errors
    /// `no_such_file` for none; `usage` for several.
    pub fn find(&self, end: &str) -> Result<FileId, Refusal> {
        let meant: Vec<&Transfer> =
            self.0.values().filter(|transfer| transfer.offer.id.to_string().ends_with(end)).collect();
        let living: Vec<&Transfer> =
            meant.iter().copied().filter(|transfer| !transfer.state.is_over()).collect();
        match (meant.as_slice(), living.as_slice()) {
            ([one], _) | (_, [one]) => Ok(one.offer.id),
            ([], _) => {
                Err(Refusal::new(Code::NoSuchFile, format!("no file's id ends with {end}; type: files")))
            }
            _ => {
                Err(Refusal::new(Code::Usage, format!("several files' ids end with {end}; type more of it")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;
    use common::proto::file::FolderOffer;
    use uuid::Uuid;

    use super::*;

    fn transfer(number: u128, direction: FileDirection, state: State) -> Transfer {
        let id = FileId(Uuid::from_u128(number));
        Transfer {
            offer: Offer { id, name: "x".into(), size: 9, root: Hash::of(b""), folder: None },
            place: Place::Contact(ContactId(Uuid::from_u128(1))),
            entry: None,
            user: Some("ken".to_owned()),
            from: (direction == FileDirection::In).then(|| PeerKey::from_bytes([1; 32])),
            state,
            have: 0,
            path: None,
            named: None,
            refusal: None,
            untold: None,
            since: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn nothing_is_fetched_before_it_is_accepted() {
        let mut offered = transfer(1, FileDirection::In, State::Offered);
        for change in [FileChange::Resume, FileChange::Pause] {
            assert_eq!(offered.change(change).unwrap_err().code, Code::WrongPhase);
        }
        assert!(offered.change(FileChange::Accept).unwrap() && !offered.change(FileChange::Accept).unwrap());
        assert!(offered.change(FileChange::Pause).unwrap() && offered.change(FileChange::Resume).unwrap());
        assert!(offered.change(FileChange::Cancel).unwrap());
        assert_eq!(
            (offered.state, offered.untold),
            (State::Cancelled, Some(Untold::End(FileOutcome::Cancelled)))
        );
        assert!(offered.change(FileChange::Accept).is_err());
    }

    #[test]
    fn what_the_other_side_says_changes_only_what_it_may() {
        let mut out = transfer(1, FileDirection::Out, State::Offered);
        assert!(out.ended(FileOutcome::Done) && !out.ended(FileOutcome::Done));
        assert_eq!((out.state, out.have), (State::Done, 9));
        let mut cancelled = transfer(1, FileDirection::Out, State::Cancelled);
        assert!(!cancelled.ended(FileOutcome::Done));
        let mut taken = transfer(1, FileDirection::In, State::Accepted);
        assert!(
            !taken.ended(FileOutcome::Done) && !taken.ended(FileOutcome::Rejected),
            "nobody else says so"
        );
        assert!(taken.ended(FileOutcome::Cancelled));
        let mut done = transfer(1, FileDirection::In, State::Done);
        assert!(!done.ended(FileOutcome::Cancelled));
    }

    #[test]
    fn of_what_was_never_offered_nobody_is_told() {
        let mut preparing = transfer(1, FileDirection::Out, State::Preparing);
        preparing.change(FileChange::Cancel).unwrap();
        assert_eq!(preparing.untold, None);
        let mut own = transfer(1, FileDirection::Out, State::Offered);
        assert!(own.change(FileChange::Accept).is_err());
    }

    #[test]
    fn one_is_found_by_the_end_of_its_id() {
        let mut book = Book::default();
        book.add(transfer(0x1_00ab, FileDirection::In, State::Offered)).unwrap();
        book.add(transfer(0x2_00ab, FileDirection::In, State::Done)).unwrap();
        assert_eq!(book.find("00ab").unwrap(), FileId(Uuid::from_u128(0x1_00ab)), "the other is over");
        assert_eq!(book.find("cd").unwrap_err().code, Code::NoSuchFile);
        book.add(transfer(0x3_00ab, FileDirection::Out, State::Offered)).unwrap();
        assert_eq!(book.find("00ab").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn those_that_are_over_make_room() {
        let mut book = Book::default();
        for number in 0..MAX_TRANSFERS as u128 {
            let state = if number == 7 { State::Done } else { State::Accepted };
            book.add(transfer(number, FileDirection::In, state)).unwrap();
        }
        let next = |number| transfer(number, FileDirection::In, State::Offered);
        assert_eq!(book.add(next(5000)).unwrap(), Some(FileId(Uuid::from_u128(7))));
        let own = transfer(5001, FileDirection::Out, State::Preparing);
        assert_eq!(book.add(own.clone()).unwrap(), Some(FileId(Uuid::from_u128(5000))), "one's own go first");
        let another =
            Transfer { offer: Offer { id: FileId(Uuid::from_u128(5002)), ..own.offer.clone() }, ..own };
        assert_eq!(book.add(another).unwrap_err().code, Code::TooManyRequests);
    }

    #[test]
    fn who_offers_without_end_pushes_out_what_was_offered_there() {
        let mut book = Book::default();
        let there = |number: u128, contact: u128| Transfer {
            place: Place::Contact(ContactId(Uuid::from_u128(contact))),
            since: Timestamp::from_millis(u64::try_from(number).unwrap()),
            ..transfer(number, FileDirection::In, State::Offered)
        };
        book.add(there(0, 2)).unwrap();
        book.add(Transfer { state: State::Accepted, ..there(1, 1) }).unwrap();
        for number in 2..5000 {
            book.add(there(number, 1)).unwrap();
        }
        assert_eq!(book.all().len(), MAX_WAITING_EACH + 2);
        let is_there = |number| book.get(FileId(Uuid::from_u128(number))).is_some();
        assert!(is_there(0) && is_there(1) && is_there(4999) && !is_there(2));
    }

    #[test]
    fn offers_of_impossible_things_are_not_taken() {
        let offer = transfer(1, FileDirection::In, State::Offered).offer;
        let folder = |files, size| Some(FolderOffer { files, size, root: Hash::of(b"") });
        check(&offer).unwrap();
        for bad in [
            Offer { name: "../x".into(), ..offer.clone() },
            Offer { size: u64::MAX, ..offer.clone() },
            Offer { folder: folder(MAX_FOLDER_FILES + 1, 1), ..offer.clone() },
            Offer { folder: folder(1, MAX_MANIFEST_BYTES + 1), ..offer.clone() },
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
