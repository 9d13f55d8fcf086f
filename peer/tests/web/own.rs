//! Whose channel it is: who may do what, and who has to go. And what keys do.

use serde_json::json;
use thirtyfour::Key;

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, join};

pub async fn account(world: &World, name: &str) -> Face {
    let face = Face::of(world, name).await;
    let password = common::secret::Secret::new("correct horse battery");
    face.perform(peer::api::Command::Signup { name: None, password }).await.unwrap();
    face
}

/// Opens what can be done with a member, and presses one of it.
async fn press(browser: &Browser, whom: &str, order: &str) {
    let row = format!(
        "[...document.querySelectorAll('#about-live .people details')].find((row) => row.querySelector('.whom').textContent.includes({}))",
        json!(whom)
    );
    let button = format!("{row}?.querySelector(\"[hx-post$='/order/{order}']\")");
    // In one step: the page may put another row in its place at any time.
    browser.until(&format!("({row} && ({row}.open = true), {button}?.click(), {button} != null)")).await;
}

/// Looks for channels until there is one, or none. The tracker learns a little later what a host has decided.
async fn find(face: &Face, browser: &Browser, is_there: bool) {
    for _ in 0..100 {
        browser.goto(&face.at("/find")).await;
        if browser.js("document.querySelector('#found button') !== null").await == json!(is_there) {
            return;
        }
    }
    panic!("the channel does not come into the list, or out of it");
}

