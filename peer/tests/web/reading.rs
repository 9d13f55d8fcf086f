//! The page for those who do not look at it, and for those who have no mouse.

use peer::api::{Command, DirectCommand};
use serde_json::{Value, json};
use thirtyfour::Key;

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, until};

/// What can be used, as a screen reader calls it.
const USED: [&str; 9] =
    ["button", "link", "textbox", "searchbox", "checkbox", "combobox", "DisclosureTriangle", "log", "region"];

/// Things on this page that have no name, by what they are.
async fn nameless(browser: &Browser) -> Vec<String> {
    browser.command("Accessibility.enable", json!({})).await;
    let tree = browser.command("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
    let is_nameless = |node: &&Value| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        node["ignored"] != json!(true) && USED.contains(&role) && name.trim().is_empty()
    };
    nodes.iter().filter(is_nameless).map(ToString::to_string).collect()
}

async fn can_be_read(browser: &Browser, path: &str) {
    assert_eq!(nameless(browser).await, Vec::<String>::new(), "{path}");
    for rule in [
        "document.documentElement.lang === 'en'",
        "document.title.length > 0",
        "document.querySelectorAll('main').length === 1",
        "document.querySelectorAll('h1').length === 1",
        "[...document.querySelectorAll('nav, aside, [role=region], dialog')].every((one) => one.ariaLabel || one.hasAttribute('aria-labelledby'))",
        "[...document.images].every((one) => one.hasAttribute('alt'))",
        "new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size === document.querySelectorAll('[id]').length",
        "[...document.querySelectorAll('[tabindex]')].every((one) => one.tabIndex <= 0)",
    ] {
        assert_eq!(browser.js(rule).await, json!(true), "{path}: {rule}");
    }
}

async fn account(world: &World, name: &str) -> Face {
    let face = Face::of(world, name).await;
    let password = common::secret::Secret::new("correct horse battery");
    face.perform(Command::Signup { name: None, password }).await.unwrap();
    face
}

#[actix::test]
async fn every_page_has_names_and_places_for_a_screen_reader() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (account(&world, "ken").await, account(&world, "ada").await);
    ken.host("garden").await;
    ken.send("garden", "see https://garden.example and `this`").await;
    ken.perform(Command::Direct(DirectCommand::Start { user: "ada".parse().unwrap() })).await.unwrap();
    let accept = || DirectCommand::Accept { user: "ken".parse().unwrap(), key: None };
    until("ada is asked", async || ada.perform(Command::Direct(accept())).await.is_ok()).await;
    let browser = ken.browser(&driver).await;
    browser.until_shows("#contacts", "ada").await;
    for path in ["/", "/find", "/people", "/me", "/status", "/c/garden", "/p/ada"] {
        browser.goto(&ken.at(path)).await;
        browser.until_there("#main").await;
        can_be_read(&browser, path).await;
    }
    browser.goto(&ken.at("/people")).await;
    browser.until_shows("#here", "ada").await;
    can_be_read(&browser, "/people, with rows").await;
    browser.goto(&ken.at("/c/garden")).await;
    browser.click("[data-toggle=about]").await;
    browser.until_shows("#about-live", "ken").await;
    can_be_read(&browser, "/c/garden, with what it is").await;
    browser.click("[data-open=keys]").await;
    browser.until("document.getElementById('keys').open").await;
    can_be_read(&browser, "the keys").await;
    // Before the door, and where nobody is in yet.
    let outside = driver.browser().await;
    outside.goto(&ken.at("/")).await;
    can_be_read(&outside, "the door").await;
    let mut laptop = Face::of(&world, "ada").await;
    let enter = laptop.browser(&driver).await;
    enter.until_there("#signin-password").await;
    can_be_read(&enter, "entering").await;

    for browser in [browser, outside, enter] {
        browser.quit().await;
    }
    laptop.stop().await;
    ada.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn all_is_done_with_keys_alone() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/find")).await;
    // The first stop leads past the list of channels.
    browser.keys(Key::Tab + "").await;
    browser.until("document.activeElement.matches('.skip') && document.activeElement.offsetWidth > 1").await;
    browser.keys(Key::Enter + Key::Tab).await;
    browser.until("document.getElementById('main').contains(document.activeElement)").await;
    // On to the field, and the channel is hosted.
    for _ in 0..20 {
        if browser.js("document.activeElement.id === 'host-name'").await == json!(true) {
            break;
        }
        browser.keys(Key::Tab + "").await;
    }
    browser.keys("garden" + Key::Enter).await;
    browser.until_shows("h1", "#garden").await;
    // The place to write has the focus, and what has it is seen.
    browser.until("document.activeElement.id === 'text'").await;
    browser.press("#text", "one").await;
    browser.press("#text", Key::Shift + Key::Enter).await;
    browser.press("#text", "two" + Key::Enter).await;
    browser.until_shows("#log .own", "one\ntwo").await;
    // To the button about the channel, and through its window that asks, which Escape closes.
    browser.js("document.querySelector('[data-toggle=about]').focus()").await;
    browser.keys(Key::Enter + "").await;
    browser.until("document.querySelector('[data-toggle=about]').ariaExpanded === 'true'").await;
    browser.js("document.querySelector(\"[hx-post$='/unhost']\").focus()").await;
    browser.keys(Key::Enter + "").await;
    browser.until("document.getElementById('confirm').open").await;
    browser.keys(Key::Escape + "").await;
    browser.until("!document.getElementById('confirm').open").await;
    browser.until("document.activeElement.matches(\"[hx-post$='/unhost']\")").await;
    browser.quit().await;
    ken.stop().await;
}
