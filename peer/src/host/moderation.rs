//! What a command of the owner or a moderator makes of a channel's policy. Pure; whether they may is decided by
//! [`permission`](super::permission).

use common::id::{AccountId, Subject};
use common::name::UserName;
use common::proto::channel::HostRequest;
use common::proto::limits::{MAX_RETENTION_DAYS, MAX_WHY_BYTES};
use common::proto::policy::{Grant, Policy, Post, View};
use common::proto::status::{Code, Refusal};

/// What is to be done.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words and fields are those of the protocol")]
pub enum Order {
    View(View),
    Post(Post),
    Retention { days: Option<u32> },
    Authorize { account: AccountId, name: UserName, role: Grant },
    Deauthorize { account: AccountId },
    Kick { subject: Subject, why: Option<String> },
    Ban { subject: Subject, name: Option<UserName>, why: Option<String> },
    Unban { subject: Subject },
}

impl Order {
    /// The order in a request, if it is one.
    pub fn of(request: &HostRequest) -> Option<Self> {
        Some(match request.clone() {
            HostRequest::SetView(asked) => Self::View(asked.view),
            HostRequest::SetPost(asked) => Self::Post(asked.post),
            HostRequest::SetRetention(asked) => Self::Retention { days: asked.days },
            HostRequest::Authorize(asked) => {
                Self::Authorize { account: asked.account, name: asked.name, role: asked.role }
            }
            HostRequest::Deauthorize(asked) => Self::Deauthorize { account: asked.account },
            HostRequest::Kick(asked) => Self::Kick { subject: asked.subject, why: asked.why },
            HostRequest::Ban(asked) => Self::Ban { subject: asked.subject, name: asked.name, why: asked.why },
            HostRequest::Unban(asked) => Self::Unban { subject: asked.subject },
            _ => return None,
        })
    }