#[actix::test]
async fn an_owner_says_who_may_do_what_and_who_has_to_go() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (account(&world, "ken").await, account(&world, "ada").await);
    let mut charlie = Face::of(&world, "charlie").await;
    ken.host("garden").await;
    for face in [&ada, &charlie] {
        face.perform(join("garden")).await.unwrap();
    }
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    kens.goto(&ken.at("/c/garden")).await;
    charlies.goto(&charlie.at("/c/garden")).await;
    kens.click("[data-toggle=about]").await;

    // A role is given, shown to all, and taken back.
    press(&kens, "ada", "moderator").await;
    kens.until_shows("#about .people .role", "moderator").await;
    charlies.until_shows("#log .notice", "moderator").await;
    press(&kens, "ada", "deauthorize").await;
    kens.until(
        "![...document.querySelectorAll('#about .role')].some((one) => one.textContent === 'moderator')",
    )
    .await;
    // By name, too; a slip is said.
    kens.js("(document.querySelector('#about .by-name').open = true)").await;
    kens.fill("#about .by-name input", "nobody").await;
    kens.click("#about .by-name form button").await;
    kens.until_shows("#order-said .error", "nobody").await;
    kens.js("(document.querySelector('#about .by-name').open = true)").await;
    kens.fill("#about .by-name input", "ada").await;
    kens.click("#about .by-name form button").await;
    kens.until_shows("#about .people .role", "authorized").await;

    // Who may not write is told why.
    kens.click("[hx-post$='/order/authorized']").await;
    kens.until_shows("#about .facts", "only who is authorized").await;
    charlies.write("may I?").await;
    charlies.until_there("#outbox .refused .why").await;
    kens.click("[hx-post$='/order/everyone']").await;
    charlies.click("#outbox .refused [hx-post$='/retry']").await;
    charlies.until_shows("#log .own", "may I?").await;

    // Banned: asked for twice, with a reason, for the other one to read.
    press(&kens, "charlie", "ban").await;
    kens.fill("#why", "spam").await;
    kens.agree().await;
    kens.until_shows("#about .people", "by ken: spam").await;
    charlies.until_shows("#log .notice", "spam").await;
    charlies.until_shows("#channels", "None yet").await;
    find(&charlie, &charlies, false).await;
    kens.click("[hx-post$='/order/unban']").await;
    kens.until_gone("[hx-post$='/order/unban']").await;
    find(&charlie, &charlies, true).await;
    charlies.click("#found button").await;
    charlies.until_shows("h1", "#garden").await;

    // Restricted: the guest is put out, the account that was let in stays.
    kens.click("[hx-post$='/order/restricted']").await;
    kens.agree().await;
    kens.until_shows("#about .facts", "only who is let in").await;
    charlies.until_shows("#standing", "open only to those who were authorized").await;
    ada.send("garden", "still here").await;
    kens.until_shows("#log .message", "still here").await;
    kens.js("(document.querySelector('#about .rest:last-child').open = true)").await;
    kens.until_shows("#about pre", "charlie").await;

    kens.quit().await;
    charlies.quit().await;
    charlie.stop().await;
    ada.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn an_owner_says_for_how_long_texts_are_kept() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (account(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("garden").await;
    charlie.perform(join("garden")).await.unwrap();
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    kens.goto(&ken.at("/c/garden")).await;
    kens.click("[data-toggle=about]").await;
    kens.until_shows("#about .facts", "for ever").await;
    let open = "((row) => row ? (row.open = true) : false)(document.querySelector('#about [hx-post$=\"/retention\"]')?.closest('details'))";
    kens.until(open).await;
    kens.fill("#about [name=days]", "30").await;
    kens.click("#about [hx-post$='/retention'] button").await;
    kens.until_shows("#confirm-question", "does not come back").await;
    // Who thinks better of it has changed nothing.
    kens.click("#confirm button[value=no]").await;
    kens.until_shows("#about .facts", "for ever").await;
    kens.click("#about [hx-post$='/retention'] button").await;
    kens.agree().await;
    kens.until_shows("#about .facts", "for 30 days, at the host").await;
    kens.until_shows("#order-said", "older than 30d are erased at the host").await;
    // Members see it and have nothing to press.
    charlies.goto(&charlie.at("/c/garden")).await;
    charlies.until_shows("#about .facts", "for 30 days, at the host").await;
    charlies.until_gone("#about [name=days]").await;
    kens.until(open).await;
    kens.click("#about [hx-post$='/forever']").await;
    kens.until_shows("#about .facts", "for ever").await;
    for browser in [kens, charlies] {
        browser.is_content().await;
        browser.quit().await;
    }
    charlie.stop().await;
    ken.stop().await;
}

/// What a desktop would show, where nobody looks at the page.
const DESKTOP: &str = "(window.told = [], document.hasFocus = () => false, \
    window.Notification = class { \
        constructor(title, { body }) { window.told.push(title + ': ' + body); } \
        static permission = 'granted'; \
        static requestPermission() { window.asked = true; return Promise.resolve('granted'); } \
    }, true)";

#[actix::test]
async fn the_desktop_tells_of_who_names_one_once_that_is_wanted() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("garden").await;
    charlie.perform(join("garden")).await.unwrap();
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/me")).await;
    browser.js(DESKTOP).await;
    charlie.send("garden", "ken, unheard").await;
    browser.until_shows("#channels .badge", "@1").await;
    browser.until("window.told.length === 0 && window.asked === undefined").await;
    browser.click("[data-notify]").await;
    browser.until("window.asked === true").await;
    browser.until_shows("[data-notify]", "Do not").await;
    charlie.send("garden", "to nobody").await;
    charlie.send("garden", "<b>ken</b>, come").await;
    browser.until("window.told.length === 1").await;
    let told = browser.js("window.told").await;
    assert_eq!(told, json!(["charlie in #garden: <b>ken</b>, come"]));
    // Not from a muted channel, and not any more when that is wanted.
    browser.goto(&ken.at("/c/garden")).await;
    browser.click("[data-toggle=about]").await;
    browser.click("[hx-post$='/mute']").await;
    browser.until_there("[hx-post$='/unmute']").await;
    browser.js(DESKTOP).await;
    charlie.send("garden", "ken, muted").await;
    browser.until_shows("#log .message", "ken, muted").await;
    browser.click("[hx-post$='/unmute']").await;
    browser.until_there("[hx-post$='/mute']").await;
    browser.js(DESKTOP).await;
    charlie.send("garden", "ken, heard").await;
    browser.until("window.told.length === 1 && window.told[0].includes('ken, heard')").await;
    browser.goto(&ken.at("/me")).await;
    browser.js(DESKTOP).await;
    browser.click("[data-notify]").await;
    browser.until_shows("[data-notify]", "Notify me").await;
    charlie.send("garden", "ken, too late").await;
    browser.until_shows("#channels .badge", "@").await;
    browser.until("window.told.length === 0").await;
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn an_owner_stops_hosting_and_gives_a_name_up() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (account(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("garden").await;
    charlie.perform(join("garden")).await.unwrap();
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    charlies.goto(&charlie.at("/c/garden")).await;
    kens.goto(&ken.at("/c/garden")).await;
    kens.write("before").await;
    kens.until_shows("#log .own", "before").await;
    kens.click("[data-toggle=about]").await;

    // Kicked: asked for first; out, told why, and the place is empty.
    press(&kens, "charlie", "kick").await;
    kens.fill("#why", "enough").await;
    kens.agree().await;
    charlies.until_shows("#log .notice", "enough").await;
    charlies.until_shows("#channels", "None yet").await;

    // A no does nothing; a yes stops it, and everything is there when it is hosted again.
    kens.click("[hx-post$='/unhost']").await;
    kens.until("document.getElementById('confirm').open").await;
    kens.click("#confirm button[value=no]").await;
    kens.until("!document.getElementById('confirm').open").await;
    kens.until_shows("#channels", "garden").await;
    kens.click("[hx-post$='/unhost']").await;
    kens.agree().await;
    kens.until_shows("#channels", "None yet").await;
    kens.goto(&ken.at("/find")).await;
    kens.fill("#host-name", "garden").await;
    kens.click("#host button").await;
    kens.until_shows("#log .own", "before").await;

    // Given up, the name is another's.
    if kens.js("document.getElementById('main').classList.contains('with-about')").await == json!(false) {
        kens.click("[data-toggle=about]").await;
    }
    kens.click("[hx-post$='/release']").await;
    kens.agree().await;
    kens.until_shows("#channels", "None yet").await;
    charlies.goto(&charlie.at("/find")).await;
    charlies.fill("#host-name", "garden").await;
    charlies.click("#host button").await;
    charlies.until_shows("h1", "#garden").await;
    kens.quit().await;
    charlies.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn keys_go_where_they_say_and_nothing_is_heard_of_a_muted_channel() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    for channel in ["attic", "cellar", "garden"] {
        ken.host(channel).await;
    }
    charlie.perform(join("garden")).await.unwrap();
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/c/attic")).await;
    browser.until_there("#text").await;
    // To a channel by a part of its name, and by arrows.
    browser.press("body", Key::Control + "k").await;
    browser.until("document.getElementById('switcher').open").await;
    browser.press("#switch", "gard" + Key::Enter).await;
    browser.until_shows("h1", "#garden").await;
    browser.press("#text", Key::Control + "k").await;
    browser.press("#switch", Key::Down + Key::Enter).await;
    browser.until_shows("h1", "#cellar").await;
    browser.press("#text", Key::Alt + Key::Up).await;
    browser.until_shows("h1", "#attic").await;
    // Windows open and close; a question mark in a message is one.
    browser.press("#text", "why?").await;
    browser
        .until("!document.getElementById('keys').open && document.getElementById('text').value === 'why?'")
        .await;
    browser.js("document.activeElement.blur()").await;
    browser.press("body", "?").await;
    browser.until("document.getElementById('keys').open").await;
    browser.press("body", Key::Escape + "").await;
    browser.until("!document.getElementById('keys').open").await;

    // Nobody has asked whether notifications are wanted.
    browser.until("Notification.permission !== 'granted' && localStorage.getItem('notify') === null").await;
    // A muted channel counts nothing that is seen.
    browser.goto(&ken.at("/c/garden")).await;
    browser.click("[data-toggle=about]").await;
    browser.click("[hx-post$='/mute']").await;
    browser.until_there("[hx-post$='/unmute']").await;
    browser.goto(&ken.at("/c/attic")).await;
    charlie.send("garden", "ken?").await;
    charlie.send("garden", "anybody?").await;
    crate::support::until("both are stored", async || {
        let list = peer::api::Command::Outbox(peer::api::OutboxCommand::List { channel: None });
        matches!(charlie.perform(list).await, Ok(peer::api::Reply::Outbox(list)) if list.total == 0)
    })
    .await;
    browser.goto(&ken.at("/status")).await;
    browser.until_there("#channels .entry.muted").await;
    browser
        .until("document.querySelector('#channels .badge') === null && !document.title.startsWith('(')")
        .await;
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}
