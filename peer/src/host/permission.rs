//! Who may do what in a channel: one function for every verb there is. Pure.

use common::proto::channel::{HostRequest, Role};
use common::proto::policy::{Grant, Standing, Switches};
use common::proto::status::{Code, Refusal};

macro_rules! verbs {
    ($($variant:ident,)*) => {
        /// A word of [`HostRequest`], without what is asked; one that does two things of different weight is two. `Export`
        /// and `Recover` are asked by this peer's own user.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the words are those of the protocol")]
        pub enum Verb {
            $($variant,)*
        }

        impl Verb {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

verbs! {
    Hello, Ping, Connect, Pass, Disconnect, Message, StatusOf, History, Search, Verify, Erase, Members, RetInfo, View, Post, Retention,
    Authorize, Appoint, Deauthorize, Kick, Ban, Unban, Bans, Audit, Debug, Take, Export,
    Recover,
}

impl From<&HostRequest> for Verb {
    // Does not compile while a word of the protocol has no verb.
    fn from(request: &HostRequest) -> Self {
        match request {
            HostRequest::Hello(_) => Self::Hello,
            HostRequest::Ping(_) => Self::Ping,
            HostRequest::Connect(_) => Self::Connect,
            HostRequest::Pass(_) => Self::Pass,
            HostRequest::Disconnect(_) => Self::Disconnect,
            HostRequest::Message(_) => Self::Message,
            HostRequest::StatusOf(_) => Self::StatusOf,
            HostRequest::History(_) => Self::History,
            HostRequest::Search(_) => Self::Search,
            HostRequest::Verify(_) => Self::Verify,
            HostRequest::Erase(_) => Self::Erase,
            HostRequest::Members(_) => Self::Members,
            HostRequest::RetInfo(_) => Self::RetInfo,
            HostRequest::SetView(_) => Self::View,
            HostRequest::SetPost(_) => Self::Post,
            HostRequest::SetRetention(_) => Self::Retention,
            HostRequest::Authorize(asked) => match asked.role {
                Grant::Authorized => Self::Authorize,
                Grant::Moderator => Self::Appoint,
            },
            HostRequest::Deauthorize(_) => Self::Deauthorize,
            HostRequest::Kick(_) => Self::Kick,
            HostRequest::Ban(_) => Self::Ban,
            HostRequest::Unban(_) => Self::Unban,
            HostRequest::Bans(_) => Self::Bans,
            HostRequest::Audit(_) => Self::Audit,
            HostRequest::Debug(_) => Self::Debug,
            HostRequest::Take(_) => Self::Take,
        }
    }
}

/// Who a verb is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Whoever is connected: it shows nothing of the channel.
    Anybody,
    /// Those who may join and read.
    Readers,
    /// Those readers who may also send.
    Writers,
    /// The reader who wrote what it is about, owner and moderators.
    Authors,
    /// Owner and moderators.
    Moderators,
    /// The owner.
    Owner,
}

const fn meant_for(verb: Verb) -> For {
    match verb {
        Verb::Hello | Verb::Ping | Verb::Pass | Verb::Disconnect => For::Anybody,
        Verb::Connect
        | Verb::StatusOf
        | Verb::History
        | Verb::Search
        | Verb::Verify
        | Verb::Members
        | Verb::RetInfo
        // Whether it is offered to whoever asks says the host's record.
        | Verb::Take => For::Readers,
        Verb::Message => For::Writers,
        Verb::Erase => For::Authors,
        Verb::View
        | Verb::Post
        | Verb::Authorize
        | Verb::Deauthorize
        | Verb::Kick
        | Verb::Ban
        | Verb::Unban
        | Verb::Bans
        | Verb::Audit => For::Moderators,
        Verb::Retention | Verb::Appoint | Verb::Debug | Verb::Export | Verb::Recover => For::Owner,
    }
}

/// Whom a verb is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whoever asks.
    Oneself,
    /// Somebody who is this here.
    Other(Role),
}

/// Whether somebody who stands so may use this verb, on this target if it has one, in a channel with these switches.
///
/// # Errors
/// To who may not even read, the channel does not exist, whatever was asked: `no_such_channel`. To readers,
/// `not_allowed`, `not_moderator` or `not_owner`.
pub fn decide(who: Standing, verb: Verb, target: Option<Target>, switches: Switches) -> Result<(), Refusal> {
    let refused = match meant_for(verb) {
        For::Anybody => return Ok(()),
        _ if !switches.admits(who) => Code::NoSuchChannel,
        For::Readers => return Ok(()),
        For::Writers if switches.lets_send(who) => return Ok(()),
        For::Writers => {
            let reason = "only those who are authorized may send here";
            return Err(Refusal::new(Code::NotAllowed, reason));
        }
        For::Authors if target == Some(Target::Oneself) || who.role.is_in_charge() => return Ok(()),
        For::Authors => {
            let reason = "only whoever wrote a message, the moderators and the owner may erase it";
            return Err(Refusal::new(Code::NotAllowed, reason));
        }
        For::Moderators if who.role.is_in_charge() => {
            return touches(who, verb, target);
        }
        For::Moderators => Code::NotModerator,
        For::Owner if who.role == Role::Owner => return touches(who, verb, target),
        For::Owner => Code::NotOwner,
    };
    Err(refused.into())
}

/// Nobody takes a right from the owner, the owner not either; a moderator takes none from another moderator.
fn touches(who: Standing, verb: Verb, target: Option<Target>) -> Result<(), Refusal> {
    let refused = |reason| Err(Refusal::new(Code::NotAllowed, reason));
    match (target, who.role, verb) {
        (None, ..) | (Some(_), _, Verb::Unban) => Ok(()),
        (Some(Target::Oneself), Role::Owner, _) => {
            refused("you own the channel: you have every right here, and cannot lose one")
        }
        (Some(Target::Oneself), _, Verb::Deauthorize) => Ok(()),
        (Some(Target::Oneself), ..) => refused("this cannot be done to oneself; to go, leave the channel"),
        (Some(Target::Other(Role::Owner)), ..) => {
            refused("this is the channel's owner, who has every right here and cannot lose one")
        }
        (Some(Target::Other(Role::Moderator)), Role::Moderator, _) => {
            refused("this is a moderator; only the owner may do this to one")
        }
        (Some(Target::Other(_)), ..) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
