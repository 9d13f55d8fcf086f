//! Files, straight from one peer to another: what is offered either way, what is fetched, and what is handed out.
//!
//! One actor owns what is offered ([`book`] decides what may become of it) and starts a task for each file that is
//! fetched (`fetch`) and for each connection of somebody who fetches (`serve`). What is offered travels as a message
//! of a private conversation, and so does what became of it. The bytes go over a connection of their own: [`tree`] checks
//! them, [`names`] and [`manifest`] look through what they are called, [`sink`] writes them, [`source`] reads them.

pub mod book;
mod commands;
mod fetch;
mod handle;
pub mod kept;
pub mod manifest;
pub mod names;
pub mod progress;
mod reports;
mod serve;
mod shown;
pub mod sink;
pub mod source;
mod tasks;
pub mod tree;
mod wire;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::prelude::*;
use common::id::{ChannelId, FileId, MessageId};
use common::identity::PeerKey;
use common::link::Link;
use common::name::UserName;
use common::proto::file::{FILE, FILE_END, FileEnd, FileOutcome, Offer};
use common::proto::limits::MAX_FILES_FETCHED;
use common::proto::status::{Code, Refusal};
use common::storage::{ReadError, Store};
use common::text::one_line;
use common::transport::Transport;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, oneshot, watch};

pub use handle::{FilesHandle, To};

use crate::alarm::{Alarm, Death};
use crate::api::{Event, FileDirection};
use crate::client::ClientHandle;
use crate::direct::book::ContactId;
use crate::direct::{DirectHandle, Visitor, Visitors};
use crate::events::Events;
use crate::host::SharedGate;
use crate::session::SessionView;
use book::{Book, Place, State, Transfer, Untold};
use commands::new;
use fetch::{Stop, Wish};
use kept::Kept;
use serve::Serving;
use shown::Live;

/// How many messages may wait for this actor.
const MAILBOX: usize = 256;
/// How many offers are looked through at once: it takes a core and a disk each.
const MAX_READERS: usize = 2;

/// What files need from the rest of the peer.
pub struct FilesConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where what is fetched goes.
    pub downloads: PathBuf,
    /// Where it is kept what is offered.
    pub store: Store,
    /// How to dial.
    pub transport: Transport,
    /// Whose passes count.
    pub gate: SharedGate,
    /// Who this peer is.
    pub session: SessionView,
    /// Those who connect to fetch.
    pub visitors: Visitors,
    /// Where the user interface is told.
    pub events: Events,
    /// Is told when the actor dies.
    pub alarm: Alarm,
}

/// Somebody who fetches, numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ServeId(u64);

/// What fetches something.
struct Fetching {
    wish: watch::Sender<Wish>,
    /// It is to begin again when it has ended.
    again: bool,
}

struct Files {
    book: Book,
    kept: Kept,
    downloads: PathBuf,
    transport: Transport,
    gate: SharedGate,
    session: SessionView,
    events: Events,
    /// Who carries offers; there from the beginning, but for the first moment.
    direct: Option<DirectHandle>,
    fetching: HashMap<FileId, Fetching>,
    /// Who may fetch now, and who may look through what is to be offered.
    turns: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    preparing: HashMap<FileId, Arc<AtomicBool>>,
    serving: HashMap<ServeId, (FileId, Link)>,
    /// Those that this peer has to do with.
    channels: HashMap<ChannelId, ClientHandle>,
    next_serve: u64,
    /// What is under way, as it was last told.
    live: HashMap<FileId, Live>,
    /// What the other side is being told.
    telling: HashMap<FileId, Untold>,
    stopping: bool,
    ended: Vec<oneshot::Sender<()>>,
    death: Death,
}

