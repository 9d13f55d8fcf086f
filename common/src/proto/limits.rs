//! Every number that bounds what is said, kept or waited for.

use std::time::Duration;

use crate::meter::Rate;

/// The version of the protocol, said in HELLO.
pub const PROTOCOL_VERSION: u32 = 1;

/// The port a tracker listens on unless told otherwise.
pub const TRACKER_PORT: u16 = 22236;

/// The longest frame, its line end included.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// The longest frame that carries a message: the entry made from it has to fit a frame too.
pub const MAX_MESSAGE_FRAME_BYTES: usize = 60 * 1024;
/// What a frame with a message has beside the message's body at most: the fields of the request and of the message.
pub const MESSAGE_ENVELOPE_BYTES: usize = 320;
/// The longest text of a message, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The most bytes of entries or rows in one page; leaves room for the envelope within a frame.
pub const MAX_PAGE_BYTES: usize = 56 * 1024;
/// The most rows in one page, whatever was asked.
pub const MAX_PAGE_ROWS: u32 = 500;
/// When to come back after something was full that empties by itself.
pub const BUSY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How much is said of what is wrong with a frame or a body, in characters.
pub const MAX_REASON_CHARS: usize = 256;
/// How deep objects and lists may stand within each other in a frame.
pub const MAX_DEPTH: usize = 32;
/// The same within the body of a message, which stands deeper in a page of the log than in the request that brings it.
pub const MAX_BODY_DEPTH: usize = 16;
/// How many frames in a row may be unreadable before a connection is closed.
pub const MAX_BAD_FRAMES: u32 = 8;

/// How many keys whose passes were revoked a peer remembers; of more, those whose passes die first are forgotten.
pub const MAX_REMEMBERED_REVOKED: usize = 131_072;
/// How many keys the revocations of one answer name at most (one more revocation may exceed it).
pub const MAX_REVOKED_KEYS: usize = 512;

/// The shortest password, in bytes of UTF-8.
pub const MIN_PASSWORD_BYTES: usize = 8;
/// The longest password, in bytes of UTF-8; more would only cost time to hash.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// How many messages a device may have unanswered in a channel.
pub const MAX_UNANSWERED_MESSAGES: usize = 64;
/// How many of its messages may wait for their answers, refusals included: who is so far over takes no notice of them.
pub const MAX_ANSWERS_OWED: usize = 8 * MAX_UNANSWERED_MESSAGES;
/// How many messages of one member a host takes: what somebody types, and not what a program pours out.
pub const MESSAGES: Rate = Rate::new(10, 300);
/// How many it takes besides of those that were written before the member came: they waited for the host.
pub const CATCH_UP_MESSAGES: Rate = Rate::new(1000, 60);
/// How often one member may have a host look for something.
pub const SEARCHES: Rate = Rate::new(10, 30);
/// How many entries one answer to that has at most.
pub const MAX_FOUND: u32 = 100;
/// A message that is too soon is held for so long at most; all that may be unanswered have their turn by then, and
/// whoever waits for the answer has not given up.
pub const MESSAGE_HELD_LIMIT: Duration = Duration::from_secs(13);
/// Of a member of whom more than this is held, nothing is read.
pub const HELD_BYTES: usize = 128 * 1024;
/// A sender has no more unanswered than a host takes in so long.
pub const MESSAGES_AHEAD: Duration = Duration::from_secs(5);
/// How many messages one STATUS_OF may ask about.
pub const MAX_STATUS_IDS: usize = 256;
/// How many messages may wait in the outbox of one channel.
pub const MAX_OUTBOX_MESSAGES: usize = 10_000;
/// How many requests of its own a side may have unanswered on one connection.
pub const MAX_PENDING_REQUESTS: usize = 256;

