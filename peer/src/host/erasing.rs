//! What members erase: decided here, by what is on the disk, and then an entry like any other.

use actix::{Context, Handler};
use common::clock::Timestamp;
use common::entry::erasure::{ERASE, EraseBody, check_why};
use common::entry::{Hash, Header, RawEntry};
use common::id::{MessageId, RequestId};
use common::proto::channel::{self, Stored};
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use serde_json::value::to_raw_value;

use super::actor::{Host, Seat};
use super::channel::{NewErasure, NewMessage};
use super::log::{Log, LogError};
use super::messages::{Asker, Erase};
use super::permission::{Target, decide};
use super::record::HostRecord;

/// What an ERASE request comes to.
enum Decided {
    /// It was erased before.
    Already(Stored),
    /// This entry is to be stored.
    By(NewMessage),
}

impl Handler<Erase> for Host {
    type Result = ();

    fn handle(&mut self, Erase { by, request, asked }: Erase, ctx: &mut Context<Self>) {
        match self.decide_erasure(by, &asked) {
            Ok(Decided::By(entry)) => {
                self.channel.erase(NewErasure { conn: by.conn, request, entry }, Timestamp::now());
            }
            Ok(Decided::Already(stored)) => self.answer_erasure(by, request, Ok(stored)),
            Err(refusal) => self.answer_erasure(by, request, Err(refusal)),
        }
        self.apply(ctx);
    }
}

impl Host {
    fn answer_erasure(&self, by: Asker, request: RequestId, outcome: Result<Stored, Refusal>) {
        if let Some(seat) = self.seats.get(&by.conn) {
            // A link that has ended is noticed by its reader.
            let _ = seat.link.answer(request, &outcome);
        }
    }

    fn decide_erasure(&self, by: Asker, asked: &channel::Erase) -> Result<Decided, Refusal> {
        let seat = self.seats.get(&by.conn).ok_or(Code::WrongPhase)?;
        if self.is_closing() {
            return Err(Code::GoingAway.into());
        }
        let why = check_why(asked.why.as_deref())?;
        let log = &self.parts.log;
        // What is beyond the head was written by an append whose fate is not known.
        let is_there = (1..=self.channel.head().seq).contains(&asked.seq);
        let header = if is_there { header_at(log, asked.seq)? } else { None };
        let (record, who) = (self.record(), seat.who.holder());
        // Of what is not there anybody is told so who may read.
        let target = header.as_ref().map_or(Target::Oneself, |header| author_of(header, who, record));
        decide(record.standing(who), by.verb, Some(target), record.policy.switches())?;
        let header = header.ok_or(Code::NoSuchEntry)?;
        if header.kind == ERASE {
            let reason =
                "this entry says that another one was erased; it stays, so that everybody hears of it";
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        if let Some(by) = log.erased_by(asked.seq).map_err(LogError::from)?
            && let Some(Header { seq, stored_at, .. }) = header_at(log, by)?
        {
            return Ok(Decided::Already(Stored { seq, stored_at }));
        }
        let body = EraseBody { seq: asked.seq, why: why.map(str::to_owned) };
        entry_of(seat, header.id, &body).map(Decided::By)
    }
}

/// Whose an entry is, to somebody. Of what was imported nobody has proven to have written it.
fn author_of(header: &Header, who: Holder, record: &HostRecord) -> Target {
    if header.imported.is_none() && who.is(header.from.subject) {
        return Target::Oneself;
    }
    Target::Other(record.policy.role_of(header.from.subject, record.owner.subject))
}

fn header_at(log: &Log, seq: u64) -> Result<Option<Header>, Refusal> {
    let Some(bytes) = log.entry_at(seq).map_err(LogError::from)? else { return Ok(None) };
    let header = RawEntry::from_bytes(&bytes).and_then(|entry| entry.open());
    Ok(Some(header.map_err(LogError::from)?))
}

fn entry_of(seat: &Seat, erased: MessageId, body: &EraseBody) -> Result<NewMessage, Refusal> {
    let body = to_raw_value(body).map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    Ok(NewMessage {
        id: MessageId::new(),
        author: seat.who.author.clone(),
        kind: ERASE.to_owned(),
        sent_at: Timestamp::now(),
        about: Some(erased),
        body_hash: Hash::of(body.get().as_bytes()),
        body,
    })
}