/// Starts it. Nothing is done before [`FilesHandle::attach`].
///
/// # Errors
/// When what was kept cannot be read.
pub fn start(config: FilesConfig) -> Result<FilesHandle, ReadError> {
    let FilesConfig { data, downloads, store, transport, gate, session, visitors, events, alarm } = config;
    let kept = Kept::new(store, &data);
    let actor = Files {
        book: kept.book()?,
        kept,
        downloads: downloads.clone(),
        transport,
        gate,
        session,
        events,
        direct: None,
        fetching: HashMap::new(),
        turns: Arc::new(Semaphore::new(MAX_FILES_FETCHED)),
        readers: Arc::new(Semaphore::new(MAX_READERS)),
        preparing: HashMap::new(),
        serving: HashMap::new(),
        channels: HashMap::new(),
        next_serve: 0,
        live: HashMap::new(),
        telling: HashMap::new(),
        stopping: false,
        ended: Vec::new(),
        death: Death::of("files", &alarm),
    };
    let addr = Files::create(|ctx: &mut Context<Files>| {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.add_stream(visitors.into_stream());
        actor
    });
    Ok(FilesHandle::new(addr, downloads))
}

impl Actor for Files {
    type Context = Context<Self>;
}

/// Who carries offers.
#[derive(Message)]
#[rtype(result = "()")]
struct Attach(DirectHandle);

impl Handler<Attach> for Files {
    type Result = ();

    fn handle(&mut self, Attach(direct): Attach, ctx: &mut Self::Context) {
        self.direct = Some(direct);
        let all: Vec<(FileId, State)> =
            self.book.all().iter().map(|transfer| (transfer.offer.id, transfer.state)).collect();
        for (id, state) in all {
            match (state, self.book.get(id).map(Transfer::direction)) {
                (State::Accepted, Some(FileDirection::In)) => self.fetch(id, ctx),
                (State::Preparing, _) => self.prepare_again(id, ctx),
                // In a copy of the data what stands beside the store is not.
                (State::Offered, Some(FileDirection::Out)) if !self.kept.has(id) => {
                    self.look_through_again(id, ctx);
                }
                _ => {}
            }
            self.say(id, ctx);
        }
    }
}