/// How much may wait to be written to one connection before it counts as a slow reader.
pub const OUTGOING_BYTES: usize = 1024 * 1024;
/// How many lines may wait to be written to one connection before it counts as a slow reader.
pub const OUTGOING_LINES: usize = 4096;
/// A stream from the log pauses while more than this waits to be written, so that it never overflows by itself.
pub const CATCH_UP_BYTES: usize = 256 * 1024;
/// The most bytes that a writer puts into one write, and so into one run of TLS records.
pub const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// How many bytes TLS takes for one write to the system, and holds while the system does not take them.
pub const TLS_BUFFER_BYTES: usize = 256 * 1024;

/// How many connections a listener serves at once.
pub const MAX_CONNECTIONS: usize = 16_384;
/// How many of these may come from one origin: an IPv4 address, or the 64 bits of IPv6 that one customer has.
pub const MAX_CONNECTIONS_OF_ORIGIN: usize = 512;
/// When to come back after there was no room for a connection.
pub const CONNECT_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How many TLS handshakes a listener has under way at once.
pub const MAX_HANDSHAKES: usize = 256;
/// How many of these may be with one origin.
pub const MAX_HANDSHAKES_OF_ORIGIN: usize = 64;

/// How long TLS may take after a connection is accepted, and finding and reaching the other side in all.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// HELLO has to be there by then, counted from the end of the handshake.
pub const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// A begun frame has to be whole by then.
pub const FRAME_LIMIT: Duration = Duration::from_secs(30);
/// A connection on which nothing at all was heard for so long is broken.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// How often the side that dialled says PING, so that a living connection is never silent.
pub const PING_EVERY: Duration = Duration::from_secs(6);
/// How many channels' heads one PING tells a tracker.
pub const MAX_HEADS: usize = 64;
/// A write that makes no progress for so long ends the connection.
pub const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// What still waits to be written when a connection is closed has so long, its way to the other side included.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// How much of what still comes in meanwhile is taken and passed over: somewhat more than an honest sender has under way.
pub const DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// How long a request waits for its answer.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// Nothing more is put on disk in a channel while more bytes than this are on their way to its members.
pub const FANOUT_BYTES: usize = 256 * 1024;
/// The members of a channel are written to by half as many tasks as there are processors, and no more than this.
pub const MAX_FANOUT_GROUPS: usize = 16;
/// So many members have one task for themselves before there is another.
pub const FANOUT_GROUP_MEMBERS: usize = 64;
/// How many members are written to before other tasks get a turn: some 2 ms.
pub const FANOUT_TURN: usize = 256;

/// JOINED and LEFT are gathered for so long before they are sent.
pub const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// More names than this in one JOINED or LEFT are sent as a count.
pub const MAX_PRESENCE_NAMES: usize = 50;
/// How many users one WATCH, UNWATCH, JOINED or LEFT names at a tracker: with the longest of names they fit a frame.
pub const MAX_USERS_IN_FRAME: usize = 128;
/// What a row of a page of members takes beside its name and its folded name: subject, kind, role, punctuation.
pub const MEMBER_ROW_BYTES: usize = 160;
/// How many users a session watches at a tracker.
pub const MAX_WATCHED: usize = 1024;

/// How long the JSON of a channel's policy may be: with the rest of an announcement it has to fit a frame.
pub const MAX_POLICY_BYTES: usize = 48 * 1024;
/// The longest reason that is given for a kick or a ban, in bytes of UTF-8.
pub const MAX_WHY_BYTES: usize = 512;
/// The most days that texts are kept for, short of for ever.
pub const MAX_RETENTION_DAYS: u32 = 36_500;
/// How long somebody who was kicked is refused.
pub const KICK_LASTS: Duration = Duration::from_secs(60);
/// How many who were kicked a host refuses at once; of more, whoever has the least time left is let in again.
pub const MAX_KICKED: usize = 1024;
/// How many orders one moderator gives a host: what somebody types, and too few to have the acts of others forgotten in
/// a moment.
pub const ORDERS: Rate = Rate::new(60, 30);
/// How many orders may wait at a host, one of which is being written.
pub const MAX_ORDERS: usize = 64;
/// How many of those who were given something stand on a page: with the longest of names it fits a frame.
pub const GRANTED_ROWS: usize = 150;
/// How many acts of its owner and moderators a channel remembers.
pub const MAX_ACTS: u64 = 10_000;

