//! The protocol: what each side may say, as types without any input or output.
//!
//! A frame is a request, a response or an event ([`Frame`]). What goes into its body is said in [`session`] (every
//! connection), [`directory`], [`device`], [`knock`], [`presence`] and [`transfer`] (to the tracker), [`channel`] (to a host), [`recovery`] (from a host to its members),
//! [`direct`] (from one peer to another), [`mod@file`] (files, from one peer to another) and [`event`] (pushed); who may
//! do what in [`policy`], refusals in [`status`], numbers in [`limits`]. How deep its JSON may go is looked at in
//! [`depth`].

pub mod channel;
pub mod depth;
pub mod device;
pub mod direct;
pub mod directory;
pub mod event;
pub mod file;
pub mod knock;
pub mod limits;
pub mod moving;
pub mod policy;
pub mod presence;
pub mod recovery;
pub mod session;
pub mod status;
pub mod transfer;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::id::RequestId;
use limits::{MAX_DEPTH, MAX_FRAME_BYTES, MAX_REASON_CHARS};
use status::{Code, Refusal, Status};

/// The body of a request, which says by its type what the answer will be.
pub trait Command: Serialize + DeserializeOwned {
    /// The word that stands in the frame.
    const NAME: &'static str;
    /// The body of the response when all went well.
    type Reply: Serialize + DeserializeOwned;
}

/// The body of an event.
pub trait Pushed: Serialize + DeserializeOwned {
    /// The word that stands in the frame.
    const NAME: &'static str;
}

/// Says for a list of bodies which word each has in a frame and what answers it.
macro_rules! commands {
    ($($name:literal $body:ty => $reply:ty;)*) => {
        $(impl $crate::proto::Command for $body {
            const NAME: &'static str = $name;
            type Reply = $reply;
        })*
    };
}
pub(crate) use commands;

/// A closed list of what may be asked (or told) on one kind of connection.
macro_rules! closed {
    ($(#[$doc:meta])* $enum:ident: $kind:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "lives on the stack, and only while it is handled")]
        pub enum $enum {
            $($(#[$variant_doc])* $variant($variant),)*
        }

        impl $enum {
            /// Every word there is.
            pub const NAMES: &[&str] = &[$(<$variant as $crate::proto::$kind>::NAME,)*];

            /// Reads a body by its word.
            ///
            /// # Errors
            /// `unknown_command` for a word that is not of this list, `bad_request` for a body of another form.
            pub fn parse(name: &str, body: &serde_json::value::RawValue) -> Result<Self, $crate::proto::status::Refusal> {
                match name {
                    $(<$variant as $crate::proto::$kind>::NAME => $crate::proto::parse_body(body).map(Self::$variant),)*
                    _ => Err($crate::proto::unknown(name)),
                }
            }
        }
    };
}
pub(crate) use closed;

pub(crate) fn parse_body<T: DeserializeOwned>(body: &RawValue) -> Result<T, Refusal> {
    serde_json::from_str(body.get()).map_err(|error| Refusal::new(Code::BadRequest, wrong(&error)))
}

/// What is wrong with JSON. It may quote all of what was sent, and an answer has to fit a frame.
fn wrong(error: &serde_json::Error) -> String {
    error.to_string().chars().take(MAX_REASON_CHARS).collect()
}

pub(crate) fn unknown(name: &str) -> Refusal {
    let shown: String = name.chars().take(32).collect();
    Refusal::new(Code::UnknownCommand, format!("the command {shown:?} is not known here"))
}

/// A body with nothing in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// One line of the wire, its body not yet looked into.
#[derive(Debug)]
pub enum Frame {
    /// Either side asks.
    Request(Request),
    /// The other side's answer.
    Response(Response),
    /// Pushed, never answered.
    Event(Event),
}

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    /// The response will carry the same.
    pub id: RequestId,
    /// What is asked.
    pub command: String,
    /// Its arguments.
    pub body: Box<RawValue>,
}

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    /// The request it answers.
    pub id: RequestId,
    /// The reply's bytes, or why there is none.
    pub outcome: Result<Box<RawValue>, Refusal>,
}

/// An event as it came.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// Its particulars.
    pub body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<RequestId>,
    command: Option<String>,
    status: Option<Status>,
    event: Option<String>,
    body: Option<Box<RawValue>>,
}

impl Frame {
    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// `bad_frame` with what is wrong. The connection can go on: the line's end was found.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let bad = |reason: String| Refusal::new(Code::BadFrame, reason);
        if depth::is_deeper_than(MAX_DEPTH, line) {
            return Err(bad(format!("objects and lists stand within each other {MAX_DEPTH} deep at most")));
        }
        let envelope: Envelope = serde_json::from_slice(line).map_err(|error| bad(wrong(&error)))?;
        let body = envelope.body.unwrap_or_else(|| RawValue::NULL.to_owned());
        match envelope {
            Envelope { id: Some(id), command: Some(command), status: None, event: None, .. } => {
                Ok(Self::Request(Request { id, command, body }))
            }
            Envelope { id: Some(id), status: Some(status), command: None, event: None, .. } => {
                Ok(Self::Response(Response { id, outcome: outcome(status, body)? }))
            }
            Envelope { event: Some(name), id: None, command: None, status: None, .. } => {
                Ok(Self::Event(Event { name, body }))
            }
            _ => Err(bad("a frame has id and command, or id and status, or event".into())),
        }
    }
}

