//! What the tracker's actor is asked. Only [`TrackerHandle`](super::TrackerHandle) asks.

use actix::Message;
use common::clock::Timestamp;
use common::id::{AccountId, ChannelId, Subject};
use common::identity::PeerKey;
use common::link::Link;
use common::proto::device::Revoked;
use common::proto::directory::{ChannelHead, ChannelRecord, Listing, Locate as Wanted};
use common::proto::event::Broadcast;
use common::proto::knock::Introduction;
use common::proto::policy::Holder;
use common::proto::presence::{User, UserPage, Users};
use common::proto::status::Refusal;
use common::proto::transfer::{ChannelOffer, Offered};

use super::channels::Page;
use super::heads::Heard;
use super::introductions::Wish;
use super::knocks::Kept;
use super::sessions::{ConnId, Identity};
use super::state::{SessionGone, Unseen};
use crate::store::directory::{Revision, Row};
use crate::store::schema::ChannelRow;

/// A connection has said HELLO. Refused once the tracker stops.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub struct Connect {
    pub conn: ConnId,
    pub link: Link,
}

/// A session enters.
#[derive(Message)]
#[rtype(result = "Result<Admitted, SessionGone>")]
pub struct Enter {
    pub conn: ConnId,
    pub identity: Identity,
}

/// A session has entered.
pub struct Admitted {
    /// The channels that change their owner by this.
    pub inherited: Vec<ChannelId>,
    /// Whether the account is invisible.
    pub invisible: bool,
}

/// An account is invisible now, or is not any more, by the word of the session `conn`; `keys` are its other devices.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hide {
    pub conn: ConnId,
    pub account: AccountId,
    pub revision: Revision,
    pub on: bool,
    pub keys: Vec<PeerKey>,
}

/// A key is bound to no account any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SignOut {
    pub key: PeerKey,
}

/// Passes do not count any more: who has entered with their keys is put out, and hosts are told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndSessions {
    pub revoked: Revoked,
    /// What those who are put out are told.
    pub why: Refusal,
    /// Whoever asked for it: is closed once it has its answer.
    pub spared: Option<ConnId>,
}

/// Which of these keys have entered.
#[derive(Message)]
#[rtype(result = "There")]
pub struct WhoIsThere(pub Vec<PeerKey>);

/// Which of these channels' hosts are connected.
#[derive(Message)]
#[rtype(result = "There")]
pub struct AreOnline(pub Vec<ChannelId>);

/// One answer for each, in their order.
#[derive(actix::MessageResponse)]
pub struct There(pub Vec<bool>);

/// A connection has ended; answered with the guests' channels that it hosted.
#[derive(Message)]
#[rtype(result = "Vec<ChannelId>")]
pub struct Disconnect {
    pub conn: ConnId,
}

/// What somebody has offered.
#[derive(Message)]
#[rtype(result = "Vec<ChannelOffer>")]
pub struct OffersBy {
    pub owner: Subject,
    pub now: Timestamp,
}

/// Tell these devices of an offer, if they have entered as who it is of or for.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellKeys {
    pub keys: Vec<PeerKey>,
    pub event: Offered,
}

/// A channel was announced, and these are no more by that.
#[derive(Message)]
#[rtype(result = "Result<ChannelRecord, SessionGone>")]
pub struct Announce {
    pub conn: ConnId,
    pub row: Row<ChannelRow>,
    pub lapsed: Vec<ChannelId>,
}

/// Rows have changed without anybody having come or gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Refresh {
    pub rows: Vec<Row<ChannelRow>>,
}

/// A host has said how far channels are; answered with those whose log was further once.
#[derive(Message)]
#[rtype(result = "Vec<ChannelId>")]
pub struct Hear {
    pub conn: ConnId,
    pub heads: Vec<ChannelHead>,
}

/// What was heard of one channel, or of all, and is not on disk yet.
#[derive(Message)]
#[rtype(result = "Vec<(ChannelId, Heard)>")]
pub struct Unkept(pub Option<ChannelId>);

