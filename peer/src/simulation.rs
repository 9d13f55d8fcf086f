//! Host and clients in one simulated world: a network that delays, breaks and splits, disks that flush when they like
//! and fail, processes that are killed, users who write and change their minds; all of it out of one seed, in virtual
//! time, in one thread.
//!
//! What decides is the code that the programs run: [`Channel`](crate::host::channel::Channel) and
//! [`Seats`](crate::host::seats::Seats) at the host, [`ClientState`](crate::client::state::ClientState) with all its
//! parts at each client, `Pending` and `Outgoing` of each link, and the frames of the wire. What only does what was
//! decided is the simulator's own, in place of the actors, tasks and sled: `host` and `client` here, `wire`, `disk`. So
//! it says nothing about TLS, framing, passes, permission, or the tracker, which is only a switchboard here.
//!
//! Faults stop after a while, everything heals, and the world runs until nothing moves. What has to hold is checked by
//! [`history`], most of it while it happens, the rest at the end.

mod client;
mod disk;
mod files;
mod history;
mod host;
mod linking;
mod log;
mod network;
mod random;
mod tests;
mod users;
mod wire;
mod world;

/// An end of a connection; what it sends goes the way of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Client,
    Host,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Host,
            Self::Host => Self::Client,
        }
    }
}

/// A bug that is planted in the simulated wiring, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    /// The host does not look up ids in its log.
    HostForgetsIds,
    /// The host answers before the flush.
    HostAnswersEarly,
    /// The client says queued before the flush.
    ClientAnswersEarly,
    /// The host begins a stream one entry too late.
    ResumeSkipsOne,
    /// A client is not told of the requests that a broken connection leaves unanswered, nor of its end.
    LinkForgets,
    /// The client never says `restart`.
    NoRestart,
    /// What was told to the interface counts as shown.
    ToldIsShown,
    /// The outbox is not read at a start.
    OutboxForgotten,
    /// A member is made live although it lacks entries.
    LiveTooSoon,
    /// A client keeps the body of what the host has erased.
    ErasureNotFollowed,
}
