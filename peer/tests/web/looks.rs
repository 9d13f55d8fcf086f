//! What each page looks like, wide and narrow, light and dark: pictures for people, in `target/screenshots`.

use std::time::Duration;

use peer::api::{Command, DirectCommand, Reply};

use crate::browser::{Browser, Driver, there_is_one};
use crate::face::Face;
use crate::support::{World, join};

const SIZES: [(&str, u32, u32); 3] = [("narrow", 360, 740), ("middle", 1100, 720), ("wide", 1600, 900)];

/// Takes pictures of what the browser shows, in every size and light.
pub async fn pictures(browser: &Browser, name: &str) {
    for (size, width, height) in SIZES {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme).await;
            browser.until("document.documentElement.scrollWidth <= innerWidth").await;
            browser.picture(&format!("{name}-{size}-{scheme}")).await;
        }
    }
    browser.look(1280, 800, "light").await;
}

/// People who have something to say to each other.
struct Town {
    ken: Face,
    ada: Face,
    grace: Face,
}

impl Town {
    async fn new(world: &World) -> Self {
        let mut config = world.config("grace");
        config.expire = Some(Duration::from_secs(2));
        let ken = Face::of(world, "ken").await;
        let town = Self { ken, ada: Face::of(world, "ada").await, grace: Face::start(config).await };
        crate::support::within(town.grace.node().settled()).await;
        let password = || common::secret::Secret::new("correct horse battery");
        for face in [&town.ken, &town.ada] {
            face.perform(Command::Signup { name: None, password: password() }).await.unwrap();
        }
        town.ada.host("garden").await;
        town.ken.host("book club").await;
        town.ken.host("night shift").await;
        for face in [&town.ken, &town.grace] {
            face.perform(join("garden")).await.unwrap();
        }
        town.ada.perform(join("book club")).await.unwrap();
        town.grace.perform(join("book club")).await.unwrap();
        town
    }

    async fn talk(&self) {
        let said: [(&Face, &str); 14] = [
            (&self.ada, "Good morning! The tomatoes came through the frost."),
            (&self.ada, "Seven of the nine, at least."),
            (&self.ken, "That is more than I hoped for. Did you cover them?"),
            (
                &self.ada,
                "With fleece, from eight in the evening. I wrote down what I did:\nhttps://garden.example/frost-2026",
            ),
            (&self.grace, "Could somebody water the beds on Thursday? I am away until Friday."),
            (&self.ken, "I can."),
            (&self.ken, "The valve is still on a timer, by the way. This is what it runs:"),
            (&self.ken, "```\n# every morning at six, ten minutes\n0 6 * * *  valve open --minutes 10\n```"),
            (&self.grace, "Oh good. Then only the pots by the door, please, `two cans` are enough."),
            (&self.ada, "@ken the key is under the blue pot, not the green one."),
            (&self.ken, "Noted 👍"),
            (
                &self.grace,
                "You two are the best.\n\nI will bring back seeds: beans, kale and one that nobody could name.",
            ),
            (&self.ada, "A surprise bed it is."),
            (&self.ken, "By Saturday I have the second frame ready."),
        ];
        for (face, text) in said {
            face.send("garden", text).await;
            // One after another, as people talk.
            crate::support::until("it is stored", async || {
                let list = Command::Outbox(peer::api::OutboxCommand::List { channel: None });
                matches!(face.perform(list).await, Ok(Reply::Outbox(list)) if list.total == 0)
            })
            .await;
        }
        self.ada.send("book club", "Who has the Woolf? @ken?").await;
        self.grace.send("book club", "Me, until Sunday.").await;
    }

    /// Two talk alone, and a third one asks.
    async fn talk_alone(&self) {
        let direct = |command| Command::Direct(command);
        let named = |name: &str| name.parse::<common::name::UserName>().unwrap();
        self.ada.perform(direct(DirectCommand::Start { user: named("ken") })).await.unwrap();
        let accept = || direct(DirectCommand::Accept { user: named("ada"), key: None });
        crate::support::until("ken is asked", async || self.ken.perform(accept()).await.is_ok()).await;
        self.grace.perform(direct(DirectCommand::Start { user: named("ken") })).await.unwrap();
        let said = [
            (&self.ada, "ken", "Between us: it is her birthday on Saturday."),
            (&self.ken, "ada", "I know! I have ordered the cake. `18:00`, in the shed?"),
            (&self.ada, "ken", "Perfect. Not a word in #garden."),
        ];
        for (face, user, text) in said {
            let message = DirectCommand::Msg { user: named(user), text: text.to_owned() };
            face.perform(direct(message)).await.unwrap();
            crate::support::until("it has arrived", async || {
                let asked = DirectCommand::History { user: named(if user == "ken" { "ada" } else { "ken" }), count: 9, before: None };
                let other = if user == "ken" { &self.ken } else { &self.ada };
                matches!(other.perform(direct(asked)).await, Ok(Reply::Conversation(found)) if found.messages.last().is_some_and(|last| last.text.as_deref() == Some(text)))
            })
            .await;
        }
    }