/// Somebody connects to fetch.
impl StreamHandler<Visitor> for Files {
    fn handle(&mut self, Visitor { link, inbox }: Visitor, ctx: &mut Self::Context) {
        let Some(direct) = self.direct.clone().filter(|_| !self.stopping) else {
            return link.close_because(Code::GoingAway.into());
        };
        let (gate, kept) = (self.gate.clone(), self.kept.clone());
        tokio::spawn(serve::serve(link, inbox, Serving { files: ctx.address(), direct, gate, kept }));
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Files {
    /// What is to run runs, and what is not ends.
    fn apply(&mut self, id: FileId, ctx: &mut Context<Self>) {
        let Some((direction, state)) =
            self.book.get(id).map(|transfer| (transfer.direction(), transfer.state))
        else {
            return;
        };
        match (direction, state) {
            (FileDirection::In, State::Accepted) => self.fetch(id, ctx),
            (FileDirection::In, State::Paused) => self.stop_fetching(id, Stop::Pause),
            (FileDirection::In, _) => {
                self.stop_fetching(id, Stop::End);
                self.remove_begun(id);
            }
            (FileDirection::Out, State::Preparing) => self.prepare_again(id, ctx),
            (FileDirection::Out, State::Paused) => self.hang_up(id),
            (FileDirection::Out, State::Cancelled) => {
                self.stop_preparing(id);
                self.hang_up(id);
                self.kept.remove(id);
            }
            (FileDirection::Out, _) => {}
        }
    }

    fn add(&mut self, transfer: Transfer) -> Result<(), Refusal> {
        let id = transfer.offer.id;
        if let Some(forgotten) = self.book.add(transfer)? {
            self.kept.forget(forgotten);
        }
        drop(self.keep(id));
        Ok(())
    }

    /// Writes how far one is; it is submitted when this returns, and on disk when the future says so.
    fn keep(&self, id: FileId) -> impl Future<Output = Result<(), Refusal>> + use<> {
        let submitted = self.book.get(id).map(|transfer| self.kept.keep(transfer));
        async move {
            match submitted {
                Some(submitted) => Ok(submitted?.await?),
                None => Ok(()),
            }
        }
    }

    /// Tells the user how far one is.
    fn tell(&self, id: FileId, ctx: &mut Context<Self>) {
        if let Some(row) = self.row(id) {
            ctx.wait(self.events.tell(Event::File(Box::new(row))).into_actor(self));
        }
    }

    fn warn(&self, refusal: Refusal, ctx: &mut Context<Self>) {
        let Refusal { code, reason, .. } = refusal;
        ctx.wait(self.events.tell(Event::Warning { code, reason, channel: None }).into_actor(self));
    }
}

/// A message of a conversation offers a file, or says what became of one.
#[derive(Message)]
#[rtype(result = "()")]
struct Heard {
    contact: ContactId,
    user: UserName,
    key: PeerKey,
    kind: String,
    body: Box<RawValue>,
}

/// An entry of a channel offers something.
#[derive(Message)]
#[rtype(result = "()")]
struct HeardIn {
    place: Place,
    entry: MessageId,
    user: String,
    offer: Offer,
    key: PeerKey,
}

impl Handler<HeardIn> for Files {
    type Result = ();

    fn handle(&mut self, HeardIn { place, entry, user, offer, key }: HeardIn, ctx: &mut Self::Context) {
        let (id, own) = (offer.id, self.session.borrow().key);
        self.offered(Ok(offer), place.clone(), user, key, ctx);
        let is_it = |known: &&mut Transfer| known.is_said_by(&place, key, own) && known.entry.is_none();
        if let Some(transfer) = self.book.get_mut(id).filter(is_it) {
            transfer.entry = Some(entry);
            drop(self.keep(id));
        }
    }
}

/// Entries of a channel were erased: what they offered is offered no longer.
#[derive(Message)]
#[rtype(result = "()")]
struct ErasedIn {
    channel: ChannelId,
    entries: Vec<MessageId>,
}

impl Handler<ErasedIn> for Files {
    type Result = ();

    fn handle(&mut self, ErasedIn { channel, entries }: ErasedIn, ctx: &mut Self::Context) {
        for id in self.book.offered_by(channel, &entries) {
            let is_news =
                self.book.get_mut(id).is_some_and(|transfer| transfer.ended(FileOutcome::Cancelled));
            if is_news {
                self.apply(id, ctx);
                drop(self.keep(id));
                self.tell(id, ctx);
            }
        }
    }
}

/// A channel in which something may be offered, or may have been.
#[derive(Message)]
#[rtype(result = "()")]
struct Met(ClientHandle);

impl Handler<Met> for Files {
    type Result = ();

    fn handle(&mut self, Met(client): Met, ctx: &mut Self::Context) {
        let id = client.id();
        self.channels.insert(id, client);
        let is_in =
            |transfer: &&Transfer| matches!(&transfer.place, Place::Channel { id: of, .. } if *of == id);
        let all: Vec<FileId> =
            self.book.all().into_iter().filter(is_in).map(|transfer| transfer.offer.id).collect();
        all.into_iter().for_each(|file| self.say(file, ctx));
    }
}

impl Handler<Heard> for Files {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Self::Context) {
        match heard.kind.as_str() {
            FILE => {
                let Heard { contact, user, key, body, .. } = heard;
                let unreadable = |_| Refusal::new(Code::BadRequest, "it cannot be read");
                let offer = serde_json::from_str::<Offer>(body.get()).map_err(unreadable);
                self.offered(offer, Place::Contact(contact), user.to_string(), key, ctx);
            }
            FILE_END => self.heard_end(heard.contact, &heard.body, ctx),
            _ => {}
        }
    }
}

impl Files {
    fn offered(
        &mut self,
        offer: Result<Offer, Refusal>,
        place: Place,
        user: String,
        key: PeerKey,
        ctx: &mut Context<Self>,
    ) {
        let taken = offer.and_then(|offer| book::check(&offer).map(|()| offer)).and_then(|offer| {
            let id = offer.id;
            // Heard again after a restart, or somebody else's.
            if self.book.get(id).is_none() {
                self.add(Transfer {
                    from: Some(key),
                    ..new(offer, place, Some(user.clone()), State::Offered)
                })?;
                self.tell(id, ctx);
            }
            Ok(())
        });
        if let Err(refusal) = taken {
            let reason = format!("{} offers a file that is not taken: {}", one_line(&user), refusal.reason);
            self.warn(Refusal { reason, ..refusal }, ctx);
        }
    }

