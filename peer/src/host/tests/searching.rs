//! What a member finds in the log.

use common::proto::channel::SetView;
use common::proto::channel::{FoundAt, History, Search, SearchPage};
use common::proto::limits::{MAX_FOUND, SEARCHES};
use common::proto::policy::View;

use super::scene::*;
use crate::host::quota;
use common::identity::Identity;
use common::proto::status::Code;

fn words(words: &str) -> Search {
    Search { words: words.to_owned(), ..Search::default() }
}

async fn found(member: &Member, asked: Search) -> SearchPage {
    member.link.request(&asked).await.unwrap()
}

fn texts(page: &SearchPage) -> Vec<String> {
    page.entries.iter().map(|entry| entry.text().unwrap()).collect()
}

#[actix::test]
async fn entries_are_found_as_they_are_the_newest_first() {
    let scene = Scene::new().await;
    let writer = scene.join_as("writer").await;
    for text in ["the kernel panics", "日本語", "a panic", "see http://x.org/panic"] {
        writer.send(text).await;
    }
    let page = found(&writer, words("panic")).await;
    assert_eq!(texts(&page), ["see http://x.org/panic", "a panic"]);
    assert_eq!((page.total, page.missing, page.epoch), (2, 0, scene.host.head().epoch));
    let of_log = writer.history(History { before: Some(4), limit: Some(1), after: None }).await;
    assert_eq!(page.entries[1].to_bytes().unwrap(), of_log.entries[0].to_bytes().unwrap());
    assert_eq!(texts(&found(&writer, words("日本")).await), ["日本語"]);
    let linked = Search { link: true, ..words("") };
    assert_eq!(texts(&found(&writer, linked).await), ["see http://x.org/panic"]);
    let of_nobody = Search { from: Some("nobody".to_owned()), ..words("panic") };
    assert_eq!(found(&writer, of_nobody).await.total, 0);
    let of_writer = Search { from: Some("WRITER".to_owned()), ..words("pan*") };
    assert_eq!(found(&writer, of_writer).await.total, 3);
    for nothing in ["", "-panic", "?!", &"x ".repeat(40)] {
        assert_eq!(code(writer.link.request(&words(nothing)).await), Code::BadRequest, "{nothing}");
    }
}

#[actix::test]
async fn a_page_is_bounded_and_the_next_one_goes_on() {
    let scene = Scene::new().await;
    let writer = scene.join_as("writer").await;
    writer.send_many(150).await;
    for _ in 0..10 {
        writer.send(&"long ".repeat(2000)).await;
    }
    let all = Search { from: Some("writer".to_owned()), limit: Some(100_000), ..words("") };
    let (mut seqs, mut older) = (Vec::new(), None);
    loop {
        let page = found(&writer, Search { older, ..all.clone() }).await;
        assert!(page.entries.len() <= MAX_FOUND as usize && page.missing == 0);
        assert_eq!(page.total as usize, 160 - seqs.len());
        let Some(last) = page.entries.last() else { break };
        let last = last.open().unwrap();
        older = Some(FoundAt { stored_at: last.stored_at, seq: last.seq });
        seqs.extend(page.entries.iter().map(|entry| entry.open().unwrap().seq));
    }
    assert_eq!(seqs, (1..=160).rev().collect::<Vec<_>>());
}

#[actix::test]
async fn who_may_not_read_finds_nothing_and_cannot_tell_that_there_is_anything() {
    let scene = Scene::new().await;
    let mut guest = scene.join_as("guest").await;
    guest.send("a secret").await;
    assert_eq!(found(&guest, words("secret")).await.total, 1);
    let owner = scene.join(&scene.guest_pass(scene.owner.key(), "owner"), None, 0).await.0;
    owner.link.request(&SetView { view: View::Restricted }).await.unwrap();
    assert_eq!(guest.farewell().await, Code::NotAdmitted);
    // As for a channel that there never was: who has not entered asks out of turn, and nobody outside enters.
    let key = Identity::generate().unwrap().key();
    let stranger = scene.visitor(key).await;
    assert_eq!(code(stranger.link.request(&words("secret")).await), Code::WrongPhase);
    let pass = scene.guest_pass(key, "eve");
    let nowhere = common::proto::channel::Connect {
        channel: common::id::ChannelId::new(),
        ..scene.connect(&pass, None, 0)
    };
    for connect in [scene.connect(&pass, None, 0), nowhere] {
        assert_eq!(code(stranger.link.request(&connect).await), Code::NoSuchChannel);
        assert_eq!(code(stranger.link.request(&words("secret")).await), Code::WrongPhase);
    }
    assert_eq!(found(&owner, words("secret")).await.total, 1);
}

#[actix::test]
async fn nobody_searches_all_the_time() {
    let scene = Scene::limited(quota::Limits::default()).await;
    let member = scene.join_as("ken").await;
    for _ in 0..SEARCHES.burst.get() {
        found(&member, words("x")).await;
    }
    assert_eq!(code(member.link.request(&words("x")).await), Code::TooManyRequests);
    member.history(History::default()).await;
}
