//! Two people alone: asked first, then live, and kept while one is away.

use crate::browser::{Driver, there_is_one};
use crate::face::Face;
use crate::support::World;

#[actix::test]
async fn two_people_talk_alone() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (Face::of(&world, "ken").await, Face::of(&world, "ada").await);
    let (kens, adas) = (ken.browser(&driver).await, ada.browser(&driver).await);

    // A slip is said beside the field; then she is asked, and agrees.
    kens.goto(&ken.at("/people")).await;
    kens.fill("#ask-user", "no/name").await;
    kens.click("#ask button").await;
    kens.until_there("#ask-user-said:not(:empty)").await;
    kens.fill("#ask-user", "ada").await;
    kens.click("#ask button").await;
    adas.until_there("#contacts .badge").await;
    adas.goto(&ada.at("/people")).await;
    adas.until_shows("#people .key", " ").await;
    adas.click("#people [hx-post='/people/accept']").await;
    adas.until_shows("#contacts", "ken").await;
    kens.until_shows("#contacts", "ada").await;

    // What he writes is counted until she looks, and he sees how far it is.
    kens.click("#contacts a[data-name]").await;
    kens.until_shows("h1", "@ada").await;
    kens.write("hello <b>ada</b>").await;
    kens.until_shows("#log .own", "hello <b>ada</b>").await;
    adas.until_shows("#contacts .badge", "1").await;
    adas.click("#contacts a[data-name]").await;
    adas.until_shows("#log .message", "hello <b>ada</b>").await;
    adas.until_gone("#contacts .badge").await;
    kens.until("/✓/.test(document.querySelector('#log .own .state').textContent)").await;
    // In the row of name and time, as it is after a reload.
    kens.until("document.querySelector('#log .own .state').parentElement.matches('.who')").await;
    adas.write("hello ken").await;
    kens.until_shows("#log .message", "hello ken").await;
    kens.reload().await;
    kens.until_shows("#log .message", "hello ken").await;
    let expected = ["hello <b>ada</b>", "hello ken"];
    assert_eq!(kens.messages().await, expected);
    assert_eq!(adas.messages().await, expected);

    // She goes away: it waits, and goes out by itself.
    ada.stop().await;
    kens.until_there("#standing .chip").await;
    kens.write("are you there?").await;
    kens.until_shows("#log .own .state", "◷").await;
    ada.start_again().await;
    kens.until("![...document.querySelectorAll('#log .state')].some((one) => one.textContent.includes('◷'))")
        .await;
    kens.until_gone("#standing .chip").await;
    adas.until_shows("#log .message", "are you there?").await;

    // Enough: nothing of him is let through any more, and the conversation can still be read.
    adas.goto(&ada.at("/people")).await;
    adas.click("#people [hx-post='/people/block']").await;
    adas.agree().await;
    adas.until_there("#people [hx-post='/people/unblock']").await;
    for browser in [&kens, &adas] {
        browser.is_content().await;
    }
    kens.quit().await;
    adas.quit().await;
    ada.stop().await;
    ken.stop().await;
}
