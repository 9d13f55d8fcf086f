//! Thousands of connections driven from one thread, as cheaply as can be: one read for what has come, one buffer for all.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustls::ClientConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Fallible;
use crate::tls::Tls;

/// How much is read at once, of one connection after the other.
const READ_BYTES: usize = 512 * 1024;
const EVENTS: usize = 4096;
/// 127.1.0.1, the first of the addresses of loopback that are dialled from.
const FIRST_ORIGIN: u32 = 0x7f01_0001;

/// Which connection.
pub type End = usize;

/// Whoever is told what happens on the connections. What is put into `reply` is sent on the same connection.
pub trait Ends {
    fn opened(&mut self, end: End, reply: &mut Vec<u8>);
    fn line(&mut self, end: End, line: &[u8], reply: &mut Vec<u8>);
    fn closed(&mut self, end: End, reason: &str);
}

struct Conn {
    socket: TcpStream,
    tls: Tls,
    /// A record that is not whole yet.
    record: Vec<u8>,
    /// A line that is not whole yet.
    line: Vec<u8>,
    /// What could not be written yet.
    out: Vec<u8>,
    /// Whether it is left unread.
    is_paused: bool,
    /// Whether the server still has to say a line before TLS begins.
    has_preamble: bool,
}

/// All connections.
pub struct Wire {
    poll: Poll,
    events: Option<Events>,
    conns: Vec<Option<Conn>>,
    free: Vec<End>,
    buffer: Vec<u8>,
    reply: Vec<u8>,
}

impl Wire {
    pub fn new() -> Fallible<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS)),
            conns: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_BYTES],
            reply: Vec::new(),
        })
    }

    /// Begins a connection; `opened` is told when it can be used. With a preamble, TLS begins after the server's first
    /// line.
    pub fn dial(
        &mut self,
        from: IpAddr,
        to: SocketAddr,
        config: Arc<ClientConfig>,
        has_preamble: bool,
    ) -> Fallible<End> {
        let mut socket = connect(from, to)?;
        let end = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        // Registered once and edge-triggered: no further calls for it while it lives.
        self.poll.registry().register(&mut socket, Token(end), Interest::READABLE | Interest::WRITABLE)?;
        let tls = Tls::new(config)?;
        let (record, line, out) = (Vec::new(), Vec::new(), Vec::new());
        self.conns[end] = Some(Conn { socket, tls, record, line, out, is_paused: false, has_preamble });
        Ok(end)
    }

    pub fn close(&mut self, end: End) {
        if self.conns.get_mut(end).and_then(Option::take).is_some() {
            self.free.push(end);
        }
    }

    /// Sends a line, or several.
    pub fn send(&mut self, end: End, lines: &[u8]) -> Fallible {
        match self.conns.get_mut(end) {
            Some(Some(conn)) => conn.send(lines),
            _ => Err("the connection has gone".into()),
        }
    }

    /// Sends each line in a record of its own, all at once.
    pub fn send_line_by_line(&mut self, end: End, lines: &[u8]) -> Fallible {
        match self.conns.get_mut(end) {
            Some(Some(conn)) => conn.send_line_by_line(lines),
            _ => Err("the connection has gone".into()),
        }
    }

    /// Leaves a connection unread from now on.
    pub fn pause(&mut self, end: End) {
        if let Some(Some(conn)) = self.conns.get_mut(end) {
            conn.is_paused = true;
        }
    }

    /// Waits until something happens, and tells of it.
    pub fn turn(&mut self, wait: Duration, ends: &mut impl Ends) -> Fallible {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        let polled = match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        };
        for event in &events {
            let end = event.token().0;
            if let Err(error) = self.serve(end, event.is_writable(), ends) {
                self.close(end);
                ends.closed(end, &error.to_string());
            }
        }
        self.events = Some(events);
        polled
    }

    fn serve(&mut self, end: End, is_writable: bool, ends: &mut impl Ends) -> Fallible {
        let Some(Some(conn)) = self.conns.get_mut(end) else { return Ok(()) };
        if is_writable {
            if !conn.tls.is_open() {
                conn.socket.set_nodelay(true)?;
                if !conn.has_preamble {
                    conn.feed(&mut [], |_| {})?;
                }
            }
            conn.flush()?;
        }
        self.reply.clear();
        let mut goes_on = !conn.is_paused;
        while goes_on {
            goes_on = conn.read(end, &mut self.buffer, &mut self.reply, ends)?;
        }
        if !self.reply.is_empty() {
            conn.send(&self.reply)?;
        }
        Ok(())
    }
}

