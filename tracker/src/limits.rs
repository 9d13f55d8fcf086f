//! Every number that bounds what a tracker keeps, beside those of the protocol in [`common::proto::limits`].

use std::time::Duration;

use common::meter::Rate;

use crate::attempts::Patience;

/// How many peer keys one account may be bound to.
pub const MAX_KEYS_PER_ACCOUNT: usize = 64;
/// How many names one guest's key may hold at once.
pub const MAX_NAMES_PER_GUEST: usize = 8;
/// How many channels one account may own.
pub const MAX_CHANNELS_PER_OWNER: usize = 16_384;
/// How many one guest may: it costs nothing to be another one.
pub const MAX_CHANNELS_PER_GUEST: usize = 16;
/// How many channels that are no more are remembered, so that nobody else takes their ids; of more, those that went first
/// are forgotten.
pub const MAX_RETIRED: usize = 100_000;
/// How many channels one session may be waiting for; of more, the oldest are forgotten.
pub const MAX_INTERESTS_PER_SESSION: usize = 1024;
/// How many addresses of one peer are handed out.
pub const MAX_ADDRESSES: usize = 16;
/// The longest pattern of LIST, in characters.
pub const MAX_PATTERN_CHARS: usize = 128;
/// How many channels one LIST looks at before it answers with what it has found.
pub const MAX_LIST_SCAN: usize = 20_000;

/// How many requests for a conversation are kept for one user; of more, the oldest goes.
pub const MAX_KNOCKS_PER_USER: usize = 100;
/// How many channels may be offered to one user; of more, what was offered first goes.
pub const MAX_OFFERS_PER_USER: usize = 32;
/// How many of the offers that one user has made are told; with as many that were made to them they fit a frame.
pub const MAX_OFFERS_SHOWN: usize = 32;
/// How many people one session may say to be willing to talk to; of more, the oldest are forgotten.
pub const MAX_WISHES_PER_SESSION: usize = 1024;

/// How many guests one origin may bring: a class behind one address comes in at once.
pub const GUESTS: Rate = Rate::new(300, 300);
/// How many accounts one origin may make: a class at once, then two a minute.
pub const SIGNUPS: Rate = Rate::new(300, 2);
/// How many names of new channels one origin may ask for: more than anybody needs, too few to go through a dictionary.
pub const NAMES: Rate = Rate::new(60, 20);
/// How often one channel is announced, given up, or has its policy told: all that its owner does in a row, and a host
/// that is here and gone. Each is written to disk.
pub const ANNOUNCEMENTS: Rate = Rate::new(120, 60);
/// How often one key asks for a new pass: on every new connection, and when half of the old one's time is over.
pub const RENEWALS: Rate = Rate::new(120, 30);
/// How often one account becomes invisible, or visible again. All who watch it are told.
pub const TURNS_INVISIBLE: Rate = Rate::new(30, 10);
/// How many pages of the list one origin may ask for: all channels are looked through for each.
pub const LISTS: Rate = Rate::new(600, 600);
/// How often one user may say something to all who are there.
pub const BROADCASTS: Rate = Rate::new(3, 2);
/// How often the guests of one origin may, together.
pub const GUEST_BROADCASTS: Rate = Rate::new(10, 5);
/// How many conversations one user may ask for: all that a peer has under way, on a new connection and another one.
pub const KNOCKS: Rate = Rate::new(200, 20);
/// How many the guests of one origin may, together.
pub const GUEST_KNOCKS: Rate = Rate::new(300, 60);
/// How often one user offers a channel, ends an offer, or asks which there are.
pub const TRANSFERS: Rate = Rate::new(60, 30);
/// How many of its devices one account may sign out.
pub const REVOCATIONS: Rate = Rate::new(64, 1);
/// How many revocations there may be at once: beyond that nobody signs out others' devices for a while.
pub const MAX_REVOCATIONS: usize = 65_536;
/// Wrong passwords for one name. Not for long: who guesses must not be able to keep the account's owner out.
pub const GUESSES_OF_NAME: Patience = Patience {
    free: 3,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    forgive: Duration::from_secs(5 * 60),
    at_once: 4,
};
/// Wrong passwords from one place, where many may be behind one address.
pub const GUESSES_OF_ORIGIN: Patience = Patience {
    free: 20,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15 * 60),
    forgive: Duration::from_secs(30),
    at_once: 32,
};
/// How many names, and how many places, are remembered for the wrong passwords that were tried there.
pub const MAX_GUESSERS: usize = 16_384;
/// How many passwords may wait to be hashed, beyond those being hashed.
pub const MAX_WAITING_HASHES: usize = 64;
/// How many passes are numbered by one write to the store.
pub const SERIALS_PER_WRITE: u64 = 1024;
/// How often a change is tried again after another one came between.
pub const MAX_COMMIT_TRIES: u32 = 16;
/// How many rows are read at once when a whole table is read.
pub const SCAN_ROWS: usize = 512;

/// How far channels are, as their hosts say between two announcements, is written this often.
pub const HEADS_KEPT_EVERY: Duration = Duration::from_secs(5);
/// How many channels one such write is of.
pub const HEADS_IN_WRITE: usize = 256;

/// How long a guest's name stays with its key after the last pass with it has ended.
pub const GUEST_NAME_HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the name of a guest's channel stays reserved after its host was last seen.
pub const GUEST_CHANNEL_HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an offer of a channel holds.
pub const OFFER_HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a request for a conversation is kept.
pub const KNOCK_HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// When a device was last here is noted this often at most.
pub const SEEN_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often what has lapsed is swept out, and hosts that are still there are noted as seen.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// How many acts of operators are kept; of more, the oldest go.
pub const MAX_AUDIT_ROWS: u64 = 10_000;
/// How much of a reason, or of what was said, is kept of each, in characters.
pub const MAX_AUDIT_DETAIL_CHARS: usize = 1000;
/// How many rows an operator is shown at once.
pub const MAX_REPORT_ROWS: usize = 1000;
/// How many operators may ask over the socket at once.
pub const MAX_ADMIN_CONNECTIONS: usize = 16;
/// The longest command of an operator, in bytes: more than a broadcast as JSON.
pub const MAX_ADMIN_LINE_BYTES: usize = 128 * 1024;
/// The longest answer to one, in bytes.
pub const MAX_ADMIN_ANSWER_BYTES: u64 = 8 * 1024 * 1024;
/// How long an operator's program may take to ask, and to read the answer.
pub const ADMIN_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for the answer.
pub const ADMIN_ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How many requests wait for the tracker's actor, beside one of each session.
pub const MAILBOX: usize = 1024;
/// How long sessions have to end once the tracker stops.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);
