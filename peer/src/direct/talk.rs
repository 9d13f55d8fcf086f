//! One conversation: what is written and received goes to the disk in batches, and is answered, shown and sent from
//! there.

use actix::prelude::*;
use common::clock::Timestamp;
use common::entry::{TEXT, TextBody, check_text};
use common::id::{MessageId, RequestId};
use common::identity::PeerKey;
use common::proto::direct::ChatMsg;
use common::proto::limits::{
    MAX_MESSAGE_FRAME_BYTES, MAX_OUTBOX_MESSAGES, MAX_UNANSWERED_MESSAGES, MESSAGE_ENVELOPE_BYTES,
};
use common::proto::status::{Code, Refusal};
use common::storage::StoreError;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use super::Direct;
use super::archive::{Row, ShownMark, TalkState};
use super::book::ContactId;
use super::lines::ConnId;
use super::order::{Stamp, Taken};
use crate::api::{DeliveryState, Event, Written};

/// How many messages are written at once.
const MAX_BATCH_ROWS: usize = 256;
/// How many bytes of them, one more message not counted.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How many messages of this user may be on their way to the disk.
const MAX_WRITING: usize = 1024;
/// What a row has beside the message's body at most.
const ROW_BYTES: usize = 1024;

/// A conversation, as far as it has to be known at any time.
pub(super) struct Talk {
    /// How far it is on disk.
    pub stored: TalkState,
    /// With what is on its way there.
    state: TalkState,
    /// How far it was shown.
    pub shown: ShownMark,
    waiting: Vec<Waiting>,
    is_writing: bool,
}

/// What waits for the disk.
enum Waiting {
    /// This user has written it.
    Own { row: Row, reply: oneshot::Sender<Result<Written, Refusal>> },
    /// Another device sends it.
    Theirs { row: Row, from: ConnId, request: RequestId },
    /// Another device sends it again.
    Repeat { stamp: Stamp, id: MessageId, from: ConnId, request: RequestId },
}

impl Waiting {
    fn row(&self) -> Option<&Row> {
        match self {
            Self::Own { row, .. } | Self::Theirs { row, .. } => Some(row),
            Self::Repeat { .. } => None,
        }
    }
}

impl Talk {
    fn new(stored: TalkState, shown: ShownMark) -> Self {
        Self { state: stored.clone(), stored, shown, waiting: Vec::new(), is_writing: false }
    }

    /// What is written next, and how far the conversation is by that.
    fn next_batch(&mut self) -> Option<(Vec<Waiting>, TalkState)> {
        if self.is_writing || self.waiting.is_empty() {
            return None;
        }
        let (mut count, mut bytes) = (0, 0);
        for waiting in self.waiting.iter().take(MAX_BATCH_ROWS) {
            if bytes > MAX_BATCH_BYTES {
                break;
            }
            bytes += waiting.row().map_or(0, |row| row.body.get().len() + ROW_BYTES);
            count += 1;
        }
        let batch: Vec<Waiting> = self.waiting.drain(..count).collect();
        let mut state = self.stored.clone();
        for row in batch.iter().filter_map(Waiting::row) {
            state.clocks.add(row.stamp);
            state.arrivals = row.arrival;
        }
        self.is_writing = true;
        Some((batch, state))
    }
}

impl Direct {
    /// A conversation, as it is on disk when it is not known yet. One that cannot be read is told of.
    pub(super) fn talk(&mut self, contact: ContactId, ctx: &mut Context<Self>) -> Option<&mut Talk> {
        if !self.talks.contains_key(&contact) {
            match self.archive.state(contact) {
                Ok((state, shown)) => drop(self.talks.insert(contact, Talk::new(state, shown))),
                Err(error) => {
                    self.warn(Refusal::from(error), ctx);
                    return None;
                }
            }
        }
        self.talks.get_mut(&contact)
    }

