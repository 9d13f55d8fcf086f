//! Fetching what was accepted: one task for each, which goes on after whatever passes, until it is there.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::Addr;
use bytes::{Buf, Bytes};
use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::entry::Hash;
use common::identity::PeerKey;
use common::proto::file::{FetchState, FileGet, FilePart, FileProgress, Offer};
use common::proto::limits::{FILE_BLOCK_BYTES, FILE_PROGRESS_EVERY};
use common::proto::status::{Code, Refusal};
use common::transport::{Address, Transport};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::progress::Pace;
use super::reports::{Ended, Intends, OnDisk, Progressed, Waits};
use super::sink::{Checkpoint, Content, Downloads, Sink};
use super::wire::{Incoming, Outgoing, Wire};
use super::{Files, manifest, tree};
use crate::direct::DirectHandle;
use crate::session::SessionView;

/// How many pieces wait between the connection and the disk.
const PIECES: usize = 4;
/// After so many bytes it is looked whether there is still room on the disk.
const LOOK_EVERY_BYTES: u64 = 8 * 1024 * 1024;
/// After so many bytes, or so long, the disk is asked to have what is there.
const MARK_BYTES: u64 = 32 * 1024 * 1024;
const MARK_EVERY: Duration = Duration::from_secs(1);

/// Whoever offers may ask to be left alone for so long at most.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// What a fetching task is asked from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// It is to end, and to say why.
    pub stop: Option<Stop>,
    /// How often there was reason to believe that the other side is there.
    pub pokes: u64,
}

/// Why a fetching task ends before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It may go on later.
    Pause,
    /// The peer ends, or it is not wanted any more.
    End,
}

/// What is fetched, and with what.
pub(super) struct Fetch {
    pub offer: Offer,
    pub from: PeerKey,
    /// Where that is, when it was said in a channel.
    pub addresses: Option<Vec<Address>>,
    /// How much was on disk already.
    pub have: u64,
    /// The name it was about to be given.
    pub named: Option<String>,
    pub downloads: PathBuf,
    pub files: Addr<Files>,
    pub direct: DirectHandle,
    pub transport: Transport,
    pub session: SessionView,
    /// Who may fetch now.
    pub turns: Arc<Semaphore>,
    pub wish: watch::Receiver<Wish>,
}

/// How one attempt ends.
enum Attempt {
    Stopped,
    Failed(Refusal),
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal)
    }
}

