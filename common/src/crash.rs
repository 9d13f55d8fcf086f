//! Where a test may end a program as a power cut would: at every step of the way of a message to the disk and on.
//!
//! A debug build that is started with `NATTER_CRASH_AT=POINT`, or `POINT:N`, kills itself when it comes by that point,
//! or comes by it for the `N`th time: nothing is flushed, nothing is dropped, nobody is told. A release build has none of
//! it, neither the variable nor the names of the points.

/// Which programs come by a point.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passer {
    /// All of them.
    Any,
    /// The tracker.
    Tracker,
    /// A peer that hosts a channel.
    Host,
    /// A peer that is in a channel.
    Member,
    /// A peer that hosts a channel, and gets back what its log has lost.
    Recovering,
}

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal by $passer:ident,)+) => {
        /// A step at which the program may be ended.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(debug_assertions, derive(Debug))]
        pub enum Point {
            $($(#[doc = $doc])+ $point,)+
        }

        #[cfg(debug_assertions)]
        impl Point {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// What it is called in the variable.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }

            /// Who comes by it.
            pub const fn passer(self) -> Passer {
                match self {
                    $(Self::$point => Passer::$passer,)+
                }
            }
        }
    };
}

points! {
    /// The database is open; of a new one nothing says so yet.
    StoreMade = "store.made" by Any,
    /// Write jobs have run; nothing of what they write is in the database.
    StoreRan = "store.ran" by Any,
    /// The database has it, in memory.
    StoreApplied = "store.applied" by Any,
    /// The kernel has it.
    StoreFlushed = "store.flushed" by Any,
    /// The disk has it.
    StoreSynced = "store.synced" by Any,
    /// How far the database goes is noted beside it.
    StoreMarked = "store.marked" by Any,
    /// Who waited for it was told.
    StoreAnswered = "store.answered" by Any,
    /// Lines have gone out over a connection.
    LinkWrote = "link.wrote" by Any,

    /// The record of a hosted channel is on disk; nobody serves it yet.
    HostOpened = "host.opened" by Host,
    /// A message has come from a member.
    HostReceived = "host.received" by Host,
    /// Messages have their numbers and go to the disk.
    HostAppending = "host.appending" by Host,
    /// They are on disk; nobody knows.
    HostAppended = "host.appended" by Host,
    /// Their senders are answered; no member has them.
    HostAnswered = "host.answered" by Host,
    /// Some of the members have them.
    HostDelivering = "host.delivering" by Host,
    /// All members have them.
    HostDelivered = "host.delivered" by Host,
    /// A member that catches up has got a page of the log.
    HostStreamed = "host.streamed" by Host,

    /// What was given back is held on the disk; nothing of it is proven.
    RecoverGiven = "recover.given" by Recovering,
    /// Some of it is proven and in the log; the host does not know.
    RecoverAppended = "recover.appended" by Recovering,
    /// All of it is; that nothing is lost any more is on disk, and the host was not opened anew.
    RecoverWhole = "recover.whole" by Recovering,
    /// A part of a log is copied into a new one, which nobody knows of.
    RecoverCopied = "recover.copied" by Recovering,

    /// That a channel is joined is on disk.
    ClientJoined = "client.joined" by Member,
    /// A message was typed; it goes to the outbox.
    ClientTyped = "client.typed" by Member,
    /// It is in the outbox on disk; the user was not told.
    ClientQueued = "client.queued" by Member,
    /// It goes out.
    ClientSending = "client.sending" by Member,
    /// It is on its way.
    ClientSent = "client.sent" by Member,
    /// The host has stored it; it is still in the outbox.
    ClientAnswered = "client.answered" by Member,
    /// It is gone from the outbox on disk.
    ClientRemoved = "client.removed" by Member,
    /// An entry has come from the host.
    ClientReceived = "client.received" by Member,
    /// Entries go to the archive.
    ClientArchiving = "client.archiving" by Member,
    /// They are in the archive on disk; they were not shown.
    ClientArchived = "client.archived" by Member,
    /// They were given to the interface; nothing on disk says so.
    ClientShown = "client.shown" by Member,

    /// A change of the directory is decided; it goes to the disk.
    TrackerChanging = "tracker.changing" by Tracker,
    /// It is on disk; nobody knows.
    TrackerChanged = "tracker.changed" by Tracker,
    /// An account is made; its owner was not told.
    TrackerSignedUp = "tracker.signed_up" by Tracker,
    /// A guest has its name; it was not told.
    TrackerHeld = "tracker.held" by Tracker,
    /// A channel is in the directory; who waits for it was not told.
    TrackerListed = "tracker.listed" by Tracker,
    /// Its host has the lease, and was not told.
    TrackerLeased = "tracker.leased" by Tracker,
    /// That a host is gone is on disk.
    TrackerSeen = "tracker.seen" by Tracker,
}

/// The program comes by a point.
#[inline]
pub fn here(point: Point) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// Set for one process by the test that starts it, so that nothing of it is in the code between.
    const VARIABLE: &str = "NATTER_CRASH_AT";

    struct Aim {
        point: Point,
        passes_left: AtomicU32,
    }

    pub(super) fn pass(point: Point) {
        static AIM: OnceLock<Option<Aim>> = OnceLock::new();
        let aim = AIM.get_or_init(|| std::env::var(VARIABLE).ok().map(|aim| read(&aim)));
        if let Some(aim) = aim.as_ref().filter(|aim| aim.point == point)
            && aim.passes_left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            die();
        }
    }

    fn read(aim: &str) -> Aim {
        let (name, nth) = aim.split_once(':').unwrap_or((aim, "1"));
        let point = Point::ALL.iter().copied().find(|point| point.name() == name);
        let (Some(point), Ok(nth)) = (point, nth.parse()) else {
            panic!("{VARIABLE}={aim} is no crash point; write POINT or POINT:N");
        };
        Aim { point, passes_left: AtomicU32::new(nth) }
    }

    fn die() -> ! {
        // Ends the process before it returns; nobody is left to be told that it did not.
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::Point;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