fn outcome(status: Status, body: Box<RawValue>) -> Result<Result<Box<RawValue>, Refusal>, Refusal> {
    match status {
        Status::Ok => Ok(Ok(body)),
        _ => parse_body(&body).map(Err),
    }
}

/// A frame longer than [`MAX_FRAME_BYTES`] was about to be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a frame of {bytes} bytes is over the limit of {MAX_FRAME_BYTES}")]
pub struct TooLong {
    /// How long it would have been.
    pub bytes: usize,
}

/// The line that asks `command`.
///
/// # Errors
/// When it does not fit a frame.
pub fn encode_request<C: Command>(id: RequestId, command: &C) -> Result<Bytes, TooLong> {
    #[derive(Serialize)]
    struct Line<'a, B> {
        id: RequestId,
        command: &'a str,
        body: &'a B,
    }
    encode(&Line { id, command: C::NAME, body: command })
}

/// The line that answers request `id`. A reply that does not fit a frame is answered as `internal`.
pub fn encode_response<R: Serialize>(id: RequestId, outcome: &Result<R, Refusal>) -> Bytes {
    #[derive(Serialize)]
    struct Line<'a, B> {
        id: RequestId,
        status: Status,
        body: &'a B,
    }
    let line = match outcome {
        Ok(body) => encode(&Line { id, status: Status::Ok, body }),
        Err(refusal) => encode(&Line { id, status: refusal.status(), body: refusal }),
    };
    line.unwrap_or_else(|error| {
        tracing::error!(err = %error, "reply does not fit a frame");
        let body = Refusal::from(Code::Internal);
        encode(&Line { id, status: body.status(), body: &body }).unwrap_or_default()
    })
}

/// The line that tells `event`.
///
/// # Errors
/// When it does not fit a frame.
pub fn encode_event<E: Pushed>(event: &E) -> Result<Bytes, TooLong> {
    #[derive(Serialize)]
    struct Line<'a, B> {
        event: &'a str,
        body: &'a B,
    }
    encode(&Line { event: E::NAME, body: event })
}

/// The answer to a line that cannot be read: the request it might have been has no id.
pub fn encode_unreadable(refusal: Refusal) -> Bytes {
    encode_response::<Empty>(RequestId(Uuid::nil()), &Err(refusal))
}

fn encode(line: &impl Serialize) -> Result<Bytes, TooLong> {
    let mut writer = BytesMut::with_capacity(512).writer();
    // Serialising into memory fails only for types that JSON has no form for; the wire has none of those.
    serde_json::to_writer(&mut writer, line).map_err(|_| TooLong { bytes: 0 })?;
    let mut bytes = writer.into_inner();
    bytes.put_u8(b'\n');
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(TooLong { bytes: bytes.len() });
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_shapes_are_told_apart() {
        let id = RequestId::new();
        let request = format!(r#"{{"id":"{id}","command":"PING","body":{{}},"later":true}}"#);
        assert!(
            matches!(Frame::parse(request.as_bytes()), Ok(Frame::Request(r)) if r.id == id && r.command == "PING")
        );
        let response = encode_response::<Empty>(id, &Err(Code::NameTaken.into()));
        assert!(
            matches!(Frame::parse(&response), Ok(Frame::Response(r)) if r.outcome.as_ref().unwrap_err().code == Code::NameTaken)
        );
        assert!(matches!(Frame::parse(br#"{"event":"LEFT"}"#), Ok(Frame::Event(e)) if e.name == "LEFT"));
    }

    #[test]
    fn what_is_wrong_is_told_in_a_frame_however_long_it_is() {
        // What it quotes is longer when it is quoted.
        let long = "\\u0001".repeat(MAX_FRAME_BYTES / 6 - 100);
        let body =
            RawValue::from_string(format!("{{\"id\":\"{}\",\"view\":\"{long}\"}}", Uuid::nil())).unwrap();
        let of_body = channel::HostRequest::parse("VIEW", &body).unwrap_err();
        let of_frame =
            Frame::parse(format!("{{\"id\":\"{long}\",\"command\":\"VIEW\"}}").as_bytes()).unwrap_err();
        for (refusal, code) in [(of_body, Code::BadRequest), (of_frame, Code::BadFrame)] {
            let answer = encode_response::<Empty>(RequestId::new(), &Err(refusal));
            let Ok(Frame::Response(response)) = Frame::parse(&answer) else { panic!("{answer:?}") };
            assert_eq!(response.outcome.unwrap_err().code, code);
        }
    }

    #[test]
    fn anything_else_is_a_bad_frame() {
        for line in [
            "",
            "[]",
            "{}",
            "7",
            "{\"id\":1}",
            "{\"id\":\"x\",\"command\":\"A\"}",
            "{\"event\":\"A\",\"status\":\"OK\"}",
            &format!("{{\"event\":\"A\",\"body\":{}{}}}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)),
        ] {
            assert_eq!(Frame::parse(line.as_bytes()).unwrap_err().code, Code::BadFrame, "{line}");
        }
        assert_eq!(Frame::parse(b"{\"event\":\"\xff\"}").unwrap_err().code, Code::BadFrame);
    }
}
