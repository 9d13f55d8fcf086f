//! The log of a program: on stderr, or in a file where stderr is what its user types on.
//!
//! Text that came from elsewhere is logged as `?field`, never as `%field` or inside the message: `Debug`
//! escapes line breaks and terminal codes, so that nobody can write lines of our log.

use std::env::{self, VarError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// A log file does not get longer; the one before it is kept beside it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("{variable} is no log filter: write it like `info` or `warn,tracker=debug`")]
    Filter {
        /// The environment variable it is read from.
        variable: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The environment variable is not UTF-8.
    #[error("{0} is not text: write it like `info` or `warn,tracker=debug`")]
    NotText(String),
    /// The process already has a log.
    #[error("the log is set up already: set it up once, at the start")]
    AlreadySet,
    /// The file cannot be written.
    #[error("{path}: the log cannot be kept there: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Sends what is traced to stderr, once per process, in colour only when that is a terminal.
///
/// The environment variable `filter_env` (`NATTER_LOG`) says what is logged; `default` does when it is unset
/// or empty. The form of both is that of [`EnvFilter`], such as `info` or `warn,tracker=debug`.
pub fn init(filter_env: &str, default: &str) -> Result<(), TelemetryError> {
    tracing_subscriber::fmt()
        .with_env_filter(wanted(filter_env, default)?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)
}

/// The same into the file at `path`, whose folder has to be there, and which this user alone may read.
pub fn init_file(path: &Path, filter_env: &str, default: &str) -> Result<(), TelemetryError> {
    let filter = wanted(filter_env, default)?;
    let file = LogFile::open(path, MAX_FILE_BYTES);
    let file = file.map_err(|source| TelemetryError::File { path: path.display().to_string(), source })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)
}

/// A file that begins anew when it is full.
struct LogFile {
    path: PathBuf,
    file: File,
    room: u64,
    max: u64,
}

impl LogFile {
    fn open(path: &Path, max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let room = max.saturating_sub(file.metadata()?.len());
        Ok(Self { path: path.to_owned(), file, room, max })
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if self.room < length && self.room < self.max {
            fs::rename(&self.path, self.path.with_added_extension("old"))?;
            *self = Self::open(&self.path, self.max)?;
        }
        self.room = self.room.saturating_sub(length);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn wanted(filter_env: &str, default: &str) -> Result<EnvFilter, TelemetryError> {
    match env::var(filter_env) {
        Ok(given) if !given.is_empty() => filter(filter_env, &given),
        Ok(_) | Err(VarError::NotPresent) => filter(filter_env, default),
        Err(VarError::NotUnicode(_)) => Err(TelemetryError::NotText(filter_env.to_owned())),
    }
}

fn filter(variable: &str, text: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = |source| TelemetryError::Filter { variable: variable.to_owned(), source };
    EnvFilter::builder().parse(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_told_with_its_variable() {
        let error = filter("NATTER_LOG", "tracker=loudly").unwrap_err();
        assert!(error.to_string().starts_with("NATTER_LOG is no log filter"), "{error}");
        assert!(filter("NATTER_LOG", "warn,tracker=debug").is_ok());
    }

    #[test]
    fn a_log_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.log");
        for _ in 0..2 {
            let mut file = LogFile::open(&path, 100).unwrap();
            for number in 0..50 {
                file.write_all(format!("line {number:4}\n").as_bytes()).unwrap();
            }
        }
        let (now, old) = (fs::read_to_string(&path).unwrap(), folder.path().join("peer.log.old"));
        assert!(now.ends_with("line   49\n") && now.len() <= 100, "{now}");
        assert_eq!(fs::read_to_string(&old).unwrap().len(), 100);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_log_is_set_up_once() {
        assert!(init("NATTER_LOG_OF_THIS_TEST", "off").is_ok());
        assert!(matches!(init("NATTER_LOG_OF_THIS_TEST", "off"), Err(TelemetryError::AlreadySet)));
    }
}
