//! A host that has lost a part of its log says so on every page, and its owner gets it back by a button.

use peer::api::Command;

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::looks::pictures;
use crate::own::account;
use crate::search::has_come;
use crate::support::{World, join, put_back, until};

#[actix::test]
async fn what_a_host_has_lost_is_said_and_comes_back_from_members() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("first").await;
    charlie.perform(join("first")).await.unwrap();
    ken.send("first", "one").await;
    until("it has come", async || has_come(&charlie, 1).await).await;
    ken.stop().await;
    let older = world.folder().join("older");
    put_back(&ken.config.data, &older);
    ken.start_again().await;
    ken.send("first", "two").await;
    until("it has come", async || has_come(&charlie, 2).await).await;
    ken.stop().await;
    put_back(&older, &ken.config.data);
    ken.start_again().await;

    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);
    kens.goto(&ken.at("/c/first")).await;
    charlies.goto(&charlie.at("/c/first")).await;
    kens.until_there("#standing .down").await;
    kens.until_shows("#foot", "takes no messages").await;
    charlies.until_shows("#standing", "takes no messages").await;
    charlies.until_shows("#foot", "takes no messages").await;
    charlies.until_gone("#about [hx-post$='/recover']").await;
    kens.click("[data-toggle=about]").await;
    kens.until_shows("#about .warning", "lost part of its log").await;
    pictures(&kens, "behind").await;
    kens.goto(&ken.at("/status")).await;
    pictures(&kens, "status-behind").await;
    kens.goto(&ken.at("/c/first")).await;
    kens.until_shows("#about .warning", "lost part of its log").await;
    kens.js("document.querySelector(\"#about [hx-post$='/recover']\").click()").await;
    kens.until_gone("#standing .chip").await;
    kens.until_shows("#toasts", "takes messages again").await;
    kens.until_gone("#about .warning").await;
    kens.until_shows("#foot", "Connected").await;
    kens.until_shows("#log", "two").await;
    charlies.until_gone("#standing .chip").await;
    kens.write("three").await;
    charlies.until_shows("#log", "three").await;
    for browser in [kens, charlies] {
        browser.is_content().await;
        browser.quit().await;
    }
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn a_channel_moves_to_another_machine_of_its_owner_by_a_button() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut old, mut new) = (account(&world, "ken").await, Face::of(&world, "laptop").await);
    old.host("first").await;
    let password = common::secret::Secret::new("correct horse battery");
    let name = Some("ken".parse().unwrap());
    new.perform(Command::Signin { name, password }).await.unwrap();
    new.perform(join("first")).await.unwrap();
    old.send("first", "said on the old machine").await;
    until("it has come", async || has_come(&new, 1).await).await;
    old.stop().await;

    let browser = new.browser(&driver).await;
    browser.goto(&new.at("/find")).await;
    browser.fill("#host-name", "first").await;
    browser.click("#host button.main").await;
    browser.until_shows("#host-name-said", "hosted on another machine").await;
    browser.until("!document.getElementById('host-name-said').textContent.includes('--takeover')").await;
    browser.click("#host [hx-vals*=takeover]").await;
    browser.agree().await;
    browser.until_shows("h1", "#first").await;
    browser.until_shows("#log", "said on the old machine").await;
    browser.until_there("#channels [aria-label='hosted by you']").await;
    browser.write("and this on the new one").await;
    browser.until_shows("#log .own", "and this on the new one").await;
    browser.is_content().await;
    browser.quit().await;
    new.stop().await;
}
