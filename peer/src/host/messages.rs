//! What the actor of a host is asked. Each is one typed call of [`super::HostHandle`] or [`super::member::MemberSession`].

use std::sync::Arc;

use actix::Message;
use common::entry::{Checkpoint, Hash, Position};
use common::id::{ChannelId, RequestId, Subject};
use common::link::Link;
use common::name::ChannelName;
use common::pass::Pass;
use common::proto::channel::{self, Connect, DebugReport, Info, MemberList, Members};
use common::proto::directory::{Owner, Policy};
use common::proto::policy::{Holder, Role};
use common::proto::status::Refusal;
use common::proto::transfer::Taken;
use common::signed::Signed;
use tokio::sync::oneshot;

use super::channel::ConnId;
use super::moderation::Order;
use super::permission::Verb;
use super::record::{Behind, Handed, HostRecord, Offer};

/// CONNECT. Answered on the link itself when it went well, so that the answer comes before the stream.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Enter {
    pub link: Link,
    pub request: RequestId,
    pub connect: Connect,
    /// What the pass in it says; checked already.
    pub pass: Pass,
    pub reply: oneshot::Sender<Result<Entered, Refusal>>,
}

/// A member has its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered {
    pub conn: ConnId,
    /// How far it has the log.
    pub after: u64,
    /// Whether that is all: it gets entries live already.
    pub is_live: bool,
}

/// MESSAGE. Answered on the link, in the order of the requests.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Post {
    pub conn: ConnId,
    pub request: RequestId,
    /// Whether the sender goes on with this one after a refusal.
    pub restart: bool,
    /// The message with the hash of its body's bytes, or what is wrong with it.
    pub message: Result<(channel::Message, Hash), Refusal>,
}

/// A member has the log up to here and would be live.
#[derive(Message)]
#[rtype(result = "Handover")]
pub(super) struct GoLive {
    pub conn: ConnId,
    pub after: u64,
}

/// The answer to [`GoLive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::MessageResponse)]
pub(super) enum Handover {
    /// From the next entry on, the host pushes.
    Live,
    /// The log has grown meanwhile: read on up to here.
    ReadTo(u64),
    /// The member has no place any more.
    Gone,
}

/// A member's connection is over.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave {
    pub conn: ConnId,
    /// Whether it does not mean to come back.
    pub is_for_good: bool,
}

/// PASS, checked already.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Renew {
    pub conn: ConnId,
    pub pass: Pass,
}

/// Which member asks, and with which verb: what decides whether it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub conn: ConnId,
    pub verb: Verb,
}

/// Whether a member may use a verb that is served without the actor.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Permit {
    pub by: Asker,
}

/// All of a channel, for somebody who wants to take it along.
#[derive(Message)]
#[rtype(result = "Result<Disclosed, Refusal>")]
pub(super) struct Disclose {
    pub who: Holder,
}

/// What is known of what the log has lost, and who may have it, for the peer's own user.
#[derive(Message)]
#[rtype(result = "Result<Surveyed, Refusal>")]
pub(super) struct Survey {
    pub who: Holder,
}

/// A log that may have lost entries.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// What its host remembers of it.
    pub record: HostRecord,
    /// The members who may have what it lacks.
    pub members: Vec<crate::recovery::Member>,
}

/// What there is of a channel beside its entries.
#[derive(Clone, Debug)]
pub struct Disclosed {
    /// What its host remembers of it.
    pub record: HostRecord,
    /// Where the log ends.
    pub head: Position,
    /// The host's signature on that.
    pub signed: Signed<Checkpoint>,
}

/// VERIFY: the signature on where the log ends. The older ones are read past the actor.
#[derive(Message)]
#[rtype(result = "Result<Signed<Checkpoint>, Refusal>")]
pub(super) struct Attest {
    pub by: Asker,
}

/// STATUS_OF: whose messages the member may ask about. The log itself is asked past the actor.
#[derive(Message)]
#[rtype(result = "Result<Subject, Refusal>")]
pub(super) struct Identify {
    pub by: Asker,
}

/// VIEW, POST, RETENTION, AUTHORIZE, DEAUTHORIZE, KICK, BAN and UNBAN. Answered on the link, before what follows from it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Moderate {
    pub by: Asker,
    pub request: RequestId,
    pub order: Order,
}

