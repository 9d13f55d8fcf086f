//! Who is here: seen, watched, asked, told something; and not being seen.

use peer::api::Command;

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::World;

const PASSWORD: &str = "correct horse battery";

async fn account(world: &World, name: &str) -> Face {
    let face = Face::of(world, name).await;
    let password = common::secret::Secret::new(PASSWORD);
    face.perform(Command::Signup { name: None, password }).await.unwrap();
    face
}

/// A script that finds somebody's row among those who are here.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#here li')].find((row) => row.querySelector('b bdi')?.textContent === '{name}')"
    )
}

/// Waits until somebody's row says so, looking again and again as one who comes back to the page.
async fn until_row(browser: &Browser, name: &str, says: &str) {
    let row = row(name);
    browser
        .until(&format!(
            "(window.dispatchEvent(new Event('focus')), {row}?.textContent.includes('{says}') === true)"
        ))
        .await;
}

async fn press(browser: &Browser, name: &str, button: &str) {
    // In one step: the page may put another row in its place at any time.
    let button = format!("{}?.querySelector(\"[hx-post='{button}']\")", row(name));
    browser.until(&format!("({button}?.click(), {button} != null)")).await;
}

#[actix::test]
async fn people_who_are_here_are_seen_watched_and_asked() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (account(&world, "ken").await, account(&world, "ada").await);
    let mut charlie = Face::of(&world, "charlie").await;
    let (kens, adas) = (ken.browser(&driver).await, ada.browser(&driver).await);
    adas.goto(&ada.at("/people")).await;
    kens.goto(&ken.at("/find")).await;
    kens.click(".content a[href='/people']").await;
    until_row(&kens, "ken", "you").await;
    until_row(&kens, "ada", "here").await;
    until_row(&kens, "charlie", "guest").await;

    // By a part of the name.
    kens.fill("#here-pattern", "CHAR").await;
    kens.until("document.querySelectorAll('#here li').length === 1").await;
    kens.fill("#here-pattern", "nobody").await;
    kens.until_shows("#here", "Nobody who is here").await;
    kens.fill("#here-pattern", "a").await;
    until_row(&kens, "ada", "here").await;

    // Watched: told of it, with the row as it is then, and without doing anything.
    press(&kens, "charlie", "/here/watch").await;
    kens.until_shows("#here", "you are told when they come and go").await;
    charlie.stop().await;
    kens.until_shows("#toasts", "offline: charlie").await;
    kens.until(&format!("{}?.textContent.includes('away') === true", row("charlie"))).await;
    charlie.start_again().await;
    kens.until(&format!("{}?.textContent.includes('here') === true", row("charlie"))).await;
    press(&kens, "charlie", "/here/unwatch").await;
    kens.until(&format!("{}?.textContent.includes('you are told') === false", row("charlie"))).await;

    // Asked from where they are seen; who asks appears on an open page.
    press(&kens, "ada", "/people/start").await;
    kens.until_shows("#people", "has not answered yet").await;
    adas.until_shows("#people", "Who asks to talk with you").await;
    adas.click("#people [hx-post='/people/accept']").await;
    kens.until_shows("#people", "Whom you know").await;
    kens.until_there("#here a[href='/p/ada']").await;

    kens.quit().await;
    adas.quit().await;
    charlie.stop().await;
    ada.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn a_word_to_everybody_stays_until_it_is_closed() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (account(&world, "ken").await, Face::of(&world, "charlie").await);
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    kens.goto(&ken.at("/people")).await;
    kens.fill("#broadcast-text", "soup <b>at</b> noon").await;
    kens.click("#broadcast button").await;
    kens.agree().await;
    kens.until_shows("#broadcast .done", "Said").await;
    charlies.until_shows("#toasts [data-stays]", "soup <b>at</b> noon").await;
    charlies.until_shows("#toasts [data-stays]", "ken").await;
    charlies.goto(&charlie.at("/status")).await;
    charlies.until_shows("#main", "soup <b>at</b> noon").await;

    // Whom the tracker does not let is told so beside the field, and has what was typed.
    charlies.goto(&charlie.at("/people")).await;
    charlies.fill("#broadcast-text", "me too").await;
    charlies.click("#broadcast button").await;
    charlies.agree().await;
    charlies.until_there("#broadcast-said:not(:empty)").await;
    charlies.until("document.getElementById('broadcast-text').value === 'me too'").await;

    kens.quit().await;
    charlies.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn who_is_invisible_is_warned_of_what_shows_it() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (account(&world, "ken").await, account(&world, "ada").await);
    ada.host("garden").await;
    let (kens, adas) = (ken.browser(&driver).await, ada.browser(&driver).await);
    kens.goto(&ken.at("/people")).await;
    until_row(&kens, "ada", "here").await;
    press(&kens, "ada", "/people/start").await;
    adas.goto(&ada.at("/people")).await;
    adas.click("#people [hx-post='/people/accept']").await;
    kens.until_shows("#contacts", "ada").await;

    // What shows it all the same is said, and the frame says that it is so.
    adas.goto(&ada.at("/me")).await;
    adas.until_shows("#visibility .warning", "You host #garden").await;
    adas.click("#visibility button").await;
    adas.until_shows("#visibility", "You are invisible").await;
    adas.until_shows("#visibility .warning", "sees that this machine is up").await;
    adas.until_shows("#foot .me", "invisible").await;
    kens.until(&format!("(window.dispatchEvent(new Event('focus')), {} === undefined)", row("ada"))).await;

    // What she writes to him would show it: said first, and done when she does it again.
    adas.goto(&ada.at("/p/ken")).await;
    adas.write("psst").await;
    adas.until_shows("#composer-said", "would see by this that you are there").await;
    adas.until("document.getElementById('text').value === 'psst'").await;
    assert!(adas.messages().await.is_empty());
    adas.press("#text", thirtyfour::Key::Enter).await;
    adas.until_shows("#log .own", "psst").await;
    kens.goto(&ken.at("/p/ada")).await;
    kens.until_shows("#log .message", "psst").await;

    adas.goto(&ada.at("/me")).await;
    adas.click("#visibility button").await;
    adas.until_shows("#visibility", "Others see you").await;
    kens.goto(&ken.at("/people")).await;
    until_row(&kens, "ada", "here").await;
    kens.quit().await;
    adas.quit().await;
    ada.stop().await;
    ken.stop().await;
}
