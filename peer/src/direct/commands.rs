//! What this peer's user asks.

use actix::prelude::*;
use common::clock::Timestamp;
use common::entry::TEXT;
use common::identity::PeerKey;
use common::link::Link;
use common::name::UserName;
use common::proto::direct::LeftChat;
use common::proto::directory::Owner;
use common::proto::knock::{Introduce, Knock};
use common::proto::status::{Code, Refusal};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::archive::Row;
use super::book::{Contact, ContactId, Request, Started};
use super::lines::ConnId;
use super::talk::body_of;
use super::telling::{delivery, direct_message};
use super::{Direct, Phase};
use crate::api::{
    ChatState, ContactRow, ContactState, Conversation, DirectMessage, LinkState, StartedChat, Written,
};

type Answer<T> = ResponseActFuture<Direct, Result<T, Refusal>>;

/// Ask somebody for a conversation.
#[derive(Message)]
#[rtype(result = "Result<StartedChat, Refusal>")]
pub(super) struct Start(pub UserName);

impl Handler<Start> for Direct {
    type Result = Answer<StartedChat>;

    fn handle(&mut self, Start(user): Start, ctx: &mut Self::Context) -> Self::Result {
        if self.session.borrow().username == user {
            let reason = format!("{user} is your own name");
            return refused(Refusal::new(Code::BadName, reason));
        }
        if let Err(refusal) = self.unseen.warn(&user) {
            return refused(refusal);
        }
        match self.book.start(&user, Timestamp::now()) {
            Ok(Started::Contact(id)) => {
                self.show_to(id, ctx);
                self.end_quiet(id, ctx);
                self.knock_for_contact(id, ctx);
                let started = self.contact_row(id).map(|row| StartedChat::of(row, None));
                Box::pin(fut::ready(started))
            }
            Ok(Started::Agreed(id)) => self.agree(id, ctx, |row| StartedChat::of(row, None)),
            Ok(Started::Knock) => self.knock(user, ctx),
            Err(refusal) => refused(refusal),
        }
    }
}

/// Agree to a request.
#[derive(Message)]
#[rtype(result = "Result<ContactRow, Refusal>")]
pub(super) struct AcceptRequest {
    pub user: UserName,
    pub key: Option<String>,
}

impl Handler<AcceptRequest> for Direct {
    type Result = Answer<ContactRow>;

    fn handle(
        &mut self,
        AcceptRequest { user, key }: AcceptRequest,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        if let Err(refusal) = self.unseen.warn(&user) {
            return refused(refusal);
        }
        match self.book.accept(&user, key.as_deref(), Timestamp::now()) {
            Ok(id) => self.agree(id, ctx, |row| row),
            Err(refusal) => refused(refusal),
        }
    }
}

/// Turn a request down.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct RejectRequest {
    pub user: UserName,
    pub key: Option<String>,
}

impl Handler<RejectRequest> for Direct {
    type Result = Answer<()>;

    fn handle(&mut self, RejectRequest { user, key }: RejectRequest, _: &mut Self::Context) -> Self::Result {
        if let Err(refusal) = self.unseen.warn(&user) {
            return refused(refusal);
        }
        let Request { from, key, .. } = match self.book.reject(&user, key.as_deref()) {
            Ok(request) => request,
            Err(refusal) => return refused(refusal),
        };
        self.reject_visitors(key);
        let (kept, tracker) = (self.keep_book(), self.tracker.clone());
        let rejection = Introduce {
            subject: from.subject,
            keys: vec![key],
            reject: true,
            port: None,
            addresses: Vec::new(),
            invisible: self.unseen.is_on(),
        };
        Box::pin(
            async move {
                kept.await?;
                // Who asked is told when the tracker is there; the request is not shown again either way.
                let _ = tracker.request(&rejection).await;
                Ok(())
            }
            .into_actor(self),
        )
    }
}

