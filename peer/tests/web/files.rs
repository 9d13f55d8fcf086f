//! Files between two people: handed over by the browser, or named by their path; wanted, not wanted, stopped, gone on with.

use std::path::PathBuf;

use peer::api::{Command, DirectCommand};
use serde_json::json;

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, until};

async fn friends(world: &World) -> (Face, Face) {
    let (ken, ada) = (Face::of(world, "ken").await, Face::of(world, "ada").await);
    ken.perform(Command::Direct(DirectCommand::Start { user: "ada".parse().unwrap() })).await.unwrap();
    let accept = || Command::Direct(DirectCommand::Accept { user: "ken".parse().unwrap(), key: None });
    until("ada is asked", async || ada.perform(accept()).await.is_ok()).await;
    (ken, ada)
}

/// Drops a file onto the page, as a person does with the mouse.
async fn drop_file(browser: &Browser, name: &str, text: &str) {
    let dropped = format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([{}], {})); \
         document.getElementById('main').dispatchEvent(new DragEvent('drop', \
         {{ dataTransfer: data, bubbles: true, cancelable: true }})); return true; }})()",
        json!(text),
        json!(name)
    );
    browser.js(&dropped).await;
}

/// Where the page says that a file is.
async fn place(browser: &Browser, name: &str) -> PathBuf {
    let row = format!(
        "[...document.querySelectorAll('#files-over .file')].find((row) => row.textContent.includes({}))",
        json!(name)
    );
    browser.until(&format!("{row}?.querySelector('.path code') != null")).await;
    let path = browser.js(&format!("{row}.querySelector('.path code').textContent")).await;
    PathBuf::from(path.as_str().unwrap())
}

fn copies(face: &Face) -> usize {
    std::fs::read_dir(face.config.data.join("outgoing")).map_or(0, Iterator::count)
}

