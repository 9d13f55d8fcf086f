//! Much that was said, strange things that were said, and much that is said at once.

use futures_util::future::join_all;
use peer::api::{Command, Reply};
use serde_json::json;

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, Writer, join, named, send};

/// Says so many things, numbered, as fast as the outbox takes them.
pub async fn say_many(face: &Face, channel: &str, numbers: std::ops::Range<usize>) {
    let numbers = numbers.collect::<Vec<_>>();
    for some in numbers.chunks(100) {
        let sent = some.iter().map(|number| face.perform(send(channel, &format!("message {number}"))));
        for outcome in join_all(sent).await {
            outcome.unwrap();
        }
    }
}

/// What was said, in the order in which it was stored.
async fn stored(face: &Face, channel: &str) -> Vec<String> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page =
            face.perform(Command::History { channel: named(channel), count: 200, before }).await.unwrap();
        let Reply::History(page) = page else { panic!("{page:?}") };
        let Some(first) = page.messages.first() else { break };
        before = Some(first.seq);
        all.splice(0..0, page.messages.into_iter().map(|message| message.text.unwrap()));
    }
    all
}

async fn scroll_to_the_first(browser: &Browser) {
    const ROWS: &str = "document.querySelectorAll('#log .message').length";
    const IS_FIRST: &str = "document.querySelector('#log .begin') !== null";
    while browser.js(IS_FIRST).await != json!(true) {
        let shown = browser.js(ROWS).await;
        browser.js("document.getElementById('scroll').scrollTop = -1e9").await;
        browser.until(&format!("{ROWS} > {shown} || {IS_FIRST}")).await;
    }
}

#[actix::test]
async fn history_is_scrolled_to_the_first_message() {
    if !there_is_one() {
        return;
    }
    const MANY: usize = 2000;
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    ken.host("first").await;
    say_many(&ken, "first", 1..MANY + 1).await;
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/c/first")).await;
    browser.until_gone("#outbox .message").await;
    browser
        .until(&format!(
            "[...document.querySelectorAll('#log .message')].at(-1).dataset.at.endsWith(':{MANY}')"
        ))
        .await;
    // However much there is, a page begins with a screenful, at its end.
    let size = browser.js("performance.getEntriesByType('navigation')[0].decodedBodySize").await;
    assert!(size.as_u64().unwrap() < 100_000, "{size}");
    browser.until("Math.abs(document.getElementById('scroll').scrollTop) < 40").await;

    // Scrolling up loads what is above.
    scroll_to_the_first(&browser).await;
    let shown = browser.messages().await;
    assert_eq!(shown.len(), MANY);
    assert_eq!(shown, stored(&ken, "first").await);

    // And back to the newest.
    browser.click("#jump").await;
    browser.until("Math.abs(document.getElementById('scroll').scrollTop) < 40").await;
    browser.until("document.getElementById('jump').hidden").await;
    browser.quit().await;
    ken.stop().await;
}

#[expect(clippy::print_stderr, reason = "what it costs is measured and not asserted")]
fn say_figures(messages: usize, paints: &[f64], weight: u64) {
    eprintln!("first paint with {messages} messages, in ms: {paints:?}; all of the page has {weight} bytes");
}

#[actix::test]
async fn a_channel_with_ten_thousand_messages_opens_like_any_other() {
    if !there_is_one() {
        return;
    }
    const MANY: usize = 10_000;
    const PAINT: &str = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
    const WEIGHT: &str = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')) \
                          .reduce((sum, one) => sum + one.encodedBodySize, 0)";
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    ken.host("first").await;
    Writer::new(&world).await.write(MANY as u64).await;
    crate::support::until("all have come in", async || {
        matches!(ken.perform(Command::Connected).await, Ok(Reply::Connected(list)) if list.channels[0].seq == MANY as u64)
    })
    .await;
    let browser = ken.browser(&driver).await;
    let mut paints = Vec::new();
    for _ in 0..7 {
        browser.goto("about:blank").await;
        browser.goto(&ken.at("/c/first")).await;
        browser.until(&format!("({PAINT}) !== null")).await;
        paints.push(browser.js(PAINT).await.as_f64().unwrap().round());
        browser
            .until(&format!(
                "[...document.querySelectorAll('#log .message')].at(-1).dataset.at.endsWith(':{MANY}')"
            ))
            .await;
        // A screenful, however many there are.
        browser.until("document.querySelectorAll('#log .message').length === 60").await;
    }
    let weight = browser.js(WEIGHT).await.as_u64().unwrap();
    say_figures(MANY, &paints, weight);
    assert!((50_000..150_000).contains(&weight), "{weight}");
    browser.quit().await;
    ken.stop().await;
}