/// Write a message.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Written, Refusal>>")]
pub(super) struct Write {
    pub user: UserName,
    pub text: String,
}

impl Handler<Write> for Direct {
    type Result = MessageResult<Write>;

    fn handle(&mut self, Write { user, text }: Write, ctx: &mut Self::Context) -> Self::Result {
        let (reply, written) = oneshot::channel();
        let id = self.unseen.warn(&user).and_then(|()| self.book.open(&user).map(|contact| contact.id));
        match id.and_then(|id| Ok((id, body_of(text)?))) {
            Ok((id, body)) => {
                self.show_to(id, ctx);
                self.write(id, TEXT, body, reply, ctx);
            }
            // Whoever no longer waits has no use for it.
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        MessageResult(written)
    }
}

/// End a conversation for now.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Close(pub UserName);

impl Handler<Close> for Direct {
    type Result = Answer<()>;

    fn handle(&mut self, Close(user): Close, _: &mut Self::Context) -> Self::Result {
        let contact = match self.book.open(&user) {
            Ok(contact) => contact.clone(),
            Err(refusal) => return refused(refusal),
        };
        contact.keys().into_iter().for_each(|key| self.be_quiet(key));
        let partings: Vec<_> = self.links_to(&contact).into_iter().map(part).collect();
        Box::pin(
            async move {
                join_all(partings).await;
                Ok(())
            }
            .into_actor(self),
        )
    }
}

/// Says that this side's user has left, and closes the link once that was heard.
async fn part(link: Link) {
    // The end of the connection says it just as well.
    let _ = link.request(&LeftChat {}).await;
    link.close();
}

/// Let nothing of somebody through.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Block {
    pub user: UserName,
    /// Who has that name by what the tracker says, for somebody who is not known here.
    pub stranger: Option<Owner>,
}

impl Handler<Block> for Direct {
    type Result = Answer<()>;

    fn handle(&mut self, Block { user, stranger }: Block, ctx: &mut Self::Context) -> Self::Result {
        let contact = match self.book.block(&user, stranger.as_ref(), Timestamp::now()) {
            Ok(contact) => contact,
            Err(refusal) => return refused(refusal),
        };
        // As if this peer had gone: nothing says why.
        for link in self.links_to(&contact) {
            link.close_because(Code::GoingAway.into());
        }
        self.files.part_from(contact.id);
        self.announce_one(&contact, ctx);
        let kept = self.keep_book();
        Box::pin(async move { kept.await.map_err(Refusal::from) }.into_actor(self))
    }
}

/// Take a block back.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Unblock(pub UserName);

impl Handler<Unblock> for Direct {
    type Result = Answer<()>;

    fn handle(&mut self, Unblock(user): Unblock, ctx: &mut Self::Context) -> Self::Result {
        match self.book.unblock(&user) {
            Ok(contact) => {
                self.announce_one(&contact, ctx);
                self.end_quiet(contact.id, ctx);
            }
            Err(refusal) => return refused(refusal),
        }
        let kept = self.keep_book();
        Box::pin(async move { kept.await.map_err(Refusal::from) }.into_actor(self))
    }
}

/// Say something to all who are there: the user may not want to be seen by it.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct ShowToAll;

impl Handler<ShowToAll> for Direct {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, _: ShowToAll, _: &mut Self::Context) -> Self::Result {
        self.unseen.warn_of_all()
    }
}

/// Everybody this user has to do with.
#[derive(Message)]
#[rtype(result = "Vec<ContactRow>")]
pub(super) struct GetContacts;

impl Handler<GetContacts> for Direct {
    type Result = MessageResult<GetContacts>;

