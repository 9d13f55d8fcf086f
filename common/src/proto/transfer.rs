//! Offers of channels: whoever owns and hosts one offers it to an account, which takes it, or not.

use serde::{Deserialize, Serialize};

use super::directory::Owner;
use super::moving::HandOver;
use super::policy::Policy;
use super::{Pushed, commands};
use crate::clock::Timestamp;
use crate::id::{AccountId, ChannelId};
use crate::name::ChannelName;
use crate::signed::Signed;

/// To a tracker: offers a channel that this peer hosts, ends an offer, or only asks which there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The channel; absent when nothing is to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ChannelId>,
    /// To whom it is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AccountId>,
    /// Whether the offer ends: it is taken back, or turned down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

/// The answer to TRANSFER: what this user is offered and has offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// The offers, in the order of the channels' ids.
    pub offers: Vec<ChannelOffer>,
}

/// A channel that is offered to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOffer {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Whose it is.
    pub from: Owner,
    /// Whose it may be.
    pub to: Owner,
    /// The offer ends then.
    pub until: Timestamp,
}

/// A channel is offered to this user, or an offer of which this user knows has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Of which channel.
    pub offer: ChannelOffer,
    /// Whether it has ended: taken back by its owner, or turned down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

impl Pushed for Offered {
    const NAME: &'static str = "OFFERED";
}

/// To the host of a channel, by whom it is offered to: takes the offer. From the answer on the host takes no messages.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Take {}

/// What the host has signed for whoever takes its channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// To be shown to the tracker with HOST.
    pub hand_over: Signed<HandOver>,
    /// Who may do what, as it is at the moment of the hand-over.
    pub policy: Policy,
}

commands! {
    "TRANSFER" Transfer => Offers;
    "TAKE" Take => Taken;
}