impl Fetch {
    /// Runs until it is there, cannot be, or is stopped.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(BackoffLimits::default());
        let outcome = loop {
            let before = self.have;
            match self.attempt().await {
                Ok(path) => break Some(Ok(path)),
                Err(Attempt::Stopped) => break None,
                Err(Attempt::Failed(refusal)) if !refusal.code.is_passing() => break Some(Err(refusal)),
                Err(Attempt::Failed(refusal)) => {
                    if self.have > before {
                        backoff.reset();
                    }
                    let told = refusal.retry_after_ms.map(Duration::from_millis).unwrap_or_default();
                    let delay = backoff.next_delay(random_fraction()).max(told.min(LONGEST_ASKED));
                    if self.wait(refusal, delay).await {
                        break None;
                    }
                }
            }
        };
        let _ = self.files.send(Ended { id: self.offer.id, outcome }).await;
    }

    /// Waits for the next attempt; whether it is stopped meanwhile.
    async fn wait(&mut self, refusal: Refusal, delay: Duration) -> bool {
        let _ = self.files.send(Waits { id: self.offer.id, refusal }).await;
        let pokes = self.wish.borrow_and_update().pokes;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = self.wish.wait_for(|wish| wish.stop.is_some() || wish.pokes != pokes) => {}
        }
        self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.wish.borrow().stop.is_some()
    }

    async fn attempt(&mut self) -> Result<PathBuf, Attempt> {
        if self.is_stopped() {
            return Err(Attempt::Stopped);
        }
        let (path, id) = (self.downloads.clone(), self.offer.id);
        let downloads =
            Arc::new(blocking(move || Downloads::open(&path).map_err(|error| disk(&error))).await?);
        if let Some(name) = self.named.clone() {
            let known = downloads.clone();
            if let Some(path) = blocking(move || Ok(known.has_named(id, &name))).await? {
                return Ok(path);
            }
        }
        // Of nothing there is nothing to fetch.
        if self.offer.size == 0 && self.offer.folder.is_none() {
            let sink = self.sink(&downloads, Content::File { size: 0 }).await?;
            return if self.offer.root == Hash::of(b"") {
                self.finish(downloads, sink).await
            } else {
                Err(wrong().into())
            };
        }
        // What is all here needs nobody any more.
        if self.have == self.offer.size && self.offer.folder.is_none() {
            let sink = self.sink(&downloads, Content::File { size: self.offer.size }).await?;
            if sink.have() == self.offer.size {
                return self.finish(downloads, sink).await;
            }
        }
        let _turn = self.turn().await?;
        let mut wish = self.wish.clone();
        let (mut wire, content) = tokio::select! {
            opened = self.open() => opened?,
            _ = wish.wait_for(|wish| wish.stop.is_some()) => return Err(Attempt::Stopped),
        };
        let mut sink = self.sink(&downloads, content).await?;
        if sink.have() < self.offer.size {
            let bytes = wire.ask(&self.get(FilePart::Content, sink.have())?).await?.bytes;
            sink = self.stream(wire, sink, bytes).await?;
        } else if self.offer.size == 0 && self.offer.root != Hash::of(b"") {
            return Err(wrong().into());
        }
        self.finish(downloads, sink).await
    }

    /// Waits until few enough others are fetched.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Attempt> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let refusal = Refusal::new(Code::TooManyRequests, "others are fetched first; it goes on by itself");
        let _ = self.files.send(Waits { id: self.offer.id, refusal }).await;
        let mut wish = self.wish.clone();
        tokio::select! {
            turn = self.turns.clone().acquire_owned() => turn.map_err(|_| Refusal::from(Code::GoingAway).into()),
            _ = wish.wait_for(|wish| wish.stop.is_some()) => Err(Attempt::Stopped),
        }
    }

    /// Reaches whoever offers it, and fetches the list of a folder.
    async fn open(&self) -> Result<(Wire, Content), Refusal> {
        let addresses = match &self.addresses {
            Some(addresses) => addresses.clone(),
            None => self.direct.addresses(self.from).await,
        };
        let mut wire = Wire::dial(&self.transport, self.from, &addresses).await?;
        let Some(folder) = self.offer.folder else {
            return Ok((wire, Content::File { size: self.offer.size }));
        };
        let bytes = wire.ask(&self.get(FilePart::Manifest, 0)?).await?.bytes;
        if bytes != tree::sent_bytes(folder.size, 0) {
            return Err(wrong());
        }
        let mut sent = Vec::new();
        while (sent.len() as u64) < bytes {
            sent.extend_from_slice(&wire.incoming.piece(bytes - sent.len() as u64).await?);
        }
        let size = self.offer.size;
        let entries = blocking(move || {
            let mut list = Vec::new();
            let taken = tree::receive(&sent[..], folder.root, folder.size, 0, |block| {
                list.extend_from_slice(block);
                Ok(())
            });
            taken.map_err(|_| wrong())?;
            manifest::read(&list, &folder, size)
        });
        Ok((wire, Content::Folder(entries.await?)))
    }

    fn get(&self, part: FilePart, from: u64) -> Result<FileGet, Refusal> {
        let pass = self.session.borrow().held.as_ref().map(|held| held.signed.clone());
        let pass = pass.ok_or_else(|| Refusal::new(Code::TrackerAway, "this peer has no pass yet"))?;
        Ok(FileGet { pass, id: self.offer.id, part, from })
    }

    async fn sink(&mut self, downloads: &Arc<Downloads>, content: Content) -> Result<Sink, Refusal> {
        let (id, size, have) = (self.offer.id, self.offer.size, self.have);
        // What is whole is whole; else it goes on with a block.
        let have = if have == size { have } else { have - have % FILE_BLOCK_BYTES };
        let downloads = downloads.clone();
        let sink = blocking(move || {
            downloads.check_space(size - have)?;
            Sink::open(&downloads, id, content, have).map_err(|error| disk(&error))
        });
        let sink = sink.await?;
        self.have = sink.have();
        Ok(sink)
    }

    /// Takes what comes, checks it and writes it, and tells how far it is.
    async fn stream(&mut self, wire: Wire, sink: Sink, bytes: u64) -> Result<Sink, Attempt> {
        let (size, root, from) = (self.offer.size, self.offer.root, sink.have());
        if bytes != tree::sent_bytes(size, from) {
            return Err(wrong().into());
        }
        let Wire { mut incoming, mut outgoing } = wire;
        let (pieces, ready) = mpsc::channel(PIECES);
        let have = Arc::new(AtomicU64::new(from));
        let writing = Writing { sink, have: have.clone(), marks: Marks::new(self, from), error: None };
        let writing = spawn_blocking(move || writing.run(ready, root, size, from));
        let mut wish = self.wish.clone();
        let ended = tokio::select! {
            taken = take(&mut incoming, pieces, bytes) => taken.map_err(Attempt::Failed),
            told = self.tell(&mut outgoing, &have) => Err(Attempt::Failed(told)),
            _ = wish.wait_for(|wish| wish.stop.is_some()) => Err(Attempt::Stopped),
        };
        let written = writing.await.map_err(|_| Refusal::from(Code::Internal))?;
        self.have = have.load(Ordering::Relaxed);
        let state = if self.wish.borrow().stop == Some(Stop::Pause) {
            FetchState::Paused
        } else {
            FetchState::Running
        };
        let progress = FileProgress { id: self.offer.id, have: self.have, rate: 0, state };
        // The other side sees the end of the connection either way.
        let _ = outgoing.tell(&progress).await;
        outgoing.close().await;
        match (written, ended) {
            // What is wrong with the disk or with what was sent goes before the connection that ended by it.
            (Err(refusal), _) if refusal.code != Code::ConnectionLost => Err(refusal.into()),
            (_, Err(ended)) => Err(ended),
            (written, Ok(())) => Ok(written?),
        }
    }

    /// Tells the user and the other side how far it is, the same to both, until the connection ends.
    async fn tell(&self, outgoing: &mut Outgoing, have: &AtomicU64) -> Refusal {
        let mut pace = Pace::new(Instant::now(), have.load(Ordering::Relaxed));
        let mut ticks = interval(FILE_PROGRESS_EVERY);
        loop {
            ticks.tick().await;
            let (now, have) = (Instant::now(), have.load(Ordering::Relaxed));
            let rate = pace.rate(now, have);
            let is_step = pace.is_step(now, have, self.offer.size);
            let progress = FileProgress { id: self.offer.id, have, rate, state: FetchState::Running };
            // One that is not taken is followed by another.
            let _ = self.files.try_send(Progressed { progress, is_step });
            if let Err(refusal) = outgoing.tell(&progress).await {
                return refusal;
            }
        }
    }

    /// It is all there: on disk first, then under its name.
    async fn finish(&self, downloads: Arc<Downloads>, sink: Sink) -> Result<PathBuf, Attempt> {
        let (id, name, is_folder) = (self.offer.id, self.offer.name.clone(), self.offer.folder.is_some());
        let (files, handle) = (self.files.clone(), Handle::current());
        let named = blocking(move || {
            sink.finish().map_err(|error| disk(&error))?;
            let intend = |name: &str| {
                let kept = handle.block_on(files.send(Intends { id, name: name.to_owned() }));
                kept.map_err(io::Error::other)?.map_err(io::Error::other)
            };
            downloads.name_it(id, &name, is_folder, intend).map_err(|error| disk(&error))
        });
        Ok(named.await?)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Code::Internal.into()))
}

