//! A user who is invisible: as if away to all contacts, but to those whom they write to or answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use common::name::UserName;
use common::proto::presence::User;
use common::proto::status::{Code, Refusal};

use super::Direct;
use super::book::ContactId;

/// To whom this peer is there.
#[derive(Debug)]
pub(super) struct Unseen {
    /// Whether nobody is to see it; the door is shut then.
    is_on: Arc<AtomicBool>,
    /// Whom the user has written to or answered since.
    shown_to: BTreeSet<ContactId>,
    /// About whom the user was warned since.
    warned: BTreeSet<UserName>,
}

impl Unseen {
    pub fn new(is_on: Arc<AtomicBool>) -> Self {
        Self { is_on, shown_to: BTreeSet::new(), warned: BTreeSet::new() }
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Nobody is to see this peer, or everybody may. Whether that is news.
    fn set(&mut self, on: bool) -> bool {
        let is_news = self.is_on.swap(on, Ordering::Relaxed) != on;
        if is_news {
            self.shown_to.clear();
            self.warned.clear();
        }
        is_news
    }

    /// Whether a contact may see that this peer is there.
    pub fn shows(&self, contact: ContactId) -> bool {
        !self.is_on() || self.shown_to.contains(&contact)
    }

    /// A contact may see it from now on. Whether that is news.
    pub fn show(&mut self, contact: ContactId) -> bool {
        self.is_on() && self.shown_to.insert(contact)
    }

    /// The user is about to show somebody that they are there.
    ///
    /// # Errors
    /// `invisible`, once for each: what it does, and that the same again does it.
    pub fn warn(&mut self, user: &UserName) -> Result<(), Refusal> {
        if !self.is_on() || !self.warned.insert(user.clone()) {
            return Ok(());
        }
        let reason = format!(
            "you are invisible, and {user} would see by this that you are there; to do it all the same, type it again"
        );
        Err(Refusal::new(Code::Invisible, reason))
    }
}

impl Direct {
    /// The user has become invisible, or visible again, or may have.
    pub(super) fn be_seen_or_not(&mut self, ctx: &mut Context<Self>) {
        let on = self.session.borrow().invisible;
        if !self.unseen.set(on) {
            return;
        }
        if !on {
            return self.listen(ctx);
        }
        for conn in self.conns.values() {
            conn.link.close_because(Code::GoingAway.into());
        }
        let hosting = self.hosting.clone();
        ctx.spawn(async move { hosting.withdraw().await }.into_actor(self));
    }

    /// A contact may see from now on that the user is there.
    pub(super) fn show_to(&mut self, id: ContactId, ctx: &mut Context<Self>) {
        if self.unseen.show(id)
            && let Some(contact) = self.book.contact(id).cloned()
        {
            self.announce_one(&contact, ctx);
            contact.keys().into_iter().for_each(|key| self.look_for(id, key, ctx));
        }
    }

    /// The contacts are watched as long as they are contacts.
    pub(super) fn follow_contacts(&self, ctx: &mut Context<Self>) {
        let open = self.book.contacts().iter().filter(|contact| contact.is_open());
        let contacts = open.map(|contact| User {
            subject: contact.subject,
            name: contact.name.clone(),
            kind: contact.subject.kind(),
        });
        let (contacts, presence) = (contacts.collect(), self.presence.clone());
        ctx.spawn(async move { presence.follow(contacts).await }.into_actor(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_one_answers_sees_one_until_one_is_invisible_anew() {
        let mut unseen = Unseen::new(Arc::default());
        let (ken, id) = ("ken".parse::<UserName>().unwrap(), ContactId(uuid::Uuid::from_u128(1)));
        assert!(unseen.shows(id) && unseen.warn(&ken).is_ok() && !unseen.show(id));
        assert!(unseen.set(true) && !unseen.set(true) && !unseen.shows(id));
        assert_eq!(unseen.warn(&ken).unwrap_err().code, Code::Invisible);
        assert!(unseen.warn(&ken).is_ok(), "warned once");
        assert!(unseen.show(id) && unseen.shows(id) && !unseen.shows(ContactId(uuid::Uuid::from_u128(2))));
        unseen.set(false);
        unseen.set(true);
        assert!(!unseen.shows(id) && unseen.warn(&ken).is_err());
    }
}
