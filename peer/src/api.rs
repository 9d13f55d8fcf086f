//! All that a user interface may ask of a peer ([`Command`]), and all that it is told ([`Reply`], [`Event`]).
//!
//! Every interface drives the same; what they show is only dressed differently. Replies and events have the stable JSON
//! form that `docs/JSON.md` describes.

mod command;
mod event;
mod outbox;
mod reply;

pub use command::{Command, OutboxCommand};
pub use event::{Event, OutgoingState};
pub use outbox::{OutboxChange, OutboxItem, OutboxList, Retried, WishedChange};
pub use reply::{
    ChannelStatus, Channels, ChatMessage, ClientReport, ConnectedChannels, HistoryOf, Hosting, Identity,
    JoinedChannel, LinkState, MembersOf, Missing, Outcome, Queued, Reply, SessionState, StatusReport,
    TrackerStatus, Trust, format_utc,
};