    fn heard_end(&mut self, contact: ContactId, body: &RawValue, ctx: &mut Context<Self>) {
        let Ok(FileEnd { id, outcome, .. }) = serde_json::from_str(body.get()) else { return };
        let Some(transfer) = self.book.get_mut(id).filter(|transfer| transfer.is_of(contact)) else {
            return;
        };
        let direction = transfer.direction();
        if !transfer.ended(outcome) {
            return;
        }
        if direction == FileDirection::In {
            self.stop_fetching(id, Stop::End);
            self.remove_begun(id);
        } else {
            self.live.remove(&id);
            if outcome != FileOutcome::Done {
                self.hang_up(id);
            }
        }
        drop(self.keep(id));
        self.tell(id, ctx);
    }
}

/// There is reason to believe that a device is there.
#[derive(Message)]
#[rtype(result = "()")]
struct IsThere(PeerKey, ContactId);

impl Handler<IsThere> for Files {
    type Result = ();

    fn handle(&mut self, IsThere(key, contact): IsThere, ctx: &mut Self::Context) {
        let all = self.book.all();
        let of_device =
            all.iter().filter(|transfer| transfer.from == Some(key)).map(|transfer| transfer.offer.id);
        for fetching in of_device.filter_map(|id| self.fetching.get(&id)) {
            fetching.wish.send_modify(|wish| wish.pokes += 1);
        }
        let untold = all.iter().filter(|transfer| transfer.is_of(contact) && transfer.untold.is_some());
        let untold: Vec<FileId> = untold.map(|transfer| transfer.offer.id).collect();
        untold.into_iter().for_each(|id| self.say(id, ctx));
    }
}

/// This user lets nothing of a contact through any more, which ends what is under way.
#[derive(Message)]
#[rtype(result = "()")]
struct Parted(ContactId);

impl Handler<Parted> for Files {
    type Result = ();

    fn handle(&mut self, Parted(contact): Parted, ctx: &mut Self::Context) {
        let of_them = self.book.all().into_iter().filter(|transfer| transfer.is_of(contact));
        let of_them: Vec<FileId> = of_them.map(|transfer| transfer.offer.id).collect();
        for id in of_them {
            self.hang_up(id);
            let Some(transfer) = self.book.get_mut(id).filter(|transfer| transfer.state == State::Accepted)
            else {
                continue;
            };
            transfer.state = State::Paused;
            self.stop_fetching(id, Stop::Pause);
            drop(self.keep(id));
            self.tell(id, ctx);
        }
    }
}

/// The end: what is there of what is fetched is kept.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<()>")]
struct Shutdown;

impl Handler<Shutdown> for Files {
    type Result = MessageResult<Shutdown>;

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        self.death.expected();
        let (ended, wait) = oneshot::channel();
        self.ended.push(ended);
        self.preparing.values().for_each(|is_over| is_over.store(true, std::sync::atomic::Ordering::Relaxed));
        for (_, link) in self.serving.values() {
            link.close();
        }
        for fetching in self.fetching.values() {
            fetching.wish.send_modify(|wish| wish.stop = Some(Stop::End));
        }
        self.look_if_ended();
        MessageResult(wait)
    }
}

impl Files {
    fn look_if_ended(&mut self) {
        if self.stopping && self.fetching.is_empty() {
            // Whoever no longer waits need not know.
            for ended in self.ended.drain(..) {
                let _ = ended.send(());
            }
        }
    }
}
