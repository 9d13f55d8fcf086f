//! A channel is given to somebody else, and both agree: its owner offers it, and whoever gets it takes it.
//!
//! Until the tracker has noted who hosts it now, it is its owner's, and hosted there; from then on it is not. What is
//! interrupted on the way is begun again by whoever takes it, or taken back by the owner's peer.

use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{IdentityKind, Subject};
use common::name::{ChannelName, UserName};
use common::proto::directory::{ChannelRecord, Grant, Locate, Resolve, Resolved};
use common::proto::limits::MAX_PAGE_ROWS;
use common::proto::moving::HAND_OVER_COUNTS;
use common::proto::policy::{Holder, Policy};
use common::proto::status::{Code, Refusal};
use common::proto::transfer::{ChannelOffer, Take, Taken, Transfer};
use tokio::time::sleep;

use super::NodeHandle;
use crate::api::{LogFrom, ModerationCommand, OfferRow, OffersOf, Outcome, Reply, TransferCommand, WhoIs};
use crate::client::ClientHandle;
use crate::history::Brought;
use crate::host::Offer;

/// What was received last may not be on the disk yet: it is looked for so often.
const LOOKS: usize = 50;
/// After so long each.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl NodeHandle {
    pub(super) async fn transfer(&self, asked: TransferCommand) -> Outcome {
        match asked {
            TransferCommand::List => self.offers(Transfer::default()).await,
            TransferCommand::Offer { channel, user } => self.offer_channel(channel, user).await,
            TransferCommand::Withdraw { channel } => self.withdraw(channel).await,
            TransferCommand::Decline { channel } => {
                let offer = self.offered_here(&channel).await?.ok_or_else(|| not_offered(&channel))?;
                let end = Transfer { id: Some(offer.id), to: None, end: true };
                self.tracker.request(&end).await.map(|_| Reply::Done {})
            }
            TransferCommand::Accept { channel } => Box::pin(self.accept(channel)).await,
        }
    }

    async fn offers(&self, asked: Transfer) -> Outcome {
        let offers = self.tracker.request(&asked).await?.offers;
        let me = self.holder()?.subject;
        let row = |offer: ChannelOffer| OfferRow::new(offer, me);
        Ok(Reply::Offers(OffersOf { offers: offers.into_iter().map(row).collect() }))
    }

    /// Offers a channel that is hosted here. Whoever it is offered to may enter it from then on.
    async fn offer_channel(&self, channel: ChannelName, user: UserName) -> Outcome {
        let host = self.hosted(&channel).ok_or_else(|| {
            let reason =
                format!("{channel} is not hosted here; its owner offers it on the machine that hosts it");
            Refusal::new(Code::NotHosted, reason)
        })?;
        let who = self.holder()?;
        let record = host.disclose(who).await?.record;
        if host.why_behind().is_some() {
            return Err(Code::LogBehind.into());
        }
        let heir = self.heir(user, who.subject).await?;
        let to = common::proto::directory::Owner { subject: heir.subject, name: heir.name, kind: heir.kind };
        let Subject::Account(account) = to.subject else { return Err(Code::NotRegistered.into()) };
        let standing = record.standing(Holder { subject: to.subject, key: who.key });
        if record.policy.bans.contains(&to.subject) {
            let reason = format!("{} is banned from {channel}; type: unban {channel} {}", to.name, to.name);
            return Err(Refusal::new(Code::NotAllowed, reason));
        }
        if !record.policy.switches().admits(standing) {
            let order =
                ModerationCommand::Authorize { who: WhoIs::Name(to.name.clone()), role: Grant::Authorized };
            Box::pin(self.moderate(channel, order)).await?;
        }
        let until = Timestamp::now().plus(HAND_OVER_COUNTS);
        host.offer(Offer { to, until }).await?;
        let told = self.offers(Transfer { id: Some(record.id), to: Some(account), end: false }).await;
        if told.is_err() {
            // Nobody has heard of it.
            host.end_offer(None).await?;
        }
        told
    }

    /// Takes an offer back: here at once, whatever the tracker says to it.
    async fn withdraw(&self, channel: ChannelName) -> Outcome {
        let host = self.hosted(&channel).ok_or_else(|| {
            Refusal::new(Code::NotHosted, format!("{channel} is not hosted here, and not offered from here"))
        })?;
        let record = host.disclose(self.holder()?).await?.record;
        if record.offer.is_none() {
            let reason = format!("{channel} is offered to nobody");
            return Err(Refusal::new(Code::NotAllowed, reason));
        }
        host.end_offer(None).await?;
        match self.tracker.request(&Transfer { id: Some(record.id), to: None, end: true }).await {
            // There it has ended already, or ends by itself: what counts is what the host knows.
            Err(refusal) if refusal.code != Code::NoSuchChannel && !refusal.code.is_passing() => Err(refusal),
            _ => Ok(Reply::Done {}),
        }
    }

    /// What of this name is offered to this user.
    async fn offered_here(&self, channel: &ChannelName) -> Result<Option<ChannelOffer>, Refusal> {
        let me = self.holder()?.subject;
        let offers = self.tracker.request(&Transfer::default()).await?.offers;
        Ok(offers.into_iter().find(|offer| offer.name == *channel && offer.to.subject == me))
    }

    /// Takes a channel that is offered: first all of its log, then the channel.
    async fn accept(&self, channel: ChannelName) -> Outcome {
        let Some(offer) = self.offered_here(&channel).await? else { return self.go_on_taking(channel).await };
        let found = self.tracker.request(&Locate::Id(offer.id)).await?;
        let begun_again = |refusal: Refusal| {
            let reason = format!(
                "{}. {channel} is still {}'s; type again: transfer {channel} --accept",
                refusal.reason.trim_end_matches('.'),
                offer.from.name
            );
            Refusal { reason, ..refusal }
        };
        let brought = self.take(&found).await.map_err(begun_again)?;
        let hosted = self.begin_hosting(found, brought).await;
        match hosted {
            Err(refusal) if !refusal.code.is_passing() => Err(begun_again(refusal)),
            hosted => hosted,
        }
    }

    /// The tracker may have noted already that this peer hosts a channel that it was about to take.
    async fn go_on_taking(&self, channel: ChannelName) -> Outcome {
        let me = self.holder()?;
        let found = self.tracker.request(&Locate::Name(channel.clone())).await;
        let is_mine = |found: &ChannelRecord| found.host_key == me.key && found.owner.subject == me.subject;
        match found {
            Ok(found) if is_mine(&found) => Box::pin(self.take_over(channel, LogFrom::Received)).await,
            _ => Err(not_offered(&channel)),
        }
    }

    /// All of the log, and what the host before has signed.
    async fn take(&self, found: &ChannelRecord) -> Result<Brought, Refusal> {
        let me = self.holder()?;
        let client = match self.clients().await?.into_iter().find(|client| client.id() == found.id) {
            Some(client) => client,
            None => self.open(found.clone()).await?,
        };
        client.join(Some(found.clone())).await?;
        // Whether it can be hosted here is found out while the channel is served.
        self.bring_whole(&client, found, None).await?;
        let Taken { hand_over, policy } = client.request(&Take {}).await?;
        let signed = hand_over.verify(&found.host_key).ok();
        let signed = signed.filter(|it| (it.channel, it.to, it.owner) == (found.id, me.key, me.subject));
        let signed = signed.ok_or_else(|| {
            Refusal::new(Code::BadRequest, "what the host has signed is no hand-over of the channel to you")
        })?;
        let mut brought = self.bring_whole(&client, found, Some(signed.head)).await?;
        brought.hand_over = Some(hand_over);
        brought.record.policy = with_former_owner(policy, found.owner.subject);
        Ok(brought)
    }

    /// All of the log as this peer has received it, up to `head` if that is known.
    async fn bring_whole(
        &self,
        client: &ClientHandle,
        found: &ChannelRecord,
        head: Option<Position>,
    ) -> Result<Brought, Refusal> {
        let mut looks = 0;
        loop {
            fetch_all(client).await?;
            let brought = match self.bring_received(found).await {
                Ok(brought) if head.is_none_or(|head| head == brought.head) => return Ok(brought),
                Err(refusal) if !matches!(refusal.code, Code::BadExport | Code::LogBehind) => {
                    return Err(refusal);
                }
                brought => brought,
            };
            looks += 1;
            if looks == LOOKS {
                let late = || Refusal::new(Code::LogBehind, "the end of the log has not come in time");
                return Err(brought.err().unwrap_or_else(late));
            }
            sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Whose a channel is to be.
    pub(super) async fn heir(&self, name: UserName, me: Subject) -> Result<Resolved, Refusal> {
        let heir = self.tracker.request(&Resolve { name }).await?;
        if heir.kind != IdentityKind::Account {
            let reason = "a channel can be given only to a registered account; they have to sign up first";
            return Err(Refusal::new(Code::NotRegistered, reason));
        }
        if heir.subject == me {
            let reason =
                "the channel is yours already; to move it to another machine, type: export CH FILE --to KEY";
            return Err(Refusal::new(Code::Usage, reason));
        }
        Ok(heir)
    }
}

/// Fetches what of the log is not here, page by page.
async fn fetch_all(client: &ClientHandle) -> Result<(), Refusal> {
    let mut before = None;
    loop {
        let page = client.history(MAX_PAGE_ROWS, before).await?;
        if let Some(missing) = page.missing {
            return Err(Refusal::new(missing.code, missing.reason));
        }
        match page.messages.first().map(|message| message.seq) {
            Some(first) if first > 1 => before = Some(first),
            _ => return Ok(()),
        }
    }
}

/// Whoever has given a channel away may come in and write, as long as its new owner wants it.
fn with_former_owner(mut policy: Policy, owner: Subject) -> Policy {
    if let Subject::Account(account) = owner {
        policy.roles.entry(account).or_insert(Grant::Authorized);
        policy.rev += 1;
    }
    policy
}

fn not_offered(channel: &ChannelName) -> Refusal {
    let reason = format!("{channel} is not offered to you, or not any more; transfer alone shows what is");
    Refusal::new(Code::NoSuchChannel, reason)
}