    async fn stop(mut self) {
        self.ken.stop().await;
        self.ada.stop().await;
        self.grace.stop().await;
    }
}

#[actix::test]
async fn every_page_can_be_looked_at() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let mut town = Town::new(&world).await;
    town.talk().await;
    let browser = driver.browser().await;
    browser.goto(&town.ken.at("/")).await;
    pictures(&browser, "door").await;
    browser.goto(&town.ken.link()).await;
    browser.until_shows("#channels", "garden").await;
    browser.until_shows("#channels .badge", "@1").await;
    pictures(&browser, "home").await;
    browser.goto(&town.ken.at("/find")).await;
    pictures(&browser, "find").await;
    browser.goto(&town.ken.at("/me")).await;
    pictures(&browser, "me").await;
    browser.goto(&town.ken.at("/status")).await;
    pictures(&browser, "status").await;

    browser.goto(&town.ken.at("/c/garden")).await;
    browser.until_shows("#log", "second frame").await;
    pictures(&browser, "channel").await;
    browser.click("[data-toggle=about]").await;
    browser.until_shows("#about .people", "grace").await;
    pictures(&browser, "about").await;
    browser.click("#about .danger").await;
    browser.until("document.getElementById('confirm').open").await;
    pictures(&browser, "confirm").await;
    browser.click("#confirm button[value=no]").await;
    browser.click("[data-toggle=about]").await;
    browser.click("[data-open=switcher]").await;
    pictures(&browser, "switcher").await;
    browser.goto(&town.ken.at("/c/garden")).await;
    browser.click("[data-open=keys]").await;
    pictures(&browser, "keys").await;

    // A channel with nothing in it yet, and one whose host is away.
    browser.goto(&town.ken.at("/c/night%20shift")).await;
    browser.until_there("#log .begin").await;
    pictures(&browser, "empty").await;
    let graces = town.grace.browser(&driver).await;
    graces.goto(&town.grace.at("/c/garden")).await;
    town.ada.stop().await;
    graces.until_there("#standing .chip").await;
    graces.write("I forgot: the hose is in the shed.").await;
    graces.until_shows("#outbox .refused .why", "could not be sent in time").await;
    graces.write("And thank you!").await;
    graces.until_shows("#outbox", "thank you").await;
    pictures(&graces, "away").await;
    graces.goto(&town.grace.at("/status")).await;
    graces.until_shows("#foot", "away").await;
    pictures(&graces, "status-away").await;
    graces.goto(&town.grace.at("/me")).await;
    pictures(&graces, "guest").await;
    town.ada.start_again().await;

    // First contact with a tracker, as a new guest.
    let mut config = world.config("newcomer");
    config.tracker.key = None;
    let mut newcomer = Face::start(config).await;
    crate::support::within(newcomer.node().settled()).await;
    let new = newcomer.browser(&driver).await;
    pictures(&new, "welcome").await;
    new.goto(&newcomer.at("/me")).await;
    new.until_there("#fingerprint").await;
    pictures(&new, "first-contact").await;

    // On another machine of hers, where she has yet to say who she is.
    let mut laptop = Face::of(&world, "ada").await;
    let other = laptop.browser(&driver).await;
    other.until_there("#signin-password").await;
    pictures(&other, "enter").await;

    for browser in [browser, graces, new, other] {
        browser.quit().await;
    }
    newcomer.stop().await;
    laptop.stop().await;
    town.stop().await;
}

#[actix::test]
async fn people_and_troubles_can_be_looked_at() {
    if !there_is_one() {
        return;
    }
    let (mut world, driver) = (World::new().await, Driver::start());
    let mut town = Town::new(&world).await;
    town.talk().await;
    town.talk_alone().await;
    let browser = town.ken.browser(&driver).await;
    people(&browser, &town).await;
    orders(&browser, &town).await;
    told(&browser, &town).await;

    // Without a tracker, and without the peer.
    world.stop_tracker().await;
    browser.goto(&town.ken.at("/status")).await;
    browser.until_shows("#foot", "No tracker").await;
    pictures(&browser, "no-tracker").await;
    browser.goto(&town.ken.at("/c/garden")).await;
    browser.until_shows("#log", "second frame").await;
    town.ken.stop().await;
    browser.until("!document.getElementById('lost').hidden").await;
    pictures(&browser, "lost").await;
    town.ken.start_again().await;
    browser.quit().await;
    town.stop().await;
}

