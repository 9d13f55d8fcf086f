//! Who may talk to this peer's user: contacts, with the devices that were agreed to, and requests either way. Pure.
//!
//! What somebody else says - the tracker, or a peer that connects - leads nowhere that the user has not agreed to: a
//! stranger is asked about, a new device of a contact too, and whoever was not asked is not met.

mod requests;

use std::time::Duration;

use common::clock::Timestamp;
use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::directory::Owner;
use common::proto::limits::MAX_DEVICES_OF_CONTACT;
use common::proto::status::{Code, Refusal};
use common::transport::Address;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use requests::{Asks, Heard, Met, Started, Warning};

/// How many contacts there may be.
pub const MAX_CONTACTS: usize = 1000;
/// How many requests may wait for this user, and how many of this user for others.
pub const MAX_REQUESTS: usize = 100;
/// How long a request stands, either way: as long as the tracker keeps it.
pub const REQUEST_LASTS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A contact, whatever its name: the archive goes by it. Made here, and known nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContactId(pub Uuid);

/// Somebody this user talks to, or does not want to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The contact.
    pub id: ContactId,
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name they had last.
    pub name: UserName,
    /// Their devices that were agreed to.
    pub devices: Vec<Device>,
    /// When the first of them was.
    pub since: Timestamp,
    /// Whether nothing of them is let through.
    #[serde(default)]
    pub blocked: bool,
}

/// A device of a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its key.
    pub key: PeerKey,
    /// Where it was last.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// What was written up to this number it need not have: another device had it when this one was agreed to.
    #[serde(default)]
    pub base: u64,
    /// The number of the last message that it has or need not have.
    #[serde(default)]
    pub acked: u64,
    /// The number up to which its user has read.
    #[serde(default)]
    pub read: u64,
}

impl Contact {
    /// Whether messages go there.
    pub fn is_open(&self) -> bool {
        !self.blocked && !self.devices.is_empty()
    }

    /// One of its devices.
    pub fn device(&self, key: PeerKey) -> Option<&Device> {
        self.devices.iter().find(|device| device.key == key)
    }

    /// One of its devices, to be changed.
    pub fn device_mut(&mut self, key: PeerKey) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.key == key)
    }

    /// The keys that were agreed to.
    pub fn keys(&self) -> Vec<PeerKey> {
        self.devices.iter().map(|device| device.key).collect()
    }

    /// The number up to which messages are on the disk of some device.
    pub fn delivered(&self) -> u64 {
        self.devices.iter().map(|device| device.acked).max().unwrap_or_default()
    }

    /// The number up to which messages were read somewhere.
    pub fn read(&self) -> u64 {
        self.devices.iter().map(|device| device.read).max().unwrap_or_default()
    }

    fn agree(&mut self, key: PeerKey) {
        if self.device(key).is_none() && self.devices.len() < MAX_DEVICES_OF_CONTACT {
            // What another device has already is not sent again to this one.
            let acked = self.delivered();
            self.devices.push(Device { key, addresses: Vec::new(), base: acked, acked, read: 0 });
        }
    }
}

/// A request of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub from: Owner,
    /// With which device.
    pub key: PeerKey,
    /// When this peer first heard of it.
    pub at: Timestamp,
    /// Whether the user has turned it down: it is not shown again.
    #[serde(default)]
    pub rejected: bool,
}

/// A request of this user that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who was asked.
    pub name: UserName,
    /// When.
    pub at: Timestamp,
}

/// Who gets through without being asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// Nobody: the user is asked.
    #[default]
    Ask,
    /// Nobody, and requests of strangers are not even shown.
    Contacts,
    /// Everybody; but for a new device of a contact the user is asked.
    Everyone,
}

/// A row that has changed, and is to be written, or removed when it is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A contact.
    Contact(ContactId),
    /// All requests, either way: they are few.
    Requests,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Book {
    contacts: Vec<Contact>,
    requests: Vec<Request>,
    asked: Vec<Asked>,
    changed: Vec<Changed>,
}

impl Book {
    /// The book as it was kept.
    pub fn load(mut contacts: Vec<Contact>, requests: Vec<Request>, asked: Vec<Asked>) -> Self {
        contacts.sort_by_key(|contact| (contact.since, contact.id));
        Self { contacts, requests, asked, changed: Vec::new() }
    }

