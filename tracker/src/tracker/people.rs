//! Who is at the tracker, on however many devices, as others may see it. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use common::id::{AccountId, Subject};
use common::proto::limits::{MAX_PAGE_BYTES, MAX_PAGE_ROWS};
use common::proto::presence::{User, UserPage, Users};

use super::sessions::Identity;
use crate::store::directory::Revision;

/// Somebody who has entered.
#[derive(Debug)]
struct Here {
    user: User,
    /// On how many devices.
    sessions: usize,
}

/// Everybody who has entered.
#[derive(Debug, Default)]
pub struct People {
    here: HashMap<Subject, Here>,
    /// Who goes by a folded name: one, unless a guest stays for longer than its name was held.
    by_name: BTreeMap<String, Vec<Subject>>,
    /// Which accounts are invisible, or were; and when that was said.
    invisible: HashMap<AccountId, (Revision, bool)>,
}

impl People {
    /// A session has entered as somebody.
    pub fn came(&mut self, identity: &Identity) {
        let user = identity.user();
        let sessions = match self.here.remove(&identity.subject) {
            Some(before) => {
                self.unlist(&before.user);
                before.sessions + 1
            }
            None => 1,
        };
        self.by_name.entry(user.name.folded().to_owned()).or_default().push(user.subject);
        self.here.insert(user.subject, Here { user, sessions });
    }

    /// A session that had entered as somebody is over.
    pub fn left(&mut self, subject: Subject) {
        let Some(here) = self.here.get_mut(&subject) else { return };
        here.sessions -= 1;
        if here.sessions == 0
            && let Some(Here { user, .. }) = self.here.remove(&subject)
        {
            self.unlist(&user);
        }
    }

    fn unlist(&mut self, user: &User) {
        let name = user.name.folded();
        if let Some(subjects) = self.by_name.get_mut(name) {
            subjects.retain(|subject| *subject != user.subject);
            if subjects.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// An account is invisible from `revision` on, or not any more. What was said before something known is passed over.
    pub fn hide(&mut self, account: AccountId, revision: Revision, on: bool) {
        let said = self.invisible.entry(account).or_insert((revision, on));
        if said.0 <= revision {
            *said = (revision, on);
        }
    }

    /// Whether somebody is not to be seen, there or not.
    pub fn is_invisible(&self, subject: Subject) -> bool {
        let Subject::Account(account) = subject else { return false };
        self.invisible.get(&account).is_some_and(|(_, on)| *on)
    }

    /// Somebody, if they are there for others to see.
    pub fn visible(&self, subject: Subject) -> Option<&User> {
        self.here.get(&subject).filter(|_| !self.is_invisible(subject)).map(|here| &here.user)
    }

    /// A page of all who are there for others to see.
    pub fn page(&self, asked: &Users) -> UserPage {
        let max_rows = asked.limit.unwrap_or(MAX_PAGE_ROWS).clamp(1, MAX_PAGE_ROWS) as usize;
        let from = asked.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = UserPage { users: Vec::new(), next: None };
        let (mut bytes, mut last) = (0, None::<&String>);
        for (name, subjects) in self.by_name.range::<str, _>((from, Bound::Unbounded)) {
            let users: Vec<&User> = subjects.iter().filter_map(|subject| self.visible(*subject)).collect();
            if users.is_empty() {
                continue;
            }
            bytes += users.iter().map(|user| row_bytes(user)).sum::<usize>();
            if last.is_some() && (page.users.len() >= max_rows || bytes > MAX_PAGE_BYTES) {
                page.next = last.cloned();
                break;
            }
            page.users.extend(users.into_iter().cloned());
            last = Some(name);
        }
        page
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.here.len()
    }
}

fn row_bytes(row: &User) -> usize {
    // One more for the comma.
    serde_json::to_vec(row).map_or(0, |json| json.len()) + 1
}

#[cfg(test)]
mod tests {
    use super::super::testing::guest;
    use super::*;

    fn names(page: &UserPage) -> Vec<String> {
        page.users.iter().map(|user| user.name.to_string()).collect()
    }

    #[test]
    fn who_is_there_twice_is_one_and_is_gone_with_the_last_device() {
        let mut people = People::default();
        for _ in 0..2 {
            people.came(&guest(1));
        }
        assert_eq!(names(&people.page(&Users::default())), ["n1"]);
        people.left(guest(1).subject);
        assert!(people.visible(guest(1).subject).is_some());
        people.left(guest(1).subject);
        people.left(guest(1).subject);
        assert_eq!((people.count(), people.by_name.len()), (0, 0));
    }

    #[test]
    fn who_takes_another_name_is_listed_under_that() {
        let mut people = People::default();
        people.came(&guest(1));
        let renamed = Identity { name: "zoe".parse().unwrap(), ..guest(1) };
        people.left(renamed.subject);
        people.came(&renamed);
        people.came(&Identity { name: "zoe".parse().unwrap(), ..guest(2) });
        assert_eq!(names(&people.page(&Users::default())), ["zoe", "zoe"], "and so may another, for a while");
        people.left(guest(2).subject);
        assert_eq!(names(&people.page(&Users::default())), ["zoe"]);
    }

    #[test]
    fn who_is_invisible_is_nowhere_and_the_last_word_counts_whenever_it_comes() {
        let mut people = People::default();
        let (id, key) = (AccountId::new(), guest(1).key);
        let ada = Identity { subject: Subject::Account(id), name: "ada".parse().unwrap(), key };
        people.hide(id, Revision::new(2), true);
        people.came(&ada);
        people.came(&guest(2));
        assert_eq!(names(&people.page(&Users::default())), ["n2"]);
        people.hide(id, Revision::new(1), false);
        assert!(people.visible(ada.subject).is_none(), "said before");
        people.hide(id, Revision::new(3), false);
        assert_eq!(names(&people.page(&Users::default())), ["ada", "n2"]);
    }

    #[test]
    fn pages_go_through_all_names_once() {
        let mut people = People::default();
        (1..=9).for_each(|number| people.came(&guest(number)));
        let (mut found, mut asked) = (Vec::new(), Users { after: None, limit: Some(4) });
        loop {
            let page = people.page(&asked);
            assert!(page.users.len() <= 4);
            found.extend(names(&page));
            asked.after = page.next;
            if asked.after.is_none() {
                break;
            }
        }
        assert_eq!(found, (1..=9).map(|number| format!("n{number}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_of_the_longest_names_fits_a_frame() {
        let mut people = People::default();
        for number in 0..600_u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            let key = common::identity::PeerKey::from_bytes(bytes);
            let name = format!("{}{number:04}", "\u{20000}".repeat(28));
            people.came(&Identity { subject: Subject::Guest(key), name: name.parse().unwrap(), key });
        }
        let page = people.page(&Users { after: None, limit: Some(u32::MAX) });
        let length = serde_json::to_vec(&page).unwrap().len();
        assert!(page.next.is_some() && length < common::proto::limits::MAX_FRAME_BYTES, "{length}");
    }
}
