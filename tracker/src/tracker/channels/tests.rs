use proptest::prelude::*;

use common::proto::directory::View;

use super::*;
use crate::tracker::testing::{at, guest, row};

fn page(pattern: Option<&str>, after: Option<&str>, limit: Option<u32>) -> Page {
    let pattern = pattern.map(|pattern| Pattern::new(pattern).unwrap());
    Page { pattern, after: after.map(str::to_owned), limit }
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.channels.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn an_older_row_does_not_replace_a_newer_one() {
    let (ken, eve) = (guest(1), guest(2));
    let mut channels = Channels::default();
    let first = row("first", &ken);
    let mut changed = first.clone();
    changed.owner = eve.owner();
    channels.put(at(2, changed.clone()));
    channels.put(at(1, first.clone()));
    assert_eq!(channels.get(first.id).unwrap().owner, eve.owner());
    assert_eq!((channels.owned_by(ken.subject).len(), channels.owned_by(eve.subject).len()), (0, 1));
    channels.remove(first.id, Revision::new(2));
    assert!(channels.get(first.id).is_some());
    channels.remove(first.id, Revision::new(3));
    assert!(channels.get(first.id).is_none() && channels.find(&first.name).is_none());
    assert_eq!(channels.owned_by(eve.subject).len(), 0);
}

#[test]
fn a_name_that_went_to_another_channel_stays_with_it() {
    let (ken, eve) = (guest(1), guest(2));
    let mut channels = Channels::default();
    let (old, new) = (row("first", &ken), row("First", &eve));
    channels.put(at(1, old.clone()));
    channels.put(at(2, new.clone()));
    channels.remove(old.id, Revision::new(2));
    assert_eq!(channels.find(&old.name).unwrap().id, new.id);
}

#[test]
fn restricted_channels_are_for_their_owners() {
    let (ken, eve) = (guest(1), guest(2));
    let mut channels = Channels::default();
    let mut secret = row("secret", &ken);
    secret.policy.view = View::Restricted;
    channels.put(at(1, secret));
    channels.put(at(2, row("open", &ken)));
    let all = page(None, None, None);
    assert_eq!(names(&channels.list(&all, eve.holder(), |_| true)), ["open"]);
    assert_eq!(names(&channels.list(&all, ken.holder(), |_| true)), ["open", "secret"]);
}

#[test]
fn where_the_next_page_begins_names_no_channel_that_is_not_shown() {
    let (ken, eve) = (guest(1), guest(2));
    let mut channels = Channels::default();
    for (revision, name) in ["a", "b secret", "c", "d secret", "e"].into_iter().enumerate() {
        let mut row = row(name, &ken);
        if name.contains("secret") {
            row.policy.view = View::Restricted;
        }
        channels.put(at(revision as u64, row));
    }
    let (mut after, mut found) = (None::<String>, Vec::new());
    loop {
        let listing = channels.list(&page(None, after.as_deref(), Some(1)), eve.holder(), |_| true);
        found.extend(names(&listing).into_iter().map(str::to_owned));
        after = listing.next;
        let Some(next) = &after else { break };
        assert!(!next.contains("secret"), "{next}");
    }
    assert_eq!(found, ["a", "c", "e"]);
    let secret = page(Some("secret"), None, Some(1));
    assert_eq!(
        (
            channels.list(&secret, eve.holder(), |_| true).next,
            names(&channels.list(&secret, ken.holder(), |_| true)).len()
        ),
        (None, 1)
    );
}

#[test]
fn a_page_has_a_bound_in_bytes_too() {
    let ken = guest(1);
    let mut channels = Channels::default();
    for index in 0..1000 {
        let name = format!("{}{index:04}", "長".repeat(28));
        channels.put(at(index, row(&name, &ken)));
    }
    let listing = channels.list(&page(None, None, None), ken.holder(), |_| false);
    let bytes = serde_json::to_vec(&listing).unwrap().len();
    assert!((MAX_PAGE_BYTES / 2..=MAX_PAGE_BYTES + 200).contains(&bytes), "{bytes}");
    assert!(listing.next.is_some());
}

proptest! {
    #[test]
    fn pages_are_the_whole_list_once(
        numbers in prop::collection::hash_set(0..500_u32, 0..60),
        limit in 1..20_u32,
        pattern in prop::option::of(prop::sample::select(vec!["", "1", "n*", "*5", "n1*", "zzz"])),
    ) {
        let ken = guest(1);
        let mut channels = Channels::default();
        for (revision, number) in numbers.iter().enumerate() {
            channels.put(at(revision as u64, row(&format!("N{number}"), &ken)));
        }
        let matcher = pattern.map(|pattern| Pattern::new(pattern).unwrap());
        let mut expected: Vec<String> = numbers.iter().map(|number| format!("n{number}")).collect();
        expected.retain(|name| matcher.as_ref().is_none_or(|matcher| matcher.matches(name)));
        expected.sort();
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let listing = channels.list(&page(pattern, after.as_deref(), Some(limit)), ken.holder(), |_| false);
            assert!(listing.channels.len() <= limit as usize);
            found.extend(listing.channels.iter().map(|row| row.name.folded().to_owned()));
            after = listing.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }
}
