//! Whom this peer watches, and who of them is there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::id::Subject;
use common::name::UserName;
use common::proto::limits::MAX_WATCHED;
use common::proto::presence::User;

/// How many users can be watched by name; the rest of what a tracker allows is for contacts.
pub const MAX_WATCHED_BY_NAME: usize = MAX_WATCHED / 2;

#[derive(Clone, Debug)]
struct Person {
    user: User,
    /// The user of this peer has said so.
    by_name: bool,
    /// Is a contact.
    is_contact: bool,
    is_online: bool,
    /// The number of what the tracker said of them last.
    told: u64,
}

/// All whom this peer watches.
#[derive(Debug, Default)]
pub struct Roster {
    people: BTreeMap<Subject, Person>,
    /// How often the tracker has said something.
    told: u64,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Who is to be watched now, and who is not any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// To be asked of the tracker.
    pub watch: Vec<Subject>,
    /// To be taken back.
    pub unwatch: Vec<Subject>,
}

/// What the interface is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who has come.
    pub came: Vec<User>,
    /// Who has gone.
    pub left: Vec<User>,
}

/// Somebody who is watched by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who.
    pub user: User,
    /// Whether they are there, as the tracker said last.
    pub is_online: bool,
}

impl Roster {
    /// The roster as it was kept.
    pub fn new(by_name: Vec<User>) -> Self {
        let mut roster = Self::default();
        for user in by_name.into_iter().take(MAX_WATCHED_BY_NAME) {
            roster.person(user).by_name = true;
        }
        roster
    }

    fn person(&mut self, user: User) -> &mut Person {
        let person = self.people.entry(user.subject).or_insert_with(|| Person {
            user: user.clone(),
            by_name: false,
            is_contact: false,
            is_online: false,
            told: 0,
        });
        person.user = user;
        person
    }

    /// Whether these can be watched, beside those who are.
    ///
    /// # Errors
    /// When there are too many.
    pub fn has_room_for(&self, users: &[User]) -> Result<(), TooMany> {
        let mut by_name: BTreeSet<Subject> = self.rows().into_iter().map(|row| row.user.subject).collect();
        by_name.extend(users.iter().map(|user| user.subject));
        if by_name.len() > MAX_WATCHED_BY_NAME { Err(TooMany) } else { Ok(()) }
    }

    /// The user wants to hear of these.
    pub fn watch(&mut self, users: Vec<User>) -> Change {
        let mut change = Change::default();
        for user in users {
            change.watch.push(user.subject);
            self.person(user).by_name = true;
        }
        change
    }

    /// The user does not want to hear of these any more. A contact is watched all the same.
    pub fn unwatch(&mut self, subjects: &[Subject]) -> Change {
        for subject in subjects {
            if let Some(person) = self.people.get_mut(subject) {
                person.by_name = false;
            }
        }
        self.drop_unwatched()
    }

    /// These are the contacts now, and as such watched; of too many, the last are not.
    pub fn follow(&mut self, contacts: Vec<User>) -> Change {
        let before: BTreeSet<Subject> = self.people.keys().copied().collect();
        self.people.values_mut().for_each(|person| person.is_contact = false);
        for contact in contacts.into_iter().take(MAX_WATCHED - MAX_WATCHED_BY_NAME) {
            self.person(contact).is_contact = true;
        }
        let mut change = self.drop_unwatched();
        change.watch = self.people.keys().copied().filter(|subject| !before.contains(subject)).collect();
        change
    }

    fn drop_unwatched(&mut self) -> Change {
        let dropped = self.people.extract_if(.., |_, person| !person.by_name && !person.is_contact);
        Change { watch: Vec::new(), unwatch: dropped.map(|(subject, _)| subject).collect() }
    }

    /// All of them.
    pub fn subjects(&self) -> Vec<Subject> {
        self.people.keys().copied().collect()
    }

    /// Those whom the user watches, in the order of their names.
    pub fn rows(&self) -> Vec<Row> {
        let by_name = self.people.values().filter(|person| person.by_name);
        let mut rows: Vec<Row> =
            by_name.map(|person| Row { user: person.user.clone(), is_online: person.is_online }).collect();
        rows.sort_by(|a, b| a.user.name.cmp(&b.user.name));
        rows
    }

    /// Whom the user watches under a name.
    pub fn find(&self, name: &UserName) -> Option<&User> {
        self.people
            .values()
            .find(|person| person.by_name && person.user.name == *name)
            .map(|person| &person.user)
    }

