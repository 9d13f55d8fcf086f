//! The one signal that ends a program in order.

use std::io;

use tokio::sync::watch;

/// Gives the signal. Dropping the last of its clones gives it too: who could have asked is gone.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Receives the signal; cheap to clone, one for whoever has to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl ShutdownTrigger {
    /// Asks everybody to stop. Asking again changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// A signal not given yet, and what gives it.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Waits until the signal is given; at once when it has been. Cancel safe.
    pub async fn requested(&self) {
        // The error says that no trigger is left, which is the signal as well.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Whether the signal has been given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Waits until the operator wants the process to end: Ctrl-C, or SIGTERM where there is one.
///
/// From the first poll on, these no longer end the process by themselves. Fails when the system refuses to
/// tell us of them.
pub async fn termination() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn everybody_hears_of_it_early_or_late() {
        let (trigger, shutdown) = Shutdown::new();
        let mut early = pin!(shutdown.requested());
        assert!(early.as_mut().now_or_never().is_none() && !shutdown.is_requested());
        trigger.clone().request();
        trigger.request();
        timeout(SOON, early).await.unwrap();
        timeout(SOON, shutdown.clone().requested()).await.unwrap();
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_lost_trigger_counts_as_given() {
        let (trigger, shutdown) = Shutdown::new();
        let other = trigger.clone();
        drop(trigger);
        assert!(!shutdown.is_requested());
        drop(other);
        assert!(shutdown.is_requested());
        timeout(SOON, shutdown.requested()).await.unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn sigterm_is_a_wish_to_end() {
        use rustix::process::{Signal, getpid, kill_process};
        let mut end = pin!(termination());
        assert!(end.as_mut().now_or_never().is_none());
        kill_process(getpid(), Signal::TERM).unwrap();
        timeout(SOON, end).await.unwrap().unwrap();
    }
}