    /// This user writes a message; it goes out once it is on disk.
    pub(super) fn write(
        &mut self,
        contact: ContactId,
        kind: &str,
        body: Box<RawValue>,
        reply: oneshot::Sender<Result<Written, Refusal>>,
        ctx: &mut Context<Self>,
    ) {
        match self.written_row(contact, kind, body, ctx) {
            Ok(row) => {
                if let Some(talk) = self.talks.get_mut(&contact) {
                    talk.waiting.push(Waiting::Own { row, reply });
                }
                self.write_batch(contact, ctx);
            }
            // Whoever no longer waits has no use for it.
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    fn written_row(
        &mut self,
        contact: ContactId,
        kind: &str,
        body: Box<RawValue>,
        ctx: &mut Context<Self>,
    ) -> Result<Row, Refusal> {
        let (from, author_kind, writer) = {
            let session = self.session.borrow();
            let held = session.held.as_ref().ok_or(Code::NotSignedIn)?;
            (held.claims.name.clone(), held.claims.kind, Some(held.claims.subject))
        };
        let me = self.me;
        let delivered = self.book.contact(contact).map_or(0, super::book::Contact::delivered);
        let talk = self.talk(contact, ctx).ok_or(Code::StorageFailed)?;
        let stamp = talk.state.clocks.next(me)?;
        if stamp.number > delivered.saturating_add(MAX_OUTBOX_MESSAGES as u64) {
            let reason = "too many messages wait for them already";
            return Err(Refusal::new(Code::OutboxFull, reason));
        }
        if talk.waiting.len() >= MAX_WRITING {
            return Err(Code::TooManyRequests.into());
        }
        Ok(talk.take_in(Row {
            arrival: 0,
            stamp,
            id: MessageId::new(),
            from,
            author_kind,
            kind: kind.to_owned(),
            sent_at: Timestamp::now(),
            writer,
            late: false,
            body,
        }))
    }

    /// A message of the device at the other end of a connection.
    pub(super) fn received(
        &mut self,
        id: ConnId,
        request: RequestId,
        message: ChatMsg,
        ctx: &mut Context<Self>,
    ) {
        let Some((contact, key)) = self.conns.get(&id).and_then(|conn| Some((conn.contact?, conn.key)))
        else {
            return;
        };
        match self.taken(id, contact, key, request, message, ctx) {
            Ok(waiting) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.unanswered += 1;
                }
                if let Some(talk) = self.talks.get_mut(&contact) {
                    talk.waiting.push(waiting);
                }
                self.write_batch(contact, ctx);
            }
            Err(refusal) => self.refuse_message(id, request, refusal),
        }
    }

    /// Nothing more is taken over a connection on which something was refused: what comes behind it must not overtake.
    fn refuse_message(&self, id: ConnId, request: RequestId, refusal: Refusal) {
        self.answer(id, request, Err(refusal.clone()));
        self.close(id, refusal);
    }

    fn taken(
        &mut self,
        from: ConnId,
        contact: ContactId,
        key: PeerKey,
        request: RequestId,
        message: ChatMsg,
        ctx: &mut Context<Self>,
    ) -> Result<Waiting, Refusal> {
        if self.conns.get(&from).is_none_or(|conn| conn.unanswered >= 2 * MAX_UNANSWERED_MESSAGES) {
            return Err(Code::TooManyUnanswered.into());
        }
        check(&message)?;
        let known = self.book.contact(contact).ok_or(Code::NotAllowed)?;
        let (name, author_kind) = (known.name.to_string(), known.subject.kind());
        let talk = self.talk(contact, ctx).ok_or(Code::StorageFailed)?;
        let ChatMsg { id, number, clock, kind, sent_at, body } = message;
        let stamp = Stamp { clock, key, number };
        Ok(match talk.state.clocks.take(stamp)? {
            Taken::Known => Waiting::Repeat { stamp, id, from, request },
            Taken::New { late } => {
                let row = Row {
                    arrival: 0,
                    stamp,
                    id,
                    from: name,
                    author_kind,
                    kind,
                    sent_at,
                    writer: None,
                    late,
                    body,
                };
                Waiting::Theirs { row: talk.take_in(row), from, request }
            }
        })
    }

    /// Writes what waits, one batch at a time.
    fn write_batch(&mut self, contact: ContactId, ctx: &mut Context<Self>) {
        let me = self.me;
        let Some(talk) = self.talks.get_mut(&contact) else { return };
        let Some((batch, state)) = talk.next_batch() else { return };
        let rows: Vec<Row> = batch.iter().filter_map(Waiting::row).cloned().collect();
        let submitted =
            if rows.is_empty() { None } else { Some(self.archive.keep(contact, me, &state, &rows)) };
        let on_disk = async move {
            match submitted {
                None => Ok(()),
                Some(Ok(submitted)) => submitted.await,
                Some(Err(error)) => Err(error),
            }
        };
        ctx.spawn(on_disk.into_actor(self).map(move |on_disk: Result<(), StoreError>, direct, ctx| {
            match on_disk {
                Ok(()) => direct.batch_kept(contact, batch, state, ctx),
                Err(error) => direct.batch_lost(contact, batch, &error, ctx),
            }
        }));
    }

