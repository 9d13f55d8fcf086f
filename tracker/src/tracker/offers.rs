//! Channels that are offered to accounts: kept for whoever is away, told, and ended.
//!
//! An offer stands in the channel's row, so it is one for each channel and is gone with what it is an offer of. Whom
//! channels are offered to has a row of their own that says which; what it says and the channel does not is passed over.

use common::clock::Timestamp;
use common::id::{AccountId, ChannelId, IdentityKind, Subject};
use common::identity::PeerKey;
use common::proto::directory::Owner;
use common::proto::status::{Code, Refusal};
use common::proto::transfer::{ChannelOffer, Offered, Offers, Transfer};

use super::TrackerHandle;
use super::hosting::check_host;
use super::messages::{OffersBy, Refresh, TellKeys};
use super::sessions::Identity;
use crate::error::Failure;
use crate::limits::{MAX_OFFERS_PER_USER, OFFER_HOLD};
use crate::store::directory::{Change, Committed, Row, Tries};
use crate::store::schema::{ACCOUNTS, CHANNELS, ChannelRow, OFFERS, OfferRow, OffersRow};

impl ChannelRow {
    /// The offer of it that counts now.
    pub fn offered(&self, now: Timestamp) -> Option<ChannelOffer> {
        let OfferRow { to, at } = self.offer.as_ref()?;
        let until = at.plus(OFFER_HOLD);
        let offer = || ChannelOffer {
            id: self.id,
            name: self.name.clone(),
            from: self.owner.clone(),
            to: to.clone(),
            until,
        };
        (now < until).then(offer)
    }
}

/// What has changed, and who is told.
struct Changed {
    row: ChannelRow,
    told: Vec<Offered>,
}

impl TrackerHandle {
    /// Offers a channel, ends an offer, or neither; answered with the offers that there are then.
    ///
    /// # Errors
    /// `bad_request`, `no_such_channel`, `not_owner`, `hosted_elsewhere`, `no_such_user`, `too_many_requests`.
    pub async fn transfer(&self, who: &Identity, asked: Transfer) -> Result<Offers, Failure> {
        self.quotas.transfer(who.subject)?;
        match asked {
            Transfer { id: Some(id), to: Some(to), end: false } => self.offer(who, id, to).await?,
            Transfer { id: Some(id), to: None, end: true } => self.end_offer(who, id).await?,
            Transfer { id: None, to: None, end: false } => {}
            _ => {
                let reason = "TRANSFER takes an id and to, or an id and end, or nothing";
                return Err(Refusal::new(Code::BadRequest, reason).into());
            }
        }
        let mut offers = self.offers_to(who.subject).await?;
        offers.extend(self.actor.send(OffersBy { owner: who.subject, now: self.now() }).await?);
        offers.sort_unstable_by_key(|offer| offer.id);
        Ok(Offers { offers })
    }

    async fn offer(&self, who: &Identity, id: ChannelId, to: AccountId) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let (now, mut change) = (self.now(), self.directory.change());
            let mut row = change.get(CHANNELS, id.0.as_bytes()).await?.ok_or(Code::NoSuchChannel)?;
            check_host(&row, who)?;
            let account = change.get(ACCOUNTS, to.0.as_bytes()).await?.ok_or(Code::NoSuchUser)?;
            let to = Owner { subject: Subject::Account(to), name: account.name, kind: IdentityKind::Account };
            if to.subject == row.owner.subject {
                return Err(Refusal::new(Code::BadRequest, "the channel is theirs already").into());
            }
            let before = row.offered(now).filter(|before| before.to.subject != to.subject);
            row.offer = Some(OfferRow { to: to.clone(), at: now });
            self.note(&mut change, to.subject, id).await?;
            change.put(CHANNELS, id.0.as_bytes(), &row)?;
            let told = before.into_iter().map(|offer| Offered { offer, ended: true });
            let told = told.chain(row.offered(now).map(|offer| Offered { offer, ended: false })).collect();
            if self.commit_offer(change, &mut tries, Changed { row, told }).await? {
                return Ok(());
            }
        }
    }

    /// Notes what is offered to somebody; of too many, what was offered first goes.
    async fn note(&self, change: &mut Change, to: Subject, id: ChannelId) -> Result<(), Failure> {
        let key = to.to_string();
        let mut offers: OffersRow = change.get(OFFERS, key.as_bytes()).await?.unwrap_or_default();
        offers.channels.retain(|known| *known != id);
        offers.channels.push(id);
        let too_many = offers.channels.len().saturating_sub(MAX_OFFERS_PER_USER);
        offers.channels.drain(..too_many);
        Ok(change.put(OFFERS, key.as_bytes(), &offers)?)
    }

    /// Whoever has made it takes it back, whoever has got it turns it down. To anybody else there is none.
    async fn end_offer(&self, who: &Identity, id: ChannelId) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let (now, mut change) = (self.now(), self.directory.change());
            let mut row = change.get(CHANNELS, id.0.as_bytes()).await?.ok_or(Code::NoSuchChannel)?;
            let is_theirs =
                |offer: &ChannelOffer| [offer.from.subject, offer.to.subject].contains(&who.subject);
            let offer = row.offered(now).filter(is_theirs).ok_or_else(no_offer)?;
            row.offer = None;
            change.put(CHANNELS, id.0.as_bytes(), &row)?;
            let told = vec![Offered { offer, ended: true }];
            if self.commit_offer(change, &mut tries, Changed { row, told }).await? {
                return Ok(());
            }
        }
    }

    async fn commit_offer(
        &self,
        change: Change,
        tries: &mut Tries,
        Changed { row, told }: Changed,
    ) -> Result<bool, Failure> {
        let Committed::Done(revision) = change.commit(tries).await? else { return Ok(false) };
        self.actor.send(Refresh { rows: vec![Row { value: row, revision }] }).await?;
        for event in told {
            let mut keys = self.devices_of(event.offer.to.subject).await?;
            if event.ended {
                keys.extend(self.devices_of(event.offer.from.subject).await?);
            }
            self.actor.send(TellKeys { keys, event }).await?;
        }
        Ok(true)
    }

    async fn devices_of(&self, subject: Subject) -> Result<Vec<PeerKey>, Failure> {
        Ok(match subject {
            Subject::Account(id) => {
                let account = self.directory.get(ACCOUNTS, id.0.as_bytes()).await?;
                account.map(|row| row.value.keys.iter().map(|bound| bound.key).collect()).unwrap_or_default()
            }
            Subject::Guest(key) => vec![key],
        })
    }

    /// What is offered to somebody now.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn offers_to(&self, subject: Subject) -> Result<Vec<ChannelOffer>, Failure> {
        let now = self.now();
        let Some(row) = self.directory.get(OFFERS, subject.to_string().as_bytes()).await? else {
            return Ok(Vec::new());
        };
        let mut offers = Vec::new();
        for id in row.value.channels {
            let row = self.directory.get(CHANNELS, id.0.as_bytes()).await?;
            let offer = row.and_then(|row| row.value.offered(now));
            offers.extend(offer.filter(|offer| offer.to.subject == subject));
        }
        Ok(offers)
    }
}

fn no_offer() -> Refusal {
    // In the words in which a channel is refused that one may not know of.
    Code::NoSuchChannel.into()
}
