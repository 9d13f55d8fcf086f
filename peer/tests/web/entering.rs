//! Coming in: by the link, past an unknown tracker, with and without an account.

use common::proto::status::Code;
use peer::api::Command;

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::support::World;

const PASSWORD: &str = "correct horse battery";

#[actix::test]
async fn a_link_lets_one_browser_in_and_another_needs_its_own() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    let link = ken.link();
    let first = driver.browser().await;
    first.goto(&link).await;
    first.until_there("#main").await;
    // The key does not stay in the address, and no script can read the cookie.
    first.until("location.hash === '' && document.cookie === ''").await;
    let second = driver.browser().await;
    second.goto(&link).await;
    second.until_shows("#said", "This link was used already").await;
    second.goto(&ken.at("/me")).await;
    second.until_shows("h1", "Natter").await;

    // The page itself gives a link for it.
    first.goto(&ken.at("/me")).await;
    first.click("[hx-post='/link']").await;
    first.until_there("#link-said input").await;
    let link = first.js("document.querySelector('#link-said input').value").await;
    second.goto(link.as_str().unwrap()).await;
    second.until_there("#main").await;
    second.goto(&ken.at("/me")).await;
    second.until_there("#account").await;

    // And closes itself for this one.
    first.click("[hx-post='/lock']").await;
    first.agree().await;
    first.until_there("#said").await;
    second.reload().await;
    second.until_there("#account").await;
    first.quit().await;
    second.quit().await;
    ken.stop().await;
}

#[actix::test]
async fn an_unknown_tracker_is_shown_before_a_password_goes_there() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut config = world.config("ken");
    config.tracker.key = None;
    let mut ken = Face::start(config).await;
    crate::support::within(ken.node().settled()).await;
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/me")).await;
    let key = world.key.to_string();
    let shown = browser.js("document.getElementById('fingerprint').textContent.replaceAll(' ', '')").await;
    assert_eq!(shown, key);
    // Until then there is no place for a password, and nothing takes one.
    browser.until_there("#guest-name").await;
    browser.until_gone("input[type=password]").await;
    let password = common::secret::Secret::new(PASSWORD);
    let refused = ken.perform(Command::Signup { name: None, password }).await.unwrap_err();
    assert_eq!(refused.code, Code::TrackerUnconfirmed);
    browser.click("form[hx-post='/account/confirm'] button").await;
    browser.until_gone("#fingerprint").await;

    // What is wrong is said beside the field.
    browser.fill("#signup-password", "short").await;
    browser.click("form[hx-post='/account/signup'] button").await;
    browser.until_shows("#signup-password-said", "at least 8").await;
    browser.fill("#signup-name", "no spaces please").await;
    browser.fill("#signup-password", PASSWORD).await;
    browser.click("form[hx-post='/account/signup'] button").await;
    browser.until_there("#signup-name[aria-invalid]").await;
    browser.fill("#signup-name", "ken").await;
    browser.fill("#signup-password", PASSWORD).await;
    browser.click("form[hx-post='/account/signup'] button").await;
    browser.until_shows("#account", "You are signed in").await;
    browser.until_shows("#foot", "account").await;

    // The password is changed, and then the new one counts.
    browser.fill("#passwd-old", PASSWORD).await;
    browser.fill("#passwd-new", "another good one").await;
    browser.click("form[hx-post='/account/passwd'] button").await;
    browser.until_shows("#account .done", "Done").await;
    browser.click("form[hx-post='/account/signout'] button").await;
    browser.agree().await;
    browser.until_there("#signin-password").await;
    browser.fill("#signin-name", "ken").await;
    browser.fill("#signin-password", PASSWORD).await;
    browser.click("form[hx-post='/account/signin'] button").await;
    browser.until_shows("#signin-password-said", "wrong password").await;
    browser.fill("#signin-password", "another good one").await;
    browser.click("form[hx-post='/account/signin'] button").await;
    browser.until_shows("#foot", "account").await;
    browser.quit().await;
    ken.stop().await;
}
