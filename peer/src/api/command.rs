//! What a user may ask.

use std::path::PathBuf;

use common::id::Subject;
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::directory::{Grant, Post, View};
use common::secret::Secret;

use super::direct::DirectCommand;
use super::file::FileCommand;
use super::presence::WatchCommand;
use super::search::SearchCommand;
use super::transfer::TransferCommand;

/// What a user may ask.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make an account, under the name in use when none is given.
    Signup {
        /// The account's name.
        name: Option<UserName>,
        /// Its password.
        password: Secret,
    },
    /// Bind this peer to an account, that of the name in use when none is given.
    Signin {
        /// The account's name.
        name: Option<UserName>,
        /// Its password.
        password: Secret,
    },
    /// Unbind this peer from its account.
    Signout,
    /// Enter without an account, under the name in use when none is given.
    Guest {
        /// The wanted name.
        name: Option<UserName>,
    },
    /// Change the account's password.
    Passwd {
        /// The one in force.
        old: Secret,
        /// The one to be.
        new: Secret,
    },
    /// Look at the devices that are signed in to this account, or sign one of them out.
    Devices(DevicesCommand),
    /// Who this peer is.
    Whoami,
    /// Which key the tracker has, and whether it is confirmed.
    TrackerTrust,
    /// The user has compared the tracker's key and it is this one.
    ConfirmTracker {
        /// The key that was shown.
        key: PeerKey,
    },
    /// A page of the tracker's channels.
    List {
        /// Only names that contain this, or match it where it has a `*`.
        pattern: Option<String>,
        /// Only names after this one.
        after: Option<String>,
    },
    /// Say something to all who are at the tracker.
    Broadcast {
        /// What.
        text: String,
    },
    /// Who is at the tracker.
    Users,
    /// Look at whom the user watches, or change that.
    Watch(WatchCommand),
    /// Be seen as away by everybody, or not any more.
    Invisible {
        /// Whether.
        on: bool,
    },
    /// The channels this peer has joined or hosts.
    Connected,
    /// Who is in a channel.
    Members {
        /// Which.
        channel: ChannelName,
        /// Whether those are meant who were given something, here or not.
        granted: bool,
    },
    /// What a channel is.
    Info {
        /// Which.
        channel: ChannelName,
    },
    /// What is connected, and what is not, and why.
    Status,
    /// The inside of this peer, or of a channel it hosts.
    Debug {
        /// A hosted channel, else the peer.
        channel: Option<ChannelName>,
    },
    /// This peer itself: who, where, which channels, what is queued.
    Client,
    /// Host a channel, a new one or one of the user's.
    Host {
        /// Which.
        channel: ChannelName,
    },
    /// Host a channel that another of the user's machines hosts so far.
    TakeOver {
        /// Which.
        channel: ChannelName,
        /// Where its log comes from.
        log: LogFrom,
    },
    /// Stop hosting a channel, and write it into a file for the machine that is to host it.
    HandOver {
        /// Which.
        channel: ChannelName,
        /// Whose it is to be, when not this user's.
        heir: Option<UserName>,
        /// The file, which must not be there yet.
        path: PathBuf,
        /// The key of the peer there.
        to: PeerKey,
    },
    /// Offer a channel to somebody, or take or end an offer.
    Transfer(TransferCommand),
    /// Stop hosting a channel.
    Unhost {
        /// Which.
        channel: ChannelName,
        /// Whether the name is given up too.
        release: bool,
    },
    /// Join a channel.
    Join {
        /// Which.
        channel: ChannelName,
    },
    /// Leave a channel.
    Leave {
        /// Which.
        channel: ChannelName,
    },
    /// Write a message.
    Send {
        /// Where.
        channel: ChannelName,
        /// What.
        text: String,
    },
    /// Say who may do what in a channel, or put somebody out.
    Moderate {
        /// Which.
        channel: ChannelName,
        /// What is to be done.
        order: ModerationCommand,
    },
    /// Look at what waits to be sent, or change it.
    Outbox(OutboxCommand),
    /// A conversation with one other user.
    Direct(DirectCommand),
    /// Check what was received of a channel against what its host has signed.
    Verify {
        /// Which.
        channel: ChannelName,
    },
    /// Erase a message, for everybody.
    Erase {
        /// Where.
        channel: ChannelName,
        /// Its number.
        seq: u64,
        /// Why.
        why: Option<String>,
    },
    /// Files, to and from other users.
    Files(FileCommand),
    /// Write a channel into a file, to take it along.
    Export {
        /// Which.
        channel: ChannelName,
        /// The file, which must not be there yet.
        path: PathBuf,
    },
    /// Copy all that this peer keeps, while it runs.
    Backup {
        /// Where to, a folder that must not be there yet.
        folder: PathBuf,
    },
    /// Have members give back what the log of a hosted channel has lost.
    Recover {
        /// Which.
        channel: ChannelName,
        /// Whether to go on without what is missing, in a new log.
        fork: bool,
    },
    /// Make a channel of a file.
    Import {
        /// An export, or a log of IRC.
        path: PathBuf,
        /// What it is to be called; as in the file when absent.
        channel: Option<ChannelName>,
        /// The key of the host that the export is of, when this peer does not know it.
        key: Option<PeerKey>,
    },
    /// Look for what was said, or make the index anew.
    Search(SearchCommand),
    /// What was put aside when a channel moved.
    Branch {
        /// Which.
        channel: ChannelName,
        /// How many entries at most.
        count: u32,
    },
    /// A page of a channel's log.
    History {
        /// Which.
        channel: ChannelName,
        /// How many entries at most.
        count: u32,
        /// Only entries before this number; the newest when absent.
        before: Option<u64>,
    },
}

