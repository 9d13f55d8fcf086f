//! Who is in a channel, and who has to be told of coming and going. Pure.
//!
//! People are counted by subject: a second device of somebody who is there changes nothing that others see.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use common::id::{IdentityKind, Subject};
use common::name::UserName;
use common::proto::channel::{Member, MemberList, Members, Role};
use common::proto::event::{Joined, Left, Person};
use common::proto::limits::{MAX_PAGE_BYTES, MAX_PAGE_ROWS, MAX_PRESENCE_NAMES, MEMBER_ROW_BYTES};

/// Where somebody stands in the list: names are shown in the order of their folded form.
type Place = (String, Subject);

#[derive(Debug)]
struct Present {
    folded: String,
    devices: usize,
}

/// Those who are in a channel.
#[derive(Debug, Default)]
pub struct Presence {
    present: HashMap<Subject, Present>,
    listed: BTreeMap<Place, Person>,
    came: BTreeMap<Place, Person>,
    went: BTreeMap<Place, Person>,
}

/// What has to be told since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// Who came.
    pub joined: Option<Joined>,
    /// Who went.
    pub left: Option<Left>,
}

/// How a name is compared, and sorted. What the tracker put into a pass is a name; anything else is still sorted.
fn folded(name: &str) -> String {
    name.parse::<UserName>().map_or_else(|_| name.to_lowercase(), |name| name.folded().to_owned())
}

impl Presence {
    /// A device of `subject` has come.
    pub fn enter(&mut self, subject: Subject, name: &str, kind: IdentityKind) {
        if let Some(present) = self.present.get_mut(&subject) {
            present.devices += 1;
            return;
        }
        let folded = folded(name);
        let place = (folded.clone(), subject);
        let person = Person { name: name.to_owned(), kind };
        self.present.insert(subject, Present { folded, devices: 1 });
        self.listed.insert(place.clone(), person.clone());
        if self.went.remove(&place).is_none() {
            self.came.insert(place, person);
        }
    }

    /// A device of `subject` has gone.
    pub fn leave(&mut self, subject: Subject) {
        let Some(present) = self.present.get_mut(&subject) else { return };
        present.devices -= 1;
        if present.devices > 0 {
            return;
        }
        let Some(present) = self.present.remove(&subject) else { return };
        let place = (present.folded, subject);
        let Some(person) = self.listed.remove(&place) else { return };
        if self.came.remove(&place).is_none() {
            self.went.insert(place, person);
        }
    }

    /// Somebody who is here has another name from now on. Nobody is told of a coming or going that is none.
    pub fn rename(&mut self, subject: Subject, name: &str) {
        let Some(present) = self.present.get_mut(&subject) else { return };
        let folded = folded(name);
        let (before, place) =
            ((std::mem::replace(&mut present.folded, folded.clone()), subject), (folded, subject));
        let Some(Person { kind, .. }) = self.listed.remove(&before) else { return };
        let person = Person { name: name.to_owned(), kind };
        self.listed.insert(place.clone(), person.clone());
        // Who came under the old name has not been told of yet; who went under the new one is back.
        if self.came.remove(&before).is_some() && self.went.remove(&place).is_none() {
            self.came.insert(place, person);
        }
    }

    /// What has to be told now. Who came and went again in between is nobody's business.
    pub fn take_changes(&mut self) -> Changes {
        let (came, went) = (std::mem::take(&mut self.came), std::mem::take(&mut self.went));
        let joined = |(members, count)| Joined { members, count };
        let left = |(members, count)| Left { members, count };
        Changes { joined: named(came).map(joined), left: named(went).map(left) }
    }

    /// The name of somebody who is there.
    pub fn name_of(&self, subject: Subject) -> Option<&str> {
        let folded = self.present.get(&subject)?.folded.clone();
        self.listed.get(&(folded, subject)).map(|person| person.name.as_str())
    }

    /// How many there are, devices of one subject counted once.
    pub fn count(&self) -> usize {
        self.present.len()
    }

    /// A page of those who are there; `role` says what somebody is in the channel.
    pub fn page(&self, asked: &Members, role: impl Fn(Subject) -> Role) -> MemberList {
        let begin = match &asked.after {
            // All of one folded name are on one page, so the next begins behind the last that could be of it.
            Some(after) => Bound::Excluded((after.clone(), LAST_SUBJECT)),
            None => Bound::Unbounded,
        };
        let mut members: Vec<Member> = Vec::new();
        let (mut bytes, mut last) = (0, None::<&str>);
        let mut next = None;
        for ((folded, subject), person) in self.listed.range((begin, Bound::Unbounded)) {
            let row = person.name.len() + MEMBER_ROW_BYTES;
            let is_full = members.len() >= MAX_PAGE_ROWS as usize || bytes + row > MAX_PAGE_BYTES;
            if is_full && last != Some(folded) {
                next = last.map(str::to_owned);
                break;
            }
            bytes += row;
            last = Some(folded);
            let Person { name, kind } = person.clone();
            members.push(Member { subject: *subject, name, kind, role: role(*subject) });
        }
        MemberList { members, total: self.count(), next }
    }
}

