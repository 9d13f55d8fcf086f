//! Names of files that others give: which are taken as they are, and which are not taken at all. Pure.
//!
//! A name is refused, and not repaired, when it comes from somebody else: a program that means well has made it safe
//! before ([`safe`]), and of one that does not nothing is written. What is refused here is what could leave the folder it
//! is meant for, stand for something else than it looks like, or not be written on some system: parent and absolute
//! paths, drive letters, control characters and those that turn the direction of text, names that systems keep for
//! devices, and names that are too long.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use common::proto::limits::{
    MAX_FILE_NAME_BYTES, MAX_FILE_PATH_BYTES, MAX_FILE_PATH_DEPTH, MAX_FOLDER_FILES,
};
use common::proto::status::{Code, Refusal};
use common::text::one_line;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// What Windows keeps for devices, whatever stands behind a dot.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];
/// What some system takes for something else than a part of a name.
const SPECIAL: &[char] = &['/', '\\', ':', '*', '?', '"', '<', '>', '|'];
/// How temporary files of this program begin.
pub const OWN_PREFIX: &str = ".natter-";

/// Why a name is not taken, in words that follow the name.
fn fault(name: &str) -> Option<&'static str> {
    let first = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered =
        |word: &str| first.strip_prefix(word).is_some_and(|rest| rest.chars().count() == 1 && rest != "0");
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX_FILE_NAME_BYTES {
        Some("is too long")
    } else if name == "." || name == ".." {
        Some("leads to another folder")
    } else if name.contains(SPECIAL) {
        Some("has a character that is no part of a name")
    } else if is_deceiving(name) {
        Some("has characters that cannot be seen")
    } else if !is_nfc(name) {
        Some("is not written in the usual form of Unicode")
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        Some("begins or ends with a space, or ends with a dot")
    } else if DEVICES.contains(&first.as_str()) || numbered("com") || numbered("lpt") {
        Some("is kept for devices by some systems")
    } else if name.to_lowercase().starts_with(OWN_PREFIX) {
        Some("is kept for files that are not whole yet")
    } else {
        None
    }
}

/// Characters that a terminal would have to be protected from, which include all that are invisible or turn text round.
fn is_deceiving(name: &str) -> bool {
    one_line(name) != name || name.chars().any(char::is_control)
}

/// Takes the name of a single file or folder.
///
/// # Errors
/// `bad_file_name`, with what is wrong.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    fault(name).map_or(Ok(()), |fault| Err(refused(name, fault)))
}

/// Takes the path of a file within a folder: names with `/` between them.
///
/// # Errors
/// `bad_file_name`, with what is wrong.
pub fn check_path(path: &str) -> Result<(), Refusal> {
    if path.len() > MAX_FILE_PATH_BYTES || path.split('/').count() > MAX_FILE_PATH_DEPTH {
        return Err(refused(path, "is too long"));
    }
    path.split('/').find_map(fault).map_or(Ok(()), |fault| Err(refused(path, fault)))
}

fn refused(name: &str, fault: &str) -> Refusal {
    let shown: String = one_line(name).chars().take(64).collect();
    Refusal::new(Code::BadFileName, format!("{shown:?} {fault}"))
}

/// What some file system takes for the same name.
fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// What stands for a text in a map: so many of them fit whatever their length.
type Digest = [u8; 16];

fn digest(text: &str) -> Digest {
    let mut digest = Digest::default();
    blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut digest);
    digest
}

/// One name in one folder.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// How it is written.
    written: Digest,
    /// Its number when it is a folder.
    folder: Option<u32>,
}

/// The paths of a folder, as they come in: no two may be the same file on any system, and no file may stand where a
/// folder is. There may be as many folders as files.
#[derive(Debug, Default)]
pub struct Paths {
    /// By the number of the folder that it is in, and what some system takes for the same name.
    known: HashMap<(u32, Digest), Known>,
    /// How many folders there are below the first.
    folders: u32,
}

impl Paths {
    /// Takes one more.
    ///
    /// # Errors
    /// `bad_file_name`, with what is wrong.
    pub fn add(&mut self, path: &str) -> Result<(), Refusal> {
        check_path(path)?;
        let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = 0;
        for name in folders.split('/').filter(|name| !name.is_empty()) {
            at = self.folder(at, name).ok_or_else(|| same(path))?;
            if u64::from(self.folders) > MAX_FOLDER_FILES {
                return Err(refused(path, "is in one folder more than there may be"));
            }
        }
        let known = Known { written: digest(file), folder: None };
        match self.known.insert((at, digest(&folded(file))), known) {
            None => Ok(()),
            Some(_) => Err(same(path)),
        }
    }

