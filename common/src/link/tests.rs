//! Two ends of a link in one process, and raw ends that do not keep to the protocol.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::proto::Empty;
use crate::proto::directory::{List, Listing, Renew};
use crate::proto::limits::{DRAIN_LIMIT, FRAME_LIMIT, MAX_BAD_FRAMES, MAX_FRAME_BYTES, OUTGOING_BYTES};
use crate::transport::memory_pair;

const ROOM: usize = 1 << 20;

fn key(byte: u8) -> PeerKey {
    PeerKey::from_bytes([byte; 32])
}

fn pair() -> ((Link, Inbox), (Link, Inbox)) {
    let (a, b) = memory_pair(key(1), key(2), ROOM);
    (Link::open(a), Link::open(b))
}

/// A link, and the raw bytes of its other end.
fn raw(room: usize) -> (Link, Inbox, BufReader<DuplexStream>) {
    let (near, far) = tokio::io::duplex(room);
    let connection = Connection {
        stream: Box::new(near),
        peer_key: key(1),
        origin: Origin::InProcess,
        remote: None,
        path: "test".into(),
    };
    let (link, inbox) = Link::open(connection);
    (link, inbox, BufReader::new(far))
}

async fn line(far: &mut BufReader<DuplexStream>) -> String {
    let mut line = String::new();
    far.read_line(&mut line).await.unwrap();
    line
}

async fn request(inbox: &mut Inbox) -> Request {
    match inbox.next().await.unwrap() {
        Inbound::Request(request) => request,
        Inbound::Event(event) => panic!("unexpected event {event:?}"),
    }
}

#[tokio::test]
async fn who_is_not_expected_to_be_asked_answers_ping_all_the_same() {
    let ((asking, mut own), (answering, mut inbox)) = pair();
    tokio::spawn(async move { own.next().await });
    let (ping, renew) = (asking.send(&Ping {}).unwrap(), asking.send(&Renew {}).unwrap());
    for _ in 0..2 {
        answering.answer_unexpected(&request(&mut inbox).await).unwrap();
    }
    ping.await.unwrap();
    let refused = renew.await.unwrap_err().into_refusal();
    assert_eq!(refused.code, Code::UnknownCommand);
}

#[tokio::test]
async fn many_requests_are_under_way_and_answered_in_any_order() {
    let ((asking, mut own), (answering, mut inbox)) = pair();
    let reading = tokio::spawn(async move { own.next().await });
    let asked: Vec<_> = (0..50)
        .map(|n| asking.send(&List { after: Some(n.to_string()), ..List::default() }).unwrap())
        .collect();
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.push(request(&mut inbox).await);
    }
    for request in requests.into_iter().rev() {
        let List { after, .. } = proto::parse_body(&request.body).unwrap();
        answering.answer(request.id, &Ok(Listing { channels: Vec::new(), next: after })).unwrap();
    }
    for (n, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().next, Some(n.to_string()));
    }
    drop(inbox);
    assert!(reading.await.unwrap().is_err());
}

