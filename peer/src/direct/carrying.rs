//! What files need of conversations: they carry offers, and know whose device is whose.

use actix::prelude::*;
use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use common::transport::Address;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::Direct;
use super::book::{Contact, ContactId};
use crate::api::Written;

/// Say something about a file.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Written, Refusal>>")]
pub(super) struct Note {
    pub contact: ContactId,
    pub kind: &'static str,
    pub body: Box<RawValue>,
}

impl Handler<Note> for Direct {
    type Result = MessageResult<Note>;

    fn handle(&mut self, Note { contact, kind, body }: Note, ctx: &mut Self::Context) -> Self::Result {
        let (reply, written) = oneshot::channel();
        if self.book.contact(contact).is_some_and(Contact::is_open) {
            self.write(contact, kind, body, reply, ctx);
        } else {
            // Whoever no longer waits has no use for it.
            let _ = reply.send(Err(Code::NotContact.into()));
        }
        MessageResult(written)
    }
}

/// The contact that is meant by a name, who is to be offered something.
#[derive(Message)]
#[rtype(result = "Result<(ContactId, UserName), Refusal>")]
pub(super) struct Named(pub UserName);

impl Handler<Named> for Direct {
    type Result = Result<(ContactId, UserName), Refusal>;

    fn handle(&mut self, Named(user): Named, ctx: &mut Self::Context) -> Self::Result {
        self.unseen.warn(&user)?;
        let (id, name) = self.book.open(&user).map(|contact| (contact.id, contact.name.clone()))?;
        self.show_to(id, ctx);
        Ok((id, name))
    }
}

/// Where a device of a contact was last.
#[derive(Message)]
#[rtype(result = "Vec<Address>")]
pub(super) struct WhereIs(pub PeerKey);

impl Handler<WhereIs> for Direct {
    type Result = MessageResult<WhereIs>;

    fn handle(&mut self, WhereIs(key): WhereIs, _: &mut Self::Context) -> Self::Result {
        let device = self
            .book
            .contacts()
            .iter()
            .filter(|contact| contact.is_open())
            .find_map(|contact| contact.device(key));
        MessageResult(device.map(|device| device.addresses.clone()).unwrap_or_default())
    }
}

/// The contact whose device this is.
#[derive(Message)]
#[rtype(result = "Option<ContactId>")]
pub(super) struct WhoseIs {
    pub subject: Subject,
    pub key: PeerKey,
}

impl Handler<WhoseIs> for Direct {
    type Result = Option<ContactId>;

    fn handle(&mut self, WhoseIs { subject, key }: WhoseIs, _: &mut Self::Context) -> Self::Result {
        self.book.of_device(subject, key)
    }
}
