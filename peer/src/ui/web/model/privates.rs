//! Private conversations as the page follows them: what is unread, and what has changed since a view looked.

use std::collections::BTreeMap;

use common::name::UserName;

/// Of more people nothing is counted.
const MAX_PEOPLE: usize = 2000;

/// One conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ui::web) struct Private {
    pub unread: u64,
    /// Changes with everything that the conversation shows.
    pub version: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::ui::web) struct Privates(BTreeMap<UserName, Private>);

impl Privates {
    /// Begins with what was unread.
    pub fn new(unread: BTreeMap<UserName, u64>) -> Self {
        let all = unread.into_iter().map(|(user, unread)| (user, Private { unread, ..Private::default() }));
        Self(all.collect())
    }

    /// What is unread, to be kept.
    pub fn kept(&self) -> BTreeMap<UserName, u64> {
        let unread = self.0.iter().filter(|(_, private)| private.unread > 0);
        unread.map(|(user, private)| (user.clone(), private.unread)).collect()
    }

    pub fn get(&self, user: &UserName) -> Private {
        self.0.get(user).cloned().unwrap_or_default()
    }

    /// How many messages are unread in all.
    pub fn unread(&self) -> u64 {
        self.0.values().map(|private| private.unread).sum()
    }

    /// A message came in, or was written here.
    pub fn message(&mut self, user: &UserName, is_own: bool) {
        self.with(user, |private| {
            private.version += 1;
            private.unread += u64::from(!is_own);
        });
    }

    /// Something else of it has changed.
    pub fn change(&mut self, user: &UserName) {
        self.with(user, |private| private.version += 1);
    }

    /// All was read. Whether that changes anything.
    pub fn read(&mut self, user: &UserName) -> bool {
        self.0.get_mut(user).is_some_and(|private| std::mem::take(&mut private.unread) > 0)
    }

    fn with(&mut self, user: &UserName, work: impl FnOnce(&mut Private)) {
        if self.0.contains_key(user) || self.0.len() < MAX_PEOPLE {
            work(self.0.entry(user.clone()).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_unread_until_it_is_read() {
        let ada: UserName = "ada".parse().unwrap();
        let mut all = Privates::new(BTreeMap::from([(ada.clone(), 2)]));
        all.message(&ada, false);
        all.message(&ada, true);
        assert_eq!((all.unread(), all.get(&ada).version), (3, 2));
        assert_eq!(all.kept(), BTreeMap::from([(ada.clone(), 3)]));
        assert!(all.read(&ada) && !all.read(&ada));
        all.change(&ada);
        assert_eq!((all.unread(), all.get(&ada).version), (0, 3));
        assert!(all.kept().is_empty());
    }
}
