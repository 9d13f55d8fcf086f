//! What was said in the wrong room is taken back, on every page that shows it.

use peer::api::{Command, Reply};

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::history::say_many;
use crate::search::has_come;
use crate::support::{World, join, named, until};

/// The row of the message that says this.
fn row(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('#log .message')].find((row) => row.textContent.includes('{text}'))"
    )
}

/// Whether something can be done with a message.
fn has_menu(text: &str) -> String {
    format!("getComputedStyle({}.querySelector('.menu')).display !== 'none'", row(text))
}

/// Erases the message that says this, as somebody does with the mouse.
async fn erase(browser: &Browser, text: &str, why: &str) {
    browser.until(&has_menu(text)).await;
    browser.js(&format!("{}.querySelector('.menu').click()", row(text))).await;
    browser.click("#menu button").await;
    browser.until("document.getElementById('confirm').open").await;
    browser.fill("#why", why).await;
    browser.agree().await;
}

#[actix::test]
async fn a_message_is_erased_on_every_page_that_shows_it() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("first").await;
    charlie.perform(join("first")).await.unwrap();
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    kens.goto(&ken.at("/c/first")).await;
    charlies.goto(&charlie.at("/c/first")).await;
    for text in ["a slip of mine", "this stays", "and this goes"] {
        charlies.write(text).await;
        kens.until_shows("#log", text).await;
        charlies.until_shows("#log .own", text).await;
    }
    kens.write("said by ken").await;
    charlies.until_shows("#log", "said by ken").await;

    // One's own, by a menu and with a word why; all see it at once, and nobody the text.
    erase(&charlies, "a slip of mine", "wrong <b>room</b>").await;
    for browser in [&kens, &charlies] {
        browser.until_shows("#log .erased", "erased by charlie").await;
        browser.until_shows("#log .erased", "wrong <b>room</b>").await;
        browser.until("!document.body.textContent.includes('a slip of mine')").await;
        browser.until(&format!("!({})", has_menu("erased by charlie"))).await;
        browser.reload().await;
        browser.until_shows("#log .erased", "erased by charlie").await;
        browser.until_shows("#log", "this stays").await;
    }
    // What is of others only the owner can erase.
    charlies.until_there("#about-live .facts").await;
    charlies.until(&format!("!({})", has_menu("said by ken"))).await;
    erase(&kens, "and this goes", "").await;
    charlies.until_shows("#log .erased", "erased by ken").await;

    // Also on a page that shows an older part of the log.
    say_many(&ken, "first", 1..200).await;
    until("all have come", async || has_come(&charlie, 4 + 2 + 199).await).await;
    let history = Command::History { channel: named("first"), count: 9, before: Some(9) };
    let Ok(Reply::History(history)) = charlie.perform(history).await else { unreachable!() };
    let stays =
        history.messages.iter().find(|message| message.text.as_deref() == Some("this stays")).unwrap();
    let at = format!("/c/first?at={}:{}", stays.epoch, stays.seq);
    charlies.goto(&charlie.at(&at)).await;
    charlies.until_shows("#log .found", "this stays").await;
    charlies.until_there("#log .newer").await;
    kens.goto(&ken.at(&at)).await;
    erase(&kens, "this stays", "changed my mind").await;
    for browser in [&kens, &charlies] {
        browser.until_shows("#log .found .erased", "changed my mind").await;
        browser.is_content().await;
    }
    // A host that is away is said.
    charlies.goto(&charlie.at("/c/first")).await;
    charlies.write("one more").await;
    charlies.until_shows("#log .own", "one more").await;
    ken.stop().await;
    charlies.until_there("#standing .chip").await;
    erase(&charlies, "one more", "").await;
    charlies.until_there("#toasts .bad").await;
    charlies.until_shows("#log .own", "one more").await;
    charlies.quit().await;
    kens.quit().await;
    charlie.stop().await;
}
