//! What is connected and what is not, said in plain words wherever the user is.

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, join};

#[actix::test]
async fn the_light_says_what_is_away_and_why_and_talk_goes_on_without_the_tracker() {
    if !there_is_one() {
        return;
    }
    let (mut world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("garden").await;
    charlie.perform(join("garden")).await.unwrap();
    let browser = charlie.browser(&driver).await;
    browser.goto(&charlie.at("/status")).await;
    browser.until_shows("#foot .light", "Connected").await;
    browser.until_shows("#status-rows", "is connected").await;

    // The tracker goes: said at once on the open page, and what can be done without it is done.
    world.stop_tracker().await;
    browser.until_shows("#foot .light", "No tracker; trying again").await;
    browser.goto(&charlie.at("/status")).await;
    browser.until_shows("#status-rows", "cannot be reached").await;
    browser.until_shows("#status-rows", "go on without it").await;
    browser.goto(&charlie.at("/people")).await;
    browser.until_shows("#here", "cannot be said now").await;
    browser.goto(&charlie.at("/find")).await;
    browser.until_shows("#found", "cannot be listed now").await;
    browser.goto(&charlie.at("/c/garden")).await;
    browser.write("without a tracker").await;
    browser.until_shows("#log .own", "without a tracker").await;
    browser.until_gone("#outbox .message").await;
    world.start_tracker().await;
    // Whoever asks for something has it tried at once.
    browser.goto(&charlie.at("/find")).await;
    browser.until_shows("#foot .light", "Connected").await;

    // The host goes: which channel, and that it is tried again.
    ken.stop().await;
    browser.until_shows("#foot .light", "1 channel is away").await;
    browser.goto(&charlie.at("/status")).await;
    browser.until_shows("#status-rows .states", "trying again").await;
    ken.start_again().await;
    browser.until_shows("#foot .light", "Connected").await;
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}