fn disk(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Refusal::new(Code::StorageFull, format!("the folder for downloads is full: {error}"))
        }
        _ => Refusal::new(
            Code::StorageFailed,
            format!("the folder for downloads cannot be written to: {error}"),
        ),
    }
}

fn wrong() -> Refusal {
    Refusal::new(Code::FileChanged, "what came is not what was offered; ask for it to be offered again")
}

/// Hands on what comes in, until all of it is there.
async fn take(incoming: &mut Incoming, pieces: mpsc::Sender<Bytes>, bytes: u64) -> Result<(), Refusal> {
    let mut left = bytes;
    while left > 0 {
        let piece = incoming.piece(left).await?;
        left -= piece.len() as u64;
        if pieces.send(piece).await.is_err() {
            // Whoever writes has found something wrong, and says what.
            return Err(Code::ConnectionLost.into());
        }
    }
    Ok(())
}

/// Reads what is handed on.
struct Pieces {
    ready: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.ready.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// Checks and writes, on a thread that may block.
struct Writing {
    sink: Sink,
    have: Arc<AtomicU64>,
    marks: Marks,
    /// What the disk said, as opposed to what came.
    error: Option<Refusal>,
}

impl Writing {
    fn run(
        mut self,
        ready: mpsc::Receiver<Bytes>,
        root: Hash,
        size: u64,
        from: u64,
    ) -> Result<Sink, Refusal> {
        let pieces = Pieces { ready, piece: Bytes::new() };
        let mut looked = from;
        let received = tree::receive(pieces, root, size, from, |block| {
            // Others write to the same disk.
            if self.sink.have() - looked >= LOOK_EVERY_BYTES {
                looked = self.sink.have();
                self.sink
                    .check_space()
                    .inspect_err(|refusal| self.error = Some(refusal.clone()))
                    .map_err(io::Error::other)?;
            }
            self.sink.write(block).inspect_err(|error| self.error = Some(disk(error)))?;
            self.have.store(self.sink.have(), Ordering::Relaxed);
            self.marks.look(&self.sink);
            Ok(())
        });
        // What is there stays there, however it ended.
        self.marks.last(&self.sink);
        match (self.error, received) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(())) => Ok(self.sink),
            (None, Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(wrong()),
            (None, Err(_)) => Err(Code::ConnectionLost.into()),
        }
    }
}

