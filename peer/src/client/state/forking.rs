//! The host goes on in another log than before, which has only a part of the old one: what of this user's own was
//! stored there, and is not in the new one, is asked for. Nothing is sent again by itself.

use common::entry::{Header, Position, RawEntry, TEXT};
use common::id::{Epoch, MessageId};
use common::proto::file::{ChannelOffer, FILE};
use common::proto::status::{Code, Refusal};

use super::{ClientState, Detail, Effect};
use crate::api::OutgoingState;
use crate::client::outbox::Item;
use crate::client::telling::short_id;
use crate::recovery::forking::kept_of;
use crate::store::FormerLog;

impl ClientState {
    /// Another log begins than was received before. Why, for people.
    pub(super) fn forked(&mut self, before: Option<Epoch>, forks: &[Position]) -> String {
        let kept = before.and_then(|epoch| Some((epoch, kept_of(forks, epoch)?)));
        if let Some(epoch) = before {
            let kept = kept.map_or(0, |(_, kept)| kept.seq);
            self.channel.leave_behind(FormerLog { epoch, kept });
        }
        let Some((epoch, kept)) = kept else {
            return format!(
                "its log was begun anew; what was received before stays in the archive of this peer, and history {} leads \
                 there",
                self.channel.name()
            );
        };
        self.channel.unasked = Some(epoch);
        format!(
            "its host has lost entries, and its owner went on without them, in a new log that has those up to {}. What was \
             received before stays in the archive of this peer; type: verify {}",
            kept.seq,
            self.channel.name()
        )
    }

    /// Looks for what of this user's own is not in the new log, if that is still to be done.
    pub(super) fn ask_for_lost(&mut self, forks: &[Position]) {
        let before = self.channel.unasked.and_then(|epoch| Some((epoch, kept_of(forks, epoch)?)));
        if before.is_none() {
            // The log is another one altogether by now.
            self.channel.unasked = None;
        }
        let awaited = self.left_behind();
        if before.is_some() || !awaited.is_empty() {
            self.put(Effect::LookForLost(before, awaited));
        }
    }

    /// These messages of this user's own were stored, and are not in the log any more: the user is asked. What is
    /// returned is to be put on disk, and then told with [`Self::missed_written`].
    pub fn missed(&mut self, messages: Vec<(Header, RawEntry)>, awaited: Vec<Item>) -> Vec<Item> {
        let received = messages.iter().filter_map(|(header, entry)| {
            let (text, offers) = content(header, entry)?;
            let item = Item {
                number: 0,
                id: header.id,
                text,
                offers,
                sent_at: header.sent_at,
                writer: header.from.subject,
                writer_name: header.from.name.clone(),
                expires: None,
                head_seen: None,
                refused: None,
                wish: None,
                stored: None,
            };
            Some((header.seq, item))
        });
        let awaited = awaited.into_iter().filter_map(|item| Some((item.stored?.seq, item)));
        let mut items = Vec::new();
        for (seq, item) in received.chain(awaited) {
            if self.outbox.has(item.id) {
                continue;
            }
            let Ok(number) = self.outbox.next_number() else {
                self.warn(Code::OutboxFull, format!("message {seq} is not in the log any more"));
                break;
            };
            let refused = Some(not_in_fork(seq, item.id));
            let item = Item { number, refused, stored: None, expires: None, head_seen: None, ..item };
            self.outbox.begin(item.clone());
            items.push(item);
        }
        items
    }

    /// Such a message is in the outbox, or is not.
    pub fn missed_written(&mut self, item: Item, is_on_disk: bool) {
        self.outbox.written(item.number, is_on_disk);
        if is_on_disk {
            self.tell_outgoing(item.id, OutgoingState::Refused, Detail::of(item.refused));
        }
    }

    /// The user was asked for all that is not in the log any more.
    pub fn missed_asked(&mut self) {
        self.channel.unasked = None;
        self.forget_left_behind();
        let joined = self.joined();
        self.put(Effect::KeepJoined(Box::new(joined)));
    }
}

/// What is to be sent again; nothing for what this version does not send, and what was erased.
fn content(header: &Header, entry: &RawEntry) -> Option<(String, Option<Box<ChannelOffer>>)> {
    match header.kind.as_str() {
        TEXT => Some((entry.text()?, None)),
        FILE => {
            let offer = ChannelOffer::parse(entry.body.as_deref()?).ok()?;
            Some((format!("(offers {})", offer.offer.name), Some(Box::new(offer))))
        }
        _ => None,
    }
}

fn not_in_fork(seq: u64, id: MessageId) -> Refusal {
    let id = short_id(id);
    let reason = format!(
        "it was stored as number {seq}, and is not in the log that the host went on with. Send it again? outbox retry {id}, \
         else: outbox cancel {id}"
    );
    Refusal::new(Code::NotInFork, reason)
}
