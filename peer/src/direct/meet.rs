//! What the tracker has to do with it: requests there and back, and who can be met where.

use std::time::Duration;

use actix::prelude::*;
use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::clock::Timestamp;
use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::device::Revoked;
use common::proto::event::{Broadcast, Person, TrackerEvent};
use common::proto::knock::{Introduce, Introduction, Knock, Knocked};
use common::proto::status::{Code, Refusal};
use common::storage::StoreError;

use super::book::{Accept, Contact, ContactId, Heard, Met};
use super::{Conn, Direct};
use crate::api::{ChatState, Event};
use crate::hosting::{HostingHandle, Place};
use crate::tracker_link::TrackerHandle;

/// What has come in is written so late at most, several changes at once.
const KEEP_AFTER: Duration = Duration::from_millis(200);

/// What of it is to be said to the tracker.
struct Announcement {
    /// With whom this peer wants to talk, on which devices.
    contacts: Vec<(Subject, Vec<PeerKey>)>,
    asked: Vec<UserName>,
    is_unseen: bool,
}

impl Announcement {
    async fn make(self, tracker: TrackerHandle, hosting: HostingHandle) -> Result<(), Refusal> {
        // Who is not to be found does not listen: it is this side that dials.
        let Place { addresses, port } = if self.is_unseen {
            Place { addresses: Vec::new(), port: None }
        } else {
            hosting.place().await?
        };
        for (subject, keys) in self.contacts {
            let addresses = addresses.clone();
            let invisible = self.is_unseen;
            tracker.request(&Introduce { subject, keys, reject: false, port, addresses, invisible }).await?;
        }
        for name in self.asked {
            tracker.request(&Knock { name, invisible: self.is_unseen }).await?;
        }
        Ok(())
    }
}

/// What the tracker has told.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct FromTracker(pub TrackerEvent);

impl Handler<FromTracker> for Direct {
    type Result = ();

    fn handle(&mut self, FromTracker(event): FromTracker, ctx: &mut Self::Context) {
        match event {
            TrackerEvent::Knocked(knocked) => self.knocked(&knocked, ctx),
            TrackerEvent::Introduction(introduction) => self.introduced(&introduction, ctx),
            TrackerEvent::Revoked(revoked) => self.revoked(&revoked),
            TrackerEvent::Broadcast(said) => self.broadcast(said, ctx),
            _ => {}
        }
    }
}

impl Direct {
    /// Says to the tracker with whom this peer wants to talk: on every new connection, and after a while again when it
    /// did not get through.
    pub(super) fn announce_all(&mut self, ctx: &mut Context<Self>) {
        self.announcement += 1;
        self.announce(Backoff::new(BackoffLimits::default()), ctx);
    }

    fn announce(&mut self, mut backoff: Backoff, ctx: &mut Context<Self>) {
        if self.stopping || !self.book.is_in_use() {
            return;
        }
        let is_unseen = self.unseen.is_on();
        let open = self.book.contacts().iter().filter(|contact| self.unseen.shows(contact.id));
        let open = open.filter(|contact| contact.is_open());
        let contacts = open.map(|contact| (contact.subject, contact.keys())).collect();
        // To ask again is to say that one is there.
        let asked = self.book.asked().iter().filter(|_| !is_unseen).map(|asked| asked.name.clone()).collect();
        let (tracker, hosting, announcement) =
            (self.tracker.clone(), self.hosting.clone(), self.announcement);
        let made = Announcement { contacts, asked, is_unseen }.make(tracker, hosting);
        ctx.spawn(Box::pin(made).into_actor(self).map(move |made, direct, ctx| {
            let Err(refusal) = made else { return };
            // The user has become invisible meanwhile: on the news of that it is said anew, to those who may hear it.
            if announcement != direct.announcement || refusal.code == Code::Invisible {
                return;
            }
            if !refusal.code.is_passing() {
                return direct.warn(refusal, ctx);
            }
            // While the tracker is away this is in vain; when it is back all is announced anew.
            let delay = backoff.next_delay(random_fraction());
            ctx.run_later(delay, move |direct, ctx| {
                if announcement == direct.announcement && direct.session.borrow().entered {
                    direct.announce(backoff, ctx);
                }
            });
        }));
    }

    /// Says to the tracker that this peer wants to talk to one contact, or not any more.
    pub(super) fn announce_one(&self, contact: &Contact, ctx: &mut Context<Self>) {
        self.follow_contacts(ctx);
        if !self.unseen.shows(contact.id) {
            return;
        }
        let keys = if contact.is_open() { contact.keys() } else { Vec::new() };
        let (tracker, hosting) = (self.tracker.clone(), self.hosting.clone());
        let made = Announcement {
            contacts: vec![(contact.subject, keys)],
            asked: Vec::new(),
            is_unseen: self.unseen.is_on(),
        };
        let made = made.make(tracker, hosting);
        ctx.spawn(Box::pin(made).into_actor(self).map(|made, direct, ctx| match made {
            // Said on the next connection, or once this peer has heard that its user is invisible.
            Err(refusal) if refusal.code.is_passing() || refusal.code == Code::Invisible => {}
            Err(refusal) => direct.warn(refusal, ctx),
            Ok(()) => {}
        }));
    }