/// What was heard is on disk, in these rows.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeptHeads {
    pub heard: Vec<(ChannelId, Heard)>,
    pub rows: Vec<Row<ChannelRow>>,
}

/// A host has said who may do what in its channel.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PolicyChanged {
    pub row: Row<ChannelRow>,
}

/// A host has ended its announcement.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Withdraw {
    pub row: Row<ChannelRow>,
}

/// Channels are no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Remove {
    pub ids: Vec<ChannelId>,
    pub revision: Revision,
}

/// An operator has removed a channel: whoever hosts it is hung up on, and finds out when it announces it again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Evict {
    pub id: ChannelId,
    pub revision: Revision,
}

/// Tell this to all who have entered; answered with how many they are.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct TellAll {
    pub event: Broadcast,
    /// Who has said it, and need not hear it.
    pub spared: Option<ConnId>,
}

/// How many channels somebody owns.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct CountOwned {
    pub owner: Subject,
}

/// Where a channel is.
#[derive(Message)]
#[rtype(result = "Option<ChannelRecord>")]
pub struct Locate {
    pub conn: ConnId,
    pub who: Holder,
    pub what: Wanted,
}

/// A page of the list of channels.
#[derive(Message)]
#[rtype(result = "ListingReply")]
pub struct List {
    pub page: Page,
    pub who: Holder,
}

/// actix wants a type of its own for an answer that is neither an `Option` nor a `Result`.
#[derive(actix::MessageResponse)]
pub struct ListingReply(pub Listing);

/// A page of those who are there.
#[derive(Message)]
#[rtype(result = "UsersReply")]
pub struct ListUsers(pub Users);

/// See [`ListingReply`].
#[derive(actix::MessageResponse)]
pub struct UsersReply(pub UserPage);

/// A session wants to hear of these; answered with those who are there, unless they are too many.
#[derive(Message)]
#[rtype(result = "Result<Option<Vec<User>>, SessionGone>")]
pub struct Watch {
    pub conn: ConnId,
    pub subjects: Vec<Subject>,
}

/// A session does not want to hear of these any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unwatch {
    pub conn: ConnId,
    pub subjects: Vec<Subject>,
}

/// Somebody has knocked at these devices.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ring {
    pub conn: ConnId,
    pub keys: Vec<PeerKey>,
    pub kept: Kept,
}

/// A session wants to talk to somebody; of the devices in `knocked` it is known that they want it too.
#[derive(Message)]
#[rtype(result = "Result<Result<(), Unseen>, SessionGone>")]
pub struct Met {
    pub conn: ConnId,
    pub wish: Wish,
    pub knocked: Vec<PeerKey>,
    pub invisible: bool,
}

/// The knocks of these devices of somebody were turned down.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    pub keys: Vec<PeerKey>,
    pub of: Subject,
    pub rejection: Introduction,
}

/// The guests' channels whose hosts are there, and the channels whose names are free again.
#[derive(Message)]
#[rtype(result = "(Vec<ChannelId>, Vec<ChannelId>)")]
pub struct Due {
    pub now: Timestamp,
}

/// How much there is of everything that sessions bring and take with them.
#[derive(Message)]
#[rtype(result = "Counts")]
pub struct Count;

/// How many connections, entered sessions, leases and channels waited for there are.
#[derive(actix::MessageResponse, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections that have said HELLO.
    pub connections: usize,
    /// Of these, those that have entered.
    pub entered: usize,
    /// Channels whose hosts are connected.
    pub leases: usize,
    /// Channels that somebody waits for.
    pub waited_for: usize,
    /// Users who are there, on however many devices.
    pub people: usize,
    /// Users who are watched, by whomever, and how many each session watches.
    pub watched: usize,
    /// What sessions have said by INTRODUCE.
    pub wishes: usize,
    /// Links that are told of something.
    pub links: usize,
}

/// Tell all that the tracker stops, and take nobody in any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;