/// Sees to it that what is there is on disk now and then, and is known to be, without holding up what comes.
struct Marks {
    files: Addr<Files>,
    id: common::id::FileId,
    last: (Instant, u64),
    is_busy: Arc<AtomicBool>,
    runtime: Handle,
}

impl Marks {
    fn new(fetch: &Fetch, have: u64) -> Self {
        Self {
            files: fetch.files.clone(),
            id: fetch.offer.id,
            last: (Instant::now(), have),
            is_busy: Arc::default(),
            runtime: Handle::current(),
        }
    }

    fn look(&mut self, sink: &Sink) {
        let (at, have) = self.last;
        let is_due = sink.have() - have >= MARK_BYTES || at.elapsed() >= MARK_EVERY;
        if !is_due || self.is_busy.swap(true, Ordering::Relaxed) {
            return;
        }
        self.last = (Instant::now(), sink.have());
        let (files, id, is_busy) = (self.files.clone(), self.id, self.is_busy.clone());
        match sink.checkpoint() {
            Ok(checkpoint) => drop(self.runtime.spawn_blocking(move || {
                mark(&files, id, checkpoint);
                is_busy.store(false, Ordering::Relaxed);
            })),
            Err(error) => tracing::debug!(err = %error, "what is there of a file is not marked"),
        }
    }

    fn last(&self, sink: &Sink) {
        if let Ok(checkpoint) = sink.checkpoint() {
            mark(&self.files, self.id, checkpoint);
        }
    }
}

fn mark(files: &Addr<Files>, id: common::id::FileId, checkpoint: Checkpoint) {
    match checkpoint.sync() {
        // One that is not taken is followed by another, or by less that is known to be there.
        Ok(have) => drop(files.try_send(OnDisk { id, have })),
        Err(error) => tracing::warn!(err = %error, "what is there of a file is perhaps not on disk"),
    }
}
