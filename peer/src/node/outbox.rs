//! Commands of the group `outbox`.

use common::id::MessageId;
use common::name::ChannelName;
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{OutboxCommand, OutboxList, Outcome, Reply};
use crate::client::{ClientHandle, short_id};

/// How many messages are shown at most; the total is always told.
const MAX_SHOWN_MESSAGES: usize = 500;

impl NodeHandle {
    pub(super) async fn outbox(&self, asked: OutboxCommand) -> Outcome {
        match asked {
            OutboxCommand::List { channel } => self.outbox_list(channel).await,
            OutboxCommand::Retry { which } => self.outbox_retry(which).await,
            OutboxCommand::Cancel { id } => self.outbox_change(&id, None).await,
            OutboxCommand::Edit { id, text } => self.outbox_change(&id, Some(text)).await,
        }
    }

    async fn outbox_list(&self, channel: Option<ChannelName>) -> Outcome {
        let mut clients = match channel {
            Some(channel) => vec![self.known(&channel).await?],
            None => self.clients().await?,
        };
        clients.sort_by(|a, b| a.name().cmp(b.name()));
        let mut list = OutboxList { messages: Vec::new(), total: 0 };
        for client in clients {
            let (messages, total) = client.outbox(MAX_SHOWN_MESSAGES - list.messages.len()).await?;
            list.messages.extend(messages);
            list.total += total;
        }
        Ok(Reply::Outbox(list))
    }

    /// A channel's name comes first: an id can be typed longer until it is none.
    async fn outbox_retry(&self, which: String) -> Outcome {
        if let Ok(channel) = which.parse::<ChannelName>()
            && let Some(client) = self.find(&channel).await?
        {
            return client.retry(None).await.map(Reply::Retried);
        }
        let (client, id) = self.message(&which).await?;
        client.retry(Some(id)).await.map(Reply::Retried)
    }

    async fn outbox_change(&self, id: &str, text: Option<String>) -> Outcome {
        let (client, id) = self.message(id).await?;
        client.change(id, text).await.map(Reply::Changed)
    }

    /// The one message whose id ends so, and the client that has it.
    async fn message(&self, ending: &str) -> Result<(ClientHandle, MessageId), Refusal> {
        let mut found = Vec::new();
        for client in self.clients().await? {
            let ids = client.matching(ending.to_owned()).await?;
            found.extend(ids.into_iter().map(|id| (client.clone(), id)));
        }
        if found.len() > 1 {
            let ids = found.iter().take(3).map(|(_, id)| short_id(*id)).collect::<Vec<_>>().join(", ");
            let reason = format!("{} messages end so ({ids}…): type more of the id", found.len());
            return Err(Refusal::new(Code::Usage, reason));
        }
        let none = || {
            let reason = format!("no message in the outbox ends with {ending:?}; type: outbox");
            Refusal::new(Code::NoSuchMessage, reason)
        };
        found.pop().ok_or_else(none)
    }
}
