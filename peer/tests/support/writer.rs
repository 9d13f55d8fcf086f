//! A member that writes very much, straight to the host.

use common::link::Link;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use futures_util::future::join_all;

use super::{Raw, World, text_message};

/// Somebody who writes very much.
pub struct Writer {
    pub link: Link,
    /// How many so far.
    pub written: u64,
}

impl Writer {
    pub async fn new(world: &World) -> Self {
        Self::named(world, "writer").await
    }

    pub async fn named(world: &World, name: &str) -> Self {
        let raw = Raw::guest(world, name).await;
        let record = raw.locate("first").await;
        let seat = raw.enter(&record, None).await.unwrap();
        let link = seat.link.clone();
        let mut reader = seat.read();
        actix::spawn(async move { while reader.next().await.is_ok() {} });
        Self { link, written: 0 }
    }

    pub async fn write(&mut self, count: u64) {
        let upto = self.written + count;
        while self.written < upto {
            let end = upto.min(self.written + MAX_UNANSWERED_MESSAGES as u64);
            let answers = (self.written + 1..=end)
                .map(|number| self.link.send(&text_message(&number.to_string())).unwrap());
            for stored in join_all(answers.collect::<Vec<_>>()).await {
                stored.unwrap();
            }
            self.written = end;
        }
    }
}
