//! Handing out what was offered: one task for each connection of somebody who fetches.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use bytes::{Bytes, BytesMut};
use common::id::RequestId;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::file::{
    FetchState, FileBytes, FileEvent, FileGet, FilePart, FileProgress, FileRequest, Offer,
};
use common::proto::limits::{
    DRAIN_LIMIT, FILE_BLOCK_BYTES, FILE_GET_LIMIT, FILE_PROGRESS_EVERY, OUTGOING_BYTES,
};
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Request};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use super::kept::Kept;
use super::reports::{Audience, ForWhom, Served, Told, Wanted};
use super::source::Source;
use super::{Files, ServeId, manifest, tree};
use crate::direct::DirectHandle;
use crate::host::SharedGate;

/// How much is written as one.
const PIECE_BYTES: usize = FILE_BLOCK_BYTES as usize;
/// How many of these wait between the disk and the connection.
const PIECES: usize = 4;

/// What it takes to hand out files.
#[derive(Clone)]
pub(super) struct Serving {
    pub files: Addr<Files>,
    pub direct: DirectHandle,
    pub gate: SharedGate,
    pub kept: Kept,
}

/// Serves one connection to its end.
pub(super) async fn serve(link: Link, mut inbox: Inbox, serving: Serving) {
    let ask_by = Instant::now() + FILE_GET_LIMIT;
    let mut session = Session { link: link.clone(), serving, served: None, ask_by, heard: None };
    let reason = session.run(&mut inbox).await;
    tracing::debug!(key = %link.peer_key(), reason = ?reason.to_string(), "a connection for files ended");
    session.stop();
    link.close();
    drop(inbox);
    link.finished().await;
}

/// What is handed out over a connection.
struct Handed {
    id: ServeId,
    offer: Offer,
    is_over: Arc<AtomicBool>,
    /// As long as bytes are on their way.
    pump: Option<JoinHandle<()>>,
}

struct Session {
    link: Link,
    serving: Serving,
    served: Option<Handed>,
    /// By when something has to be asked for, as long as no bytes are on their way.
    ask_by: Instant,
    /// When whoever fetches said last how far it is, and what it does.
    heard: Option<(Instant, FetchState)>,
}

impl Session {
    async fn run(&mut self, inbox: &mut Inbox) -> CloseReason {
        loop {
            match self.next(inbox).await {
                Ok(Inbound::Request(request)) => {
                    if !self.is_written().await {
                        // An answer would stand in the middle of the bytes.
                        return CloseReason::Protocol("a request while bytes are on their way");
                    }
                    self.asked(request).await;
                }
                Ok(Inbound::Event(event)) => {
                    if let Ok(FileEvent::FileProgress(progress)) = FileEvent::parse(&event.name, &event.body)
                    {
                        self.told(progress);
                    }
                }
                Err(reason) => return reason,
            }
        }
    }

    /// What comes next. Only what is asked for buys time: a connection that is kept busy otherwise takes a place from others.
    async fn next(&mut self, inbox: &mut Inbox) -> Result<Inbound, CloseReason> {
        loop {
            let ask_by = self.ask_by;
            let pump = self.served.as_mut().and_then(|served| served.pump.as_mut());
            let is_idle = pump.is_none();
            tokio::select! {
                next = inbox.next() => return next,
                () = ended(pump) => self.is_idle_from_now(),
                () = sleep_until(ask_by), if is_idle => return Err(CloseReason::Unanswered),
            }
        }
    }

    fn is_idle_from_now(&mut self) {
        if let Some(served) = &mut self.served {
            served.pump = None;
        }
        self.ask_by = Instant::now() + FILE_GET_LIMIT;
    }

    /// Whether all that was asked for is on its way, or nearly.
    async fn is_written(&mut self) -> bool {
        let Some(pump) = self.served.as_mut().and_then(|served| served.pump.as_mut()) else { return true };
        let is_written = timeout(DRAIN_LIMIT, pump).await.is_ok();
        if is_written {
            self.is_idle_from_now();
        }
        is_written
    }

    async fn asked(&mut self, request: Request) {
        match FileRequest::parse(&request.command, &request.body) {
            Ok(FileRequest::FileGet(get)) => {
                if let Err(refusal) = self.get(request.id, get).await {
                    self.refuse(request.id, refusal);
                }
            }
            Ok(FileRequest::Ping(_)) => drop(self.link.answer(request.id, &Ok(Empty {}))),
            Ok(FileRequest::Hello(_)) => self.refuse(request.id, Code::WrongPhase.into()),
            Err(refusal) => self.refuse(request.id, refusal),
        }
    }

    fn refuse(&self, id: RequestId, refusal: Refusal) {
        // When the link has ended, the next read says so.
        let _ = self.link.answer::<Empty>(id, &Err(refusal));
    }

