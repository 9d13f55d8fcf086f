//! Two people in two browsers, with a tracker and a host between them.

use peer::client::CatchUp;

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::support::World;

const PASSWORD: &str = "correct horse battery";

#[actix::test]
async fn two_people_meet_and_talk() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    let (kens, charlies) = (ken.browser(&driver).await, charlie.browser(&driver).await);

    // Ken makes an account and hosts a channel.
    kens.goto(&ken.at("/me")).await;
    kens.fill("#signup-password", PASSWORD).await;
    kens.click("form[hx-post='/account/signup'] button").await;
    kens.until_shows("#account", "You are signed in").await;
    kens.goto(&ken.at("/find")).await;
    kens.fill("#host-name", "book club").await;
    kens.click("#host button").await;
    kens.until_shows("h1", "#book club").await;

    // Charlie finds it and joins.
    charlies.fill("input[name=pattern]", "book").await;
    charlies.until_shows("#found", "#book club").await;
    charlies.click("#found button").await;
    charlies.until_shows("h1", "#book club").await;

    // They talk.
    charlies.write("hello ken").await;
    charlies.until_shows("#log .own", "hello ken").await;
    kens.until_shows("#log .message", "hello ken").await;
    kens.until_shows("#log .to-me", "hello ken").await;
    kens.write("two\nlines and `code`").await;
    charlies.until_shows("#log .message code", "code").await;
    assert_eq!(charlies.messages().await, ["hello ken", "two\nlines and `code`"]);
    assert_eq!(kens.messages().await, charlies.messages().await);

    // Ken goes away. What Charlie writes is shown at once as queued, and a reload loses neither it nor a draft.
    ken.stop().await;
    charlies.until_there("#standing .chip").await;
    charlies.write("are you there?").await;
    charlies.until_shows("#outbox .waiting", "are you there?").await;
    charlies.until_shows("#outbox .state", "queued").await;
    charlies.press("#text", "not yet sent").await;
    charlies.reload().await;
    charlies.until_shows("#outbox .waiting", "are you there?").await;
    charlies.until("document.getElementById('text').value === 'not yet sent'").await;

    // He comes back: it arrives, once, and his page opens again without a new link.
    kens.until("!document.getElementById('lost').hidden").await;
    ken.start_again().await;
    charlies.until_shows("#log .own", "are you there?").await;
    charlies.until_gone("#outbox .waiting").await;
    charlies.until_gone("#standing .chip").await;
    kens.until_shows("#log .message", "are you there?").await;
    kens.until("document.getElementById('lost').hidden").await;
    let expected = ["hello ken", "two\nlines and `code`", "are you there?"];
    assert_eq!(kens.messages().await, expected);
    assert_eq!(charlies.messages().await, expected);

    // What comes in while the page is closed is there when it opens, and counted.
    charlies.goto("about:blank").await;
    kens.write("for later").await;
    kens.until_shows("#log .own", "for later").await;
    charlies.goto(&charlie.at("/status")).await;
    charlies.until_shows("#channels .badge", "1").await;
    charlies.click("#channels a").await;
    charlies.until_shows("#log .message", "for later").await;
    charlies.until_there("#new-line").await;
    charlies.until_gone("#channels .badge").await;

    // Charlie leaves.
    charlies.click("[data-toggle=about]").await;
    charlies.until_shows("#about .people", "ken").await;
    charlies.click("#about .danger").await;
    charlies.agree().await;
    charlies.until_shows("#channels", "None yet").await;

    for browser in [&kens, &charlies] {
        browser.is_content().await;
    }
    kens.quit().await;
    charlies.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn a_refused_message_says_why_and_can_be_changed() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    ken.host("first").await;
    // A message that waits longer than a second is too late.
    let mut config = world.config("charlie");
    config.expire = Some(std::time::Duration::from_secs(1));
    config.catch_up = CatchUp::default();
    let mut charlie = Face::start(config).await;
    crate::support::within(charlie.node().settled()).await;
    charlie.perform(crate::support::join("first")).await.unwrap();
    let browser = charlie.browser(&driver).await;
    browser.click("#channels a").await;
    ken.stop().await;
    browser.until_there("#standing .chip").await;
    browser.write("one").await;
    browser.write("two").await;
    browser.until_shows("#outbox .refused .why", "could not be sent in time").await;
    browser.until("document.querySelectorAll('#outbox .refused').length === 2").await;
    browser.until_there("#channels .badge.bad").await;

    // One is cancelled, the other changed; both are done on disk.
    browser.click("#outbox li:nth-child(2) [hx-post$='/cancel']").await;
    browser.until("document.querySelectorAll('#outbox .refused').length === 1").await;
    browser.click("#outbox [data-edit]").await;
    browser.until("document.getElementById('text').value === 'one'").await;
    ken.start_again().await;
    browser.until_gone("#standing .chip").await;
    browser.write("one, better").await;
    browser.until_shows("#log .own", "one, better").await;
    browser.until_gone("#outbox .message").await;
    assert_eq!(browser.messages().await, ["one, better"]);
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}