/// A host signs a checkpoint every so many entries.
pub const CHECKPOINT_EVERY: u64 = 1000;
/// Between entries that are signed so, it signs where the log ends whenever the talk pauses, and at the latest this often
/// while it goes on, and tells its members.
pub const SIGN_HEAD_EVERY: Duration = Duration::from_secs(30);
/// How many of them one VERIFY or PROOFS is answered with.
pub const MAX_CHECKPOINTS: usize = 32;
/// How many logs of before a host remembers that its newest goes on from.
pub const MAX_FORKS: usize = 16;
/// How many members are asked for entries that a host has lost.
pub const MAX_GIVERS: usize = 16;
/// How many questions of a host for what it has lost a member answers at once.
pub const MAX_GIVING: usize = 4;
/// How many of the newest entries a client takes when it has nothing yet.
pub const FIRST_TAIL: u32 = 50;

/// How many entries a host puts on disk together, and how many bytes of them (one more entry may exceed it).
pub const MAX_APPEND_ENTRIES: usize = 512;
/// See [`MAX_APPEND_ENTRIES`].
pub const MAX_APPEND_BYTES: usize = 256 * 1024;
/// How many bytes of messages may wait for the disk in one channel.
pub const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;
/// How many requests may wait in the mailbox of a host, beside one for each member.
pub const HOST_MAILBOX: usize = 256;
/// How often a connection may try to enter a channel before it is closed.
pub const MAX_CONNECT_ATTEMPTS: usize = 8;
/// How long a connection that has said HELLO may take to enter a channel.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// How many devices of one user a peer may agree to.
pub const MAX_DEVICES_OF_CONTACT: usize = 64;
/// How long a peer that has said HELLO for a conversation may take to say who it is, and to be let in.
pub const CHAT_REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// The highest clock and number of a message between two peers: what every program can read out of JSON exactly.
pub const MAX_CHAT_NUMBER: u64 = (1 << 53) - 1;
/// How far a message's clock may be ahead of those seen before it: nobody can use up a conversation's clock at once.
pub const MAX_CLOCK_JUMP: u64 = 1 << 32;

/// Files go in blocks of so many bytes, each of which is checked before it is kept. A power of two, of the 1024 bytes
/// that BLAKE3 hashes at once.
pub const FILE_BLOCK_BYTES: u64 = 256 * 1024;
/// The largest file or folder: what every program can read out of JSON exactly.
pub const MAX_FILE_BYTES: u64 = (1 << 53) - 1;
/// How many files a folder may have, and how many folders.
pub const MAX_FOLDER_FILES: u64 = 100_000;
/// How long the list of a folder's files may be: it is held in memory, and looked through before anything is written.
pub const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// The longest name of a file or folder, in bytes of UTF-8: less than file systems take, so that a number can be added.
pub const MAX_FILE_NAME_BYTES: usize = 200;
/// The longest path of a file within a folder.
pub const MAX_FILE_PATH_BYTES: usize = 1024;
/// How deep folders may stand within each other.
pub const MAX_FILE_PATH_DEPTH: usize = 32;
/// How many files a peer hands out at once; who asks for more is told to come back.
pub const MAX_FILES_SERVED: usize = 16;
/// How many of these one device may fetch: nobody takes all the places.
pub const MAX_FILES_SERVED_EACH: usize = 4;
/// How many files a peer fetches at once; more wait for their turn.
pub const MAX_FILES_FETCHED: usize = 32;
/// How often whoever fetches a file says how far it is; at the latest, since what is silent for
/// [`SILENCE_LIMIT`] is broken.
pub const FILE_PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long a connection for files may take to ask for one, and may be idle between two.
pub const FILE_GET_LIMIT: Duration = Duration::from_secs(60);

/// How many, such as addresses or members, a meter of what each does remembers.
pub const MAX_METERED: usize = 65_536;