    /// Puts out whose pass does not count any more.
    fn revoked(&self, revoked: &Revoked) {
        let is_hit = |conn: &&Conn| {
            revoked.keys.contains(&conn.key) && conn.serial.is_some_and(|serial| serial < revoked.rev)
        };
        for conn in self.conns.values().filter(is_hit) {
            conn.link.close_because(Code::Revoked.into());
        }
    }

    /// Shows what was said to all, unless the user does not want to hear of whoever said it.
    fn broadcast(&self, Broadcast { from, text, sent_at }: Broadcast, ctx: &mut Context<Self>) {
        if from.as_ref().is_some_and(|from| self.book.is_blocked(from.subject)) {
            return;
        }
        let from = from.map(|from| Person { name: from.name.to_string(), kind: from.kind });
        self.tell(Event::Broadcast { from, text, sent_at }, ctx);
    }

    fn knocked(&mut self, knocked: &Knocked, ctx: &mut Context<Self>) {
        // Nobody is let through by itself while that would show that somebody is there.
        let accept = if self.unseen.is_on() { Accept::Ask } else { self.settings.accept };
        match self.book.knocked(knocked, accept, Timestamp::now()) {
            Heard::Nothing => {}
            Heard::Ask(asks) => self.tell_request(asks, ctx),
            Heard::Agreed(id) => self.agreed(id, ctx),
            Heard::Known(id) => {
                if let Some(contact) = self.book.contact(id).cloned() {
                    self.announce_one(&contact, ctx);
                    self.tell_knock_unseen(&contact, ctx);
                }
            }
        }
        self.keep_book_later(ctx);
    }

    /// A contact asks for a user who is away to them: only the user is told.
    fn tell_knock_unseen(&mut self, contact: &Contact, ctx: &mut Context<Self>) {
        if !self.unseen.hears_of(contact.id) {
            return;
        }
        let name = &contact.name;
        let reason = format!(
            "{name} wants to talk, and does not see that you are there, since you are invisible. To answer, which shows \
             it to {name}, type: start {name}"
        );
        self.warn(Refusal::new(Code::Invisible, reason), ctx);
    }

    /// Somebody is a contact by now, and may be met. What was agreed is on disk before anybody is told.
    pub(super) fn agreed(&mut self, id: ContactId, ctx: &mut Context<Self>) {
        let kept = self.keep_book();
        ctx.spawn(kept.into_actor(self).map(move |kept, direct, ctx| match kept {
            Ok(()) => direct.tell_agreed(id, ctx),
            Err(error) => direct.warn(error.into(), ctx),
        }));
    }

    pub(super) fn tell_agreed(&mut self, id: ContactId, ctx: &mut Context<Self>) {
        let Some(contact) = self.book.contact(id).cloned() else { return };
        self.announce_one(&contact, ctx);
        self.tell_chat(&contact, ChatState::Accepted, ctx);
        for key in contact.keys() {
            for visitor in self.waiting_visitors(key) {
                self.accept_visitor(visitor, id, ctx);
            }
            self.is_there(id, key, ctx);
        }
    }

    fn introduced(&mut self, introduction: &Introduction, ctx: &mut Context<Self>) {
        match self.book.introduced(introduction, Timestamp::now()) {
            Met::Nothing => {
                tracing::debug!(key = %introduction.key, "an introduction that nobody has asked for is passed over");
            }
            Met::Known(id) => self.is_there(id, introduction.key, ctx),
            Met::Accepted(id) => self.agreed(id, ctx),
            Met::Rejected(user) => {
                self.tell(Event::Chat { user, state: ChatState::Rejected, key: None }, ctx);
            }
            Met::OtherKey(id) => self.warn_other_key(id, introduction.key, ctx),
        }
        self.keep_book_later(ctx);
    }

    fn warn_other_key(&self, id: ContactId, found: PeerKey, ctx: &mut Context<Self>) {
        let Some(contact) = self.book.contact(id) else { return };
        let known: Vec<String> = contact.devices.iter().map(|device| device.key.to_string()).collect();
        let (name, known) = (&contact.name, known.join(", "));
        let reason = format!(
            "the tracker names another key for {name}, {found}, than the one you agreed to, {known}. Somebody may be \
             pretending to be {name}; nothing is sent there. If {name} has a new device, have them type there: start \
             {}",
            self.session.borrow().username
        );
        self.warn(Refusal::new(Code::PeerKeyChanged, reason), ctx);
    }

    /// Says that a request is unanswered, if it still is by then.
    pub(super) fn plan_unanswered(&self, user: UserName, ctx: &mut Context<Self>) {
        ctx.run_later(self.settings.unanswered_after, move |direct, ctx| {
            if direct.book.asked().iter().any(|asked| asked.name == user) {
                direct.tell(Event::Chat { user, state: ChatState::Unanswered, key: None }, ctx);
            }
        });
    }

    /// Writes what has changed in the book; all that was written before is on disk then, too.
    pub(super) fn keep_book(&mut self) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let changed = self.book.take_changed();
        let submitted = self.archive.keep_book(&self.book, &changed);
        async move { submitted?.await }
    }

    /// The same in a while, for what can be asked again.
    pub(super) fn keep_book_later(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.is_keeping_later, true) {
            return;
        }
        ctx.run_later(KEEP_AFTER, |direct, ctx| {
            direct.is_keeping_later = false;
            let kept = direct.keep_book();
            ctx.spawn(kept.into_actor(direct).map(|kept, _, _| {
                if let Err(error) = kept {
                    tracing::warn!(err = %error, "what is known of contacts is not kept");
                }
            }));
        });
    }
}
