//! Commands of the group `account`.

use common::name::UserName;
use common::proto::directory::Password;
use common::secret::Secret;

use super::NodeHandle;
use crate::api::{Outcome, Reply};
use crate::tracker_link::Entry;

impl NodeHandle {
    pub(super) async fn signup(&self, name: Option<UserName>, password: Secret) -> Outcome {
        // One that cannot be is not sent anywhere.
        password.check_password_length()?;
        let name = self.or_own(name);
        self.enter(Entry::Signup { name, password }).await
    }

    pub(super) async fn signin(&self, name: Option<UserName>, password: Secret) -> Outcome {
        let name = self.or_own(name);
        self.enter(Entry::Signin { name, password }).await
    }

    pub(super) async fn signout(&self) -> Outcome {
        self.enter(Entry::Signout).await
    }

    pub(super) async fn guest(&self, name: Option<UserName>) -> Outcome {
        let name = self.or_own(name);
        self.enter(Entry::Guest { name }).await
    }

    pub(super) async fn passwd(&self, old: Secret, new: Secret) -> Outcome {
        self.tracker.check_confirmed()?;
        new.check_password_length()?;
        self.tracker.request(&Password { old, new }).await?;
        Ok(Reply::Done {})
    }

    async fn enter(&self, entry: Entry) -> Outcome {
        self.tracker.enter(entry).await.map(Reply::Identity)
    }

    fn or_own(&self, name: Option<UserName>) -> UserName {
        name.unwrap_or_else(|| self.session.borrow().username.clone())
    }
}
