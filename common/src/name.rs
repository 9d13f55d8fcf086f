//! The names of users and channels: what people type and see, as opposed to identifiers, which are kept.
//!
//! Two names are equal when their folded forms are. Names that differ but look alike have a
//! [skeleton](UserName::skeletons) in common, and whoever keeps names refuses the second of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::text::{MAX_MARKS, is_default_ignorable};

/// The longest name, in characters (Unicode code points) after NFC.
pub const MAX_NAME_CHARS: usize = 32;

/// What may stand in a name beside letters and digits: what chat nicknames have always had.
const PUNCTUATION: &str = "_-.|[]{}^`\\";

/// A longer encoded name is cut and completed with a hash; most file systems take 255 bytes.
const MAX_STEM_BYTES: usize = 160;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing at all, or more than [`MAX_NAME_CHARS`].
    #[error("a name has 1 to {MAX_NAME_CHARS} characters")]
    Length,
    /// A character that no name has, or a space in a user name.
    #[error("a name has letters, digits and {PUNCTUATION} only: leave out {0:?}")]
    Character(char),
    /// An accent or vowel sign without its letter, or too many on one.
    #[error("a name has accents and vowel signs on letters only, at most {MAX_MARKS} on each")]
    Mark,
    /// A space at the start or the end, or two in a row.
    #[error("a channel name has single spaces, and only between words")]
    Space,
    /// Only punctuation.
    #[error("a name has at least one letter or digit")]
    NoLetter,
    /// The name of a channel that stands for something else.
    #[error("no channel is called {RESERVED}: that is what a connection to the tracker is called")]
    Reserved,
}

/// Where a peer tells of its connections, this is not a channel.
const RESERVED: &str = "tracker";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, spaces: $spaces:literal) => {
        $(#[$doc])*
        ///
        /// Compared, ordered and hashed without regard to case; shown as it was written, in NFC.
        #[derive(Clone)]
        pub struct $name {
            written: String,
            folded: String,
        }

        impl $name {
            /// The name as it was written, in NFC; safe to show anywhere, but see [`Self::file_stem`].
            pub fn as_str(&self) -> &str {
                &self.written
            }

            /// The form that decides equality: the key under which a name is kept and found.
            ///
            /// It is for comparison, not for showing: it may be longer than a name.
            pub fn folded(&self) -> &str {
                &self.folded
            }

            /// What the folded name looks like: the Unicode confusable skeleton (UTS 39), folded again.
            /// Equal names have equal skeletons.
            pub fn skeleton(&self) -> String {
                skeleton(&self.folded)
            }

            /// The looks that nobody else's name may have: [`Self::skeleton`], and that of the name as
            /// written when it differs, since the capital I of `aIice` looks like an l and is an i.
            ///
            /// A new name is refused when any of these belongs to another name; all of them are kept.
            pub fn skeletons(&self) -> Vec<String> {
                let mut all = vec![self.skeleton(), skeleton(&self.written)];
                all.dedup();
                all
            }

            /// A file or folder name that stands for this name alone, on any file system.
            ///
            /// The folded name, percent-encoded but for `a-z0-9_-`: there is no dot and no separator in it,
            /// and no device name of Windows. A very long one ends in `~` and a hash instead.
            pub fn file_stem(&self) -> String {
                file_stem(&self.folded)
            }

            fn from_valid(written: String) -> Self {
                let folded = fold(&written);
                Self { written, folded }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, $spaces).map(Self::from_valid)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.folded == other.folded
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.folded.cmp(&other.folded)
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.folded.hash(state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.written)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.written)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.written)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a user, with or without an account.
    UserName, spaces: false
);
name!(
    /// The name of a channel; it may be several words, with a space between them.
    ChannelName, spaces: true
);

/// A name for somebody who gave none: `guest-` and four random letters or digits.
///
/// Fails when the system has no random numbers to give.
pub fn guest_name() -> Result<UserName, getrandom::Error> {
    // Without 0 and 1, which are read as letters.
    const ALPHABET: &[u8; 34] = b"abcdefghijklmnopqrstuvwxyz23456789";
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)?;
    let ending = bytes.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    Ok(UserName::from_valid(format!("guest-{}", String::from_iter(ending))))
}

