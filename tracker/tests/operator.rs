//! What the operator does takes effect at once, is kept over a restart, and stands in the audit log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::link::CloseReason;
use common::proto::directory::{Signin, Signout, Unhost};
use common::proto::event::TrackerEvent;
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use serde_json::Value;
use support::{Client, PASSWORD, Running, channel, config, start, within};
use tracker::admin::command::Typed;
use tracker::admin::{self, report::Report};

async fn run(tracker: &Running, line: &str) -> Result<Value, Refusal> {
    let report = within(admin::run(&tracker.ready.tracker, "a test", Typed::Line(line))).await?;
    assert!(report.text().ends_with('\n'), "{}", report.text());
    Ok(serde_json::to_value(&report).unwrap())
}

async fn done(tracker: &Running, line: &str) -> Value {
    run(tracker, line).await.unwrap_or_else(|refusal| panic!("{line}: {refusal}"))
}

async fn refused(tracker: &Running, line: &str) -> Code {
    run(tracker, line).await.expect_err(line).code
}

async fn told(client: &Client) -> Refusal {
    match within(client.link.closed()).await {
        CloseReason::Told(refusal) => refusal,
        other => panic!("{other}"),
    }
}

/// Who, what and why of the audit log.
async fn audit(tracker: &Running) -> Vec<[String; 3]> {
    let found = done(tracker, "audit").await;
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rows = found["actions"].as_array().unwrap().iter();
    rows.map(|row| {
        assert_eq!(row["by"], "a test");
        [text(row, "action"), text(row, "target"), text(row, "why")]
    })
    .collect()
}

