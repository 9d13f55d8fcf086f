//! Channels that are offered.

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::name::{ChannelName, UserName};
use common::proto::transfer::ChannelOffer;
use serde::Serialize;

use super::reply::rfc3339;

/// What a user may ask about offers of channels.
#[derive(Clone, Debug)]
pub enum TransferCommand {
    /// Which there are.
    List,
    /// Offer a channel to somebody.
    Offer {
        /// Which.
        channel: ChannelName,
        /// To whom.
        user: UserName,
    },
    /// Take a channel that is offered.
    Accept {
        /// Which.
        channel: ChannelName,
    },
    /// Turn an offer down.
    Decline {
        /// Of which channel.
        channel: ChannelName,
    },
    /// Take an offer back.
    Withdraw {
        /// Of which channel.
        channel: ChannelName,
    },
}

/// The offers that there are.
#[derive(Clone, Debug, Serialize)]
pub struct OffersOf {
    /// The rows.
    pub offers: Vec<OfferRow>,
}

/// A channel that is offered.
#[derive(Clone, Debug, Serialize)]
pub struct OfferRow {
    /// Its name.
    pub channel: ChannelName,
    /// The channel.
    pub id: ChannelId,
    /// Whose it is.
    pub from: UserName,
    /// Whose it may be.
    pub to: UserName,
    /// Whether it is this peer's user who offers it.
    pub yours: bool,
    /// The offer ends then.
    #[serde(serialize_with = "rfc3339")]
    pub until: Timestamp,
}

impl OfferRow {
    /// An offer, as this user sees it.
    pub fn new(offer: ChannelOffer, me: Subject) -> Self {
        let ChannelOffer { id, name, from, to, until } = offer;
        let yours = to.subject != me;
        Self { channel: name, id, from: from.name, to: to.name, yours, until }
    }
}
