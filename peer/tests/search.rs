//! What was said is found, with nobody else there, in whatever it came.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use peer::Config;
use peer::api::{
    AnyMessage, Command, DirectCommand, Event, Found, HistoryOf, Look, Place, Reply, SearchCommand,
};
use peer::client::CatchUp;
use support::{Person, World, Writer, named, stored};

fn look(words: &str) -> Look {
    Look { words: words.to_owned(), limit: 100, ..Look::default() }
}

fn inside(channel: &str) -> Option<Place> {
    Some(Place::Channel(named(channel)))
}

fn search(look: Look) -> Command {
    Command::Search(SearchCommand::Find(Box::new(look)))
}

async fn found(person: &Person, look: Look) -> Found {
    let Reply::Found(found) = person.done(search(look)).await else { unreachable!() };
    found
}

/// Looks until all that is here was looked through.
async fn all_found(person: &Person, look: Look) -> Found {
    support::within(async {
        loop {
            let found = found(person, look.clone()).await;
            if found.missing == 0 {
                return found;
            }
        }
    })
    .await
}

fn texts(found: &Found) -> Vec<&str> {
    found.hits.iter().filter_map(|hit| hit.message.text()).collect()
}

async fn says(person: &mut Person, channel: &str, texts: &[&str]) {
    for text in texts {
        person.send(channel, text).await;
        person.expect("stored", stored).await;
    }
}

#[actix::test]
async fn a_member_finds_what_was_said_with_host_and_tracker_away() {
    let mut world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    ken.host("first").await;
    charlie.join("first").await;
    says(&mut ken, "first", &["the kernel panics", "did you look?", "Größe: 5 cm", "see http://x.org/log"])
        .await;
    says(&mut charlie, "first", &["which kernel?", "日本語のカーネル"]).await;
    charlie.reads("first", 6).await;
    ken.stop().await;
    world.stop_tracker().await;

    let kernel = found(&charlie, look("KERNEL")).await;
    assert_eq!(texts(&kernel), ["which kernel?", "the kernel panics"]);
    assert_eq!((kernel.total, kernel.missing, kernel.older), (2, 0, None));
    assert_eq!(kernel.hits[1].snippet.marks, [(4, 6)]);
    assert_eq!(kernel.hits[1].jump.as_deref(), Some("history first --around 1"));
    for (words, expected) in
        [("grosse", "Größe: 5 cm"), ("カーネル", "日本語のカーネル"), ("pan*", "the kernel panics")]
    {
        assert_eq!(texts(&found(&charlie, look(words)).await), [expected], "{words}");
    }
    let of_ken = Look { from: Some("KEN".to_owned()), place: inside("first"), ..look("kernel") };
    assert_eq!(texts(&found(&charlie, of_ken).await), ["the kernel panics"]);
    assert_eq!(texts(&found(&charlie, Look { link: true, ..look("") }).await), ["see http://x.org/log"]);
    let later = Look { since: Some(common::clock::Timestamp::now()), ..look("kernel") };
    assert_eq!(texts(&found(&charlie, later).await), [""; 0]);

    let around = found(&charlie, Look { context: 2, ..look("look") }).await;
    let of = |messages: &[AnyMessage]| {
        messages.iter().map(|message| message.text().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&around.hits[0].before), ["the kernel panics"]);
    assert_eq!(of(&around.hits[0].after), ["Größe: 5 cm", "see http://x.org/log"]);

    // The same after a restart, and the way to read on.
    charlie.restart().await;
    assert_eq!(texts(&found(&charlie, look("kernel")).await), ["which kernel?", "the kernel panics"]);
    let Reply::History(HistoryOf { messages, .. }) =
        charlie.done(Command::History { channel: named("first"), count: 3, before: Some(5 + 2) }).await
    else {
        unreachable!()
    };
    assert_eq!(messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [4, 5, 6]);
}

#[actix::test]
async fn what_cannot_be_looked_for_is_said() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    assert_eq!(ken.refused(search(look(""))).await, Code::Usage);
    assert_eq!(ken.refused(search(look("-not ??"))).await, Code::Usage);
    assert_eq!(ken.refused(search(look(&"x".repeat(5000)))).await, Code::Usage);
    assert_eq!(ken.refused(search(Look { place: inside("nowhere"), ..look("x") })).await, Code::NotJoined);
    let nobody = Place::User("nobody".parse().unwrap());
    assert_eq!(ken.refused(search(Look { place: Some(nobody), ..look("x") })).await, Code::NotContact);
    assert_eq!(found(&ken, look("x")).await.total, 0);
}

#[actix::test]
async fn the_owner_finds_each_message_once_also_after_leaving() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    says(&mut ken, "first", &["one thing", "another thing"]).await;
    assert_eq!(texts(&found(&ken, look("thing")).await), ["another thing", "one thing"]);
    ken.restart().await;
    ken.entered().await;
    assert_eq!(texts(&found(&ken, look("thing")).await), ["another thing", "one thing"]);
    ken.leave("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    says(&mut charlie, "first", &["a third thing"]).await;
    let all = found(&ken, look("thing")).await;
    assert_eq!(texts(&all), ["a third thing", "another thing", "one thing"]);
    assert_eq!((all.total, all.missing), (3, 0));
}