    fn handle(&mut self, _: GetContacts, _: &mut Self::Context) -> Self::Result {
        let ids: Vec<ContactId> = self.book.contacts().iter().map(|contact| contact.id).collect();
        let mut rows: Vec<ContactRow> = ids.into_iter().filter_map(|id| self.contact_row(id).ok()).collect();
        rows.extend(self.book.requests().iter().map(request_row));
        rows.extend(self.book.asked().iter().map(|asked| asked_row(&asked.name)));
        rows.sort_by(|a, b| a.user.cmp(&b.user));
        MessageResult(rows)
    }
}

/// A page of a conversation.
#[derive(Message)]
#[rtype(result = "Result<Conversation, Refusal>")]
pub(super) struct GetConversation {
    pub user: UserName,
    pub count: usize,
    pub part: Part,
}

/// Which part of a conversation is read, by its clock.
pub(super) enum Part {
    /// The last before this one; the newest when absent.
    Before(Option<u64>),
    /// The first after this one.
    After(u64),
}

impl Handler<GetConversation> for Direct {
    type Result = Answer<Conversation>;

    fn handle(&mut self, asked: GetConversation, _: &mut Self::Context) -> Self::Result {
        let GetConversation { user, count, part } = asked;
        // What was said before a block can still be read.
        let Some(contact) = self.book.find(&user).cloned() else {
            let refusal = self.book.open(&user).map(drop).err().unwrap_or_else(|| Code::NotContact.into());
            return refused(refusal);
        };
        let (archive, me) = (self.archive.clone(), self.me);
        Box::pin(
            async move {
                let page = match part {
                    Part::Before(before) => archive.page(contact.id, count, before).await?,
                    Part::After(after) => archive.page_after(contact.id, count, after).await?,
                };
                let shown = |row: &Row| {
                    let message = direct_message(&contact, row, me);
                    let state = message.mine.then(|| delivery(&contact, row.stamp.number));
                    DirectMessage { state, ..message }
                };
                Ok(Conversation { messages: page.iter().map(shown).collect(), user: contact.name.clone() })
            }
            .into_actor(self),
        )
    }
}

/// Take nothing more in: all that there is to be shown has been told then.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finish;

impl Handler<Finish> for Direct {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Finish, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let links: Vec<Link> = self.conns.values().map(|conn| conn.link.clone()).collect();
        links.iter().for_each(|link| link.close_because(Code::GoingAway.into()));
        Box::pin(async move {
            join_all(links.iter().map(Link::finished)).await;
        })
    }
}

/// The end: how far was shown is kept.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Shutdown;

impl Handler<Shutdown> for Direct {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        self.death.expected();
        self.look_at_shown();
        let kept = self.keep_book();
        let links: Vec<Link> = self.conns.values().map(|conn| conn.link.clone()).collect();
        links.iter().for_each(|link| link.close_because(Code::GoingAway.into()));
        ctx.run_later(std::time::Duration::ZERO, |_, ctx| ctx.stop());
        Box::pin(async move {
            // What is not kept of it is asked again.
            let _ = kept.await;
            join_all(links.iter().map(Link::finished)).await;
        })
    }
}