impl Conn {
    /// Reads once; answers whether there may be more.
    fn read(
        &mut self,
        end: End,
        buffer: &mut [u8],
        reply: &mut Vec<u8>,
        ends: &mut impl Ends,
    ) -> Fallible<bool> {
        let kept = self.record.len();
        buffer[..kept].copy_from_slice(&self.record);
        let length = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err("closed by the other side".into()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let may_be_more = kept + length == buffer.len();
        let mut line = std::mem::take(&mut self.line);
        let input = &mut buffer[..kept + length];
        if self.has_preamble {
            // The server waits for TLS now, so that nothing can be behind the end of the line.
            self.has_preamble = !input.ends_with(b"\n");
            if !self.has_preamble {
                self.feed(&mut [], |_| {})?;
            }
            return Ok(may_be_more);
        }
        let (opened, used) =
            self.feed(input, |plain| cut(&mut line, plain, |line| ends.line(end, line, reply)))?;
        self.line = line;
        self.record.clear();
        self.record.extend_from_slice(&input[used..]);
        if opened {
            ends.opened(end, reply);
        }
        Ok(may_be_more)
    }

    /// Whether the session opened with it, and how much was used.
    fn feed(&mut self, input: &mut [u8], plain: impl FnMut(&[u8])) -> Fallible<(bool, usize)> {
        let before = self.out.len();
        let fed = self.tls.feed(input, &mut self.out, plain)?;
        if self.out.len() > before {
            self.flush()?;
        }
        if fed.ended {
            return Err("closed by the other side".into());
        }
        Ok((fed.opened, fed.used))
    }

    fn send(&mut self, lines: &[u8]) -> Fallible {
        self.tls.seal(lines, &mut self.out)?;
        self.flush()
    }

    fn send_line_by_line(&mut self, lines: &[u8]) -> Fallible {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.tls.seal(line, &mut self.out)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Fallible {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(0) => return Err("nothing can be written".into()),
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// An address of this machine for each of many: what a server bounds by origin, it does not bound for all together.
/// Elsewhere than on loopback there is one address, and the system chooses it.
pub fn origin(number: usize, to: SocketAddr) -> IpAddr {
    match to.ip().is_loopback() && to.is_ipv4() {
        true => Ipv4Addr::from_bits(FIRST_ORIGIN.saturating_add(u32::try_from(number).unwrap_or(0))).into(),
        false if to.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        false => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> Fallible<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        // It goes on by itself, and is told when it can be written to.
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Cuts lines out of `plain`; what is not ended stays in `begun`.
fn cut(begun: &mut Vec<u8>, plain: &[u8], mut each: impl FnMut(&[u8])) {
    let mut rest = plain;
    while let Some(length) = memchr::memchr(b'\n', rest) {
        if begun.is_empty() {
            each(&rest[..length]);
        } else {
            begun.extend_from_slice(&rest[..length]);
            each(begun);
            begun.clear();
        }
        rest = &rest[length + 1..];
    }
    begun.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive() {
        let text = b"one\n\nthree\nfour and more\nnot whole";
        for size in 1..text.len() {
            let (mut begun, mut lines) = (Vec::new(), Vec::new());
            text.chunks(size).for_each(|piece| cut(&mut begun, piece, |line| lines.push(line.to_vec())));
            assert_eq!(lines, [b"one".as_slice(), b"", b"three", b"four and more"]);
            assert_eq!(begun, b"not whole");
        }
    }

    #[test]
    fn everybody_on_loopback_has_an_origin_of_their_own() {
        let host = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(origin(0, host), IpAddr::from([127, 1, 0, 1]));
        assert_eq!(origin(10_000, host), IpAddr::from([127, 1, 39, 17]));
        assert!(origin(10_000, host).is_loopback());
        assert_eq!(origin(7, SocketAddr::from(([192, 0, 2, 1], 1))), IpAddr::from([0, 0, 0, 0]));
    }
}
