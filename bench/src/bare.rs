//! The bare limit: one thread that writes the same bytes to everybody over TLS, and does nothing else.
//!
//! It keeps nothing, checks nothing and lets everybody in. What comes in one turn goes out as one piece to each. Its
//! frames are as long as those of a host for the same text.

use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::clock::Timestamp;
use common::entry::{Author, Hash, Header, RawEntry, TEXT};
use common::id::{IdentityKind, MessageId, Subject};
use common::identity::{Identity, PeerKey};
use common::proto::event;
use common::transport::Transport;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Fallible;

const LISTENER: Token = Token(usize::MAX);
/// As much as a host lets wait.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;

struct Member {
    socket: TcpStream,
    tls: ServerConnection,
    line: Vec<u8>,
    is_in: bool,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    members: Vec<Option<Member>>,
    seq: u64,
    /// What goes to everybody at the end of the turn.
    lines: BytesMut,
    from: Author,
}

/// Serves until the input ends.
pub fn serve() -> Fallible {
    let config = Transport::new(Identity::generate()?)?.server_config();
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    writeln!(stdout(), "bare ready listen={}", listener.local_addr()?)?;
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(stdin().read(&mut byte), Ok(1)) {}
        std::process::exit(0);
    });
    let key = PeerKey::from_bytes([7; 32]);
    let from = Author::new(Subject::Guest(key), "m000001".to_owned(), IdentityKind::Guest, key);
    let (members, lines) = (Vec::new(), BytesMut::new());
    let mut server = Server { poll, listener, config, members, seq: 0, lines, from };
    let mut events = Events::with_capacity(4096);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept()?,
                Token(n) => server.serve(n),
            }
        }
        server.deliver();
    }
}

impl Server {
    fn accept(&mut self) -> Fallible {
        while let Ok((mut socket, _)) = self.listener.accept() {
            socket.set_nodelay(true)?;
            let token = Token(self.members.len());
            self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            let mut tls = ServerConnection::new(self.config.clone())?;
            tls.set_buffer_limit(Some(BUFFER_BYTES));
            self.members.push(Some(Member { socket, tls, line: Vec::new(), is_in: false }));
        }
        Ok(())
    }

    fn serve(&mut self, n: usize) {
        let Some(Some(member)) = self.members.get_mut(n) else { return };
        let mut plain = Vec::new();
        let outcome = member.read(&mut plain).and_then(|()| member.flush());
        if outcome.is_err() {
            self.members[n] = None;
            return;
        }
        for line in plain.split_inclusive(|byte| *byte == b'\n') {
            let Some(Some(member)) = self.members.get_mut(n) else { return };
            member.line.extend_from_slice(line);
            if line.ends_with(b"\n") {
                let line = std::mem::take(&mut member.line);
                // A line that is none of ours is passed over.
                let _ = self.line(n, &line);
            }
        }
    }

    fn line(&mut self, n: usize, line: &[u8]) -> Fallible {
        let frame: Value = serde_json::from_slice(line)?;
        let body = match frame["command"].as_str() {
            Some("CONNECT") => json!({ "after": { "seq": self.seq } }),
            Some("MESSAGE") => {
                self.entry(&frame["body"])?;
                json!({ "seq": self.seq, "stored_at": 0 })
            }
            _ => json!({}),
        };
        let answer = json!({ "id": frame["id"], "status": "OK", "body": body });
        // In the order of the protocol, whatever the order of the fields in memory.
        let answer = format!("{{\"id\":{},\"status\":\"OK\",\"body\":{}}}\n", answer["id"], answer["body"]);
        let Some(Some(member)) = self.members.get_mut(n) else { return Ok(()) };
        member.is_in |= frame["command"] == "CONNECT";
        member.tls.writer().write_all(answer.as_bytes())?;
        Ok(member.flush()?)
    }

    fn entry(&mut self, message: &Value) -> Fallible {
        self.seq += 1;
        let now = Timestamp::now();
        let header = Header {
            seq: self.seq,
            id: MessageId::new(),
            kind: TEXT.to_owned(),
            from: self.from.clone(),
            sent_at: now,
            stored_at: now,
            about: None,
            imported: None,
            body_hash: Hash::of(b""),
        };
        let body = RawValue::from_string(message["body"].to_string())?;
        let (_, raw) = RawEntry::seal(header, body)?;
        event::put_message(&mut self.lines, &raw.to_bytes()?);
        Ok(())
    }

    fn deliver(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines: Bytes = self.lines.split().freeze();
        for slot in &mut self.members {
            let Some(member) = slot.as_mut().filter(|member| member.is_in) else { continue };
            let written = member.tls.writer().write_all(&lines).and_then(|()| member.flush());
            if written.is_err() {
                *slot = None;
            }
        }
    }
}

impl Member {
    fn read(&mut self, plain: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let state = self.tls.process_new_packets().map_err(std::io::Error::other)?;
                    let begin = plain.len();
                    plain.resize(begin + state.plaintext_bytes_to_read(), 0);
                    self.tls.reader().read_exact(&mut plain[begin..])?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
