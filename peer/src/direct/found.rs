//! What the search needs of conversations: whose they are, and messages by when they came.

use actix::prelude::*;
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use common::storage::ReadError;

use super::Direct;
use super::archive::Row;
use super::book::ContactId;
use super::telling::direct_message;
use crate::api::DirectMessage;

/// The contact with whom a conversation is, blocked or not: what was said before can still be read.
#[derive(Message)]
#[rtype(result = "Result<ContactId, Refusal>")]
pub(super) struct Which(pub UserName);

impl Handler<Which> for Direct {
    type Result = Result<ContactId, Refusal>;

    fn handle(&mut self, Which(user): Which, _: &mut Self::Context) -> Self::Result {
        match self.book.find(&user) {
            Some(contact) => Ok(contact.id),
            None => Err(self.book.open(&user).map(drop).err().unwrap_or_else(|| Code::NotContact.into())),
        }
    }
}

/// A message that was found, with those around it.
#[derive(Debug)]
pub struct FoundDirect {
    /// The message.
    pub message: DirectMessage,
    /// Those before it.
    pub before: Vec<DirectMessage>,
    /// Those after it.
    pub after: Vec<DirectMessage>,
}

/// A message by when it came, and so many around it. None when it or its conversation is no more.
#[derive(Message)]
#[rtype(result = "Result<Option<FoundDirect>, ReadError>")]
pub(super) struct ReadFound {
    pub contact: ContactId,
    pub arrival: u64,
    pub around: usize,
}

impl Handler<ReadFound> for Direct {
    type Result = ResponseFuture<Result<Option<FoundDirect>, ReadError>>;

    fn handle(&mut self, asked: ReadFound, _: &mut Self::Context) -> Self::Result {
        let ReadFound { contact, arrival, around } = asked;
        let (archive, me) = (self.archive.clone(), self.me);
        let contact = self.book.contact(contact).cloned();
        Box::pin(async move {
            let Some(contact) = contact else { return Ok(None) };
            let found = archive.around(contact.id, arrival, around).await?;
            let shown = |row: &Row| direct_message(&contact, row, me);
            Ok(found.map(|(before, row, after)| FoundDirect {
                message: shown(&row),
                before: before.iter().map(shown).collect(),
                after: after.iter().map(shown).collect(),
            }))
        })
    }
}
