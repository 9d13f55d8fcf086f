//! How a store that an earlier release has written becomes one of this release: a list of steps, one for each version.
//!
//! A copy of the store is made first, beside it, and stays there: whoever wants to go back has it. Steps are done in
//! pieces, each written as one, and a step that was interrupted is begun again: doing a piece twice must be as doing it
//! once. The store has the new version only once all of it is on disk, so after a crash it is an old one still, and the
//! copy is not made again over a whole one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::database::Database;
use super::error::{OpenError, ReadError};
use super::fault::Disk;
use super::job::Verdict;
use super::schema::Schema;
use super::transaction::Transaction;

/// A piece of a step: from where the last one has ended on; answers where the next one is to begin, or that all is done.
pub type Piece = fn(&mut Transaction<'_>, Option<Bytes>) -> Result<Option<Bytes>, ReadError>;

/// What leads from one version to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The version that it leads to, from the one before.
    pub to: u32,
    /// What is done, piece by piece.
    pub piece: Piece,
}

/// The copy, as long as what it is a copy of is not brought up to date.
const UNDER_WAY: &str = "migrating";

/// Where the copy of a store of this version is, in the data folder.
pub fn copy_of(folder: &Path, version: u32) -> PathBuf {
    folder.join(format!("before-version-{}", version + 1))
}

/// Brings the store of `folder` to the version of `wanted`, if it has an earlier one that the steps begin at. One that
/// needs nothing, or cannot be helped, is left to be opened, or refused, as it is.
pub(super) fn migrate(folder: &Path, wanted: Schema, steps: &[Step], disk: &Disk) -> Result<(), OpenError> {
    let Some(found) = Schema::read(folder)? else { return Ok(()) };
    let failed = |what: String| OpenError::Migration { folder: folder.to_owned(), to: wanted.version, what };
    if found == wanted {
        return keep_copy(folder).map_err(|error| failed(error.to_string()));
    }
    let is_led_on = |version: u32| steps.iter().any(|step| step.to == version);
    let is_earlier = found.program == wanted.program && found.version < wanted.version;
    if !is_earlier || !(found.version + 1..=wanted.version).all(is_led_on) {
        return Ok(());
    }
    let mut database = Database::open_for_migration(folder, found, wanted, disk.clone())?;
    let copy = folder.join(UNDER_WAY);
    if Schema::read(&copy)? != Some(found) {
        if copy.exists() {
            // What a crash has left of it: its schema is written last.
            fs::remove_dir_all(&copy).map_err(|error| failed(error.to_string()))?;
        }
        database.copy_to(&copy).map_err(&failed)?;
    }
    for version in found.version + 1..=wanted.version {
        for step in steps.iter().filter(|step| step.to == version) {
            run(&mut database, step).map_err(&failed)?;
        }
    }
    database.become_of(wanted).map_err(failed)?;
    keep_copy(folder).map_err(|error| failed(error.to_string()))?;
    let copy = copy_of(folder, found.version);
    tracing::warn!(from = found.version, to = wanted.version, ?copy, "the store is one of this release now");
    Ok(())
}

/// Gives the copy its name, once what it is a copy of is brought up to date: of an earlier time, when a folder was an older
/// release's again in between, there may be one already, which is numbered.
fn keep_copy(folder: &Path) -> io::Result<()> {
    let under_way = folder.join(UNDER_WAY);
    let Ok(Some(copied)) = Schema::read(&under_way) else { return Ok(()) };
    let copy = copy_of(folder, copied.version);
    if copy.exists() {
        let mut numbered = (1_u32..).map(|number| copy.with_added_extension(number.to_string()));
        numbered.find(|path| !path.exists()).map_or(Ok(()), |free| fs::rename(&copy, free))?;
    }
    fs::rename(&under_way, &copy)
}

fn run(database: &mut Database, step: &Step) -> Result<(), String> {
    let mut next = None;
    loop {
        let db = database.ready().map_err(said)?;
        let mut written = BTreeMap::new();
        let mut transaction = Transaction::new(&db, &mut written);
        next = (step.piece)(&mut transaction, next).map_err(|error| error.to_string())?;
        if transaction.too_large().is_some() {
            return Err(format!("the step to version {} writes too much at once", step.to));
        }
        transaction.keep();
        match database.commit(&db, written) {
            Verdict::Settled => {}
            other => return Err(said(other)),
        }
        if next.is_none() {
            return Ok(());
        }
    }
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Full { free_bytes } => {
            format!("the disk is nearly full ({free_bytes} bytes are free): make room there")
        }
        Verdict::Failed(reason) | Verdict::Unknown(reason) => reason,
        Verdict::Settled => "nothing is wrong".to_owned(),
    }
}
