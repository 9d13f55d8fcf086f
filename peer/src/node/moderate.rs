//! Commands of the group `owner`: who may do what in a channel.

use common::id::{AccountId, Subject};
use common::name::{ChannelName, UserName};
use common::proto::Command as Request;
use common::proto::channel::{
    self, Audit, Authorize, Ban, BanList, Banned, Bans, Deauthorize, Kick, Role, SetPost, SetRetention,
    SetView, Unban,
};
use common::proto::directory::{Resolve, Resolved};
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use super::look::all_members;
use crate::api::{
    AuditOf, BansOf, Done, DoorState, Moderated, ModerationCommand, Outcome, Reply, Who, WhoIs,
};
use crate::client::ClientHandle;

/// How many who are banned are shown at most; the total is always told.
const MAX_SHOWN_BANS: usize = 5000;

impl NodeHandle {
    pub(super) async fn moderate(&self, channel: ChannelName, order: ModerationCommand) -> Outcome {
        let client = self.known(&channel).await?;
        let channel = client.name().clone();
        let (done, moderated) = match order {
            ModerationCommand::Bans => {
                let (bans, total) = all_bans(&client).await?;
                return Ok(Reply::Bans(BansOf { channel, bans, total }));
            }
            ModerationCommand::Audit { count } => {
                let page = client.request(&Audit { before: None, limit: Some(count) }).await?;
                return Ok(Reply::Audit(AuditOf { channel, acts: page.acts }));
            }
            ModerationCommand::View(view) => (Done::View { view }, ask(&client, &SetView { view }).await?),
            ModerationCommand::Post(post) => (Done::Post { post }, ask(&client, &SetPost { post }).await?),
            ModerationCommand::Retention(days) => {
                let retention = days.map_or("forever".to_owned(), |days| format!("{days}d"));
                (Done::Retention { retention }, ask(&client, &SetRetention { days }).await?)
            }
            ModerationCommand::Authorize { who, role } => {
                let (account, name) = self.account(who).await?;
                let asked = Authorize { account, name: name.clone(), role };
                (Done::Role { who: named(account, name), role: role.into() }, ask(&client, &asked).await?)
            }
            ModerationCommand::Deauthorize { who } => {
                let (account, who) = self.granted(&client, who).await?;
                (Done::Role { who, role: Role::Registered }, ask(&client, &Deauthorize { account }).await?)
            }
            ModerationCommand::Kick { who, why } => {
                let who = self.somebody(&client, who).await?;
                let asked = ask(&client, &Kick { subject: who.subject, why }).await?;
                (Done::Door { who, state: DoorState::Kicked }, asked)
            }
            ModerationCommand::Ban { who, why } => {
                let who = self.somebody(&client, who).await?;
                let name = who.name.as_ref().and_then(|name| name.parse().ok());
                let asked = ask(&client, &Ban { subject: who.subject, name, why }).await?;
                (Done::Door { who, state: DoorState::Banned }, asked)
            }
            ModerationCommand::Unban { who } => {
                let who = self.banned(&client, who).await?;
                let asked = ask(&client, &Unban { subject: who.subject }).await?;
                (Done::Door { who, state: DoorState::Unbanned }, asked)
            }
        };
        let channel::Moderated { rev, changed } = moderated;
        Ok(Reply::Moderated(Moderated { channel, changed, rev, done }))
    }

    /// An account by its name, wherever its user is.
    async fn account(&self, who: WhoIs) -> Result<(AccountId, UserName), Refusal> {
        let name = match who {
            WhoIs::Name(name) => name,
            WhoIs::Subject(_) => {
                let reason = "an account is authorized by its name, so that everybody sees who it is";
                return Err(Refusal::new(Code::Usage, reason));
            }
        };
        let resolved = self.resolve(&name).await?;
        match resolved.subject {
            Subject::Account(account) => Ok((account, resolved.name)),
            Subject::Guest(_) => Err(not_registered(&name)),
        }
    }