/// Sorts behind every other subject.
const LAST_SUBJECT: Subject = Subject::Guest(common::identity::PeerKey::from_bytes([0xff; 32]));

fn named(people: BTreeMap<Place, Person>) -> Option<(Vec<Person>, usize)> {
    match people.len() {
        0 => None,
        count if count > MAX_PRESENCE_NAMES => Some((Vec::new(), count)),
        count => Some((people.into_values().collect(), count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::identity::PeerKey;
    use proptest::prelude::*;

    fn guest(n: u8) -> Subject {
        Subject::Guest(PeerKey::from_bytes([n; 32]))
    }

    fn names(people: &[Person]) -> Vec<&str> {
        people.iter().map(|person| person.name.as_str()).collect()
    }

    #[test]
    fn a_second_device_is_not_told_and_neither_is_who_came_and_went() {
        let mut presence = Presence::default();
        presence.enter(guest(1), "Ken", IdentityKind::Guest);
        presence.enter(guest(1), "Ken", IdentityKind::Guest);
        presence.enter(guest(2), "ada", IdentityKind::Guest);
        presence.leave(guest(2));
        presence.leave(guest(1));
        let changes = presence.take_changes();
        assert_eq!(names(&changes.joined.unwrap().members), ["Ken"]);
        assert!(changes.left.is_none());
        presence.leave(guest(1));
        presence.enter(guest(1), "Ken", IdentityKind::Guest);
        let changes = presence.take_changes();
        assert!(changes.joined.is_none() && changes.left.is_none());
        presence.leave(guest(1));
        presence.leave(guest(1));
        assert_eq!(presence.take_changes().left.unwrap().count, 1);
        assert_eq!(presence.count(), 0);
    }

    #[test]
    fn a_new_name_is_listed_and_told_of_only_to_those_who_know_no_other() {
        let mut presence = Presence::default();
        let listed = |presence: &Presence| -> Vec<String> {
            let page = presence.page(&Members::default(), |_| Role::Guest);
            page.members.into_iter().map(|member| member.name).collect()
        };
        presence.enter(guest(1), "Ken", IdentityKind::Guest);
        presence.enter(guest(2), "ada", IdentityKind::Guest);
        presence.rename(guest(1), "zoe");
        assert_eq!(listed(&presence), ["ada", "zoe"]);
        assert_eq!(names(&presence.take_changes().joined.unwrap().members), ["ada", "zoe"]);
        presence.rename(guest(1), "Abe");
        presence.rename(guest(1), "abe");
        presence.rename(guest(3), "nobody");
        assert_eq!((listed(&presence), presence.count()), (vec!["abe".into(), "ada".into()], 2));
        let changes = presence.take_changes();
        assert!(changes.joined.is_none() && changes.left.is_none(), "nobody came or went");
        presence.leave(guest(1));
        assert_eq!(names(&presence.take_changes().left.unwrap().members), ["abe"]);
        assert_eq!(presence.count(), 1);
    }

    #[test]
    fn who_is_back_under_another_name_and_takes_the_old_one_again_has_not_moved() {
        let mut presence = Presence::default();
        presence.enter(guest(1), "ken", IdentityKind::Guest);
        presence.take_changes();
        presence.leave(guest(1));
        presence.enter(guest(1), "abe", IdentityKind::Guest);
        presence.rename(guest(1), "ken");
        let changes = presence.take_changes();
        assert!(changes.joined.is_none() && changes.left.is_none());
    }

    #[test]
    fn too_many_to_name_are_counted() {
        let mut presence = Presence::default();
        for n in 0..=MAX_PRESENCE_NAMES {
            let n = u8::try_from(n).unwrap();
            presence.enter(guest(n), &format!("ken{n}"), IdentityKind::Guest);
        }
        let joined = presence.take_changes().joined.unwrap();
        assert_eq!((joined.members.len(), joined.count), (0, MAX_PRESENCE_NAMES + 1));
    }

    proptest! {
        #[test]
        fn pages_hold_everybody_once_in_order(count in 0..1300usize, same in 1..4usize) {
            let mut presence = Presence::default();
            for n in 0..count {
                let key = *blake3::hash(&n.to_be_bytes()).as_bytes();
                let name = format!("ken{:05}", n / same);
                presence.enter(Subject::Guest(PeerKey::from_bytes(key)), &name, IdentityKind::Guest);
            }
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = presence.page(&Members { after, ..Members::default() }, |_| Role::Guest);
                prop_assert_eq!(page.total, count);
                prop_assert!(serde_json::to_vec(&page).unwrap().len() < 64 * 1024 - 256);
                seen.extend(page.members.into_iter().map(|member| member.name));
                after = page.next;
                if after.is_none() { break }
            }
            let expected: Vec<_> = (0..count).map(|n| format!("ken{:05}", n / same)).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
