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
    /// Whether they were warned about what all would see.
    warned_of_all: bool,
    /// Who of the contacts has asked for the user since.
    heard_of: BTreeSet<ContactId>,
}

impl Unseen {
    pub fn new(is_on: Arc<AtomicBool>) -> Self {
        Self {
            is_on,
            shown_to: BTreeSet::new(),
            warned: BTreeSet::new(),
            warned_of_all: false,
            heard_of: BTreeSet::new(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Nobody is to see this peer, or everybody may. Whether that is news.
    fn set(&mut self, on: bool) -> bool {
        let is_news = self.is_on.swap(on, Ordering::Relaxed) != on;
        if is_news {
            *self = Self::new(Arc::clone(&self.is_on));
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

    /// A contact asks for the user. Whether the user is to be told: once, when the contact does not see that they are there.
    pub fn hears_of(&mut self, contact: ContactId) -> bool {
        !self.shows(contact) && self.heard_of.insert(contact)
    }

    /// The user is about to say something to all who are there.
    ///
    /// # Errors
    /// As [`Self::warn`].
    pub fn warn_of_all(&mut self) -> Result<(), Refusal> {
        if !self.is_on() || std::mem::replace(&mut self.warned_of_all, true) {
            return Ok(());
        }
        let reason = "you are invisible, and all who are at the tracker would see by this that you are there; to do it \
                      all the same, type it again";
        Err(Refusal::new(Code::Invisible, reason))
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
        assert_eq!(unseen.warn_of_all().unwrap_err().code, Code::Invisible);
        assert!(unseen.warn_of_all().is_ok(), "warned once");
        unseen.set(false);
        assert!(unseen.warn_of_all().is_ok());
        unseen.set(true);
        assert!(!unseen.shows(id) && unseen.warn(&ken).is_err() && unseen.warn_of_all().is_err());
    }

    #[test]
    fn the_user_hears_once_of_who_does_not_see_them() {
        let mut unseen = Unseen::new(Arc::default());
        let [ken, ada] = [1, 2].map(|number| ContactId(uuid::Uuid::from_u128(number)));
        assert!(!unseen.hears_of(ken), "who is there for all is met");
        unseen.set(true);
        assert!(unseen.hears_of(ken) && !unseen.hears_of(ken));
        unseen.show(ada);
        assert!(!unseen.hears_of(ada));
        unseen.set(false);
        unseen.set(true);
        assert!(unseen.hears_of(ken) && unseen.hears_of(ada));
    }
}