#[actix::test]
async fn a_burst_leaves_the_page_small_and_usable() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let (mut ken, mut charlie) = (Face::of(&world, "ken").await, Face::of(&world, "charlie").await);
    ken.host("first").await;
    charlie.perform(join("first")).await.unwrap();
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/c/first")).await;
    browser.write("before").await;
    browser.until_shows("#log .own", "before").await;
    // How often the page was drawn anew, and what its user can do meanwhile.
    browser.js("(window.swaps = 0, document.body.addEventListener('htmx:wsAfterMessage', () => window.swaps++), true)").await;
    say_many(&charlie, "first", 1..1001).await;
    browser.press("#text", "typed meanwhile").await;
    browser
        .until("[...document.querySelectorAll('#log .message')].at(-1).dataset.at.endsWith(':1001')")
        .await;
    browser.until("document.getElementById('text').value === 'typed meanwhile'").await;
    let swaps = browser.js("window.swaps").await.as_u64().unwrap();
    assert!(swaps < 400, "the page was changed {swaps} times");
    browser.until("document.querySelectorAll('#log .message').length <= 1002").await;
    let shown = browser.messages().await;
    assert!(shown.len() >= 60, "{shown:?}");
    assert!(stored(&ken, "first").await.ends_with(&shown), "{shown:?}");
    browser.quit().await;
    charlie.stop().await;
    ken.stop().await;
}

/// What breaks programs that take and show text. All has to be shown as it is.
const NAUGHTY: [&str; 34] = [
    "undefined",
    "null",
    "\\",
    "NULL; DROP TABLE messages --",
    "1/0 $1.00 0x0 NaN Infinity",
    "&lt;b&gt; &amp;amp; &#60; &nbsp;",
    "<!-- comment --> <![CDATA[ x ]]> <?xml?>",
    "</li></ol></main></body></html>",
    "{% raw %} ${x} {{x}} <%= x %>",
    "'\"`´‘’“”",
    "Ω≈ç√∫˜µ≤≥÷ åß∂ƒ©˙∆˚¬…æ",
    "田中さんにあげて下さい 部落格 사회과학원",
    "Ⱥ Ⱦ İ ı ſ ẞ ﬀ",
    "ثم نفس سقطت وبالتحديد، אי בְּרֵאשִׁית",
    "mixed عربي and latin עברית 123",
    "\u{202e}backwards\u{202c} and on",
    "\u{2066}isolated\u{2069} \u{200f}mark",
    "zero\u{200b}width\u{200d}joiners\u{feff}here",
    "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇨🇭 ✊🏿 1️⃣",
    "(╯°□°)╯︵ ┻━┻ ಠ_ಠ",
    "  two spaces  in  front and behind  ",
    "tab\there",
    "line\nbreak\n\nand an empty one",
    "`one tick",
    "``` three on a line ```",
    "@ken @everyone #first /quit",
    "http:// https:// mailto: http://[ http://a..b",
    "a@b.c.d.e,f@g.h",
    "test://x javascript:alert(1) data:text/html,x",
    "ﷺ ﷽ ꧅ 𒐫",
    "\u{fffd}\u{fffe}\u{ffff}",
    "𝕿𝖍𝖊 𝓺𝓾𝓲𝓬𝓴 Ｆｕｌｌ",
    "%s %d %n %00 ../../etc/passwd C:\\CON",
];

#[actix::test]
async fn naughty_strings_are_shown_as_they_are() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut ken = Face::of(&world, "ken").await;
    ken.host("first").await;
    let browser = ken.browser(&driver).await;
    browser.goto(&ken.at("/c/first")).await;
    browser.until("document.getElementById('lost').hidden").await;
    for (number, text) in NAUGHTY.iter().enumerate() {
        browser.write(text).await;
        browser.until(&format!("document.querySelectorAll('#log .message').length === {}", number + 1)).await;
    }
    assert_eq!(browser.messages().await, NAUGHTY);
    let list = include_str!("../data/naughty-strings.txt");
    let list = list.split('\n').filter(|text| !text.is_empty()).collect::<Vec<_>>();
    for text in &list {
        ken.send("first", text).await;
    }
    browser.goto(&ken.at("/c/first")).await;
    scroll_to_the_first(&browser).await;
    let shown = browser.messages().await;
    for (shown, text) in shown.iter().zip(NAUGHTY.iter().chain(&list)) {
        assert_eq!(shown, text);
    }
    assert_eq!(shown.len(), NAUGHTY.len() + list.len());
    // None of it spills over what stands around it.
    let width = "document.documentElement.scrollWidth <= innerWidth";
    browser.until(width).await;
    browser.look(360, 740, "light").await;
    browser.until(width).await;
    browser.quit().await;
    ken.stop().await;
}
