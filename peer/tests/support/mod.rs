//! A tracker and people with peers, all in this process, talking over real connections.

#![allow(dead_code, reason = "each test program uses a part of it")]

mod made_host;
mod person;
mod raw;
mod raw_talk;
mod relay;
mod world;
mod writer;

use std::path::Path;
use std::time::Duration;

use common::proto::status::Code;
use peer::api::{Event, LinkState, OutgoingState};
use tokio::time::timeout;

#[allow(unused_imports, reason = "each test program uses a part of it")]
pub use {
    made_host::{Fate, MadeHost},
    person::{Person, join, named, send},
    raw::{Raw, Reader, text_message},
    raw_talk::{RawTalk, chat_message},
    relay::Relay,
    world::{World, slow_clock},
    writer::Writer,
};

/// No wait of a test is longer.
pub const LIMIT: Duration = Duration::from_secs(20);

pub async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// Whether an event says that the connection to `to` is in this state.
pub fn is_connection(event: &Event, to: &str, wanted: LinkState) -> bool {
    matches!(event, Event::Connection { to: of, state, .. } if of == to && *state == wanted)
}

/// The number under which a message was stored, if the event says that one was.
pub fn stored(event: &Event) -> Option<u64> {
    match event {
        Event::Outgoing { state: OutgoingState::Stored, seq, .. } => *seq,
        _ => None,
    }
}

/// The code with which a message was refused, if the event says that one was.
pub fn refused(event: &Event) -> Option<Code> {
    match event {
        Event::Outgoing { state: OutgoingState::Refused, code, .. } => code.clone(),
        _ => None,
    }
}

/// Waits until it is so: for what follows from something else without anybody being told.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            actix::clock::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LIMIT, waiting).await.is_ok(), "it does not come about that {what}");
}

/// Puts a copy of one folder where the other is.
pub fn put_back(copy: &Path, place: &Path) {
    if place.exists() {
        std::fs::remove_dir_all(place).unwrap();
    }
    std::fs::create_dir(place).unwrap();
    for file in std::fs::read_dir(copy).unwrap() {
        let from = file.unwrap().path();
        let to = place.join(from.file_name().unwrap());
        if from.is_dir() {
            put_back(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
