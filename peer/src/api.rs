//! All that a user interface may ask of a peer ([`Command`]), and all that it is told ([`Reply`], [`Event`]).
//!
//! Every interface drives the same; what they show is only dressed differently. Replies and events have the stable JSON
//! form that `docs/JSON.md` describes.

mod command;
mod direct;
mod event;
mod file;
mod history;
mod message;
mod outbox;
mod presence;
mod reply;
mod search;
mod transfer;

pub use command::{Command, DevicesCommand, LogFrom, ModerationCommand, OutboxCommand, WhoIs};
pub use direct::{
    ChatRequest, ChatState, ContactRow, ContactState, Contacts, Conversation, DeliveryState, DirectCommand,
    DirectMessage, StartedChat, Written,
};
pub use event::{Event, OutgoingState};
pub use file::{
    FileChange, FileCommand, FileDirection, FileList, FileNote, FileRow, FileState, FileTo, Offered,
};
pub use history::{
    BackedUp, BranchOf, Checked, Erased, ErasedEntry, Erases, Exported, Fault, FaultKind, Imported,
    ImportedFrom, NotAsked, Recovered, Rejected, Run, SignedUpTo, Verified, VerifiedLog, as_erased,
};
pub use message::{ChatMessage, EarlierLog, HistoryOf, Missing};
pub use outbox::{OutboxChange, OutboxItem, OutboxList, Retried, WishedChange};
pub use presence::{UserRow, UsersOf, Visibility, WatchCommand, WatchList, WatchedUser};
pub use reply::{
    AuditOf, BansOf, ChannelStatus, Channels, ClientReport, ConnectedChannels, DeviceRow, DevicesOf, Done,
    DoorState, Hosting, Identity, JoinedChannel, LinkState, MembersOf, Moderated, Outcome, Queued, Reply,
    SessionState, StatusReport, TrackerStatus, Trust, Who, format_utc,
};
pub use search::{
    AnyMessage, Cursor, DEFAULT_FOUND, Found, FoundMessage, Look, MAX_CONTEXT, MAX_FOUND, Place, Reindexing,
    SearchCommand, Snippet,
};
pub use transfer::{OfferRow, OffersOf, TransferCommand};
