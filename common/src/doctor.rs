//! What a doctor finds in a data folder whose program does not run: the part that both programs have in common.
//!
//! Opening a store may change it, since sled cuts a damaged end off. So what is looked at is a copy, and the folder itself
//! is touched by a repair only, after one more copy was made.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;

use crate::identity::Identity;
use crate::storage::limits::MIN_FREE_BYTES;
use crate::storage::{self, OpenError, ReadError, Schema, Store};

/// Where the copy is that is looked at, in the data folder.
const SCRATCH: &str = "doctor.unfinished";
/// Where rows are put aside that cannot be read, in the data folder.
const QUARANTINE: &str = "quarantine.jsonl";
/// What helps where nothing else does.
pub const PUT_BACK: &str = "put back a backup of the whole folder";
/// Only their owner may read them.
const PRIVATE: u32 = 0o600;

/// How a part of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is wrong with it.
    Sound,
    /// Something is wrong with it that a repair mends.
    Repairable,
    /// Something was wrong with it, and is mended.
    Repaired,
    /// Something is wrong with it that no repair mends.
    Broken,
}

/// What was found of a part of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The part.
    pub part: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Check {
    /// Nothing is wrong.
    pub fn sound(part: impl Into<String>, found: impl Into<String>) -> Self {
        Self { part: part.into(), state: State::Sound, found: found.into(), todo: None }
    }

    /// Something is wrong that a repair mends, and how.
    pub fn repairable(part: impl Into<String>, found: impl Into<String>, how: &str) -> Self {
        let todo = Some(format!("doctor --repair {how}"));
        Self { part: part.into(), state: State::Repairable, found: found.into(), todo }
    }

    /// Something is wrong that no repair mends.
    pub fn broken(part: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { part: part.into(), state: State::Broken, found: found.into(), todo: Some(todo.into()) }
    }
}

/// All that was found of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The folder.
    pub folder: String,
    /// Whether nothing is wrong any more.
    pub sound: bool,
    /// Where the copy of before the repair is, when one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// Part by part.
    pub checks: Vec<Check>,
}

impl Report {
    /// What was found.
    pub fn new(folder: &Path, checks: Vec<Check>) -> Self {
        let sound = checks.iter().all(|check| check.state == State::Sound);
        Self { folder: folder.display().to_string(), sound, copy: None, checks }
    }

    /// Whether a repair would mend something.
    pub fn is_repairable(&self) -> bool {
        self.checks.iter().any(|check| check.state == State::Repairable)
    }

    /// After a repair: what was wrong in `before`, and is not any more, is repaired.
    pub fn after(mut self, before: &Self, copy: &Path) -> Self {
        for check in self.checks.iter_mut().filter(|check| check.state == State::Sound) {
            let was = before.checks.iter().find(|was| was.part == check.part && was.state != State::Sound);
            if let Some(was) = was {
                (check.state, check.found) =
                    (State::Repaired, format!("{}; now: {}", was.found, check.found));
            }
        }
        // What is told of only while it is wrong.
        let is_told = |was: &Check| self.checks.iter().any(|check| check.part == was.part);
        let gone: Vec<Check> =
            before.checks.iter().filter(|was| was.state != State::Sound && !is_told(was)).cloned().collect();
        self.checks.extend(gone.into_iter().map(|was| Check { state: State::Repaired, todo: None, ..was }));
        self.copy = Some(copy.display().to_string());
        self
    }

    /// As text, a line for each part, and below it what to do.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.part.chars().count()).max().unwrap_or_default();
        let mut lines = vec![self.folder.clone()];
        for Check { part, state, found, todo } in &self.checks {
            let word = match state {
                State::Sound => "sound",
                State::Repairable => "REPAIRABLE",
                State::Repaired => "repaired",
                State::Broken => "BROKEN",
            };
            lines.push(format!("  {part:width$}  {word:10}  {found}"));
            lines.extend(todo.iter().map(|todo| format!("  {:width$}  {:10}  -> {todo}", "", "")));
        }
        lines.extend(
            self.copy.iter().map(|copy| format!("  a copy of the store as it was before is in {copy}")),
        );
        lines.push(if self.sound { "nothing is wrong" } else { "SOMETHING IS WRONG, see above" }.to_owned());
        lines.join("\n")
    }
}

/// Why a folder was not looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// Its program runs, or something else is in the way of opening it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no such folder, or nothing of a program in it.
    #[error("there is no data in {}: name its folder with --data", .0.display())]
    NoData(PathBuf),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A copy of a store, to be looked at; gone when this is.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = ?self.0, %error, "the copy that was looked at is left behind");
        }
    }
}

/// A copy of a store, open. In this order: it is closed before it is removed.
pub type Opened = (Store, Scratch);