    /// Whom it is about.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::View(_) | Self::Post(_) | Self::Retention { .. } => None,
            Self::Authorize { account, .. } | Self::Deauthorize { account } => {
                Some(Subject::Account(*account))
            }
            Self::Kick { subject, .. } | Self::Ban { subject, .. } | Self::Unban { subject } => {
                Some(*subject)
            }
        }
    }

    /// The name that was given with it.
    pub fn name(&self) -> Option<&UserName> {
        match self {
            Self::Authorize { name, .. } => Some(name),
            Self::Ban { name, .. } => name.as_ref(),
            _ => None,
        }
    }

    /// Why it is to be done.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Kick { why, .. } | Self::Ban { why, .. } => why.as_deref().filter(|why| !why.is_empty()),
            _ => None,
        }
    }

    /// How it is kept: its word, and what was set.
    pub fn told(&self) -> (&'static str, Option<String>) {
        let (what, to) = match self {
            Self::Retention { days: Some(days) } => return ("retention", Some(format!("{days}d"))),
            Self::Retention { days: None } => ("retention", Some("forever")),
            Self::View(View::Public) => ("view", Some("public")),
            Self::View(View::Restricted) => ("view", Some("restricted")),
            Self::Post(Post::Everyone) => ("post", Some("everyone")),
            Self::Post(Post::Authorized) => ("post", Some("authorized")),
            Self::Authorize { role: Grant::Authorized, .. } => ("authorize", Some("authorized")),
            Self::Authorize { role: Grant::Moderator, .. } => ("authorize", Some("moderator")),
            Self::Deauthorize { .. } => ("deauthorize", None),
            Self::Kick { .. } => ("kick", None),
            Self::Ban { .. } => ("ban", None),
            Self::Unban { .. } => ("unban", None),
        };
        (what, to.map(str::to_owned))
    }

    /// The policy after it, or none when that is the one before. `rev` is raised once for each.
    ///
    /// # Errors
    /// `not_allowed` for a role to somebody who is banned, `bad_request` for too long a reason, `policy_full`.
    pub fn apply(&self, policy: &Policy) -> Result<Option<Policy>, Refusal> {
        if self.why().is_some_and(|why| why.len() > MAX_WHY_BYTES) {
            let reason = format!("the reason has at most {MAX_WHY_BYTES} bytes");
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        if matches!(self, Self::Retention { days: Some(days) } if !(1..=MAX_RETENTION_DAYS).contains(days)) {
            let reason = format!("texts are kept for 1 to {MAX_RETENTION_DAYS} days, or for ever");
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        let mut after = policy.clone();
        match self {
            Self::View(view) => after.view = *view,
            Self::Post(post) => after.post = *post,
            Self::Retention { days } => after.retention_days = *days,
            Self::Authorize { account, .. } if after.bans.contains(&Subject::Account(*account)) => {
                return Err(Refusal::new(Code::NotAllowed, "this account is banned here; unban it first"));
            }
            Self::Authorize { account, role, .. } => drop(after.roles.insert(*account, *role)),
            Self::Deauthorize { account } => drop(after.roles.remove(account)),
            Self::Kick { .. } => {}
            Self::Ban { subject, .. } => {
                if let Subject::Account(account) = subject {
                    after.roles.remove(account);
                }
                after.bans.insert(*subject);
            }
            Self::Unban { subject } => drop(after.bans.remove(subject)),
        }
        if after == *policy {
            return Ok(None);
        }
        after.rev += 1;
        // What makes it smaller is always possible.
        let grows = after.roles.len() + after.bans.len() > policy.roles.len() + policy.bans.len();
        if grows && !after.fits() {
            return Err(Code::PolicyFull.into());
        }
        Ok(Some(after))
    }
}

#[cfg(test)]
mod tests {
    use common::identity::PeerKey;
    use common::proto::channel::{Kick, SetView};

    use super::*;

    fn authorize(account: AccountId, role: Grant) -> Order {
        Order::Authorize { account, name: "ada".parse().unwrap(), role }
    }

    fn applied(order: &Order, policy: &Policy) -> Policy {
        order.apply(policy).unwrap().expect("something changes")
    }

    #[test]
    fn each_order_changes_what_it_says_and_raises_the_number_once() {
        let (ada, bob) = (AccountId::new(), Subject::Guest(PeerKey::from_bytes([7; 32])));
        let policy = applied(&Order::View(View::Restricted), &Policy::default());
        assert_eq!((policy.rev, policy.view), (1, View::Restricted));
        let policy = applied(&Order::Post(Post::Authorized), &policy);
        let policy = applied(&authorize(ada, Grant::Moderator), &policy);
        assert_eq!((policy.rev, policy.roles.get(&ada)), (3, Some(&Grant::Moderator)));
        let policy = applied(&authorize(ada, Grant::Authorized), &policy);
        let policy = applied(&Order::Ban { subject: bob, name: None, why: None }, &policy);
        assert!(policy.bans.contains(&bob));
        let policy = applied(&Order::Unban { subject: bob }, &policy);
        let policy = applied(&Order::Deauthorize { account: ada }, &policy);
        assert_eq!((policy.rev, policy.roles.is_empty(), policy.bans.is_empty()), (7, true, true));
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let (policy, ada) = (Policy::default(), AccountId::new());
        let subject = Subject::Account(ada);
        for order in [
            Order::View(View::Public),
            Order::Post(Post::Everyone),
            Order::Retention { days: None },
            Order::Deauthorize { account: ada },
            Order::Unban { subject },
            Order::Kick { subject, why: None },
        ] {
            assert_eq!(order.apply(&policy), Ok(None), "{order:?}");
        }
    }

    #[test]
    fn a_ban_takes_the_role_and_no_role_undoes_a_ban() {
        let ada = AccountId::new();
        let policy = applied(&authorize(ada, Grant::Moderator), &Policy::default());
        let ban = Order::Ban { subject: Subject::Account(ada), name: None, why: None };
        let banned = applied(&ban, &policy);
        assert!(banned.roles.is_empty());
        assert_eq!(authorize(ada, Grant::Authorized).apply(&banned).unwrap_err().code, Code::NotAllowed);
    }

    #[test]
    fn there_is_an_end_to_roles_and_bans_and_a_way_back() {
        let mut policy = Policy::default();
        let full = loop {
            match authorize(AccountId::new(), Grant::Authorized).apply(&policy) {
                Ok(after) => policy = after.unwrap(),
                Err(refusal) => break refusal,
            }
        };
        assert_eq!((full.code, policy.roles.len() > 800), (Code::PolicyFull, true));
        let first = *policy.roles.keys().next().unwrap();
        assert!(Order::View(View::Restricted).apply(&policy).is_ok(), "the switches always turn");
        assert!(Order::Deauthorize { account: first }.apply(&policy).is_ok());
    }

    #[test]
    fn a_reason_has_an_end_and_an_empty_one_is_none() {
        let subject = Subject::Account(AccountId::new());
        let kick = |why: &str| HostRequest::Kick(Kick { subject, why: Some(why.to_owned()) });
        assert_eq!(Order::of(&kick("")).unwrap().why(), None);
        let long = Order::of(&kick(&"x".repeat(MAX_WHY_BYTES + 1))).unwrap();
        assert_eq!(long.apply(&Policy::default()).unwrap_err().code, Code::BadRequest);
        let view = HostRequest::SetView(SetView { view: View::Restricted });
        assert_eq!(Order::of(&view).unwrap().told(), ("view", Some("restricted".to_owned())));
    }

    #[test]
    fn texts_are_kept_for_a_number_of_days_or_for_ever() {
        let order = |days| Order::Retention { days };
        let kept = applied(&order(Some(90)), &Policy::default());
        assert_eq!((kept.rev, kept.retention_days), (1, Some(90)));
        assert_eq!(order(Some(90)).apply(&kept), Ok(None));
        assert_eq!(applied(&order(None), &kept).retention_days, None);
        assert_eq!(order(Some(90)).told(), ("retention", Some("90d".to_owned())));
        for wrong in [0, MAX_RETENTION_DAYS + 1] {
            assert_eq!(order(Some(wrong)).apply(&kept).unwrap_err().code, Code::BadRequest);
        }
    }
}
