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
