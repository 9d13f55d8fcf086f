//! What went wrong before two were talking.

use peer::api::{Command, DirectCommand, Event};
use peer::ui::parse::parse;

use crate::support::{Raw, RawTalk, World};

/// `/start`, `/chat` and the others ended the program when nothing followed them.
#[test]
fn a_command_without_arguments() {
    for word in
        ["start", "chat", "msg", "accept", "reject", "close", "block", "unblock", "talk @", "history @"]
    {
        for line in [word.to_owned(), format!("/{word}"), format!("{word} "), format!("{word} @")] {
            assert!(parse(&line).is_err(), "{line:?} is refused, with how it is typed");
        }
    }
    for line in ["msg ken", "msg ken ", "chat ken", "broadcast", "/broadcast", "broadcast "] {
        assert!(parse(line).is_err(), "{line:?}");
    }
}

/// Whoever connected could talk; the target was never asked. And after it had said no, the connection stayed.
#[actix::test]
async fn the_target_is_asked() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    let eve = Raw::guest(&world, "eve").await;
    let knock = common::proto::knock::Knock { name: "ken".parse().unwrap(), invisible: false };
    crate::support::within(eve.control.request(&knock)).await.unwrap();
    ken.expect("a request", |event| matches!(event, Event::ChatRequest(_)).then_some(())).await;
    assert_eq!(ken.status().await.listen, None, "nobody can connect before somebody is agreed to");
    let user = "eve".parse().unwrap();
    ken.done(Command::Direct(DirectCommand::Accept { user, key: None })).await;
    crate::support::until("ken listens", async || ken.status().await.listen.is_some()).await;
    let mut talk = RawTalk::again(&eve, &ken).await;
    let user = "eve".parse().unwrap();
    ken.done(Command::Direct(DirectCommand::Block { user })).await;
    talk.end().await;
}
