//! Commands of the group `look`, and `broadcast`.

use common::entry::check_text;
use common::name::ChannelName;
use common::proto::channel::{Member, MemberList, Members, RetInfo};
use common::proto::directory::{List, Listing, SayToAll};
use common::proto::status::Refusal;

use super::NodeHandle;
use crate::PROGRAM;
use crate::api::{
    ChannelStatus, Channels, ClientReport, ConnectedChannels, MembersOf, Outcome, Reply, StatusReport,
};
use crate::client::ClientHandle;

/// How many members are shown at most; the total is always told.
const MAX_SHOWN_MEMBERS: usize = 5000;

impl NodeHandle {
    pub(super) async fn list(&self, pattern: Option<String>, after: Option<String>) -> Outcome {
        let Listing { channels, next } = self.tracker.request(&List { pattern, after, limit: None }).await?;
        Ok(Reply::Channels(Channels { channels, next }))
    }

    pub(super) async fn broadcast(&self, text: String) -> Outcome {
        check_text(&text)?;
        self.direct.may_show_to_all().await?;
        self.tracker.request(&SayToAll { text }).await?;
        Ok(Reply::Done {})
    }

    pub(super) async fn connected(&self) -> Outcome {
        let channels = self.channels().await?;
        let channels = channels.into_iter().filter(|channel| channel.joined || channel.hosted).collect();
        Ok(Reply::Connected(ConnectedChannels { channels }))
    }

    pub(super) async fn members(&self, channel: ChannelName, granted: bool) -> Outcome {
        let client = self.known(&channel).await?;
        let channel = client.name().clone();
        let (members, total) = all_members(&client, granted).await?;
        Ok(Reply::Members(MembersOf { channel, members, total }))
    }

    pub(super) async fn info(&self, channel: ChannelName) -> Outcome {
        let client = self.known(&channel).await?;
        Ok(Reply::Info(Box::new(client.request(&RetInfo {}).await?)))
    }

    pub(super) async fn status(&self) -> Result<StatusReport, Refusal> {
        let channels = self.channels().await?;
        Ok(StatusReport {
            identity: self.session.borrow().identity(),
            tracker: self.tracker.status(),
            listen: self.hosting.local_addr(),
            channels,
        })
    }

    pub(super) async fn debug(&self, channel: Option<ChannelName>) -> Outcome {
        let Some(channel) = channel else { return self.client_report().await };
        let hosted = self.hosting.hosts().all().into_iter().find(|host| *host.name() == channel);
        let report = match hosted {
            Some(host) => host.debug().await?,
            None => self.known(&channel).await?.request(&common::proto::channel::Debug {}).await?,
        };
        Ok(Reply::Debug(report))
    }

    pub(super) async fn client_report(&self) -> Outcome {
        let (data, program) = (self.data.display().to_string(), PROGRAM.to_owned());
        Ok(Reply::Client(Box::new(ClientReport { status: self.status().await?, data, program })))
    }

    /// Every channel this peer knows, in the order of their names.
    async fn channels(&self) -> Result<Vec<ChannelStatus>, Refusal> {
        let mut channels = Vec::new();
        for client in self.clients().await? {
            channels.push(client.status().await?);
        }
        channels.sort_by(|a, b| a.channel.cmp(&b.channel));
        Ok(channels)
    }
}

/// Those who are in a channel, or were given something in it, and how many there are in all.
pub(super) async fn all_members(
    client: &ClientHandle,
    granted: bool,
) -> Result<(Vec<Member>, usize), Refusal> {
    let MemberList { mut members, mut total, mut next } =
        client.request(&Members { granted, after: None }).await?;
    while next.is_some() && members.len() < MAX_SHOWN_MEMBERS {
        let page = client.request(&Members { granted, after: next }).await?;
        // A host that says there is more, and never gives it, is not asked for ever.
        if page.members.is_empty() {
            break;
        }
        members.extend(page.members);
        (total, next) = (page.total, page.next);
    }
    Ok((members, total))
}
