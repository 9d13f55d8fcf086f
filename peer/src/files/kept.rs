//! What is kept of files: what is offered, either way, in the store; and of what this peer offers, in files beside it,
//! which files it is made of and the hashes of its tree.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::entry::Hash;
use common::files::{create_private_folder, write_private_file};
use common::id::FileId;
use common::proto::file::{FolderOffer, Offer};
use common::proto::status::{Code, Refusal};
use common::storage::{
    Abort, Direction, KeyRange, ReadError, Store, StoreError, Submitted, Table, Transaction,
};

use super::book::{Book, Transfer};
use super::source::{Listing, Source};
use super::{manifest, tree};
use crate::store::{json, parse};

const FILES: Table = Table::new("files");

/// Where it is kept.
#[derive(Clone)]
pub struct Kept {
    store: Store,
    folder: PathBuf,
}

impl Kept {
    /// In the table of a store, and in a folder of the data folder.
    pub fn new(store: Store, data: &Path) -> Self {
        Self { store, folder: data.join("files") }
    }

    /// All that was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn book(&self) -> Result<Book, ReadError> {
        let rows = self.store.reader().scan(FILES, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        Ok(Book::load(rows.iter().filter_map(|(_, value)| parse::<Transfer>(value))))
    }

    /// Keeps one, in the order of the calls; the answer comes when it is on disk.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn keep(&self, transfer: &Transfer) -> Result<Submitted<(), Infallible>, StoreError> {
        let (key, value) = (transfer.offer.id.0.as_bytes().to_vec(), json(transfer));
        self.store.submit(move |tx: &mut Transaction<'_>| {
            tx.put(FILES, key, value);
            Ok::<_, Abort>(())
        })
    }

    /// Forgets one. Nobody waits for it.
    pub fn forget(&self, id: FileId) {
        let key = id.0.as_bytes().to_vec();
        let submitted = self.store.submit(move |tx: &mut Transaction<'_>| {
            tx.delete(FILES, key);
            Ok::<_, Abort>(())
        });
        if let Err(error) = submitted {
            tracing::debug!(err = %error, "an old file is not forgotten yet");
        }
        self.remove(id);
    }

    fn place(&self, id: FileId, ending: &str) -> PathBuf {
        self.folder.join(format!("{id}.{ending}"))
    }

    /// Whether it is there what it takes to hand out an offer.
    pub fn has(&self, id: FileId) -> bool {
        self.place(id, "list").exists() && self.place(id, "tree").exists()
    }

    /// Removes what stands beside the store.
    pub fn remove(&self, id: FileId) {
        for ending in ["list", "tree"] {
            match fs::remove_file(self.place(id, ending)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(err = %error, "what was kept of an offer is not removed");
                }
                _ => {}
            }
        }
    }

    /// Reads all of what is to be offered, and keeps what it takes to hand it out: from then on none of it is hashed again.
    /// Blocks for long.
    ///
    /// # Errors
    /// When it cannot be read, has changed meanwhile, or nobody wants it any more.
    pub fn prepare(&self, id: FileId, listing: &Listing, is_over: Arc<AtomicBool>) -> Result<Offer, Refusal> {
        let entries = listing.files.iter().map(|file| &file.entry);
        let folder = if listing.is_folder {
            let bytes = manifest::write(entries)?;
            let files = listing.files.len() as u64;
            Some(FolderOffer { files, size: bytes.len() as u64, root: Hash::of(&bytes) })
        } else {
            None
        };
        let size = listing.size().ok_or(Code::BadRequest)?;
        let root = self.write(id, listing, size, is_over).map_err(|error| unreadable(&error))?;
        Ok(Offer { id, name: listing.name(), size, root, folder })
    }

    fn write(&self, id: FileId, listing: &Listing, size: u64, is_over: Arc<AtomicBool>) -> io::Result<Hash> {
        create_private_folder(&self.folder)?;
        write_private_file(&self.place(id, "list"), &serde_json::to_vec(listing)?)?;
        let source = Source::new(listing.clone(), is_over);
        let mut hashes = BufWriter::new(File::create(self.place(id, "tree"))?);
        let root = tree::make(source.reader(), size, &mut hashes)?;
        hashes.flush()?;
        hashes.get_ref().sync_all()?;
        Ok(root)
    }

    /// What this peer offers, to hand it out. Blocks.
    ///
    /// # Errors
    /// `file_changed` when it is not any more what was offered.
    pub fn open(&self, id: FileId) -> Result<(Listing, File), Refusal> {
        let gone = |error: io::Error| {
            tracing::warn!(err = %error, "what is kept of an offer cannot be read");
            Refusal::from(Code::FileChanged)
        };
        let listing = fs::read(self.place(id, "list")).map_err(gone)?;
        let listing: Listing = serde_json::from_slice(&listing).map_err(|error| gone(error.into()))?;
        listing.check()?;
        Ok((listing, File::open(self.place(id, "tree")).map_err(gone)?))
    }
}

fn unreadable(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::InvalidData => Refusal::new(
            Code::FileChanged,
            "it was changed while it was read; offer it again when it is done",
        ),
        io::ErrorKind::StorageFull => Code::StorageFull.into(),
        _ => Refusal::new(Code::StorageFailed, format!("it cannot be read: {error}")),
    }
}
