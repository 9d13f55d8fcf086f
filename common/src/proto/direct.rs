//! What two peers say to each other, over a connection with the purpose `direct`. Both may ask everything.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::session::{Hello, Ping};
use super::{Empty, closed, commands};
use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::pass::SignedPass;

closed! {
    /// All that a peer may ask another peer.
    PeerRequest: Command {
        /// Opens the session.
        Hello,
        /// Proves that the connection lives.
        Ping,
        /// Says who has dialled, and wants to talk.
        ChatRequest,
        /// Lets the other side in.
        ChatAccept,
        /// Turns the other side away.
        ChatReject,
        /// A message.
        ChatMsg,
        /// How far messages were read.
        Receipt,
        /// Ends the conversation for now.
        LeftChat,
    }
}

/// Says who has dialled. What becomes of it is said by CHAT_ACCEPT or CHAT_REJECT, or by nothing at all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChatRequest {
    /// Says who asks.
    pub pass: SignedPass,
    /// The number of the last message of the other side's device that is on this side's disk; 0 for none.
    pub have: u64,
}

/// Lets the side that dialled in: messages may be sent either way from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChatAccept {
    /// Says who answers.
    pub pass: SignedPass,
    /// As in CHAT_REQUEST.
    pub have: u64,
}

/// Turns the side that dialled away, and closes the connection.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChatReject {}

/// A message. Answered when it is on the disk of the device that it is sent to.
///
/// Messages of a device come in the order of their numbers. One that is there already is answered alike, and not kept
/// twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChatMsg {
    /// Made once, when the message was written.
    pub id: MessageId,
    /// The device's own count of what it wrote in this conversation, from 1.
    pub number: u64,
    /// One more than the highest clock that the device had seen in this conversation when it was written.
    pub clock: u64,
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written, by the sender's clock.
    pub sent_at: Timestamp,
    /// `{"text":"…"}`.
    pub body: Box<RawValue>,
}

/// Says how far the messages of the device at the other end were read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The number of the last one that was read; so were all before it.
    pub read: u64,
}

/// Says that this side's user has ended the conversation for now. Whoever writes again opens it again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LeftChat {}

commands! {
    "CHAT_REQUEST" ChatRequest => Empty;
    "CHAT_ACCEPT" ChatAccept => Empty;
    "CHAT_REJECT" ChatReject => Empty;
    "CHAT_MSG" ChatMsg => Empty;
    "RECEIPT" Receipt => Empty;
    "LEFT_CHAT" LeftChat => Empty;
}
