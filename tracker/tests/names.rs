//! Names of accounts, of guests and of channels keep to one rule: who comes second gets no name that could be taken for
//! the first one's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::proto::Command;
use common::proto::status::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{PASSWORD, channel, config, start};

/// Commands whose bodies may be anything.
macro_rules! commands {
    ($($command:ident $name:literal;)*) => {
        $(#[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct $command(Value);

        impl Command for $command {
            const NAME: &'static str = $name;
            type Reply = Value;
        })*
    };
}

commands! {
    Guest "GUEST";
    Signup "SIGNUP";
    Signin "SIGNIN";
    Resolve "RESOLVE";
    Host "HOST";
}

/// Each is taken for `paypal`: the same folded, or the same to the eye.
const LIKE_PAYPAL: &[&str] = &["PayPal", "раураl", "РауРаl", "paypaI", "ｐａｙｐａｌ"];
/// None of these is a name at all.
const NO_NAMES: &[&str] = &[
    "",
    "..",
    "#ops",
    "@ken",
    "a/b",
    "a:b",
    "a\u{200b}b",
    "\u{202e}nek",
    "a\u{0}",
    "a\nb",
    "a\u{ad}b",
    "ken ",
];

#[actix_rt::test]
async fn a_name_that_looks_like_somebodys_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (holder, client) = (tracker.account("paypal").await, tracker.stranger().await);
    for name in LIKE_PAYPAL {
        assert_eq!(client.signup(name, PASSWORD).await.unwrap_err(), Code::NameTaken, "{name}");
        let refused = client.guest(name).await.unwrap_err();
        let is_same = name.to_lowercase() == "paypal";
        assert_eq!(refused, if is_same { Code::NameRegistered } else { Code::NameTaken }, "{name}");
    }
    // A guest's name is as safe as an account's.
    let guest = tracker.guest("apple").await;
    for name in ["Apple", "аррӏе", "аpple"] {
        assert_eq!(client.guest(name).await.unwrap_err(), Code::NameTaken, "{name}");
        assert_eq!(client.signup(name, PASSWORD).await.unwrap_err(), Code::NameTaken, "{name}");
    }
    holder.host(&channel("paypal")).await.unwrap();
    for name in LIKE_PAYPAL {
        assert_eq!(guest.host(&channel(name)).await.unwrap_err(), Code::NameTaken, "{name}");
    }
    // A channel and a user may be called the same: nobody takes one for the other.
    guest.host(&channel("apple")).await.unwrap();
    assert_eq!(holder.renew().await.unwrap().name, "paypal", "nobody has lost anything");
    assert_eq!(guest.renew().await.unwrap().name, "apple");
    tracker.stop().await;
}

#[actix_rt::test]
async fn what_is_no_name_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let client = tracker.guest("ken").await;
    let long = "x".repeat(33);
    for name in NO_NAMES.iter().copied().chain([long.as_str()]) {
        let announced = serde_json::to_value(channel("first")).unwrap();
        let mut announced = announced.as_object().unwrap().clone();
        announced.insert("name".to_owned(), json!(name));
        let with_password = json!({"name": name, "password": PASSWORD});
        let answers = [
            client.ask(&Guest(json!({"name": name}))).await,
            client.ask(&Signup(with_password.clone())).await,
            client.ask(&Signin(with_password)).await,
            client.ask(&Resolve(json!({"name": name}))).await,
            client.ask(&Host(announced.into())).await,
        ];
        for answer in answers {
            assert_eq!(answer.unwrap_err(), Code::BadRequest, "{name:?}");
        }
    }
    tracker.stop().await;
}
