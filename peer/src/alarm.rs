//! How a part that others depend on tells that it has died: the process then ends with an error, instead of being
//! silently half there.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once, heard by whoever runs the peer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alarm(Arc<watch::Sender<Option<String>>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Alarm {
    /// Says what has died. The first to say so is heard.
    pub fn raise(&self, reason: String) {
        tracing::error!(reason, "the peer cannot go on");
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(reason);
            is_first
        });
    }

    /// What has died, if anything has.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until something has died.
    pub async fn raised(&self) -> String {
        let mut raised = self.0.subscribe();
        match raised.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives as long as `self`.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Raises the alarm when it is dropped unexpectedly: a part keeps one, and is dropped with it when it panics.
#[derive(Debug)]
pub struct Death {
    part: &'static str,
    alarm: Option<Alarm>,
}

impl Death {
    /// The death of `part` raises `alarm`.
    pub fn of(part: &'static str, alarm: &Alarm) -> Self {
        Self { part, alarm: Some(alarm.clone()) }
    }

    /// From now on the end of the part is in order.
    pub fn expected(&mut self) {
        self.alarm = None;
    }
}

impl Drop for Death {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            alarm.raise(format!("{} died", self.part));
        }
    }
}
