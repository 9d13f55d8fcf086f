//! Groups that write to links within the process.

use std::time::Duration;

use common::identity::PeerKey;
use common::link::{CloseReason, Inbox};
use common::proto::limits::OUTGOING_BYTES;
use common::transport::memory_pair;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(10);

struct Reader {
    link: Link,
    inbox: Inbox,
    lines: Lines<BufReader<common::transport::Stream>>,
}

fn reader() -> Reader {
    let key = PeerKey::from_bytes([1; 32]);
    let (near, far) = memory_pair(key, key, 4096);
    let (link, inbox) = Link::open(near);
    Reader { link, inbox, lines: BufReader::new(far.stream).lines() }
}

impl Reader {
    async fn line(&mut self) -> String {
        timeout(SOON, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }
}

fn numbered(number: u64) -> Bytes {
    Bytes::from(format!("line {number}\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_every_line_from_their_entry_on() {
    let mut fanout = Fanout::in_groups(&Handle::current(), 3);
    let mut readers = Vec::new();
    let count = 3 * FANOUT_GROUP_MEMBERS as u64;
    for number in 0..count {
        readers.push(reader());
        fanout.enter(ConnId(number), readers.last().unwrap().link.clone());
        fanout.push(&numbered(number));
    }
    for (first, reader) in readers.iter_mut().enumerate() {
        for number in first as u64..count {
            assert_eq!(reader.line().await, format!("line {number}"));
        }
    }
    assert_eq!(fanout.sizes, [FANOUT_GROUP_MEMBERS; 3]);
}

#[tokio::test]
async fn who_has_left_gets_nothing_and_the_others_go_on() {
    let mut fanout = Fanout::start(&Handle::current());
    let (mut leaving, mut staying) = (reader(), reader());
    fanout.enter(ConnId(1), leaving.link.clone());
    fanout.enter(ConnId(2), staying.link.clone());
    fanout.push(&numbered(1));
    fanout.drained().await;
    fanout.leave(ConnId(1));
    fanout.push(&numbered(2));
    fanout.drained().await;
    assert_eq!((staying.line().await, staying.line().await), ("line 1".to_owned(), "line 2".to_owned()));
    leaving.link.push(numbered(3)).unwrap();
    assert_eq!((leaving.line().await, leaving.line().await), ("line 1".to_owned(), "line 3".to_owned()));
    assert_eq!((fanout.sizes.iter().sum::<usize>(), fanout.places.len()), (1, 1));
}

#[tokio::test]
async fn who_does_not_read_is_closed_and_holds_up_nobody() {
    let mut fanout = Fanout::start(&Handle::current());
    let (mut stalled, mut healthy) = (reader(), reader());
    fanout.enter(ConnId(1), stalled.link.clone());
    fanout.enter(ConnId(2), healthy.link.clone());
    let line = Bytes::from(format!("{}\n", "x".repeat(10_000)));
    for _ in 0..2 * OUTGOING_BYTES / line.len() {
        timeout(SOON, fanout.room()).await.unwrap();
        fanout.push(&line);
        assert_eq!(healthy.line().await.len(), 10_000);
    }
    let reason = timeout(SOON, stalled.inbox.next()).await.unwrap().unwrap_err();
    assert_eq!(reason, CloseReason::SlowReader);
}

#[tokio::test]
async fn groups_end_with_the_fan_out_and_what_was_pushed_is_written() {
    let mut fanout = Fanout::start(&Handle::current());
    let mut last = reader();
    fanout.enter(ConnId(1), last.link.clone());
    fanout.push(&numbered(1));
    let groups = fanout.groups.clone();
    assert!(!fanout.is_broken());
    drop(fanout);
    assert_eq!(last.line().await, "line 1");
    for group in groups {
        while Arc::strong_count(&group) > 1 {
            yield_now().await;
        }
        timeout(SOON, group.below(0)).await.unwrap();
    }
}