/// The text in NFC when it is a name.
fn check(text: &str, spaces: bool) -> Result<String, NameError> {
    // One more than allowed is enough to know, however long the text is.
    let name: String = text.nfc().take(MAX_NAME_CHARS + 1).collect();
    let mut previous = None;
    let mut marks = 0;
    for c in name.chars() {
        match c {
            _ if is_mark(c) => {
                marks += 1;
                let on_letter = previous.is_some_and(|p: char| is_mark(p) || p.is_alphabetic());
                if !on_letter || marks > MAX_MARKS || previous.is_some_and(has_iota_below) {
                    return Err(NameError::Mark);
                }
            }
            ' ' if spaces && matches!(previous, None | Some(' ')) => return Err(NameError::Space),
            ' ' if spaces => marks = 0,
            _ if is_letter_or_digit(c) || PUNCTUATION.contains(c) => marks = 0,
            _ => return Err(NameError::Character(c)),
        }
        previous = Some(c);
    }
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(NameError::Length);
    }
    if previous == Some(' ') {
        return Err(NameError::Space);
    }
    if !name.chars().any(is_letter_or_digit) {
        return Err(NameError::NoLetter);
    }
    if spaces && fold(&name) == RESERVED {
        return Err(NameError::Reserved);
    }
    Ok(name)
}

/// Not every letter of Unicode is one to its readers: some, such as the Hangul filler, are blank, and some
/// are letters in circles and boxes, half of them emoji.
fn is_letter_or_digit(c: char) -> bool {
    let boxed = matches!(c, '\u{24b6}'..='\u{24e9}' | '\u{1f130}'..='\u{1f189}');
    c.is_alphanumeric() && !boxed && !is_combining_mark(c) && !is_default_ignorable(c)
}

/// A Greek iota below becomes a letter in upper case; a mark behind it would then stand on that letter, and the name
/// would no longer be equal to itself.
fn has_iota_below(c: char) -> bool {
    std::iter::once(c).nfd().any(|part| part == '\u{345}')
}

/// An accent or vowel sign, which words need; not a circle or box drawn around a letter.
fn is_mark(c: char) -> bool {
    let encloses = matches!(c, '\u{488}' | '\u{489}' | '\u{1abe}' | '\u{20dd}'..='\u{20e0}'
        | '\u{20e2}'..='\u{20e4}' | '\u{a670}'..='\u{a672}');
    is_combining_mark(c) && !encloses && !is_default_ignorable(c)
}

/// Unicode's caseless form, near enough to NFKC_Casefold's for names without a table of our own: lower case
/// by way of upper case makes ß and ẞ `ss` and all three sigmas one; NFD first lets accents be stepped over.
pub fn fold(text: &str) -> String {
    let lower = text.nfd().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// The confusable skeleton, folded, until neither changes it any more: `0` looks like `O`, which is an `o`.
fn skeleton(text: &str) -> String {
    // A few rounds are enough for every character there is; the bound is for those yet to come.
    const MAX_ROUNDS: usize = 8;
    let mut now = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let next = fold(&unicode_security::skeleton(&now).collect::<String>());
        if next == now {
            break;
        }
        now = next;
    }
    now
}

fn file_stem(folded: &str) -> String {
    let mut stem = String::with_capacity(folded.len());
    for byte in folded.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => stem.push(char::from(byte)),
            _ => stem.push_str(&format!("%{byte:02X}")),
        }
    }
    if is_device(&stem) {
        // The first letter in its encoded form is the same name, and no device.
        stem = format!("%{:02X}{}", stem.as_bytes()[0], &stem[1..]);
    }
    if stem.len() > MAX_STEM_BYTES {
        // A cut inside an escape does no harm: the stem is never decoded, and the hash makes it unique.
        stem.truncate(MAX_STEM_BYTES - 33);
        stem.push('~');
        stem.push_str(&blake3::hash(folded.as_bytes()).to_hex()[..32]);
    }
    stem
}

/// Names that Windows keeps for devices in every folder.
fn is_device(stem: &str) -> bool {
    match stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt")) {
        Some(number) => matches!(number.as_bytes(), [b'0'..=b'9']),
        None => matches!(stem, "con" | "prn" | "aux" | "nul"),
    }
}

#[cfg(test)]
mod tests;
