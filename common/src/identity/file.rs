//! The file an identity is kept in.
//!
//! Three lines: what it is, the secret, and the public key. The words keep the secret from being taken for a
//! key that may be shown to others, and the public key tells a damaged secret from a sound one.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Identity, PeerKey};
use crate::files::write_private_file;

const HEADER: &str = "natter identity 1: keep this file to yourself";
const SECRET: &str = "secret ";
const PUBLIC: &str = "public ";
/// More than a sound file has; so much is read and no more.
const MAX_FILE_BYTES: usize = 1024;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is there and does not hold a key.
    #[error(
        "the key file {} is damaged: put your copy of it back, or move it away to go on under a new key, \
         which others will take for a stranger",
        path.display()
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read the key file {}: make sure that it is a file of yours", path.display())]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There was no file and none can be made.
    #[error("cannot make the key file {}: make sure that its folder exists and is yours", path.display())]
    Write {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system gave no randomness to make a key from.
    #[error("the operating system gave no randomness to make a key from")]
    NoRandomness(#[source] getrandom::Error),
}

/// The identity in the file, or nothing when there is no file.
pub(super) fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let read_error = |source| IdentityError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    };
    let mode = file.metadata().map_err(read_error)?.permissions().mode();
    if mode & 0o077 != 0 {
        // Not refused: volumes of containers often cannot express it.
        tracing::warn!(?path, "others on this machine may read the key file: chmod 600 it");
    }
    // Never grows, so that no copy of the secret is left behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
    file.take(MAX_FILE_BYTES as u64).read_to_end(&mut content).map_err(read_error)?;
    match parse(&content) {
        Some(identity) => Ok(Some(identity)),
        None => Err(IdentityError::Damaged { path: path.to_owned() }),
    }
}

fn parse(content: &[u8]) -> Option<Identity> {
    let mut lines = std::str::from_utf8(content).ok()?.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let secret = lines.next()?.strip_prefix(SECRET)?;
    let public: PeerKey = lines.next()?.strip_prefix(PUBLIC)?.parse().ok()?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(secret, seed.as_mut_slice()).ok()?;
    let identity = Identity::from_seed(&seed);
    (identity.key() == public).then_some(identity)
}

/// Puts `identity` into a new file at `path`, which is whole and on disk when this returns.
pub(super) fn create(path: &Path, identity: &Identity) -> Result<(), IdentityError> {
    write_private_file(path, &format_content(identity))
        .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
}

fn format_content(identity: &Identity) -> Zeroizing<Vec<u8>> {
    let mut digits = Zeroizing::new([0; 64]);
    let encoded = hex::encode_to_slice(identity.seed(), digits.as_mut_slice());
    debug_assert!(encoded.is_ok(), "32 bytes are 64 digits");
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
    for part in [HEADER, "\n", SECRET] {
        content.extend_from_slice(part.as_bytes());
    }
    content.extend_from_slice(digits.as_slice());
    content.extend_from_slice(format!("\n{PUBLIC}{}\n", identity.key()).as_bytes());
    content
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_second_start_finds_the_key_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let first = Identity::load_or_create(&path).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap().key(), first.key());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::load_or_create(&path).unwrap();
        let sound = fs::read_to_string(&path).unwrap();
        let other_key = Identity::generate().unwrap().key().to_string();
        let damaged = [
            String::new(),
            sound[..sound.len() - 2].to_owned(),
            sound.replace(HEADER, "something else"),
            sound.replace(SECRET, PUBLIC),
            format!("{}{other_key}\n", &sound[..sound.len() - 65]),
        ];
        for content in damaged {
            fs::write(&path, &content).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{content}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, [0xff; 4096]).unwrap();
        assert!(Identity::load_or_create(&path).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/identity");
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(&error, IdentityError::Write { .. }));
        assert!(error.to_string().contains("missing/identity"));
    }
}
