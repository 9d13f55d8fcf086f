//! Who is at the tracker, and whom the user watches.

use std::collections::BTreeSet;

use common::id::Subject;
use common::name::UserName;
use common::proto::directory::{Owner, Resolved};
use common::proto::presence::{User, UserPage, Users};
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{Outcome, Reply, UserRow, UsersOf, Visibility, WatchCommand};

/// How many users are shown at most.
const MAX_SHOWN_USERS: usize = 5000;

impl NodeHandle {
    pub(super) async fn users(&self) -> Outcome {
        let (users, more) = self.all_users().await?;
        let watched = self.presence.list().await?.watched;
        let is_watched: BTreeSet<Subject> = watched.iter().map(|user| user.subject).collect();
        let here: BTreeSet<Subject> = users.iter().map(|user| user.subject).collect();
        let there = users.into_iter().map(|User { subject, name, kind }| {
            let watched = is_watched.contains(&subject);
            UserRow { subject, name, kind, online: true, watched }
        });
        let away = watched.into_iter().filter(|user| !here.contains(&user.subject)).map(|user| UserRow {
            subject: user.subject,
            name: user.name,
            kind: user.kind,
            online: false,
            watched: true,
        });
        Ok(Reply::Users(UsersOf { users: there.chain(away).collect(), more }))
    }

    async fn all_users(&self) -> Result<(Vec<User>, bool), Refusal> {
        let UserPage { mut users, mut next } = self.tracker.request(&Users::default()).await?;
        while next.is_some() && users.len() < MAX_SHOWN_USERS {
            let page = self.tracker.request(&Users { after: next, limit: None }).await?;
            // A tracker that says there is more, and never gives it, is not asked for ever.
            if page.users.is_empty() {
                return Ok((users, false));
            }
            users.extend(page.users);
            next = page.next;
        }
        Ok((users, next.is_some()))
    }

    pub(super) async fn watch(&self, asked: WatchCommand) -> Outcome {
        let list = match asked {
            WatchCommand::List => self.presence.list().await?,
            WatchCommand::Watch { names } => {
                let mut users = Vec::with_capacity(names.len());
                for name in &names {
                    users.push(self.user_called(name).await?);
                }
                self.presence.watch(users).await?
            }
            WatchCommand::Unwatch { names } => self.presence.unwatch(names).await?,
        };
        Ok(Reply::Watched(list))
    }

    pub(super) async fn set_invisible(&self, on: bool) -> Outcome {
        self.tracker.set_invisible(on).await?;
        let mut hosted: Vec<_> =
            self.hosting.hosts().all().into_iter().map(|host| host.name().clone()).collect();
        hosted.sort();
        Ok(Reply::Visibility(Visibility { invisible: on, hosted }))
    }

    /// Lets nothing of somebody through, whom this user may only have heard.
    pub(super) async fn block(&self, user: UserName) -> Outcome {
        match self.direct.block(user.clone(), None).await {
            Err(refusal) if refusal.code == Code::NotContact => {
                let Resolved { subject, name, kind } = self.resolve(&user).await?;
                if self.session.borrow().identity().subject == Some(subject) {
                    return Err(Refusal::new(Code::BadName, format!("{name} is your own name")));
                }
                self.direct.block(user, Some(Owner { subject, name, kind })).await
            }
            outcome => outcome,
        }
    }

    async fn user_called(&self, name: &UserName) -> Result<User, Refusal> {
        let Resolved { subject, name, kind } = self.resolve(name).await?;
        Ok(User { subject, name, kind })
    }
}