/// Looks at what both programs have in their folder, key files included, and opens a copy of the store; without one when
/// that cannot be opened.
///
/// # Errors
/// When the folder is in use, or is no data folder.
pub fn look(
    folder: &Path,
    schema: Schema,
    keys: &[&str],
) -> Result<(Vec<Check>, Option<Opened>), DoctorError> {
    let io = |source| DoctorError::Io { path: folder.to_owned(), source };
    if !folder.join("store").exists() && !folder.join("store.json").exists() {
        return Err(DoctorError::NoData(folder.to_owned()));
    }
    let mut checks: Vec<Check> = keys.iter().map(|name| check_key(folder, name)).collect();
    checks.push(check_space(folder).map_err(io)?);
    let copied = storage::copy_closed(folder, &folder.join(SCRATCH));
    if let Err(error @ OpenError::InUse { .. }) = copied {
        // What is being looked at there is another doctor's.
        return Err(error.into());
    }
    let scratch = Scratch(folder.join(SCRATCH));
    let opened = match copied {
        Err(error) => Err(error),
        Ok(found) if found.program == schema.program && found.version <= schema.version => {
            Store::open(&scratch.0, found).map(|store| (store, found))
        }
        Ok(_) => Store::open(&scratch.0, schema).map(|store| (store, schema)),
    };
    Ok(match opened {
        Ok((store, found)) => {
            let when =
                if found.version < schema.version { ", brought up to date at the next start" } else { "" };
            checks.push(Check::sound("store", format!("opens, version {}{when}", found.version)));
            (checks, Some((store, scratch)))
        }
        Err(error) => {
            checks.push(Check::broken("store", error.to_string(), PUT_BACK));
            (checks, None)
        }
    })
}

/// Looks at what is in a store that may be damaged: what cannot be read is told, and so is what sled cannot bear.
pub fn carefully(work: impl FnOnce() -> Result<Vec<Check>, ReadError>) -> Vec<Check> {
    let looked = catch_unwind(AssertUnwindSafe(work));
    let why = match looked {
        Ok(Ok(checks)) => return checks,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a part of the database cannot be read".to_owned(),
    };
    vec![Check::broken("what is in it", why, PUT_BACK)]
}

/// Puts rows of a table aside into a file, before they are taken out of the store.
///
/// # Errors
/// When they are not known to be on disk.
pub fn put_aside(folder: &Path, table: &str, rows: &[(Bytes, Bytes)]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut file =
        OpenOptions::new().append(true).create(true).mode(PRIVATE).open(folder.join(QUARANTINE))?;
    for (key, value) in rows {
        let line = BTreeMap::from([
            ("table", table.to_owned()),
            ("key", hex::encode(key)),
            ("value", hex::encode(value)),
            ("text", String::from_utf8_lossy(value).into_owned()),
        ]);
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

/// Mends what both programs have: who may read the key files.
///
/// # Errors
/// What the file system says.
pub fn repair_keys(folder: &Path, keys: &[&str]) -> Result<(), DoctorError> {
    for path in keys.iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
        fs::set_permissions(&path, fs::Permissions::from_mode(PRIVATE))
            .map_err(|source| DoctorError::Io { path: path.clone(), source })?;
    }
    Ok(())
}

/// Copies the store as it is before a repair, beside it. Returns where to.
///
/// # Errors
/// As [`look`].
pub fn copy_before_repair(folder: &Path, millis: u64) -> Result<PathBuf, DoctorError> {
    let copy = folder.join(format!("before-repair-{millis}"));
    storage::copy_closed(folder, &copy)?;
    Ok(copy)
}

fn check_key(folder: &Path, name: &str) -> Check {
    let path = folder.join(name);
    let mode = match fs::metadata(&path) {
        Ok(data) => data.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let todo = "put your copy of it back; without it the next start makes another one, and others take you for a stranger";
            return Check::broken(name, "the key is gone", todo);
        }
        Err(error) => return Check::broken(name, error.to_string(), "make sure that it is a file of yours"),
    };
    match Identity::load(&path) {
        Ok(Some(identity)) if mode & 0o077 == 0 => Check::sound(name, format!("the key {}", identity.key())),
        Ok(_) => Check::repairable(name, "others on this machine may read it", "takes that right away"),
        Err(error) => Check::broken(name, error.to_string(), "put your copy of it back"),
    }
}

fn check_space(folder: &Path) -> io::Result<Check> {
    let free = rustix::fs::statvfs(folder)?;
    let bytes = free.f_bavail.saturating_mul(free.f_frsize);
    let found = format!("{} MiB are free", bytes >> 20);
    Ok(match bytes >= MIN_FREE_BYTES {
        true => Check::sound("space", found),
        false => Check::broken("space", found, "make room: with less than 64 MiB nothing is written"),
    })
}