/// Where the log of a channel comes from that is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFrom {
    /// Out of an export.
    File(PathBuf),
    /// It is what this peer has received as a member.
    Received,
    /// From nowhere: it begins anew.
    Nothing,
}

/// What the owner or a moderator may do, and look at.
#[derive(Clone, Debug)]
pub enum ModerationCommand {
    /// Say who may join.
    View(View),
    /// Say who may send.
    Post(Post),
    /// Say for how many days texts are kept; for ever when absent.
    Retention(Option<u32>),
    /// Give an account a role.
    Authorize {
        /// Whom.
        who: WhoIs,
        /// Which.
        role: Grant,
    },
    /// Take back what an account was given.
    Deauthorize {
        /// Whom.
        who: WhoIs,
    },
    /// Put somebody out for a minute.
    Kick {
        /// Whom.
        who: WhoIs,
        /// Why.
        why: Option<String>,
    },
    /// Put somebody out for good.
    Ban {
        /// Whom.
        who: WhoIs,
        /// Why.
        why: Option<String>,
    },
    /// Let somebody come again.
    Unban {
        /// Whom.
        who: WhoIs,
    },
    /// Who is banned.
    Bans,
    /// What owner and moderators have done.
    Audit {
        /// How many acts at most.
        count: u32,
    },
}

/// Somebody as a user types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhoIs {
    /// By the name.
    Name(UserName),
    /// By what they are whatever the name: an account's id, or a guest's key.
    Subject(Subject),
}

/// What a user may ask about the devices of their account.
#[derive(Clone, Debug)]
pub enum DevicesCommand {
    /// Which there are.
    List,
    /// Sign one of them out.
    Revoke {
        /// The first digits of its key.
        key: String,
    },
}

/// What a user may ask about messages that wait to be sent.
#[derive(Clone, Debug)]
pub enum OutboxCommand {
    /// What waits, to one channel or to all.
    List {
        /// Which.
        channel: Option<ChannelName>,
    },
    /// Have refused messages sent again.
    Retry {
        /// A channel, for all of its messages; else the end of a message's id.
        which: String,
    },
    /// Do not send a message.
    Cancel {
        /// The end of its id.
        id: String,
    },
    /// Send another text in a message's place.
    Edit {
        /// The end of its id.
        id: String,
        /// The other text.
        text: String,
    },
}