#[actix::test]
async fn private_conversations_are_found_too_and_only_by_those_who_had_them() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    ken.done(Command::Direct(DirectCommand::Start { user: "charlie".parse().unwrap() })).await;
    let asked = |event: &Event| matches!(event, Event::ChatRequest(_)).then_some(());
    charlie.expect("a request", asked).await;
    let accept = DirectCommand::Accept { user: "ken".parse().unwrap(), key: None };
    charlie.done(Command::Direct(accept)).await;
    let agreed = |event: &Event| matches!(event, Event::Chat { .. }).then_some(());
    ken.expect("an answer", agreed).await;
    for text in ["a secret plan", "and one thing more", "the plan stands"] {
        let user = "charlie".parse().unwrap();
        ken.done(Command::Direct(DirectCommand::Msg { user, text: text.to_owned() })).await;
        charlie.reads_alone(text).await;
    }
    for person in [&ken, &charlie] {
        let plans = found(person, Look { context: 1, ..look("plan") }).await;
        assert_eq!(texts(&plans), ["the plan stands", "a secret plan"]);
        assert_eq!(plans.hits[1].after[0].text(), Some("and one thing more"));
    }
    let with = |user: &str| Some(Place::User(user.parse().unwrap()));
    let plans =
        found(&charlie, Look { place: with("ken"), from: Some("ken".to_owned()), ..look("plan") }).await;
    assert_eq!(plans.hits[1].jump.as_deref(), Some("history @ken --around 1"));
    let eve = world.guest("eve").await;
    assert_eq!(found(&eve, look("plan")).await.total, 0);
}

#[actix::test]
async fn what_is_filled_in_behind_is_found_once_it_is_there_and_the_index_can_be_thrown_away() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let mut writer = Writer::new(&world).await;
    let config = Config {
        catch_up: CatchUp { far_behind: 100, tail: 10, ..CatchUp::default() },
        ..world.config("charlie")
    };
    let mut charlie = world.person(config).await;
    charlie.entered().await;
    charlie.join("first").await;
    writer.write(5).await;
    charlie.reads("first", 5).await;
    charlie.stop().await;
    writer.write(1500).await;
    charlie.start().await;
    let filled = |event: &Event| matches!(event, Event::Filled { .. }).then_some(());
    charlie.expect("the end of the filling", filled).await;
    let one = |number: u64| look(&format!("\"{number}\""));
    for number in [1, 5, 6, 700, 1495, 1496, 1505] {
        assert_eq!(all_found(&charlie, one(number)).await.total, 1, "{number}");
    }
    let all = all_found(&charlie, Look { from: Some("writer".to_owned()), ..look("") }).await;
    assert_eq!(all.total, 1505);
    let Reply::Reindexing(made) = charlie.done(Command::Search(SearchCommand::Rebuild)).await else {
        unreachable!()
    };
    assert_eq!(made.entries, 1505);
    assert_eq!(all_found(&charlie, Look { from: Some("writer".to_owned()), ..look("") }).await.total, 1505);

    charlie.stop().await;
    std::fs::remove_dir_all(charlie.config.data.join("search")).unwrap();
    charlie.start().await;
    assert_eq!(all_found(&charlie, one(700)).await.total, 1);
    // Page by page, and nothing twice.
    let (mut seqs, mut older) = (Vec::new(), None);
    loop {
        let from_writer = Look { from: Some("writer".to_owned()), limit: 100, older, ..look("") };
        let page = all_found(&charlie, from_writer).await;
        seqs.extend(page.hits.iter().map(|hit| hit.message.text().unwrap().parse::<u64>().unwrap()));
        older = page.older;
        if older.is_none() {
            break;
        }
    }
    assert_eq!(seqs, (1..=1505).rev().collect::<Vec<_>>());
}

#[actix::test]
async fn who_has_only_a_part_has_the_host_look_in_all_of_it() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let texts_said = (1..=70).map(|number| format!("message {number}")).collect::<Vec<_>>();
    says(&mut ken, "first", &texts_said.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.reads("first", 70).await;
    let third = Look { place: inside("first"), ..look("3") };
    assert_eq!(found(&charlie, third.clone()).await.total, 0, "the newest 50 came");
    let third = Look { at_host: true, ..third };
    let at_host = found(&charlie, third.clone()).await;
    assert_eq!(texts(&at_host), ["message 3"]);
    assert_eq!(at_host.hits[0].snippet.marks, [(8, 1)]);
    assert_eq!(at_host.hits[0].jump.as_deref(), Some("history first --around 3"));
    // Page by page.
    let (mut all, mut older) = (Vec::new(), None);
    for _ in 0..3 {
        let page =
            Look { limit: 30, older, ..Look { at_host: true, place: inside("first"), ..look("message") } };
        let page = found(&charlie, page).await;
        all.extend(texts(&page).into_iter().map(str::to_owned));
        older = page.older;
    }
    assert_eq!((all, older), (texts_said.into_iter().rev().collect(), None));
    // Who may not read any more finds nothing there, and keeps what there is here.
    let restricted = peer::api::ModerationCommand::View(common::proto::directory::View::Restricted);
    ken.done(Command::Moderate { channel: named("first"), order: restricted }).await;
    charlie.expect_connection("first", peer::api::LinkState::Retrying).await;
    assert_eq!(charlie.refused(search(third)).await, Code::NotAdmitted);
    assert_eq!(texts(&found(&charlie, look("70")).await), ["message 70"], "what was received stays");
}