#[actix_rt::test]
async fn a_suspended_account_is_out_at_once_and_stays_out_until_it_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let identity = common::identity::Identity::generate().unwrap();
    let pocket = tracker.client(&identity).await;
    let pass = pocket.signin("ken", PASSWORD).await.unwrap();
    // A pass lasts for a day after its device has signed itself out.
    let lent = tracker.stranger().await;
    lent.signin("ken", PASSWORD).await.unwrap();
    lent.ask(&Signout {}).await.unwrap();
    let mut host = tracker.guest("host").await;
    host.host(&channel("first")).await.unwrap();

    done(&tracker, "suspend Ken sold the members' list").await;
    for client in [&ken, &pocket] {
        let refusal = told(client).await;
        assert_eq!(refusal.code, Code::Suspended);
        assert!(refusal.reason.ends_with(": sold the members' list"), "{refusal}");
    }
    let TrackerEvent::Revoked(revoked) = host.event().await else { panic!("not REVOKED") };
    assert_eq!(revoked.keys, [ken.key, pocket.key, lent.key]);
    assert!(revoked.rev > pass.serial);
    assert_eq!(refused(&tracker, "suspend ken again").await, Code::BadRequest);
    assert_eq!(refused(&tracker, "suspend nobody").await, Code::BadRequest);

    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let pocket = tracker.client(&identity).await;
    assert_eq!(pocket.renew().await.unwrap_err(), Code::Suspended);
    let stranger = tracker.stranger().await;
    assert_eq!(stranger.signin("ken", PASSWORD).await.unwrap_err(), Code::Suspended);
    assert_eq!(
        stranger.signin("ken", "wrong horse").await.unwrap_err(),
        Code::BadPassword,
        "told to nobody else"
    );
    let accounts = done(&tracker, "accounts k*").await;
    assert_eq!(
        (&accounts["rows"][0]["suspended"], &accounts["rows"][0]["devices"]),
        (&true.into(), &2.into())
    );

    done(&tracker, "unsuspend ken").await;
    let again = pocket.renew().await.unwrap();
    assert!(again.serial > revoked.rev, "the new pass counts");
    assert_eq!(refused(&tracker, "unsuspend ken").await, Code::BadRequest);
    let expected = [["suspend", "ken", "sold the members' list"], ["unsuspend", "ken", ""]];
    assert_eq!(audit(&tracker).await, expected.map(|row| row.map(str::to_owned)));
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_password_that_was_reset_is_new_and_signs_out_all_devices() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let report = done(&tracker, "reset-password ken forgot it").await;
    let password = report["password"].as_str().unwrap();
    assert_eq!(told(&ken).await.code, Code::Revoked);
    let client = tracker.stranger().await;
    assert_eq!(client.signin("ken", PASSWORD).await.unwrap_err(), Code::BadPassword);
    client.signin("ken", password).await.unwrap();
    assert_eq!(audit(&tracker).await, [["reset-password", "ken", "forgot it"].map(str::to_owned)]);
    assert!(!done(&tracker, "audit").await.to_string().contains(password));
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_broadcast_reaches_all_who_have_entered() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (mut ken, mut guest) = (tracker.account("ken").await, tracker.guest("guest").await);
    let stranger = tracker.stranger().await;
    let report = done(&tracker, "broadcast we move  at noon").await;
    assert!(report["done"].as_str().unwrap().contains(" 2 "), "{report}");
    for client in [&mut ken, &mut guest] {
        let TrackerEvent::Broadcast(told) = client.event().await else { panic!("not BROADCAST") };
        assert_eq!((told.text.as_str(), told.from.is_none()), ("we move  at noon", true));
    }
    let mut stranger = stranger;
    stranger.expect_nothing().await;
    let long = format!("broadcast {}", "x".repeat(16 * 1024 + 1));
    assert_eq!(refused(&tracker, &long).await, Code::TextTooLong);
    assert_eq!(audit(&tracker).await, [["broadcast", "", "we move  at noon"].map(str::to_owned)]);
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_removed_channel_stays_away_until_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = common::identity::Identity::generate().unwrap();
    let ken = tracker.client(&identity).await;
    ken.signup("ken", PASSWORD).await.unwrap();
    let first = channel("my room");
    ken.host(&first).await.unwrap();
    let mut ada = tracker.account("ada").await;
    ada.locate("my room").await.unwrap();
    assert_eq!(done(&tracker, "channels").await["rows"][0]["online"], true);

    done(&tracker, "remove-channel \"my room\" nobody is there").await;
    assert_eq!(told(&ken).await.code, Code::ChannelRemoved);
    assert_eq!(ada.expect_down().await, first.id);
    assert_eq!(ada.locate("my room").await.unwrap_err(), Code::NoSuchChannel);
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let ken = tracker.client(&identity).await;
    ken.renew().await.unwrap();
    assert_eq!(ken.host(&first).await.unwrap_err(), Code::ChannelRemoved);
    let ada = tracker.account("bob").await;
    let other = channel("my room");
    ada.host(&other).await.unwrap();

    assert_eq!(refused(&tracker, &format!("restore-channel {}", other.id)).await, Code::BadRequest);
    done(&tracker, &format!("restore-channel {} a mistake", first.id)).await;
    assert_eq!(ken.host(&first).await.unwrap_err(), Code::NameTaken);
    ada.ask(&Unhost { id: other.id, release: true }).await.unwrap();
    ken.host(&first).await.unwrap();
    let found = audit(&tracker).await;
    assert_eq!(found.iter().map(|row| row[2].as_str()).collect::<Vec<_>>(), ["nobody is there", "a mistake"]);
    assert!(found.iter().all(|row| row[1] == format!("my room ({})", first.id)), "{found:?}");
    tracker.stop().await;
}

#[actix_rt::test]
async fn lists_and_numbers_show_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let _ken = tracker.account("ken").await;
    let ada = tracker.account("Ada").await;
    let _guest = tracker.guest("guest").await;
    ada.host(&channel("first")).await.unwrap();
    done(&tracker, "suspend ken").await;
    let stats = done(&tracker, "stats").await;
    for (field, count) in
        [("accounts", 2), ("suspended", 1), ("channels", 1), ("hosted", 1), ("revocations", 1)]
    {
        assert_eq!(stats[field], count, "{stats}");
    }
    let accounts = done(&tracker, "accounts").await;
    let names = accounts["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["Ada", "ken"]);
    assert_eq!(done(&tracker, "channels f*").await["total"], 1);
    assert_eq!(done(&tracker, "channels g*").await["total"], 0);
    assert_eq!(refused(&tracker, "fly").await, Code::Usage);
    let Report::Help { commands } =
        admin::run(&tracker.ready.tracker, "", Typed::Line("help")).await.unwrap()
    else {
        panic!("no help")
    };
    assert_eq!(commands.len(), admin::command::TABLE.len());
    // A password that is being checked while its account is suspended lets nobody in.
    let signin = Signin { name: "ken".parse().unwrap(), password: Secret::new(PASSWORD) };
    assert_eq!(tracker.stranger().await.ask(&signin).await.unwrap_err(), Code::Suspended);
    tracker.stop().await;
}