#[actix::test]
async fn files_are_dropped_accepted_stopped_and_gone_on_with() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = friends(&world).await;
    let (kens, adas) = (ken.browser(&driver).await, ada.browser(&driver).await);
    kens.goto(&ken.at("/p/ada")).await;
    adas.goto(&ada.at("/p/ken")).await;
    kens.until_there("#text").await;

    // Chosen: she sees what it is, wants it, and is told where it lies.
    let folder = tempfile::TempDir::new().unwrap();
    let (own, text) = (folder.path().join("a & b.txt"), "many words\n".repeat(50_000));
    std::fs::write(&own, &text).unwrap();
    kens.click("[data-open=send-file]").await;
    kens.press("#pick", own.to_str().unwrap()).await;
    adas.until_shows("#files .file b", "a & b.txt").await;
    adas.until_shows("#files .file", "550 kB").await;
    adas.until_shows("#log .message", "offers a & b.txt").await;
    adas.click("#files [hx-post$='/accept']").await;
    let there = place(&adas, "a & b.txt").await;
    assert_eq!(std::fs::read_to_string(there).unwrap(), text);
    // His copy stays for her other devices; what he chose is left alone.
    assert_eq!(copies(&ken), 1);
    assert!(own.exists());

    // Dropped: not wanted this time.
    drop_file(&kens, "dropped.txt", "dropped").await;
    adas.until_shows("#files .file", "dropped.txt").await;
    adas.click("#files [hx-post$='/reject']").await;
    kens.until(
        "[...document.querySelectorAll('#files-over .file')].some((one) => one.dataset.state === 'rejected')",
    )
    .await;
    until("the copy is gone", async || copies(&ken) == 1).await;

    // By its path: a slip is said, and a folder goes whole.
    let letters = folder.path().join("letters");
    std::fs::create_dir(&letters).unwrap();
    for name in ["one", "two"] {
        std::fs::write(letters.join(name), name).unwrap();
    }
    kens.click("[data-open=send-file]").await;
    kens.fill("#send-path", "letters").await;
    kens.click("#path-form button").await;
    kens.until_shows("#send-path-said", "whole path").await;
    kens.fill("#send-path", letters.to_str().unwrap()).await;
    kens.click("#path-form button").await;
    kens.until("!document.getElementById('send-file').open").await;
    adas.until_shows("#files .file", "2 files").await;

    // He is away: it waits, is stopped, goes on, and arrives by itself when he is back.
    ken.stop().await;
    adas.until_there("#standing .chip").await;
    adas.click("#files [hx-post$='/accept']").await;
    adas.until_there("#files .file progress").await;
    adas.click("#files [hx-post$='/pause']").await;
    adas.until_shows("#files .file", "paused").await;
    adas.click("#files [hx-post$='/resume']").await;
    adas.until_there("#files [hx-post$='/pause']").await;
    ken.start_again().await;
    let there = place(&adas, "letters").await;
    assert_eq!(std::fs::read_to_string(there.join("two")).unwrap(), "two");

    // He changes his mind.
    kens.until("document.getElementById('lost').hidden").await;
    drop_file(&kens, "never mind.txt", "x").await;
    adas.until_shows("#files .file", "never mind.txt").await;
    kens.click("#files [hx-post$='/cancel']").await;
    adas.until("[...document.querySelectorAll('#files-over .file')].some((one) => one.dataset.state === 'cancelled')").await;
    adas.until_gone("#files .file").await;
    adas.look(360, 740, "light").await;
    adas.until("document.documentElement.scrollWidth <= innerWidth").await;
    for browser in [&kens, &adas] {
        browser.is_content().await;
    }
    kens.quit().await;
    adas.quit().await;
    ada.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn a_file_for_nobody_is_said_and_leaves_nothing() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = friends(&world).await;
    let kens = ken.browser(&driver).await;
    kens.goto(&ken.at("/p/ada")).await;
    kens.until_there("#text").await;
    ken.perform(Command::Direct(DirectCommand::Block { user: "ada".parse().unwrap() })).await.unwrap();
    drop_file(&kens, "x.txt", "x").await;
    kens.until_there("#toasts .toast.bad").await;
    until("the copy is gone", async || copies(&ken) == 0).await;
    // Where nobody is to get it nothing is taken, and the page stays.
    kens.goto(&ken.at("/find")).await;
    drop_file(&kens, "x.txt", "x").await;
    kens.until_there("#main").await;
    assert_eq!(copies(&ken), 0);
    kens.quit().await;
    ada.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn a_file_is_offered_in_a_channel_and_fetched_by_who_wants_it() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (Face::of(&world, "ken").await, Face::of(&world, "ada").await);
    ken.host("garden").await;
    ada.perform(Command::Join { channel: "garden".parse().unwrap() }).await.unwrap();
    let (kens, adas) = (ken.browser(&driver).await, ada.browser(&driver).await);
    kens.goto(&ken.at("/c/garden")).await;
    adas.goto(&ada.at("/c/garden")).await;
    for browser in [&kens, &adas] {
        browser.until_there("#text").await;
    }
    drop_file(&kens, "a <b> c.txt", "for all").await;
    adas.until_shows("#log .message", "offers a _b_ c.txt (7 B)").await;
    adas.until_shows("#files .file", "from ken").await;
    adas.look(1100, 740, "dark").await;
    adas.picture("channel-file").await;
    adas.click("#files [hx-post$='/accept']").await;
    let there = place(&adas, "a _b_ c.txt").await;
    assert_eq!(std::fs::read_to_string(there).unwrap(), "for all");
    // It stays on offer for others, also for a page that is opened later, until he takes it back.
    kens.goto(&ken.at("/c/garden")).await;
    kens.until_shows("#files .file", "from you").await;
    assert_eq!(copies(&ken), 1);
    kens.look(360, 740, "light").await;
    kens.until("document.documentElement.scrollWidth <= innerWidth").await;
    kens.click("#files [hx-post$='/cancel']").await;
    kens.until_gone("#files .file").await;
    until("the copy is gone", async || copies(&ken) == 0).await;
    // A slip in a path is said here as well.
    kens.click("[data-open=send-file]").await;
    kens.fill("#send-path", "letters").await;
    kens.click("#path-form button").await;
    kens.until_shows("#send-path-said", "whole path").await;
    for browser in [&kens, &adas] {
        browser.is_content().await;
    }
    kens.quit().await;
    adas.quit().await;
    ada.stop().await;
    ken.stop().await;
}
