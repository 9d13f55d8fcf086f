//! The command `search`: from what was found by number to what is shown.

use common::clock::Timestamp;
use common::entry::RawEntry;
use common::id::{ChannelId, Epoch};
use common::name::{ChannelName, fold};
use common::proto::channel::{FoundAt, Search, SearchPage};
use common::proto::status::{Code, Refusal};
use common::storage::{ReadError, Store};

use super::NodeHandle;
use crate::api::{
    AnyMessage, ChatMessage, Cursor, Found, FoundMessage, Look, Outcome, Place, Reindexing, Reply,
    SearchCommand, Snippet,
};
use crate::client::archive::Archive;
use crate::client::chat_message;
use crate::direct::FoundDirect;
use crate::direct::book::ContactId;
use crate::search::index::LogId;
use crate::search::query::Query;
use crate::search::snippet::snippet;
use crate::search::{Hit, Hits, Wanted, Within};
use crate::ui::parse::quoted;

/// An entry that was found, with those around it.
struct FoundEntry {
    message: ChatMessage,
    before: Vec<ChatMessage>,
    after: Vec<ChatMessage>,
    /// Whether it is of the log that `history` reads.
    is_newest: bool,
}

impl NodeHandle {
    pub(super) async fn search(&self, asked: SearchCommand) -> Outcome {
        match asked {
            SearchCommand::Find(look) => self.find_messages(*look).await.map(Reply::Found),
            SearchCommand::Rebuild => {
                let entries = self.search.rebuild().await?;
                Ok(Reply::Reindexing(Reindexing { entries }))
            }
        }
    }

    async fn find_messages(&self, look: Look) -> Result<Found, Refusal> {
        let query = read_query(&look)?;
        if let Some(Place::Channel(channel)) = look.place.clone().filter(|_| look.at_host) {
            return self.find_at_host(channel, look, &query).await;
        }
        let within = match &look.place {
            Some(Place::Channel(channel)) => Some(Within::Channel(self.channel_id(channel).await?)),
            Some(Place::User(user)) => Some(Within::Direct(self.direct.which(user.clone()).await?)),
            None => None,
        };
        let wanted = Wanted {
            within,
            query: query.clone(),
            from: look.from.as_deref().map(fold),
            since: look.since.map(|since| since.as_millis()),
            before: look.before.map(|before| before.as_millis()),
            link: look.link,
            limit: look.limit as usize,
            older: look.older,
        };
        let Hits { hits, total, missing } = self.search.find(wanted).await?;
        let last = hits.last().map(|hit| hit.cursor).filter(|_| (hits.len() as u64) < total);
        let mut found = Vec::new();
        for hit in hits {
            found.extend(self.read_hit(hit, &query, u64::from(look.context)).await?);
        }
        Ok(Found { hits: found, total, older: last, missing })
    }

    /// What the channel's host has, whether or not this peer has it too.
    async fn find_at_host(&self, channel: ChannelName, look: Look, query: &Query) -> Result<Found, Refusal> {
        let client = self.known(&channel).await?;
        let Look { words, from, since, before, link, limit, older, .. } = look;
        let older =
            older.map(|Cursor { time, key }| FoundAt { stored_at: Timestamp::from_millis(time), seq: key });
        let asked = Search { words, from, since, before, link, older, limit: Some(limit) };
        let SearchPage { entries, epoch, total, missing } = client.request(&asked).await?;
        let mut messages = Vec::new();
        for entry in entries.iter().take(limit as usize) {
            let bad =
                |error| Refusal::new(Code::BadRequest, format!("the host found what is no entry: {error}"));
            messages.push(chat_message(&channel, epoch, entry.open().map_err(bad)?, entry));
        }
        let last = messages.last();
        let last = last.map(|last| Cursor { time: last.stored_at.as_millis(), key: last.seq });
        let archive = Archive::new(self.historian.store().clone(), client.id());
        let mut hits = Vec::new();
        for message in archive.note_erased(epoch, messages).await? {
            // What was erased does not come back, whoever gives it.
            let Some(text) = message.text.clone() else { continue };
            hits.push(FoundMessage {
                snippet: snippet(&text, query),
                jump: Some(format!("history {} --around {}", quoted(channel.as_str()), message.seq)),
                message: AnyMessage::Channel(Box::new(message)),
                before: Vec::new(),
                after: Vec::new(),
            });
        }
        // A page may be short because of its bytes.
        let older = last.filter(|_| (entries.len() as u64) < total);
        Ok(Found { hits, total, older, missing })
    }