    /// The number of a folder in another; none when something else has its name.
    fn folder(&mut self, within: u32, name: &str) -> Option<u32> {
        let written = digest(name);
        match self.known.entry((within, digest(&folded(name)))) {
            Entry::Occupied(known) if known.get().written == written => known.get().folder,
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                self.folders += 1;
                place.insert(Known { written, folder: Some(self.folders) });
                Some(self.folders)
            }
        }
    }
}

fn same(path: &str) -> Refusal {
    refused(path, "is the same as another on some systems")
}

/// A name that every peer takes, made of one that a file has here.
pub fn safe(name: &str) -> String {
    let allowed = |c: char| !SPECIAL.contains(&c) && !is_deceiving(c.encode_utf8(&mut [0; 4]));
    let mut safe: String = name.nfc().map(|c| if allowed(c) { c } else { '_' }).collect();
    while safe.len() > MAX_FILE_NAME_BYTES {
        safe.pop();
    }
    safe = safe.trim().trim_end_matches(['.', ' ']).to_owned();
    if fault(&safe).is_some() {
        safe.insert(0, '_');
        while safe.len() > MAX_FILE_NAME_BYTES {
            safe.pop();
        }
    }
    if fault(&safe).is_none() { safe } else { "file".to_owned() }
}

/// The name with a number, for when there is a file of that name already: `report (1).pdf`.
pub fn numbered(name: &str, number: u32, is_folder: bool) -> String {
    if number == 0 {
        return name.to_owned();
    }
    match name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty() && !is_folder) {
        Some((stem, ending)) => format!("{stem} ({number}).{ending}"),
        None => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(MAX_FILE_NAME_BYTES + 1);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "..\\x",
            "C:",
            "c:\\windows",
            "a:b",
            "x\0",
            "x\n",
            "x\u{7f}",
            "\u{1b}[2J",
            "evil\u{202e}fdp.exe",
            "zero\u{200b}width",
            "\u{feff}bom",
            "con",
            "CON.txt",
            "nul .x",
            "com1",
            "LPT9.log",
            "com¹",
            "dot.",
            "space ",
            " space",
            "a*b",
            "a?b",
            "a|b",
            "a<b",
            "e\u{301}",
            ".natter-1.part",
            &long,
        ] {
            assert_eq!(check_name(name).unwrap_err().code, Code::BadFileName, "{name:?}");
            let made = safe(name);
            assert!(check_name(&made).is_ok(), "{name:?} is made {made:?}");
        }
    }

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        for name in [
            "report.pdf",
            ".bashrc",
            "a b.c",
            "Übung 1.txt",
            "日本語",
            "com",
            "com0",
            "console.log",
            "x~",
            "-rf",
        ] {
            assert!(check_name(name).is_ok(), "{name}");
            assert_eq!(safe(name), name);
        }
    }

    #[test]
    fn paths_that_leave_their_folder_or_meet_are_refused() {
        for path in [
            "../x",
            "a/../b",
            "/x",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            &"d/".repeat(MAX_FILE_PATH_DEPTH),
            "a/c:/x",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for (first, second) in [
            ("a", "a"),
            ("a", "A"),
            ("ß", "ẞ"),
            ("a/x", "A/y"),
            ("a", "a/b"),
            ("a/b", "a"),
            ("ﬁle", "file"),
            ("x/é", "x/É"),
        ] {
            let mut paths = Paths::default();
            paths.add(first).unwrap();
            assert!(paths.add(second).is_err(), "{first} and {second}");
        }
        let mut paths = Paths::default();
        ["a/x", "a/y", "b", "c/d/e", "c/d/f"].iter().for_each(|path| paths.add(path).unwrap());
    }

    #[test]
    fn folders_are_counted_however_short_their_names_are() {
        let mut paths = Paths::default();
        let path = |number: u64| format!("{:x}/{:x}/{:x}/x", number >> 12, number >> 4, number);
        let taken = (0..MAX_FOLDER_FILES).take_while(|number| paths.add(&path(*number)).is_ok()).count();
        assert!(taken > 90_000, "{taken}");
        assert!(paths.add(&path(MAX_FOLDER_FILES)).is_err());
        assert!(paths.known.len() as u64 <= 2 * MAX_FOLDER_FILES + 32);
    }

    #[test]
    fn a_number_stands_before_the_ending() {
        for (name, is_folder, expected) in [
            ("a.pdf", false, "a (2).pdf"),
            ("a", false, "a (2)"),
            (".x", false, ".x (2)"),
            ("v1.0", true, "v1.0 (2)"),
        ] {
            assert_eq!(numbered(name, 2, is_folder), expected);
            assert_eq!(numbered(name, 0, is_folder), name);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_file_is_called_here_its_safe_name_is_taken(name in "\\PC{0,300}|.{0,40}") {
            prop_assert!(check_name(&safe(&name)).is_ok());
        }

        #[test]
        fn what_is_taken_is_one_plain_part_of_a_path(name in ".{0,20}") {
            if check_name(&name).is_ok() {
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
            }
        }
    }
}
