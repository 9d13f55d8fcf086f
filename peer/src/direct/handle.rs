//! What the rest of the peer sees of private conversations.

use actix::Addr;
use actix::dev::{MessageResponse, ToEnvelope};
use actix::prelude::*;
use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::directory::Owner;
use common::proto::event::TrackerEvent;
use common::proto::status::{Code, Refusal};
use common::transport::Address;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::Direct;
use super::book::ContactId;
use super::carrying::{Named, Note, WhereIs, WhoseIs};
use super::commands::{
    AcceptRequest, Block, Close, Finish, GetContacts, GetConversation, Part, RejectRequest, ShowToAll,
    Shutdown, Start, Unblock, Write,
};
use super::found::{FoundDirect, ReadFound, Which};
use super::meet::FromTracker;
use crate::api::{Contacts, DirectCommand, Outcome, Reply};

/// The handle of private conversations. Cheap to clone.
#[derive(Clone)]
pub struct DirectHandle {
    addr: Addr<Direct>,
    owed: watch::Receiver<u64>,
}

impl DirectHandle {
    pub(super) fn new(addr: Addr<Direct>, owed: watch::Receiver<u64>) -> Self {
        Self { addr, owed }
    }

    /// Does what the user asks.
    ///
    /// # Errors
    /// Why it is not done.
    pub async fn perform(&self, command: DirectCommand) -> Outcome {
        match command {
            DirectCommand::Start { user } => self.ask(Start(user)).await.map(Reply::Started),
            DirectCommand::Accept { user, key } => {
                self.ask(AcceptRequest { user, key }).await.map(Reply::Contact)
            }
            DirectCommand::Reject { user, key } => {
                self.ask(RejectRequest { user, key }).await.map(|()| Reply::Done {})
            }
            DirectCommand::Msg { user, text } => {
                let written = self.addr.send(Write { user, text }).await.map_err(|_| gone())?;
                written.await.unwrap_or_else(|_| Err(gone())).map(Reply::Written)
            }
            DirectCommand::Close { user } => self.ask(Close(user)).await.map(|()| Reply::Done {}),
            DirectCommand::Block { user } => self.block(user, None).await,
            DirectCommand::Unblock { user } => self.ask(Unblock(user)).await.map(|()| Reply::Done {}),
            DirectCommand::Contacts => {
                let contacts = self.addr.send(GetContacts).await.map_err(|_| gone())?;
                Ok(Reply::Contacts(Contacts { contacts }))
            }
            DirectCommand::History { user, count, before } => {
                let count = count as usize;
                let part = Part::Before(before);
                self.ask(GetConversation { user, count, part }).await.map(Reply::Conversation)
            }
            DirectCommand::Newer { user, count, after } => {
                let (count, part) = (count as usize, Part::After(after));
                self.ask(GetConversation { user, count, part }).await.map(Reply::Conversation)
            }
        }
    }

    /// Lets nothing of somebody through, who may be unknown here: the tracker then says who has the name.
    ///
    /// # Errors
    /// `not_contact` for somebody who is neither known here nor said who it is.
    pub async fn block(&self, user: UserName, stranger: Option<Owner>) -> Outcome {
        self.ask(Block { user, stranger }).await.map(|()| Reply::Done {})
    }

    /// The contact with whom a conversation is.
    ///
    /// # Errors
    /// `not_contact` and what else is wrong with the name.
    pub async fn which(&self, user: UserName) -> Result<ContactId, Refusal> {
        self.ask(Which(user)).await
    }

    /// A message by when it came, and so many around it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_found(
        &self,
        contact: ContactId,
        arrival: u64,
        around: u64,
    ) -> Result<Option<FoundDirect>, Refusal> {
        let around = usize::try_from(around).unwrap_or(usize::MAX);
        let found = self.addr.send(ReadFound { contact, arrival, around }).await.map_err(|_| gone())?;
        Ok(found?)
    }

    /// Whether something may be said to all who are there.
    ///
    /// # Errors
    /// `invisible`, once, for a user whom all would see by that.
    pub async fn may_show_to_all(&self) -> Result<(), Refusal> {
        self.ask(ShowToAll).await
    }

    /// Says something about a file, as a message of the conversation; it is on disk when this returns.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn note(
        &self,
        contact: ContactId,
        kind: &'static str,
        body: Box<RawValue>,
    ) -> Result<(), Refusal> {
        let written = self.addr.send(Note { contact, kind, body }).await.map_err(|_| gone())?;
        written.await.unwrap_or_else(|_| Err(gone())).map(drop)
    }

    /// The contact that is meant by a name, who is to be offered something.
    ///
    /// # Errors
    /// `not_contact`, with what to do.
    pub(crate) async fn contact_named(&self, user: UserName) -> Result<(ContactId, UserName), Refusal> {
        self.ask(Named(user)).await
    }

    /// Where a device of a contact was last.
    pub(crate) async fn addresses(&self, key: PeerKey) -> Vec<Address> {
        self.addr.send(WhereIs(key)).await.unwrap_or_default()
    }

    /// The contact whose device this is, when messages go there.
    pub(crate) async fn contact_of(&self, subject: Subject, key: PeerKey) -> Option<ContactId> {
        self.addr.send(WhoseIs { subject, key }).await.ok().flatten()
    }

    async fn ask<M, T>(&self, message: M) -> Result<T, Refusal>
    where
        M: Message<Result = Result<T, Refusal>> + Send + 'static,
        T: Send + 'static,
        Direct: Handler<M>,
        <Direct as Handler<M>>::Result: MessageResponse<Direct, M>,
        Context<Direct>: ToEnvelope<Direct, M>,
    {
        self.addr.send(message).await.unwrap_or_else(|_| Err(gone()))
    }

    /// The tracker has told something.
    pub async fn told(&self, event: TrackerEvent) {
        // When it is gone nobody meets anybody any more.
        let _ = self.addr.send(FromTracker(event)).await;
    }

    /// Waits until nothing is unanswered over the connections that there are.
    pub async fn drained(&self) {
        // Gone already is as good.
        let _ = self.owed.clone().wait_for(|owed| *owed == 0).await;
    }

    /// Takes nothing more in: all that there is to be shown has been told then.
    pub async fn finish(&self) {
        // Gone already is as good.
        let _ = self.addr.send(Finish).await;
    }

    /// Ends all conversations in order.
    pub async fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.addr.send(Shutdown).await;
    }
}

fn gone() -> Refusal {
    Code::GoingAway.into()
}