/// ERASE. Answered on the link.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Erase {
    pub by: Asker,
    pub request: RequestId,
    pub asked: channel::Erase,
}

/// BANS: whom the policy names. What is remembered of them is read past the actor.
#[derive(Message)]
#[rtype(result = "Result<Arc<Policy>, Refusal>")]
pub(super) struct Consult {
    pub by: Asker,
}

/// MEMBERS of those who were given something: those names that are not known here are read past the actor.
#[derive(Message)]
#[rtype(result = "Result<GrantedPage, Refusal>")]
pub(super) struct ListGranted {
    pub by: Asker,
    pub after: Option<String>,
}

/// A page of those who were given something, the owner first.
pub(super) struct GrantedPage {
    /// Who, as what, and the name of those who are here.
    pub rows: Vec<(Subject, Role, Option<String>)>,
    pub total: usize,
    pub next: Option<String>,
}

/// MEMBERS.
#[derive(Message)]
#[rtype(result = "Result<MemberList, Refusal>")]
pub(super) struct ListMembers {
    pub by: Asker,
    pub asked: Members,
}

/// RET_INFO.
#[derive(Message)]
#[rtype(result = "Result<Info, Refusal>")]
pub(super) struct Describe {
    pub by: Asker,
}

/// DEBUG; without a member, the peer's own user asks.
#[derive(Message)]
#[rtype(result = "Result<DebugReport, Refusal>")]
pub(super) struct Inspect {
    pub by: Option<Asker>,
}

/// What the host is to be announced with.
#[derive(Message)]
#[rtype(result = "HostSummary")]
pub(super) struct Summarise;

/// A channel as its host announces it.
#[derive(Clone, Debug, actix::MessageResponse)]
pub struct HostSummary {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owns it.
    pub owner: Owner,
    /// How far its log is on disk.
    pub head: Position,
    /// The hosting's number.
    pub term: u64,
    /// Who may do what.
    pub policy: Policy,
    /// Whether its log has lost entries.
    pub behind: bool,
    /// Where the logs of before ended.
    pub before: Vec<Position>,
    /// How many members it has.
    pub members: u64,
    /// Who has taken it, and may host it by now.
    pub handed: Option<Handed>,
}

/// What is told of a channel between two announcements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The last entry that the host has signed.
    pub head: Position,
    /// How many members it has.
    pub members: u64,
}

/// The tracker has said whose the channel is.
#[derive(Message)]
#[rtype(result = "Result<(), super::HostError>")]
pub(super) struct SetOwner(pub Owner);

/// The tracker has given the hosting a number.
#[derive(Message)]
#[rtype(result = "Result<(), super::HostError>")]
pub(super) struct SetTerm(pub u64);

/// TAKE: somebody takes the channel that is offered to them.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Taken, Refusal>>")]
pub(super) struct Take {
    pub by: Asker,
}

/// The channel is offered to somebody.
#[derive(Message)]
#[rtype(result = "Result<(), super::HostError>")]
pub(super) struct SetOffer(pub Offer);

/// It is offered no more, if it was to this one. What was signed for them is to be taken back.
#[derive(Message)]
#[rtype(result = "Result<(), super::HostError>")]
pub(super) struct EndOffer(pub Option<Subject>);

/// What was signed for somebody counts no more: the host takes messages again.
#[derive(Message)]
#[rtype(result = "Result<(), super::HostError>")]
pub(super) struct Resume;

/// The log was proven to have been longer than it is.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TurnBehind {
    pub behind: Behind,
    /// Whether the owner has it so: there is nothing to warn them of then.
    pub is_wanted: bool,
}

/// Passes were revoked: who sits there with one of them is put out.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Sweep;

/// Ends the host in order; answered when all is on disk and all are told.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Close {
    pub reply: oneshot::Sender<()>,
    /// What the members are told.
    pub why: Refusal,
}

/// Somebody says to have entries that are not in the log, and has no signature of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Their name.
    pub name: String,
    /// The last of these entries.
    pub seq: u64,
    /// How many they are.
    pub more: u64,
}

/// What of that the owner is to hear.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// How much there was so far.
    pub count: u64,
    /// The last.
    pub last: Option<Claim>,
}
