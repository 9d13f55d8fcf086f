//! What the log of a whole life of an account does not say. Alone in its program, since the log is one for the process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::proto::directory::Password;
use common::proto::status::Code;
use common::secret::Secret;
use support::{config, start};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[actix_rt::test]
async fn passwords_are_in_no_log() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (first, second) = (tracker.stranger().await, tracker.stranger().await);
    first.signup("ken", "hush-one-hush").await.unwrap();
    assert_eq!(second.signin("ken", "hush-two-hush").await.unwrap_err(), Code::BadPassword);
    assert_eq!(second.signup("ken", "hush-three-hush").await.unwrap_err(), Code::NameTaken);
    assert_eq!(second.signup("charlie", "hush").await.unwrap_err(), Code::PasswordLength);
    let change = Password { old: Secret::new("hush-one-hush"), new: Secret::new("hush-four-hush") };
    first.ask(&change).await.unwrap();
    tracker.stop().await;

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("account made") && log.contains("SIGNUP") && log.contains("bad_password"), "{log}");
    for secret in ["hush", "$argon2id$"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
