//! What was said is found, and read on there.

use peer::api::{Command, DirectCommand, Reply};
use serde_json::json;
use thirtyfour::Key;

use crate::attacks::SCRIPTS;
use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::history::say_many;
use crate::support::{World, join, until};

const SEQS: &str =
    "[...document.querySelectorAll('#log .message')].map((row) => Number(row.dataset.at.split(':')[1]))";
const IS_DOWN: &str = "Math.abs(document.getElementById('scroll').scrollTop) < 40";

/// Looks for something until so much of it is found: what came in last is indexed a little later.
pub async fn look(face: &Face, browser: &Browser, query: &str, hits: usize) {
    for _ in 0..100 {
        browser.goto(&face.at(&format!("/search?q={query}"))).await;
        if browser.js("document.querySelectorAll('#found .hit').length").await == json!(hits) {
            return;
        }
    }
    panic!("{query} is not found {hits} times: {}", browser.js("document.body.innerText").await);
}

/// What is shown now is a part of the log without a gap.
async fn seqs(browser: &Browser) -> Vec<usize> {
    let seqs: Vec<usize> = serde_json::from_value(browser.js(SEQS).await).unwrap();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
    seqs
}

/// Scrolls down as long as there is more, which must not carry away what is being read.
async fn scroll_to_the_last(browser: &Browser) {
    const LAST: &str = "[...document.querySelectorAll('#log .message')].at(-1).dataset.at";
    const IS_LAST: &str = "document.querySelector('#log .newer') === null";
    while browser.js(IS_LAST).await != json!(true) {
        let last = browser.js(LAST).await;
        browser.js("document.getElementById('scroll').scrollTop = 0").await;
        browser.until(&format!("{LAST} !== {last} || {IS_LAST}")).await;
        let top = format!("document.querySelector('#log [data-at={last}]').getBoundingClientRect().top");
        browser.until(&format!("{top} > 0 && {top} < innerHeight")).await;
    }
}

#[actix::test]
async fn what_was_said_long_ago_is_found_and_read_on_there() {
    if !there_is_one() {
        return;
    }
    const MANY: usize = 2001;
    const NEEDLE: usize = 401;
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("first").await;
    charlie.perform(join("first")).await.unwrap();
    say_many(&ken, "first", 1..NEEDLE).await;
    until("they are stored", async || has_come(&charlie, NEEDLE as u64 - 1).await).await;
    ken.send("first", "a needle <script>window.hit=1</script> of mine").await;
    say_many(&ken, "first", NEEDLE + 1..MANY + 1).await;
    until("all have come", async || has_come(&charlie, MANY as u64).await).await;

    // From where one writes, by the keyboard alone.
    let browser = charlie.browser(&driver).await;
    browser.goto(&charlie.at("/c/first")).await;
    look(&charlie, &browser, "needle", 1).await;
    browser.goto(&charlie.at("/c/first")).await;
    browser.until("document.activeElement.id === 'text'").await;
    browser.press("#text", Key::Control + "/").await;
    browser.until("document.activeElement.id === 'search'").await;
    browser.press("#search", "NEEDLE").await;
    browser.press("#search", Key::Enter).await;
    browser.until_shows("#search-said", "1 message.").await;
    browser.until("document.querySelector('#found mark').textContent === 'needle'").await;
    browser.until_shows("#found .said", "a needle <script>window.hit=1</script> of mine").await;
    browser.until_shows("#found .around", "ken: message 400").await;
    browser.until_shows("#found .who", "in #first").await;

    // It is there, with what stands around it, and all above and below comes as one scrolls.
    browser.click("#found .hit a").await;
    browser.until_shows("#log .found", "a needle <script>").await;
    browser.until("document.activeElement.matches('.found')").await;
    let place = "document.querySelector('.found').getBoundingClientRect()";
    browser.until(&format!("{place}.top > 0 && {place}.bottom < innerHeight")).await;
    let shown = seqs(&browser).await;
    assert!(shown.contains(&(NEEDLE - 9)) && shown.contains(&(NEEDLE + 9)) && shown.len() < 200, "{shown:?}");
    browser.until("!document.getElementById('jump').hidden").await;
    browser.js("document.getElementById('scroll').scrollTop = -1e9").await;
    browser.until(&format!("({SEQS})[0] < {}", shown[0])).await;
    scroll_to_the_last(&browser).await;
    assert_eq!(seqs(&browser).await.last(), Some(&MANY));

    // From there on it is live again.
    browser.js("document.getElementById('scroll').scrollTop = 0").await;
    browser.until(IS_DOWN).await;
    ken.send("first", "and live again").await;
    browser.until_shows("#log", "and live again").await;
    assert_eq!(seqs(&browser).await.last(), Some(&(MANY + 1)));

    // Or at once, from wherever one is.
    look(&charlie, &browser, "needle", 1).await;
    browser.click("#found .hit a").await;
    browser.until_there("#log .found").await;
    browser.click("#jump").await;
    browser.until_shows("#log", "and live again").await;
    browser.until(IS_DOWN).await;
    browser.until_gone("#log .found").await;
    browser.until("location.search === ''").await;
    browser.write("so it is").await;
    browser.until_shows("#log .own", "so it is").await;
    browser.until("window.hit === undefined").await;
    browser.is_content().await;
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

/// Whether somebody has received so much of the one channel they are in.
pub async fn has_come(face: &Face, seq: u64) -> bool {
    matches!(face.perform(Command::Connected).await, Ok(Reply::Connected(list)) if list.channels[0].seq == seq)
}

#[actix::test]
async fn where_it_is_looked_for_can_be_said_and_slips_are_told() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    for channel in ["first", "book club"] {
        ken.host(channel).await;
        ken.send(channel, &format!("an apple in {channel}")).await;
    }
    let browser = ken.browser(&driver).await;
    look(&ken, &browser, "apple", 2).await;

    // Everywhere, and then only where one was.
    browser.goto(&ken.at("/c/book%20club")).await;
    browser.until_shows("#log", "apple").await;
    browser.fill("#search", "apple").await;
    browser.press("#search", Key::Enter).await;
    browser.until_shows("#search-said", "2 messages, the newest first").await;
    browser.click("#search-said a").await;
    browser.until_shows("#search-said", "1 message.").await;
    browser.until_shows("#found .who", "#book club").await;
    browser.until("document.querySelector('select[name=in]').value === 'book club'").await;
    // What is typed counts more than what is chosen.
    browser.fill("#search", "apple in:first from:ken").await;
    browser.press("#search", Key::Enter).await;
    browser.until_shows("#found .who", "#first").await;
    browser.until("document.querySelectorAll('#found .hit').length === 1").await;
    // From a channel's head it begins there.
    browser.goto(&ken.at("/c/first")).await;
    browser.click("[data-search]").await;
    browser.until("document.querySelector('select[name=in]')?.value === 'first'").await;
    browser.until("document.activeElement.id === 'search'").await;

    for (typed, said) in [
        ("pear", "Nothing was found"),
        ("x before noon", "is no date"),
        ("-x", "no word to look for"),
        ("in:nowhere x", "no channel that you have something of"),
        ("--rebuild", "for the terminal"),
    ] {
        browser.fill("#search", typed).await;
        browser.press("#search", Key::Enter).await;
        browser.until_shows("#search-said", said).await;
        let kept = browser.js("document.getElementById('search').value").await;
        assert_eq!(kept, json!(typed));
    }

    // Whoever came later asks the host for what was before.
    charlie.perform(join("first")).await.unwrap();
    let late = charlie.browser(&driver).await;
    late.goto(&charlie.at("/search?q=apple&in=first")).await;
    late.click("#search-said a[href*='host=yes']").await;
    late.until_shows("#search-said", "what the host of #first has").await;
    late.click("#found .hit a").await;
    late.until_shows("#log .found", "an apple in first").await;
    // A message that is not there is said, and the newest are.
    late.goto(&charlie.at("/c/first?at=1:1")).await;
    late.until_shows("#log [role=alert]", "That message cannot be shown").await;
    late.until_shows("#log", "an apple in first").await;
    for browser in [browser, late] {
        browser.is_content().await;
        browser.quit().await;
    }
    charlie.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn scripts_in_what_is_looked_for_and_found_are_text() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut mallory) = (Face::of(&world, "ken").await, Face::of(&world, "mallory").await);
    ken.host("first").await;
    mallory.perform(join("first")).await.unwrap();
    for script in SCRIPTS {
        mallory.send("first", &format!("needle {script} needle")).await;
    }
    let browser = ken.browser(&driver).await;
    look(&ken, &browser, "needle", SCRIPTS.len()).await;
    for script in SCRIPTS {
        browser.until_shows("#found .said", &format!("needle {script} needle")).await;
    }
    for script in SCRIPTS {
        browser.fill("#search", script).await;
        browser.press("#search", Key::Enter).await;
        browser.until(&format!("document.getElementById('search')?.value === {}", json!(script))).await;
        browser.until_there("#search-said:not(:empty)").await;
    }
    browser.until("window.hit === undefined").await;
    browser.until_there("#main").await;
    browser.is_content().await;
    browser.quit().await;
    mallory.stop().await;
    ken.stop().await;
}