impl Direct {
    /// What was agreed is on disk, then it is acted on.
    fn agree<T: 'static>(
        &mut self,
        id: ContactId,
        _: &mut Context<Self>,
        answer: impl FnOnce(ContactRow) -> T + 'static,
    ) -> Answer<T> {
        self.unseen.show(id);
        let kept = self.keep_book();
        Box::pin(kept.into_actor(self).map(move |kept, direct, ctx| {
            kept?;
            direct.tell_agreed(id, ctx);
            direct.contact_row(id).map(answer)
        }))
    }

    fn knock(&mut self, user: UserName, ctx: &mut Context<Self>) -> Answer<StartedChat> {
        self.plan_unanswered(user.clone(), ctx);
        let is_unseen = self.unseen.is_on();
        let (kept, tracker, hosting) = (self.keep_book(), self.tracker.clone(), self.hosting.clone());
        Box::pin(
            async move {
                kept.await?;
                // Whoever accepts wants to reach this peer.
                if !is_unseen {
                    hosting.place().await?;
                }
                let reason = match tracker.request(&Knock { name: user.clone(), invisible: is_unseen }).await
                {
                    Ok(_) => None,
                    // It is asked as soon as the tracker is there.
                    Err(refusal) if refusal.code.is_passing() => Some(refusal.reason),
                    Err(refusal) => return Err(refusal),
                };
                Ok(StartedChat::of(asked_row(&user), reason))
            }
            .into_actor(self),
        )
    }

    /// Asks for a contact who is not connected: who is invisible hears of it, and nobody else learns anything by it.
    fn knock_for_contact(&self, id: ContactId, ctx: &mut Context<Self>) {
        let Some(contact) = self.book.contact(id).filter(|contact| self.links_to(contact).is_empty()) else {
            return;
        };
        let (tracker, knock) =
            (self.tracker.clone(), Knock { name: contact.name.clone(), invisible: self.unseen.is_on() });
        // In vain while the tracker is away, as the conversation may be.
        ctx.spawn(async move { drop(tracker.request(&knock).await) }.into_actor(self));
    }

    fn links_to(&self, contact: &Contact) -> Vec<Link> {
        let of_contact = self.conns.values().filter(|conn| conn.contact == Some(contact.id));
        of_contact.map(|conn| conn.link.clone()).collect()
    }

    /// The other side's user has ended the conversation for now.
    pub(super) fn was_left(&mut self, id: ConnId, ctx: &mut Context<Self>) {
        let Some((contact, key)) = self.conns.get(&id).and_then(|conn| Some((conn.contact?, conn.key)))
        else {
            return;
        };
        self.be_quiet(key);
        if let Some(contact) = self.book.contact(contact).cloned() {
            self.tell_chat(&contact, ChatState::Left, ctx);
        }
        if let Some(conn) = self.conns.get(&id) {
            conn.link.close();
        }
    }

    fn contact_row(&mut self, id: ContactId) -> Result<ContactRow, Refusal> {
        let contact = self.book.contact(id).ok_or(Code::NotContact)?.clone();
        let newest = match self.talks.get(&id) {
            Some(talk) => talk.stored.clocks.have(self.me),
            None => self.archive.state(id)?.0.clocks.have(self.me),
        };
        let is_open = contact.is_open();
        let is_trying = contact.keys().iter().any(|key| self.is_trying(*key));
        let connection = match (self.devices_up(id), is_trying) {
            (0, true) => LinkState::Retrying,
            (0, false) => LinkState::Down,
            _ => LinkState::Up,
        };
        Ok(ContactRow {
            state: if contact.blocked { ContactState::Blocked } else { ContactState::Contact },
            subject: Some(contact.subject),
            kind: Some(contact.subject.kind()),
            keys: contact.keys(),
            connection: is_open.then_some(connection),
            queued: newest.saturating_sub(contact.delivered()),
            user: contact.name,
        })
    }

    /// Whether this side tries to reach a device.
    fn is_trying(&self, key: PeerKey) -> bool {
        self.is_looking_for(key)
            || self.conns.values().any(|conn| conn.key == key && conn.phase == Phase::Asking)
    }
}

fn refused<T: 'static>(refusal: Refusal) -> Answer<T> {
    Box::pin(fut::ready(Err(refusal)))
}

fn request_row(request: &Request) -> ContactRow {
    ContactRow {
        user: request.from.name.clone(),
        state: if request.rejected { ContactState::Rejected } else { ContactState::Asks },
        subject: Some(request.from.subject),
        kind: Some(request.from.kind),
        keys: vec![request.key],
        connection: None,
        queued: 0,
    }
}

fn asked_row(name: &UserName) -> ContactRow {
    ContactRow {
        user: name.clone(),
        state: ContactState::Asked,
        subject: None,
        kind: None,
        keys: Vec::new(),
        connection: None,
        queued: 0,
    }
}
