use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn entry(path: &str, size: u64) -> Entry {
    Entry { path: path.to_owned(), size }
}

fn scene() -> (tempfile::TempDir, Downloads, FileId) {
    let folder = tempfile::tempdir().unwrap();
    let downloads = Downloads::open(&folder.path().join("downloads")).unwrap();
    (folder, downloads, FileId::new())
}

fn intend(_: &str) -> io::Result<()> {
    Ok(())
}

#[test]
fn a_file_is_whole_before_it_has_its_name_and_replaces_nothing() {
    let (_folder, downloads, id) = scene();
    fs::write(downloads.path.join("a.txt"), "mine").unwrap();
    symlink("/nowhere", downloads.path.join("a (1).txt")).unwrap();
    let mut sink = Sink::open(&downloads, id, Content::File { size: 6 }, 0).unwrap();
    sink.write(b"abc").unwrap();
    drop(sink);
    let mut sink = Sink::open(&downloads, id, Content::File { size: 6 }, 3).unwrap();
    assert_eq!(sink.have(), 3);
    sink.write(b"def").unwrap();
    assert!(sink.write(b"g").is_err(), "more than was announced");
    sink.finish().unwrap();
    let path = downloads.name_it(id, "a.txt", false, intend).unwrap();
    assert_eq!(path, downloads.path.join("a (2).txt"));
    assert_eq!(fs::read(&path).unwrap(), b"abcdef");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0, "not to be executed");
    assert_eq!(fs::read(downloads.path.join("a.txt")).unwrap(), b"mine");
    assert_eq!(downloads.has_named(id, "a (2).txt"), Some(path));
}

#[test]
fn a_folder_goes_on_in_the_middle_of_a_file() {
    let content = || {
        Content::Folder(vec![
            entry("empty", 0),
            entry("a/x", 3),
            entry("a/y", 4),
            entry("b/z", 0),
            entry("c", 1),
        ])
    };
    for cut in 0..=8 {
        let (_folder, downloads, id) = scene();
        let bytes = b"xxxyyyyc";
        let mut sink = Sink::open(&downloads, id, content(), 0).unwrap();
        sink.write(&bytes[..cut]).unwrap();
        drop(sink);
        let mut sink = Sink::open(&downloads, id, content(), cut as u64).unwrap();
        assert_eq!(sink.have(), cut as u64);
        sink.write(&bytes[cut..]).unwrap();
        sink.finish().unwrap();
        let path = downloads.name_it(id, "folder", true, intend).unwrap();
        for (name, expected) in [("empty", ""), ("a/x", "xxx"), ("a/y", "yyyy"), ("b/z", ""), ("c", "c")] {
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), expected, "{name} after {cut}");
        }
        assert_eq!(fs::read_dir(&downloads.path).unwrap().count(), 1);
    }
}

#[test]
fn what_was_removed_meanwhile_is_fetched_again() {
    let (_folder, downloads, id) = scene();
    let content = || Content::Folder(vec![entry("a", 3), entry("b", 3)]);
    let mut sink = Sink::open(&downloads, id, content(), 0).unwrap();
    sink.write(b"aaab").unwrap();
    fs::remove_file(downloads.path.join(temporary_name(id)).join("a")).unwrap();
    assert_eq!(Sink::open(&downloads, id, content(), 4).unwrap().have(), 0);
    downloads.remove(id);
    assert_eq!(fs::read_dir(&downloads.path).unwrap().count(), 0);
    assert_eq!(Sink::open(&downloads, id, Content::File { size: 9 }, 4).unwrap().have(), 0);
}

#[test]
fn links_on_the_way_lead_nowhere() {
    let (folder, downloads, id) = scene();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(folder.path().join("victim"), "mine").unwrap();
    // The temporary name of a single file, of a folder, and a folder within.
    let temporary = downloads.path.join(temporary_name(id));
    symlink(folder.path().join("victim"), &temporary).unwrap();
    let mut sink = Sink::open(&downloads, id, Content::File { size: 3 }, 0).unwrap();
    assert!(sink.write(b"bad").is_err());
    fs::remove_file(&temporary).unwrap();
    symlink(&outside, &temporary).unwrap();
    assert!(Sink::open(&downloads, id, Content::Folder(vec![entry("x", 1)]), 0).is_err());
    fs::remove_file(&temporary).unwrap();
    fs::create_dir(&temporary).unwrap();
    symlink(&outside, temporary.join("d")).unwrap();
    symlink(folder.path().join("victim"), temporary.join("v")).unwrap();
    for path in ["d/x", "v"] {
        let mut sink = Sink::open(&downloads, id, Content::Folder(vec![entry(path, 1)]), 0).unwrap();
        assert!(sink.write(b"b").is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read(folder.path().join("victim")).unwrap(), b"mine");
}

#[test]
fn what_does_not_fit_is_not_begun() {
    let (_folder, downloads, _) = scene();
    downloads.check_space(1).unwrap();
    assert_eq!(downloads.check_space(u64::MAX).unwrap_err().code, Code::StorageFull);
}