    /// An account that was given something: by what the host knows, so that it needs no tracker and no name that is
    /// still in use.
    async fn granted(&self, client: &ClientHandle, who: WhoIs) -> Result<(AccountId, Who), Refusal> {
        if let WhoIs::Name(name) = &who {
            let (granted, _) = all_members(client, true).await?;
            let is_it = |row: &&channel::Member| is_named(&row.name, name);
            if let Some(row) = granted.iter().find(is_it)
                && let Subject::Account(account) = row.subject
            {
                return Ok((account, Who { subject: row.subject, name: Some(row.name.clone()) }));
            }
        }
        match who {
            WhoIs::Subject(Subject::Account(account)) => {
                Ok((account, Who { subject: Subject::Account(account), name: None }))
            }
            WhoIs::Subject(Subject::Guest(_)) => Err(Code::NotRegistered.into()),
            WhoIs::Name(_) => self.account(who).await.map(|(account, name)| (account, named(account, name))),
        }
    }

    /// Somebody who is in the channel, else whoever has the name at the tracker.
    async fn somebody(&self, client: &ClientHandle, who: WhoIs) -> Result<Who, Refusal> {
        let name = match who {
            WhoIs::Subject(subject) => return Ok(Who { subject, name: None }),
            WhoIs::Name(name) => name,
        };
        let (members, _) = all_members(client, false).await?;
        let mut found = members.into_iter().filter(|member| is_named(&member.name, &name));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(Who { subject: one.subject, name: Some(one.name) }),
            (Some(one), Some(other)) => Err(two(&name, one.subject, other.subject)),
            (None, _) => {
                let Resolved { subject, name, .. } = self.resolve(&name).await?;
                Ok(Who { subject, name: Some(name.to_string()) })
            }
        }
    }

    /// Somebody who is banned, by the name of that time, else whoever has the name at the tracker.
    async fn banned(&self, client: &ClientHandle, who: WhoIs) -> Result<Who, Refusal> {
        let name = match who {
            WhoIs::Subject(subject) => return Ok(Who { subject, name: None }),
            WhoIs::Name(name) => name,
        };
        let (bans, _) = all_bans(client).await?;
        let is_it = |row: &Banned| row.name.as_ref().is_some_and(|banned| is_named(banned, &name));
        let mut found = bans.into_iter().filter(is_it);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(Who { subject: one.subject, name: one.name }),
            (Some(one), Some(other)) => Err(two(&name, one.subject, other.subject)),
            (None, _) => {
                let Resolved { subject, name, .. } = self.resolve(&name).await?;
                Ok(Who { subject, name: Some(name.to_string()) })
            }
        }
    }

    pub(super) async fn resolve(&self, name: &UserName) -> Result<Resolved, Refusal> {
        self.tracker.request(&Resolve { name: name.clone() }).await.map_err(|refusal| match refusal.code {
            Code::NoSuchUser => Refusal::new(Code::NoSuchUser, format!("nobody is called {name}")),
            _ => refusal,
        })
    }
}

async fn ask<C: Request<Reply = channel::Moderated>>(
    client: &ClientHandle,
    command: &C,
) -> Result<channel::Moderated, Refusal> {
    client.request(command).await
}

async fn all_bans(client: &ClientHandle) -> Result<(Vec<Banned>, usize), Refusal> {
    let BanList { mut bans, mut total, mut next } = client.request(&Bans { after: None }).await?;
    while next.is_some() && bans.len() < MAX_SHOWN_BANS {
        let page = client.request(&Bans { after: next }).await?;
        // A host that says there is more, and never gives it, is not asked for ever.
        if page.bans.is_empty() {
            break;
        }
        bans.extend(page.bans);
        (total, next) = (page.total, page.next);
    }
    Ok((bans, total))
}

/// What a host says is a name is compared as one.
fn is_named(said: &str, name: &UserName) -> bool {
    said.parse::<UserName>().is_ok_and(|said| said == *name)
}

fn named(account: AccountId, name: UserName) -> Who {
    Who { subject: Subject::Account(account), name: Some(name.to_string()) }
}

fn not_registered(name: &UserName) -> Refusal {
    let reason = format!(
        "{name} is a guest, and only a registered account can be authorized: {name} makes one with signup first"
    );
    Refusal::new(Code::NotRegistered, reason)
}

fn two(name: &UserName, one: Subject, other: Subject) -> Refusal {
    let reason = format!("two are called {name}; type one of these instead of the name: {one} or {other}");
    Refusal::new(Code::Usage, reason)
}
