//! Requests: made, heard of, answered.

use common::clock::Timestamp;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::directory::Owner;
use common::proto::knock::{Introduction, Knocked};
use common::proto::status::{Code, Refusal};

use super::{Accept, Asked, Book, Changed, ContactId, MAX_REQUESTS, REQUEST_LASTS, Request};

/// What `start` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// They are a contact already.
    Contact(ContactId),
    /// They had asked themselves: both agree.
    Agreed(ContactId),
    /// They are to be asked.
    Knock,
}

/// Somebody asks, and the user is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// Who.
    pub from: Owner,
    /// With which device.
    pub key: PeerKey,
    /// What the user has to be warned of, if anything.
    pub warning: Option<Warning>,
}

/// Why a request is more than a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A contact asks from a device that was not agreed to.
    NewDevice,
    /// Somebody has the name of a contact and is not the contact.
    SameName,
}

/// What a request of somebody else comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it is known already, or not wanted.
    Nothing,
    /// The user is asked.
    Ask(Asks),
    /// It is agreed to from now on: say so.
    Agreed(ContactId),
    /// It was agreed to before.
    Known(ContactId),
}

/// What it comes to that somebody can be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// Nothing: nobody here has asked or agreed.
    Nothing,
    /// A device of a contact is there.
    Known(ContactId),
    /// A request of this user was accepted: they are a contact from now on.
    Accepted(ContactId),
    /// A request of this user was turned down.
    Rejected(UserName),
    /// It is not the device that was agreed to.
    OtherKey(ContactId),
}

impl Book {
    /// This user wants to talk to somebody.
    ///
    /// # Errors
    /// `not_contact` for somebody who is blocked, `too_many_requests`.
    pub fn start(&mut self, name: &UserName, now: Timestamp) -> Result<Started, Refusal> {
        self.drop_stale(now);
        match self.find(name) {
            Some(contact) if contact.blocked => {
                return Err(super::not_contact(name, "is blocked", "unblock"));
            }
            Some(contact) if contact.is_open() => return Ok(Started::Contact(contact.id)),
            _ => {}
        }
        if self.waiting(name).next().is_some() {
            return self.accept(name, None, now).map(Started::Agreed);
        }
        if !self.asked.iter().any(|asked| asked.name == *name) {
            if self.asked.len() >= MAX_REQUESTS {
                let reason = format!("{MAX_REQUESTS} of your requests are unanswered already");
                return Err(Refusal::new(Code::TooManyRequests, reason));
            }
            self.asked.push(Asked { name: name.clone(), at: now });
            self.changed.push(Changed::Requests);
        }
        Ok(Started::Knock)
    }

