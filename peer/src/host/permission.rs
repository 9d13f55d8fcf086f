//! Who may do what in a channel: one function for every verb there is. Pure.

use common::proto::channel::{HostRequest, Role};
use common::proto::directory::{Policy, Post, View};
use common::proto::status::{Code, Refusal};

/// A word of [`HostRequest`], without what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are those of the protocol")]
pub enum Verb {
    Hello,
    Ping,
    Connect,
    Pass,
    Disconnect,
    Message,
    StatusOf,
    History,
    Members,
    RetInfo,
    Debug,
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
            HostRequest::Members(_) => Self::Members,
            HostRequest::RetInfo(_) => Self::RetInfo,
            HostRequest::Debug(_) => Self::Debug,
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
    /// The owner.
    Owner,
}

const fn meant_for(verb: Verb) -> For {
    match verb {
        Verb::Hello | Verb::Ping | Verb::Pass | Verb::Disconnect => For::Anybody,
        Verb::Connect | Verb::StatusOf | Verb::History | Verb::Members | Verb::RetInfo => For::Readers,
        Verb::Message => For::Writers,
        Verb::Debug => For::Owner,
    }
}

/// Whether somebody with this role may use this verb in a channel with this policy.
///
/// # Errors
/// To who may not even read, the channel does not exist, whatever was asked: `no_such_channel`. To readers,
/// `not_allowed` or `not_owner`.
pub fn decide(role: Role, verb: Verb, policy: &Policy) -> Result<(), Refusal> {
    let refused = match meant_for(verb) {
        For::Anybody => return Ok(()),
        _ if !may_read(role, policy) => Code::NoSuchChannel,
        For::Readers => return Ok(()),
        For::Writers if may_write(role, policy) => return Ok(()),
        For::Writers => Code::NotAllowed,
        For::Owner if role == Role::Owner => return Ok(()),
        For::Owner => Code::NotOwner,
    };
    Err(refused.into())
}

const fn may_read(role: Role, policy: &Policy) -> bool {
    match (role, policy.view) {
        (Role::Owner, _) | (Role::Registered | Role::Guest, View::Public) => true,
        (Role::Registered | Role::Guest, View::Restricted) => false,
    }
}

const fn may_write(role: Role, policy: &Policy) -> bool {
    match (role, policy.post) {
        (Role::Owner, _) | (Role::Registered | Role::Guest, Post::Everyone) => true,
        (Role::Registered | Role::Guest, Post::Authorized) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each verb answers to owner, registered and guest under: public and open, public with sending
    /// restricted, restricted and open, restricted with sending restricted. `.` yes, `0` no such channel,
    /// `a` not allowed, `o` not owner.
    const TABLE: &[(&str, Verb, [&str; 4])] = &[
        ("HELLO", Verb::Hello, ["...", "...", "...", "..."]),
        ("PING", Verb::Ping, ["...", "...", "...", "..."]),
        ("CONNECT", Verb::Connect, ["...", "...", ".00", ".00"]),
        ("PASS", Verb::Pass, ["...", "...", "...", "..."]),
        ("DISCONNECT", Verb::Disconnect, ["...", "...", "...", "..."]),
        ("MESSAGE", Verb::Message, ["...", ".aa", ".00", ".00"]),
        ("STATUS_OF", Verb::StatusOf, ["...", "...", ".00", ".00"]),
        ("HISTORY", Verb::History, ["...", "...", ".00", ".00"]),
        ("MEMBERS", Verb::Members, ["...", "...", ".00", ".00"]),
        ("RET_INFO", Verb::RetInfo, ["...", "...", ".00", ".00"]),
        ("DEBUG", Verb::Debug, [".oo", ".oo", ".00", ".00"]),
    ];

    const ROLES: [Role; 3] = [Role::Owner, Role::Registered, Role::Guest];

    fn policies() -> [Policy; 4] {
        let policy = |view, post| Policy { rev: 1, view, post };
        [
            policy(View::Public, Post::Everyone),
            policy(View::Public, Post::Authorized),
            policy(View::Restricted, Post::Everyone),
            policy(View::Restricted, Post::Authorized),
        ]
    }

    fn mark(outcome: Result<(), Refusal>) -> char {
        match outcome.map_err(|refusal| refusal.code) {
            Ok(()) => '.',
            Err(Code::NoSuchChannel) => '0',
            Err(Code::NotAllowed) => 'a',
            Err(Code::NotOwner) => 'o',
            Err(other) => panic!("{other} is not in the table"),
        }
    }

    #[test]
    fn every_verb_has_a_row_and_every_cell_is_as_written() {
        let rows: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
        assert_eq!(rows, HostRequest::NAMES, "a verb has no row, or a row no verb");
        for (name, verb, expected) in TABLE {
            for (policy, expected) in policies().iter().zip(expected) {
                let found: String = ROLES.iter().map(|role| mark(decide(*role, *verb, policy))).collect();
                assert_eq!(&found, expected, "{name} under {policy:?}");
            }
        }
    }
}