#[tokio::test]
async fn a_lost_connection_fails_all_that_is_pending_at_once() {
    let ((asking, mut own), (_, inbox)) = pair();
    let pending: Vec<_> = (0..5).map(|_| asking.send(&Renew {}).unwrap()).collect();
    drop(inbox);
    assert_eq!(own.next().await.unwrap_err(), CloseReason::There);
    for answer in pending {
        assert_eq!(answer.await.unwrap_err(), RequestError::Lost(CloseReason::There));
    }
    assert_eq!(asking.request(&Renew {}).await.unwrap_err(), RequestError::Lost(CloseReason::There));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_ends_and_a_late_answer_is_passed_over() {
    let ((asking, mut own), (answering, mut inbox)) = pair();
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let reading = tokio::spawn(async move {
        while let Ok(inbound) = own.next().await {
            told.send(inbound).await.unwrap();
        }
    });
    let asked = tokio::spawn({
        let asking = asking.clone();
        async move { asking.request(&Renew {}).await }
    });
    let late = request(&mut inbox).await;
    // The other side speaks now and then, or the link would be silent before the request is overdue.
    tokio::time::sleep(REQUEST_LIMIT / 2).await;
    answering.tell(&proto::event::ChannelDown { id: crate::id::ChannelId::new() }).unwrap();
    assert_eq!(asked.await.unwrap().unwrap_err(), RequestError::TimedOut);
    answering.answer::<Empty>(late.id, &Ok(Empty {})).unwrap();
    answering.tell(&proto::event::ChannelDown { id: crate::id::ChannelId::new() }).unwrap();
    for _ in 0..2 {
        assert!(matches!(heard.recv().await, Some(Inbound::Event(_))));
    }
    assert!(!asking.is_closed() && asking.0.pending().is_empty());
    assert_eq!(asking.0.pending().strays(), 1);
    reading.abort();
}

#[tokio::test]
async fn unreadable_lines_are_answered_and_survived_but_not_for_ever() {
    let (link, mut inbox, mut far) = raw(ROOM);
    for n in 1..MAX_BAD_FRAMES {
        far.write_all(if n % 2 == 0 { b"{\"nonsense\n" } else { b"{\"bad\":\"\xff\"}\n" }).await.unwrap();
    }
    assert!(inbox.next().now_or_never().is_none(), "nothing has come in, and the link goes on");
    for _ in 1..MAX_BAD_FRAMES {
        assert!(line(&mut far).await.contains("bad_frame"));
    }
    assert!(!link.is_closed());
    far.write_all(b"\n").await.unwrap();
    assert!(matches!(inbox.next().await, Err(CloseReason::Protocol(_))));
    assert!(line(&mut far).await.contains("GOING_AWAY"));
}

#[tokio::test]
async fn a_readable_line_makes_good_for_unreadable_ones() {
    let (link, mut inbox, mut far) = raw(ROOM);
    for _ in 0..3 {
        for _ in 1..MAX_BAD_FRAMES {
            far.write_all(b"[]\n").await.unwrap();
        }
        far.write_all(b"{\"event\":\"X\",\"body\":{}}\n").await.unwrap();
        assert!(matches!(inbox.next().await, Ok(Inbound::Event(_))));
    }
    assert!(!link.is_closed());
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_link_with_the_reason() {
    let (_link, mut inbox, mut far) = raw(ROOM);
    far.write_all(&vec![b'x'; MAX_FRAME_BYTES]).await.unwrap();
    assert!(matches!(inbox.next().await, Err(CloseReason::Protocol(_))));
    assert!(line(&mut far).await.contains("frame_too_long"));
}

#[tokio::test(start_paused = true)]
async fn a_begun_frame_that_does_not_end_ends_the_link() {
    let (_link, mut inbox, mut far) = raw(ROOM);
    let dripping = tokio::spawn(async move {
        // Never silent, never done.
        while far.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SILENCE_LIMIT / 4).await;
        }
    });
    let begun = Instant::now();
    assert!(matches!(inbox.next().await, Err(CloseReason::Protocol(_))));
    assert_eq!(begun.elapsed().as_secs(), FRAME_LIMIT.as_secs());
    drop(inbox);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_link_after_twenty_seconds_and_pings_keep_it_alive() {
    let (_link, mut inbox, mut far) = raw(ROOM);
    let begun = Instant::now();
    assert_eq!(inbox.next().await.unwrap_err(), CloseReason::Silent);
    assert_eq!(begun.elapsed().as_secs(), 20);
    let farewell = line(&mut far).await;
    assert!(farewell.contains("GOING_AWAY") && farewell.contains("timed_out"), "{farewell}");
    drop(far);

    let ((dialled, mut own), (accepted, mut inbox)) = pair();
    dialled.keep_alive();
    let reading = tokio::spawn(async move { own.next().await });
    let end = Instant::now() + SILENCE_LIMIT * 5;
    while Instant::now() < end {
        let ping = request(&mut inbox).await;
        assert_eq!(ping.command, Ping::NAME);
        accepted.answer(ping.id, &Ok(Empty {})).unwrap();
    }
    assert!(!dialled.is_closed() && !reading.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_takes_a_minute_to_read_is_not_silence() {
    let (far, near) = memory_pair(key(1), key(2), 4096);
    let ((host, mut inbox), (member, mut slow)) = (Link::open(far), Link::open(near));
    member.keep_alive();
    let answers = host.clone();
    let answering = tokio::spawn(async move {
        loop {
            let ping = request(&mut inbox).await;
            // Its turn comes behind all that waits already.
            answers.answer(ping.id, &Ok(Empty {})).unwrap();
        }
    });
    let line = proto::encode_event(&proto::event::ChannelDown { id: crate::id::ChannelId::new() }).unwrap();
    let piece = Bytes::from(line.repeat(16));
    let (begun, pieces) = (Instant::now(), OUTGOING_BYTES / 2 / piece.len());
    for _ in 0..pieces {
        host.push(piece.clone()).unwrap();
    }
    for _ in 0..pieces * 16 {
        assert!(matches!(slow.next().await, Ok(Inbound::Event(_))));
        tokio::time::sleep(Duration::from_millis(12)).await;
    }
    assert!(begun.elapsed() > SILENCE_LIMIT * 3, "{:?}", begun.elapsed());
    assert!(!host.is_closed() && !member.is_closed() && !answering.is_finished());
}

#[tokio::test(start_paused = true)]
async fn pings_go_on_while_nobody_reads_their_answers_and_while_all_places_are_taken() {
    let ((dialled, _unread), (accepted, mut inbox)) = pair();
    dialled.keep_alive();
    let end = Instant::now() + SILENCE_LIMIT * 5;
    let mut asked = Vec::new();
    while Instant::now() < end {
        let ping = request(&mut inbox).await;
        assert_eq!(ping.command, Ping::NAME);
        accepted.answer(ping.id, &Ok(Empty {})).unwrap();
        assert!(dialled.0.pending().len() <= 1, "what is pending does not grow");
    }
    while let Ok(answer) = dialled.send(&Renew {}) {
        asked.push(answer);
    }
    let last = async { while request(&mut inbox).await.command != Ping::NAME {} };
    timeout(PING_EVERY * 2, last).await.expect("a PING without a place for its answer");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_refusals_and_does_not_read_them_is_cut_off() {
    let (link, mut inbox, mut far) = raw(1024);
    link.push(Bytes::from(vec![b'\n'; 4096])).unwrap();
    // The writer has begun on that and is stuck; what comes now waits.
    tokio::task::yield_now().await;
    link.push(Bytes::from(vec![b'\n'; OUTGOING_BYTES])).unwrap();
    far.write_all(b"nonsense\n").await.unwrap();
    assert_eq!(inbox.next().await.unwrap_err(), CloseReason::SlowReader);
    assert!(link.is_closed());
}

/// A link over TCP with small buffers, and the socket of its other end.
async fn over_tcp() -> (Link, Inbox, tokio::net::TcpStream) {
    let small = |socket: tokio::net::TcpSocket| {
        socket.set_send_buffer_size(4096).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket
    };
    let listening = small(tokio::net::TcpSocket::new_v4().unwrap());
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listening = listening.listen(1).unwrap();
    let dialling = small(tokio::net::TcpSocket::new_v4().unwrap());
    let far = dialling.connect(listening.local_addr().unwrap()).await.unwrap();
    let (near, _) = listening.accept().await.unwrap();
    let connection = Connection {
        stream: Box::new(near),
        peer_key: key(1),
        origin: Origin::InProcess,
        remote: None,
        path: "test".into(),
    };
    let (link, inbox) = Link::open(connection);
    (link, inbox, far)
}

#[tokio::test]
async fn the_last_words_reach_who_was_writing_and_not_reading() {
    let (link, inbox, mut far) = over_tcp().await;
    // Nobody reads this there.
    while far.try_write(&[b'\n'; 4096]).is_ok_and(|written| written > 0) {
        tokio::task::yield_now().await;
    }
    for _ in 0..16 {
        link.push(Bytes::from(vec![b'\n'; 1024])).unwrap();
    }
    link.close_because(Code::Superseded.into());
    drop(inbox);
    tokio::time::sleep(DRAIN_LIMIT / 8).await;
    let mut heard = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut far, &mut heard).await.expect("an end in order");
    assert!(heard.contains("superseded"), "only {} bytes came", heard.len());
    drop(far);
    timeout(DRAIN_LIMIT / 2, link.finished()).await.expect("the end of the other side is noticed");
}

#[tokio::test]
async fn who_cannot_write_any_more_still_finds_out_why() {
    let (link, mut inbox, mut far) = over_tcp().await;
    let farewell = farewell(Code::PassExpired.into()).unwrap();
    far.write_all(&farewell).await.unwrap();
    // Unread by then: the other side hangs up hard.
    link.push(Bytes::from_static(b"x\n")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(far);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _ = link.push(Bytes::from_static(b"y\n"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(inbox.next().await.unwrap_err(), CloseReason::Told(Code::PassExpired.into()));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off_and_memory_stays_bounded() {
    let (link, mut inbox, far) = raw(1024);
    let pushed = std::iter::repeat_with(|| link.push(Bytes::from(vec![b'\n'; 1000])));
    let taken = pushed.take_while(Result::is_ok).count();
    assert!(taken <= OUTGOING_BYTES / 1000 + 1);
    assert!(link.outgoing().waiting_bytes() < 1000, "what waited is dropped");
    assert_eq!(inbox.next().await.unwrap_err(), CloseReason::SlowReader);
    link.finished().await;
    drop(far);
}

#[tokio::test]
async fn the_last_words_are_heard() {
    let ((closing, inbox), (_, mut other)) = pair();
    closing.tell(&proto::event::ChannelDown { id: crate::id::ChannelId::new() }).unwrap();
    closing.close_because(Code::Superseded.into());
    assert!(closing.push(Bytes::from_static(b"x\n")).is_err());
    assert!(matches!(other.next().await, Ok(Inbound::Event(_))));
    assert_eq!(other.next().await.unwrap_err(), CloseReason::Told(Code::Superseded.into()));
    drop((inbox, other));
    timeout(DRAIN_LIMIT / 2, closing.finished()).await.unwrap();
}

/// Lines that say which they are, of many lengths.
fn numbered(number: usize) -> Bytes {
    Bytes::from(format!("{number} {}\n", "x".repeat(number * 37 % 500)))
}

#[tokio::test]
async fn what_is_written_at_once_is_there_without_the_writer() {
    let (link, _inbox, mut far) = raw(ROOM);
    link.push_now(numbered(7)).unwrap();
    // This task has not yielded: nobody else can have written it.
    assert_eq!(line(&mut far).now_or_never().unwrap().as_bytes(), numbered(7));
}

#[tokio::test]
async fn what_does_not_go_at_once_goes_whole_and_in_order() {
    let (link, _inbox, mut far) = raw(100);
    for number in 0..300 {
        match number % 3 {
            0 => link.push(numbered(number)).unwrap(),
            _ => link.push_now(numbered(number)).unwrap(),
        }
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    link.close();
    for number in 0..300 {
        assert_eq!(line(&mut far).await.as_bytes(), numbered(number));
    }
    assert_eq!(line(&mut far).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_two_threads_are_never_torn() {
    let (link, _inbox, mut far) = raw(300);
    let other = link.clone();
    let pushing = tokio::task::spawn_blocking(move || {
        (0..1000).for_each(|number| other.push(numbered(number * 2)).unwrap());
    });
    let writing = tokio::task::spawn_blocking(move || {
        (0..1000).for_each(|number| link.push_now(numbered(number * 2 + 1)).unwrap());
    });
    let mut next = [0, 1];
    for _ in 0..2000 {
        let line = line(&mut far).await;
        let number: usize = line.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(line.as_bytes(), numbered(number));
        assert_eq!(number, next[number % 2]);
        next[number % 2] += 2;
    }
    pushing.await.unwrap();
    writing.await.unwrap();
}

#[tokio::test]
async fn who_does_not_read_what_is_written_at_once_is_closed_between_two_lines() {
    let (link, mut inbox, mut far) = raw(1000);
    let reading = tokio::spawn(async move { inbox.next().await });
    let lines = Bytes::from(format!("{}\n", "x".repeat(9999)));
    while link.push_now(lines.clone()).is_ok() {}
    assert_eq!(reading.await.unwrap().unwrap_err(), CloseReason::SlowReader);
    // What had begun is ended before the last words.
    let (mut told, mut whole) = (String::new(), 0);
    while told.is_empty() {
        let next = line(&mut far).await;
        if next.as_bytes() == lines { whole += 1 } else { told = next }
    }
    assert!(told.contains("slow_reader"), "{told}");
    assert_eq!((whole, line(&mut far).await.as_str()), (1, ""));
}