    /// The requests that wait under a name.
    pub(super) fn waiting(&self, name: &UserName) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.from.name == *name && !request.rejected)
    }

    /// Somebody asks.
    pub fn knocked(&mut self, knocked: &Knocked, accept: Accept, now: Timestamp) -> Heard {
        self.drop_stale(now);
        let Knocked { from, key, .. } = knocked;
        let known = self.known(from, *key);
        if let Some(contact) = known.and_then(|id| self.contact(id)) {
            if contact.blocked {
                return Heard::Nothing;
            }
            if contact.device(*key).is_some() {
                return Heard::Known(contact.id);
            }
        }
        if self.requests.iter().any(|request| request.from.subject == from.subject && request.key == *key) {
            return Heard::Nothing;
        }
        let is_same_name = self.find(&from.name).is_some_and(|contact| contact.subject != from.subject);
        let warning = match (known, is_same_name) {
            (Some(_), _) => Some(Warning::NewDevice),
            (None, true) => Some(Warning::SameName),
            (None, false) => None,
        };
        let is_asked = self.asked.iter().any(|asked| asked.name == from.name);
        if warning.is_none() {
            if is_asked || accept == Accept::Everyone {
                // Both have asked, or the user wants everybody. With too many contacts it is as if nobody had.
                return self.agree(from, *key, now).map_or(Heard::Nothing, Heard::Agreed);
            }
            if accept == Accept::Contacts {
                return Heard::Nothing;
            }
        }
        if self.requests.len() >= MAX_REQUESTS {
            self.requests.remove(0);
        }
        self.requests.push(Request { from: from.clone(), key: *key, at: now, rejected: false });
        self.changed.push(Changed::Requests);
        Heard::Ask(Asks { from: from.clone(), key: *key, warning })
    }

    fn agree(&mut self, who: &Owner, key: PeerKey, now: Timestamp) -> Result<ContactId, Refusal> {
        let id = match self.known(who, key) {
            Some(id) => id,
            None => self.add(who, now)?,
        };
        self.change(id, |contact| contact.agree(key));
        self.drop_requests(|request| request.key != key || request.from.subject != who.subject);
        self.forget_asked(&who.name);
        Ok(id)
    }

    /// The user agrees to a request. Where several wait under the name, `key` says which by its beginning.
    ///
    /// # Errors
    /// `no_request`, or `usage` when several wait.
    pub fn accept(
        &mut self,
        name: &UserName,
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<ContactId, Refusal> {
        let Request { from, key, .. } = self.one_request(name, key)?;
        self.agree(&from, key, now)
    }

    /// The user turns a request down; one that was turned down before may be accepted all the same.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub fn reject(&mut self, name: &UserName, key: Option<&str>) -> Result<Request, Refusal> {
        let wanted = self.one_request(name, key)?;
        for request in &mut self.requests {
            request.rejected |= *request == wanted;
        }
        self.changed.push(Changed::Requests);
        Ok(wanted)
    }

    fn one_request(&self, name: &UserName, key: Option<&str>) -> Result<Request, Refusal> {
        let is_it = |request: &&Request| {
            request.from.name == *name && key.is_none_or(|key| request.key.to_string().starts_with(key))
        };
        let mut found: Vec<_> = self.requests.iter().filter(is_it).collect();
        if found.iter().any(|request| !request.rejected) {
            found.retain(|request| !request.rejected);
        }
        match found.as_slice() {
            [] => {
                let reason = format!("no request of {name} waits; contacts shows which do");
                Err(Refusal::new(Code::NoRequest, reason))
            }
            [request] => Ok((*request).clone()),
            [first, ..] => {
                let begin: String = first.key.to_string().chars().take(8).collect();
                let reason = format!(
                    "{} requests wait under this name: say which by the beginning of its key, as in: {name} {begin}",
                    found.len()
                );
                Err(Refusal::new(Code::Usage, reason))
            }
        }
    }

    /// Somebody can be met, says the tracker.
    pub fn introduced(&mut self, introduction: &Introduction, now: Timestamp) -> Met {
        self.drop_stale(now);
        let Introduction { who, key, addresses, rejected } = introduction;
        let is_asked = self.asked.iter().any(|asked| asked.name == who.name);
        if *rejected {
            if is_asked {
                self.forget_asked(&who.name);
                return Met::Rejected(who.name.clone());
            }
            return Met::Nothing;
        }
        let known = self.known(who, *key).and_then(|id| self.contact(id));
        let (met, id) = match known {
            Some(contact) if contact.blocked => return Met::Nothing,
            Some(contact) if contact.device(*key).is_some() => (Met::Known(contact.id), contact.id),
            Some(contact) => return Met::OtherKey(contact.id),
            // Somebody else who has the name of a contact now is not whom the user has asked.
            None if is_asked && self.find(&who.name).is_none() => match self.agree(who, *key, now) {
                Ok(id) => (Met::Accepted(id), id),
                Err(_) => return Met::Nothing,
            },
            None => return Met::Nothing,
        };
        self.change(id, |contact| {
            if let Some(device) = contact.device_mut(*key) {
                device.addresses.clone_from(addresses);
            }
        });
        met
    }

    pub(super) fn forget_asked(&mut self, name: &UserName) {
        let before = self.asked.len();
        self.asked.retain(|asked| asked.name != *name);
        if self.asked.len() < before {
            self.changed.push(Changed::Requests);
        }
    }

    pub(super) fn drop_requests(&mut self, keep: impl Fn(&Request) -> bool) {
        let before = self.requests.len();
        self.requests.retain(keep);
        if self.requests.len() < before {
            self.changed.push(Changed::Requests);
        }
    }

    /// Lets go of what has waited for a week.
    fn drop_stale(&mut self, now: Timestamp) {
        let asked = self.asked.len();
        self.drop_requests(|request| now < request.at.plus(REQUEST_LASTS));
        self.asked.retain(|asked| now < asked.at.plus(REQUEST_LASTS));
        if self.asked.len() < asked {
            self.changed.push(Changed::Requests);
        }
    }
}
