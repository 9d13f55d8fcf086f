//! Other chat servers, as far as a talk in one channel needs: how one enters, what a message looks like. Pure.

use std::io::Write;

use clap::ValueEnum;

/// The channel, or subject, that everybody is in.
const CHANNEL: &str = "bench";
const STAMP_DIGITS: usize = 20;
const SENDER_DIGITS: usize = 6;
const NUMBER_DIGITS: usize = 10;
/// A text is not shorter than what stands in it.
pub const SHORTEST_TEXT: usize = STAMP_DIGITS + SENDER_DIGITS + NUMBER_DIGITS;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    Nats,
    Irc,
}

/// What a line of a server means here.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A message with this text.
    Message(&'a [u8]),
    /// The member is in the channel.
    In,
    /// The server wants to hear this.
    Reply(Vec<u8>),
    /// The server does not want this member.
    Refused,
    /// Nothing that matters.
    Nothing,
}

/// What stands in the text of a message, since these servers number nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub nanos: u64,
    pub sender: usize,
    pub number: u64,
}

impl Dialect {
    /// Whether the server says a line before TLS begins.
    pub fn has_preamble(self) -> bool {
        self == Self::Nats
    }

    /// Whether a sender gets what it sends.
    pub fn echoes(self) -> bool {
        self == Self::Nats
    }

    /// The first words of a member.
    pub fn greeting(self, name: &str) -> Vec<u8> {
        match self {
            Self::Nats => format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"name\":\"{name}\"}}\r\n\
                 SUB {CHANNEL} 1\r\nPING\r\n"
            ),
            Self::Irc => format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\n"),
        }
        .into_bytes()
    }

    /// Appends what sends a text of `bytes` bytes.
    pub fn put_message(self, out: &mut Vec<u8>, bytes: usize, mark: Mark) {
        let Mark { nanos, sender, number } = mark;
        let room = bytes.saturating_sub(SHORTEST_TEXT);
        let length = room + SHORTEST_TEXT;
        // Writing into memory does not fail.
        let _ = match self {
            Self::Nats => write!(out, "PUB {CHANNEL} {length}\r\n"),
            Self::Irc => write!(out, "PRIVMSG #{CHANNEL} :"),
        };
        let _ = write!(out, "{nanos:020}{sender:06}{number:010}{:x<room$}\r\n", "");
    }

    /// What a line means.
    pub fn read(self, line: &[u8]) -> Said<'_> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self {
            Self::Nats => read_nats(line),
            Self::Irc => read_irc(line),
        }
    }
}

fn read_nats(line: &[u8]) -> Said<'_> {
    match line {
        b"PING" => Said::Reply(b"PONG\r\n".to_vec()),
        b"PONG" => Said::In,
        _ if line.starts_with(b"-ERR") => Said::Refused,
        _ if line.first().is_some_and(u8::is_ascii_digit) => Said::Message(line),
        // MSG, whose text is the next line; INFO; +OK.
        _ => Said::Nothing,
    }
}

fn read_irc(line: &[u8]) -> Said<'_> {
    if let Some(rest) = line.strip_prefix(b"PING") {
        return Said::Reply([b"PONG", rest, b"\r\n"].concat());
    }
    if line.starts_with(b"ERROR") {
        return Said::Refused;
    }
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (_, word, _, rest) = (words.next(), words.next(), words.next(), words.next().unwrap_or_default());
    match word {
        Some(b"PRIVMSG") => Said::Message(rest.strip_prefix(b":").unwrap_or(rest)),
        Some(b"001") => Said::Reply(format!("JOIN #{CHANNEL}\r\n").into_bytes()),
        Some(b"366") => Said::In,
        // There is no message of the day.
        Some(b"422") => Said::Nothing,
        Some([b'4' | b'5', second, third]) if second.is_ascii_digit() && third.is_ascii_digit() => {
            Said::Refused
        }
        _ => Said::Nothing,
    }
}

/// What stands in a text.
pub fn mark_of(text: &[u8]) -> Option<Mark> {
    let text = std::str::from_utf8(text.get(..SHORTEST_TEXT)?).ok()?;
    let (nanos, rest) = text.split_at(STAMP_DIGITS);
    let (sender, number) = rest.split_at(SENDER_DIGITS);
    Some(Mark { nanos: nanos.parse().ok()?, sender: sender.parse().ok()?, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { nanos: 123, sender: 7, number: 42 };

    fn text(sent: &[u8], skip: usize) -> Vec<u8> {
        sent[skip..].strip_suffix(b"\r\n").unwrap().to_vec()
    }

    #[test]
    fn a_text_has_its_length_and_its_mark() {
        for (dialect, head) in [(Dialect::Nats, "PUB bench 100\r\n"), (Dialect::Irc, "PRIVMSG #bench :")] {
            let mut out = Vec::new();
            dialect.put_message(&mut out, 100, MARK);
            assert!(out.starts_with(head.as_bytes()));
            let text = text(&out, head.len());
            assert_eq!((text.len(), mark_of(&text)), (100, Some(MARK)));
        }
        assert_eq!(mark_of(b"too short"), None);
    }

    #[test]
    fn nats_is_understood() {
        let read = |line| Dialect::Nats.read(line);
        assert_eq!(read(b"MSG bench 1 100\r"), Said::Nothing);
        assert_eq!(read(b"00012x\r"), Said::Message(b"00012x"));
        assert_eq!(read(b"PING\r"), Said::Reply(b"PONG\r\n".to_vec()));
        assert_eq!(read(b"PONG\r"), Said::In);
        assert_eq!(read(b"-ERR 'Slow Consumer'\r"), Said::Refused);
    }

    #[test]
    fn irc_is_understood() {
        let read = |line| Dialect::Irc.read(line);
        assert_eq!(read(b":m1!m1@127.1.0.1 PRIVMSG #bench :00012x\r"), Said::Message(b"00012x"));
        assert_eq!(read(b":m1!m1@127.1.0.1 PRIVMSG #bench 00012\r"), Said::Message(b"00012"));
        assert_eq!(read(b"PING :srv\r"), Said::Reply(b"PONG :srv\r\n".to_vec()));
        assert_eq!(read(b":srv 001 m1 :Welcome\r"), Said::Reply(b"JOIN #bench\r\n".to_vec()));
        assert_eq!(read(b":srv 366 m1 #bench :End of /NAMES list.\r"), Said::In);
        assert_eq!(read(b":srv 422 m1 :no MOTD\r"), Said::Nothing);
        assert_eq!(read(b":srv 433 * m1 :Nickname is already in use\r"), Said::Refused);
        assert_eq!(read(b":m2!m2@h JOIN #bench\r"), Said::Nothing);
        assert_eq!(read(b"ERROR :Closing link\r"), Said::Refused);
    }
}