    /// The bytes of something, for those to whom it was offered; for all others there is no such thing.
    async fn get(&mut self, request: RequestId, get: FileGet) -> Result<(), Refusal> {
        self.stop();
        let pass = self.serving.gate.check(&get.pass, self.link.peer_key())?;
        let gone = |_| Refusal::from(Code::GoingAway);
        let audience = self.serving.files.send(ForWhom(get.id)).await.map_err(gone)?;
        // Asked in any case, so that who it is not for learns as much as of what there is not, and as fast.
        let contact = self.serving.direct.contact_of(pass.subject, self.link.peer_key()).await;
        let is_for_them = match audience {
            Some(Audience::Contact(offered_to)) => contact == Some(offered_to),
            Some(Audience::Channel(client)) => client.has_member(pass.subject).await?,
            None => false,
        };
        if !is_for_them {
            return Err(Code::NoSuchFile.into());
        }
        let wanted = Wanted { id: get.id, link: self.link.clone() };
        let (id, offer) = self.serving.files.send(wanted).await.map_err(gone)??;
        let (size, _) = part_of(&offer, get.part)?;
        let is_over = Arc::<AtomicBool>::default();
        self.served = Some(Handed { id, offer: offer.clone(), is_over: is_over.clone(), pump: None });
        if !tree::is_start(get.from, size) {
            return Err(Refusal::new(Code::BadRequest, "what is asked for begins at no block of it"));
        }
        let kept = self.serving.kept.clone();
        let opened = spawn_blocking(move || open(&kept, &offer, get.part, is_over)).await;
        let part = opened.map_err(|_| Refusal::from(Code::Internal))??;
        let bytes = tree::sent_bytes(size, get.from);
        // When the link has ended, the next read says so.
        if self.link.answer(request, &Ok(FileBytes { bytes })).is_ok()
            && let Some(served) = &mut self.served
        {
            served.pump = Some(tokio::spawn(pump(self.link.clone(), part, get.from)));
        }
        Ok(())
    }

    fn told(&mut self, progress: FileProgress) {
        let Some(served) = self.served.as_ref().filter(|served| served.offer.id == progress.id) else {
            return;
        };
        // The user is told each time: nobody else decides how often that is.
        let is_soon = |(at, state): (Instant, FetchState)| {
            state == progress.state && at.elapsed() < FILE_PROGRESS_EVERY / 2
        };
        if self.heard.is_some_and(is_soon) {
            return;
        }
        self.heard = Some((Instant::now(), progress.state));
        if progress.have <= served.offer.size && progress.state != FetchState::Other {
            // One that is not taken is followed by another.
            let _ = self.serving.files.try_send(Told { id: served.id, progress });
        }
    }

    fn stop(&mut self) {
        if let Some(Handed { id, is_over, .. }) = self.served.take() {
            is_over.store(true, Ordering::Relaxed);
            let files = self.serving.files.clone();
            tokio::spawn(async move {
                // Gone already is as good.
                let _ = files.send(Served(id)).await;
            });
        }
    }
}

/// The end of a task, if there is one.
async fn ended(task: Option<&mut JoinHandle<()>>) {
    match task {
        // However it ended, nothing more comes of it.
        Some(task) => drop(task.await),
        None => std::future::pending().await,
    }
}

/// How many bytes a part of an offer has, and their root.
fn part_of(offer: &Offer, part: FilePart) -> Result<(u64, common::entry::Hash), Refusal> {
    match (part, offer.folder) {
        (FilePart::Content, _) => Ok((offer.size, offer.root)),
        (FilePart::Manifest, Some(folder)) => Ok((folder.size, folder.root)),
        (FilePart::Manifest, None) => Err(Refusal::new(Code::BadRequest, "a single file has no list")),
    }
}

/// What bytes come from.
enum Part {
    /// The files themselves, and the hashes over them.
    Content { source: Source, hashes: std::fs::File, offer: Offer },
    /// A list in memory, and the hashes over it.
    Manifest { bytes: Vec<u8>, hashes: Vec<u8>, root: common::entry::Hash },
}

fn open(kept: &Kept, offer: &Offer, part: FilePart, is_over: Arc<AtomicBool>) -> Result<Part, Refusal> {
    let (listing, hashes) = kept.open(offer.id)?;
    if part == FilePart::Content {
        return Ok(Part::Content { source: Source::new(listing, is_over), hashes, offer: offer.clone() });
    }
    let bytes = manifest::write(listing.files.iter().map(|file| &file.entry))?;
    let mut hashes = Vec::new();
    let root = tree::make(&bytes[..], bytes.len() as u64, &mut hashes);
    let root = root.map_err(|_| Refusal::from(Code::Internal))?;
    Ok(Part::Manifest { bytes, hashes, root })
}

impl Part {
    fn send(self, from: u64, to: impl Write) -> io::Result<()> {
        match self {
            Self::Content { source, hashes, offer } => {
                tree::send(source, hashes, offer.root, offer.size, from, to)
            }
            Self::Manifest { bytes, hashes, root } => {
                let size = bytes.len() as u64;
                tree::send(bytes, hashes, root, size, from, to)
            }
        }
    }
}

/// Brings bytes from the disk to the connection, as fast as that takes them.
async fn pump(link: Link, part: Part, from: u64) {
    let (pieces, mut ready) = mpsc::channel(PIECES);
    let reading = spawn_blocking(move || {
        let mut to = Pieces { pieces, next: BytesMut::with_capacity(PIECE_BYTES) };
        part.send(from, &mut to).and_then(|()| to.pass_on())
    });
    while let Some(piece) = ready.recv().await {
        link.outgoing().below(OUTGOING_BYTES / 2).await;
        if link.push(piece).is_err() {
            break;
        }
    }
    drop(ready);
    match reading.await {
        Ok(Ok(())) => {}
        // Whoever fetches asks again, and is told why then.
        Ok(Err(error)) => {
            tracing::debug!(err = %error, "a file is not handed out any further");
            link.close();
        }
        Err(_) => link.close(),
    }
}

/// Gathers what is written into pieces.
struct Pieces {
    pieces: mpsc::Sender<Bytes>,
    next: BytesMut,
}

impl Pieces {
    fn pass_on(&mut self) -> io::Result<()> {
        let piece = self.next.split().freeze();
        self.next.reserve(PIECE_BYTES);
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.next.len() + bytes.len() > PIECE_BYTES && !self.next.is_empty() {
            self.pass_on()?;
        }
        self.next.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}