#[actix::test]
async fn what_was_found_can_be_looked_at() {
    if !there_is_one() {
        return;
    }
    let (world, driver) = (World::new().await, Driver::start());
    let town = Town::new(&world).await;
    town.talk().await;
    town.talk_alone().await;
    let browser = town.ken.browser(&driver).await;
    browser.goto(&town.ken.at("/search")).await;
    pictures(&browser, "search").await;
    browser.goto(&town.ken.at("/search?q=turnips&in=garden")).await;
    browser.until_shows("#search-said", "Nothing was found").await;
    pictures(&browser, "search-nothing").await;
    crate::search::look(&town.ken, &browser, "pots", 1).await;
    browser.goto(&town.ken.at("/search?q=the&near=garden")).await;
    browser.until_there("#found .hit").await;
    pictures(&browser, "search-found").await;
    browser.goto(&town.ken.at("/search?q=bed*&in=garden&host=yes")).await;
    browser.until_shows("#search-said", "what the host of").await;
    pictures(&browser, "search-host").await;
    browser.goto(&town.ken.at("/search?q=x%20before%20noon")).await;
    browser.until_there("#search-said .error").await;
    pictures(&browser, "search-slip").await;
    crate::search::look(&town.ken, &browser, "pots", 1).await;
    browser.click("#found .hit a").await;
    browser.until_there("#log .found").await;
    pictures(&browser, "at-message").await;
    for (size, width, height) in SIZES {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme).await;
            browser.js("[...document.querySelectorAll('#log .own .menu')].at(-1).click()").await;
            browser.until("document.getElementById('menu').matches(':popover-open')").await;
            browser.picture(&format!("menu-{size}-{scheme}")).await;
            browser.js("document.getElementById('menu').hidePopover()").await;
        }
    }
    browser.js("[...document.querySelectorAll('#log .own .menu')].at(-1).click()").await;
    browser.click("#menu button").await;
    pictures(&browser, "erase").await;
    browser.fill("#why", "said too early").await;
    browser.agree().await;
    browser.until_shows("#log .erased", "said too early").await;
    pictures(&browser, "erased").await;
    browser.quit().await;
    town.stop().await;
}

async fn people(browser: &Browser, town: &Town) {
    browser.goto(&town.ken.at("/people")).await;
    browser.until_shows("#here", "grace").await;
    pictures(browser, "people").await;
    browser.goto(&town.ken.at("/p/ada")).await;
    browser.until_shows("#log", "Not a word").await;
    pictures(browser, "private").await;
}

/// What an owner can do.
async fn orders(browser: &Browser, town: &Town) {
    browser.goto(&town.ken.at("/c/book%20club")).await;
    browser.until_shows("#log", "until Sunday").await;
    browser.click("[data-toggle=about]").await;
    browser.until_shows("#about .people", "grace").await;
    pictures(browser, "owner").await;
    browser.js("(document.querySelector('#about .people details').open = true)").await;
    pictures(browser, "member").await;
    browser
        .js("(document.querySelector('#about [hx-post$=\"/retention\"]').closest('details').open = true)")
        .await;
    pictures(browser, "retention").await;
    browser.click("[data-toggle=about]").await;
}

/// What is said to everybody, beside a field, and of who is invisible.
async fn told(browser: &Browser, town: &Town) {
    browser.goto(&town.ken.at("/find")).await;
    browser.fill("#host-name", "no/slash").await;
    browser.click("#host button").await;
    browser.until_there("#host-name-said:not(:empty)").await;
    let word = "The tracker moves to another machine tonight at ten; it is back after ten minutes.";
    town.ada.perform(Command::Broadcast { text: word.to_owned() }).await.unwrap();
    browser.until_shows("#toasts", "tonight").await;
    pictures(browser, "slip-and-word").await;
    town.ken.perform(Command::Invisible { on: true }).await.unwrap();
    browser.goto(&town.ken.at("/me")).await;
    browser.until_shows("#visibility", "You are invisible").await;
    pictures(browser, "invisible").await;
    town.ken.perform(Command::Invisible { on: false }).await.unwrap();
}
