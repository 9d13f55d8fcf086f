//! How messages are shown: those of the log, and the user's own.

use common::entry::erasure::{EraseBody, Erasure};
use common::entry::{Header, RawEntry};
use common::id::{Epoch, MessageId};
use common::name::ChannelName;
use common::proto::file::{ChannelOffer, FILE};
use common::proto::status::{Code, Refusal};

use super::outbox::Wish;
use crate::api::{ChatMessage, Erases, FileNote, Offered};

/// How many digits at the end of an id are shown, and typed, for the whole.
const SHOWN_DIGITS: usize = 8;

/// An entry as it is shown.
pub fn chat_message(channel: &ChannelName, epoch: Epoch, header: Header, entry: &RawEntry) -> ChatMessage {
    let offered = (header.kind == FILE).then(|| offered(&header, entry)).flatten();
    let erases = Erasure::of(&header, entry).map(|Erasure { seq, id, .. }| {
        let why = EraseBody::of(&header, entry).and_then(|body| body.why);
        Box::new(Erases { seq, id, why })
    });
    ChatMessage {
        file: offered.as_ref().map(|offered| Box::new(FileNote::of(&offered.body.offer))),
        offered: offered.map(Box::new),
        channel: channel.clone(),
        epoch,
        seq: header.seq,
        id: header.id,
        from: header.from.name,
        author_kind: header.from.kind,
        subject: header.from.subject,
        text: entry.text().filter(|_| header.kind == common::entry::TEXT),
        erased: entry.body.is_none().then(Box::default),
        erases,
        kind: header.kind,
        sent_at: header.sent_at,
        stored_at: header.stored_at,
        imported: header.imported,
    }
}

/// What an entry offers, and from which device.
fn offered(header: &Header, entry: &RawEntry) -> Option<Offered> {
    let body = ChannelOffer::parse(entry.body.as_deref()?).ok()?;
    let key = header.from.holder()?.key;
    Some(Offered { body, key })
}

/// The end of an id, as it is shown and typed.
pub fn short_id(id: MessageId) -> String {
    let digits = id.to_string();
    digits.get(digits.len().saturating_sub(SHOWN_DIGITS)..).unwrap_or_default().to_owned()
}

/// That a message was stored before the user's wish could be done.
pub(super) fn too_late(id: MessageId, seq: u64, wish: &Wish) -> Refusal {
    let (done, lost) = match wish {
        Wish::Cancel => ("cancelled", ""),
        Wish::Edit { .. } => ("edited", "; your new text was not sent"),
    };
    let id = short_id(id);
    Refusal::new(
        Code::TooLate,
        format!("the message {id} was stored as number {seq} before it could be {done}{lost}"),
    )
}