    fn batch_kept(
        &mut self,
        contact: ContactId,
        batch: Vec<Waiting>,
        state: TalkState,
        ctx: &mut Context<Self>,
    ) {
        self.is_failing = false;
        self.search.nudge();
        if let Some(talk) = self.talks.get_mut(&contact) {
            talk.is_writing = false;
            talk.stored = state;
        }
        for waiting in batch {
            match waiting {
                Waiting::Own { row, reply } => {
                    self.tell_written(contact, &row, reply, ctx);
                    self.show(contact, &row, ctx);
                }
                Waiting::Theirs { row, from, request } => {
                    self.answer_message(from, request, Ok(()));
                    self.show(contact, &row, ctx);
                }
                Waiting::Repeat { stamp, id, from, request } => {
                    let outcome = self.repeated(contact, stamp, id);
                    self.answer_message(from, request, outcome);
                }
            }
        }
        self.write_batch(contact, ctx);
        self.pump_contact(contact, ctx);
    }

    fn tell_written(
        &self,
        contact: ContactId,
        row: &Row,
        reply: oneshot::Sender<Result<Written, Refusal>>,
        ctx: &mut Context<Self>,
    ) {
        let Some(known) = self.book.contact(contact) else { return };
        let user = known.name.clone();
        let is_away = self.devices_up(contact) == 0;
        let reason = is_away.then(|| format!("{user} is not connected now; it goes out by itself"));
        // Whoever no longer waits has no use for it.
        let _ = reply.send(Ok(Written { id: row.id, user: user.clone() }));
        self.tell(Event::ChatOutgoing { id: row.id, user, state: DeliveryState::Queued, reason }, ctx);
    }

    fn answer_message(&mut self, id: ConnId, request: RequestId, outcome: Result<(), Refusal>) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.unanswered = conn.unanswered.saturating_sub(1);
        }
        match outcome {
            Ok(()) => self.answer(id, request, Ok(())),
            Err(refusal) => self.refuse_message(id, request, refusal),
        }
    }

    /// Whether what is sent again is what is here.
    fn repeated(&self, contact: ContactId, stamp: Stamp, id: MessageId) -> Result<(), Refusal> {
        match self.archive.find(contact, stamp)? {
            Some(known) if known == id => Ok(()),
            _ => Err(Code::IdReused.into()),
        }
    }

    /// The disk did not take it, or nobody knows whether it did: what is there is read anew, and everybody who sends
    /// begins again behind that.
    fn batch_lost(
        &mut self,
        contact: ContactId,
        batch: Vec<Waiting>,
        error: &StoreError,
        ctx: &mut Context<Self>,
    ) {
        tracing::warn!(err = %error, "messages of a conversation could not be kept");
        let refusal = Refusal::from(error_of(error));
        let rest = self.talks.remove(&contact).map(|talk| talk.waiting).unwrap_or_default();
        for waiting in batch.into_iter().chain(rest) {
            match waiting {
                // Whoever no longer waits has no use for it.
                Waiting::Own { reply, .. } => drop(reply.send(Err(refusal.clone()))),
                Waiting::Theirs { from, request, .. } | Waiting::Repeat { from, request, .. } => {
                    self.answer_message(from, request, Err(refusal.clone()));
                }
            }
        }
        if !std::mem::replace(&mut self.is_failing, true) {
            self.warn(refusal, ctx);
        }
    }
}

impl Talk {
    /// Gives a message its place.
    fn take_in(&mut self, row: Row) -> Row {
        self.state.clocks.add(row.stamp);
        self.state.arrivals += 1;
        Row { arrival: self.state.arrivals, ..row }
    }

    /// Another device has what this one wrote up to a number that is not known here.
    pub(super) fn catch_up(&mut self, me: PeerKey, theirs: u64) {
        self.stored.clocks.catch_up(me, theirs);
        self.state.clocks.catch_up(me, theirs);
    }
}

pub(super) fn body_of(text: String) -> Result<Box<RawValue>, Refusal> {
    check_text(&text)?;
    let body = to_raw_value(&TextBody { text });
    let body = body.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    if body.get().len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
        return Err(Code::TextTooLong.into());
    }
    Ok(body)
}

/// What of a message can be checked without the conversation.
fn check(message: &ChatMsg) -> Result<(), Refusal> {
    if message.body.get().len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
        return Err(Code::FrameTooLong.into());
    }
    if message.kind.len() > MAX_KIND_BYTES {
        return Err(Refusal::new(Code::BadRequest, "the type of a message is a short word"));
    }
    if message.kind == TEXT {
        TextBody::parse(&message.body)?;
    }
    Ok(())
}

/// The longest word for a type.
const MAX_KIND_BYTES: usize = 32;

/// A code for an error that is answered more than once.
fn error_of(error: &StoreError) -> Code {
    match error {
        StoreError::Full { .. } => Code::StorageFull,
        StoreError::Busy => Code::TooManyRequests,
        StoreError::Closed => Code::GoingAway,
        _ => Code::StorageFailed,
    }
}