    /// What has changed since it was last asked.
    pub fn take_changed(&mut self) -> Vec<Changed> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.dedup();
        changed
    }

    /// All contacts, the oldest first.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// Requests of others, turned down ones included.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Requests of this user.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Whether somebody may want to reach this peer.
    pub fn is_in_use(&self) -> bool {
        !self.asked.is_empty() || self.contacts.iter().any(Contact::is_open)
    }

    /// A contact.
    pub fn contact(&self, id: ContactId) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.id == id)
    }

    /// The contact that somebody is, whatever the name.
    pub fn of_subject(&self, subject: Subject) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.subject == subject)
    }

    /// Whether the user does not want to hear of somebody.
    pub fn is_blocked(&self, subject: Subject) -> bool {
        self.of_subject(subject).is_some_and(|contact| contact.blocked)
    }

    /// Whether somebody with this device is a contact, agreed to or blocked.
    pub fn knows(&self, who: &Owner, key: PeerKey) -> bool {
        self.of_subject(who.subject).or_else(|| self.of_subject(Subject::Guest(key))).is_some()
    }

    /// The contact whose device this is, when messages go there.
    pub fn of_device(&self, subject: Subject, key: PeerKey) -> Option<ContactId> {
        let known = self.of_subject(subject).or_else(|| self.of_subject(Subject::Guest(key)));
        known.filter(|contact| contact.is_open() && contact.device(key).is_some()).map(|contact| contact.id)
    }

    /// The contact that is meant by a name: of two with the same one the newer, to which the user has agreed knowing of
    /// the older.
    pub fn find(&self, name: &UserName) -> Option<&Contact> {
        self.contacts.iter().rev().find(|contact| contact.name == *name)
    }

    /// The contact that is meant by a name and may be written to.
    ///
    /// # Errors
    /// `not_contact`, with what to do.
    pub fn open(&self, name: &UserName) -> Result<&Contact, Refusal> {
        match self.find(name) {
            Some(contact) if contact.is_open() => Ok(contact),
            Some(contact) if contact.blocked => Err(not_contact(name, "is blocked", "unblock")),
            _ if self.waiting(name).next().is_some() => {
                Err(not_contact(name, "has asked for a conversation", "accept"))
            }
            _ if self.asked.iter().any(|asked| asked.name == *name) => {
                let reason = format!("{name} has not answered your request yet");
                Err(Refusal::new(Code::NotContact, reason))
            }
            _ => Err(not_contact(name, "is no contact of yours", "start")),
        }
    }

    /// Changes a contact, and notes that it has changed.
    pub fn change<T>(&mut self, id: ContactId, change: impl FnOnce(&mut Contact) -> T) -> Option<T> {
        let contact = self.contacts.iter_mut().find(|contact| contact.id == id)?;
        let before = contact.clone();
        let outcome = change(contact);
        if *contact != before {
            self.changed.push(Changed::Contact(id));
        }
        Some(outcome)
    }

    /// Nothing of somebody is let through any more: a contact, somebody who has asked, or else `stranger`, who has the
    /// name by what the tracker says. Who was it.
    ///
    /// # Errors
    /// `not_contact` for somebody this peer has not heard of.
    pub fn block(
        &mut self,
        name: &UserName,
        stranger: Option<&Owner>,
        now: Timestamp,
    ) -> Result<Contact, Refusal> {
        let known = self.find(name).map(|contact| contact.id);
        let id = match known {
            Some(id) => id,
            None => {
                let from = self.requests.iter().find(|request| request.from.name == *name);
                let unknown = || not_contact(name, "is not known here", "start");
                let from = from.map(|request| &request.from).or(stranger).ok_or_else(unknown)?.clone();
                match self.of_subject(from.subject) {
                    Some(contact) => contact.id,
                    None => self.add(&from, now)?,
                }
            }
        };
        self.change(id, |contact| contact.blocked = true);
        let subject = self.contact(id).map(|contact| contact.subject);
        self.drop_requests(|request| Some(request.from.subject) != subject);
        self.forget_asked(name);
        self.contact(id).cloned().ok_or_else(|| Code::Internal.into())
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// `not_contact` for somebody who is not blocked.
    pub fn unblock(&mut self, name: &UserName) -> Result<Contact, Refusal> {
        let blocked = self.contacts.iter().rev().find(|contact| contact.name == *name && contact.blocked);
        let not_blocked = || Refusal::new(Code::NotContact, format!("{name} is not blocked; type: contacts"));
        let id = blocked.ok_or_else(not_blocked)?.id;
        self.change(id, |contact| contact.blocked = false);
        let contact = self.contact(id).cloned().ok_or_else(|| Refusal::from(Code::Internal))?;
        if contact.devices.is_empty() {
            // Only ever blocked: there is nothing left to know of them.
            self.contacts.retain(|contact| contact.id != id);
            self.changed.push(Changed::Contact(id));
        }
        Ok(contact)
    }

    fn add(&mut self, who: &Owner, now: Timestamp) -> Result<ContactId, Refusal> {
        if self.contacts.len() >= MAX_CONTACTS {
            let reason = format!("there are {MAX_CONTACTS} contacts already");
            return Err(Refusal::new(Code::TooManyRequests, reason));
        }
        let id = ContactId(Uuid::now_v7());
        let (subject, name) = (who.subject, who.name.clone());
        self.contacts.push(Contact { id, subject, name, devices: Vec::new(), since: now, blocked: false });
        self.changed.push(Changed::Contact(id));
        Ok(id)
    }

    /// The contact that somebody is with one of its devices, who may have become an account since, or taken another
    /// name.
    fn known(&mut self, who: &Owner, key: PeerKey) -> Option<ContactId> {
        let by_subject = self.of_subject(who.subject).map(|contact| contact.id);
        let as_guest = || self.of_subject(Subject::Guest(key)).map(|contact| contact.id);
        let id = by_subject.or_else(as_guest)?;
        // What is typed to one contact must not go to another, whatever that one calls itself now.
        let is_free = self.contacts.iter().all(|contact| contact.id == id || contact.name != who.name);
        self.change(id, |contact| {
            contact.subject = who.subject;
            if is_free {
                contact.name = who.name.clone();
            }
        });
        Some(id)
    }
}

fn not_contact(name: &UserName, is: &str, word: &str) -> Refusal {
    Refusal::new(Code::NotContact, format!("{name} {is}; type: {word} {name}"))
}

#[cfg(test)]
mod tests;