    async fn channel_id(&self, channel: &ChannelName) -> Result<ChannelId, Refusal> {
        let hosted = self.hosting.hosts().all().into_iter().find(|host| host.name() == channel);
        match (self.find(channel).await?, hosted) {
            (Some(client), _) => Ok(client.id()),
            (None, Some(host)) => Ok(host.id()),
            (None, None) => {
                let reason = format!(
                    "{channel} is no channel that you have something of; if \"in {channel}\" is what you look for, put it in \
                     double quotes"
                );
                Err(Refusal::new(Code::NotJoined, reason))
            }
        }
    }

    /// What is shown of something that was found; nothing when it is no more.
    async fn read_hit(&self, hit: Hit, query: &Query, around: u64) -> Result<Option<FoundMessage>, Refusal> {
        let found = match hit.log {
            LogId::Channel(channel, epoch) => self.read_entry(channel, epoch, hit.seq, around).await?,
            LogId::Direct(contact) => self.read_direct(contact, hit.seq, around).await?,
        };
        let Some(mut found) = found else { return Ok(None) };
        match found.message.text() {
            Some(text) => found.snippet = snippet(text, query),
            // It was erased, and the index has not heard of it.
            None => {
                self.search.forget(hit.log, hit.seq..=hit.seq).await;
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    async fn read_entry(
        &self,
        channel: ChannelId,
        epoch: Epoch,
        seq: u64,
        around: u64,
    ) -> Result<Option<FoundMessage>, Refusal> {
        let client = self.clients().await?.into_iter().find(|client| client.id() == channel);
        let host = self.hosting.hosts().get(channel);
        let name =
            client.as_ref().map(|client| client.name().clone()).or(host.map(|host| host.name().clone()));
        let Some(name) = name else { return Ok(None) };
        let store = self.historian.store();
        let found = read_around(store.clone(), (channel, epoch), name.clone(), seq, around).await?;
        let any = |messages: Vec<ChatMessage>| {
            messages.into_iter().map(|message| AnyMessage::Channel(Box::new(message))).collect()
        };
        Ok(found.map(|FoundEntry { message, before, after, is_newest }| FoundMessage {
            message: AnyMessage::Channel(Box::new(message)),
            snippet: Snippet::default(),
            jump: (is_newest && client.is_some())
                .then(|| format!("history {} --around {seq}", quoted(name.as_str()))),
            before: any(before),
            after: any(after),
        }))
    }

    async fn read_direct(
        &self,
        contact: ContactId,
        arrival: u64,
        around: u64,
    ) -> Result<Option<FoundMessage>, Refusal> {
        let found = self.direct.read_found(contact, arrival, around).await?;
        let any = |messages: Vec<_>| {
            messages.into_iter().map(|message| AnyMessage::Direct(Box::new(message))).collect()
        };
        Ok(found.map(|FoundDirect { message, before, after }| FoundMessage {
            snippet: Snippet::default(),
            jump: Some(format!("history @{} --around {}", message.user, message.clock)),
            message: AnyMessage::Direct(Box::new(message)),
            before: any(before),
            after: any(after),
        }))
    }
}

fn read_query(look: &Look) -> Result<Query, Refusal> {
    let query = Query::parse(&look.words).map_err(|wrong| Refusal::new(Code::Usage, wrong.to_string()))?;
    if query.says_something() || look.from.is_some() || look.link {
        return Ok(query);
    }
    let reason = "there is no word to look for; type some, or from NAME, or has:link";
    Err(Refusal::new(Code::Usage, reason))
}

async fn read_around(
    store: Store,
    (channel, epoch): (ChannelId, Epoch),
    name: ChannelName,
    seq: u64,
    around: u64,
) -> Result<Option<FoundEntry>, ReadError> {
    let archive = Archive::new(store.clone(), channel);
    let read = move || {
        let one = |seq: u64| -> Result<Option<ChatMessage>, ReadError> {
            let bytes = archive.bytes_if_there(epoch, seq)?;
            let entry = bytes.and_then(|bytes| RawEntry::from_bytes(&bytes).ok());
            Ok(entry.and_then(|entry| Some(chat_message(&name, epoch, entry.open().ok()?, &entry))))
        };
        let all = |seqs: std::ops::Range<u64>| {
            seqs.filter_map(|seq| one(seq).transpose()).collect::<Result<Vec<_>, ReadError>>()
        };
        let Some(message) = one(seq)? else { return Ok(None) };
        let newest = archive.load()?.map(|loaded| loaded.epoch);
        Ok(Some(FoundEntry {
            message,
            before: all(seq.saturating_sub(around).max(1)..seq)?,
            after: all(seq + 1..seq + 1 + around)?,
            is_newest: newest.is_none_or(|newest| newest == epoch),
        }))
    };
    store.read(move |_| read()).await
}