    /// The number of what the tracker said last: to be remembered when it is asked.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// The tracker says that these have come, or gone.
    pub fn tell(&mut self, users: Vec<User>, is_online: bool) -> Vec<User> {
        self.told += 1;
        users.into_iter().filter(|user| self.is_news(user, is_online)).collect()
    }

    fn is_news(&mut self, user: &User, is_online: bool) -> bool {
        let told = self.told;
        let Some(person) = self.people.get_mut(&user.subject) else { return false };
        person.user = user.clone();
        person.told = told;
        std::mem::replace(&mut person.is_online, is_online) != is_online
    }

    /// The tracker was asked about some when it had said `asked`, and answers who of them is there. What it has said
    /// of somebody meanwhile counts more.
    pub fn settle(&mut self, asked: u64, about: &[Subject], there: Vec<User>) -> News {
        let mut news = News::default();
        let there: BTreeMap<Subject, User> = there.into_iter().map(|user| (user.subject, user)).collect();
        for subject in about {
            let Some(person) = self.people.get_mut(subject).filter(|person| person.told <= asked) else {
                continue;
            };
            let now = there.get(subject);
            if let Some(user) = now {
                person.user = user.clone();
            }
            if std::mem::replace(&mut person.is_online, now.is_some()) != now.is_some() {
                let told = if now.is_some() { &mut news.came } else { &mut news.left };
                told.push(person.user.clone());
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use common::identity::PeerKey;

    use super::*;

    fn user(number: u16) -> User {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let subject = Subject::Guest(PeerKey::from_bytes(bytes));
        User { subject, name: format!("n{number:03}").parse().unwrap(), kind: subject.kind() }
    }

    fn subjects(numbers: &[u16]) -> Vec<Subject> {
        numbers.iter().map(|number| user(*number).subject).collect()
    }

    #[test]
    fn a_contact_who_is_watched_by_name_too_is_watched_until_it_is_neither() {
        let mut roster = Roster::new(vec![user(1)]);
        assert_eq!(roster.follow(vec![user(1), user(2)]).watch, subjects(&[2]));
        assert_eq!(roster.unwatch(&subjects(&[1])), Change::default());
        assert_eq!(roster.rows(), []);
        let change = roster.follow(vec![user(2), user(3)]);
        assert_eq!(change, Change { watch: subjects(&[3]), unwatch: subjects(&[1]) });
        assert_eq!(roster.watch(vec![user(2)]).watch, subjects(&[2]));
        assert_eq!(roster.follow(Vec::new()).unwatch, subjects(&[3]));
        assert_eq!(roster.subjects(), subjects(&[2]));
    }

    #[test]
    fn only_what_is_new_is_told_and_only_of_those_who_are_watched() {
        let mut roster = Roster::new(vec![user(1), user(2)]);
        assert_eq!(roster.tell(vec![user(1), user(9)], true), [user(1)]);
        assert_eq!(roster.tell(vec![user(1)], true), []);
        assert_eq!(roster.tell(vec![user(1), user(2)], false), [user(1)]);
        assert!(roster.rows().iter().all(|row| !row.is_online));
    }

    #[test]
    fn an_answer_does_not_undo_what_was_said_after_the_question() {
        let mut roster = Roster::new(vec![user(1), user(2), user(3)]);
        roster.tell(vec![user(3)], true);
        let (asked, about) = (roster.told(), subjects(&[1, 2, 3]));
        assert_eq!(roster.tell(vec![user(1)], true), [user(1)]);
        let news = roster.settle(asked, &about, vec![user(2)]);
        assert_eq!(news, News { came: vec![user(2)], left: vec![user(3)] });
        let there: Vec<bool> = roster.rows().iter().map(|row| row.is_online).collect();
        assert_eq!(there, [true, true, false]);
        let (again, all) = (roster.told(), vec![user(1), user(2)]);
        assert_eq!(roster.settle(again, &about, all), News::default(), "nothing new after a reconnection");
    }

    #[test]
    fn there_is_room_for_so_many_and_contacts_have_their_own() {
        let most = u16::try_from(MAX_WATCHED_BY_NAME).unwrap();
        let mut roster = Roster::new((0..most).map(user).collect());
        assert_eq!(roster.has_room_for(&[user(0), user(1)]), Ok(()), "they are there already");
        assert_eq!(roster.has_room_for(&[user(most)]), Err(TooMany));
        roster.follow((most..3 * most).map(user).collect());
        assert_eq!(roster.subjects().len(), MAX_WATCHED);
    }
}