#[actix::test]
async fn what_was_said_alone_is_found_and_read_on_there() {
    if !there_is_one() {
        return;
    }
    const MANY: usize = 200;
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut ada) = (Face::of(&world, "ken").await, Face::of(&world, "ada").await);
    let direct = |command| Command::Direct(command);
    let named = |name: &str| name.parse::<common::name::UserName>().unwrap();
    ada.perform(direct(DirectCommand::Start { user: named("ken") })).await.unwrap();
    let accept = || direct(DirectCommand::Accept { user: named("ada"), key: None });
    until("ken is asked", async || ken.perform(accept()).await.is_ok()).await;
    let write =
        async |text: String| ada.perform(direct(DirectCommand::Msg { user: named("ken"), text })).await;
    until("she knows that he agrees", async || write("number 1".to_owned()).await.is_ok()).await;
    for number in 2..=MANY {
        let text = if number == 40 { "the secret needle".to_owned() } else { format!("number {number}") };
        write(text).await.unwrap();
    }
    let browser = ken.browser(&driver).await;
    look(&ken, &browser, "needle%20in:@ada", 1).await;
    browser.until_shows("#found .who", "in @ada").await;
    browser.click("#found .hit a").await;
    browser.until_shows("#log .found", "the secret needle").await;
    until("all have come", async || {
        let newest = direct(DirectCommand::History { user: named("ada"), count: 1, before: None });
        matches!(ken.perform(newest).await, Ok(Reply::Conversation(found)) if found.messages[0].text.as_deref() == Some("number 200"))
    })
    .await;
    browser.reload().await;
    browser.until_shows("#log .found", "the secret needle").await;
    scroll_to_the_last(&browser).await;
    let shown = browser.messages().await;
    let expected = (41..=MANY).map(|number| format!("number {number}")).collect::<Vec<_>>();
    assert!(shown.ends_with(&expected), "{shown:?}");
    assert_eq!(shown.iter().filter(|text| *text == "number 41").count(), 1);
    browser.is_content().await;
    browser.quit().await;
    ada.stop().await;
    ken.stop().await;
}
