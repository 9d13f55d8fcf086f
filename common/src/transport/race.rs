//! Several ways at once, started one after the other; the first that gets through wins.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Starts `attempt` on each of `ways` in turn, and gives the first result there is; the other attempts are dropped.
///
/// The next attempt starts when the one before has taken `gap`, or at once when one has failed. Gives nothing
/// when all have failed.
pub(super) async fn staggered<W, T, F>(
    ways: impl IntoIterator<Item = W>,
    gap: Duration,
    mut attempt: impl FnMut(W) -> F,
) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let mut waiting = ways.into_iter().fuse();
    let mut running = FuturesUnordered::new();
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(way) = next {
            running.push(attempt(way));
        }
        tokio::select! {
            outcome = running.next() => match outcome {
                Some(Some(winner)) => return Some(winner),
                Some(None) => {}
                None => return None,
            },
            () = tokio::time::sleep(gap), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_failure_starts_the_next_at_once() {
        let winner = staggered(1..=3, LONG, |way| ready((way == 3).then_some(way))).await;
        assert_eq!(winner, Some(3));
    }

    #[tokio::test]
    async fn a_silent_way_does_not_hold_up_the_next() {
        let attempt = |way| async move { if way == 1 { pending().await } else { Some(way) } };
        assert_eq!(staggered(1..=2, Duration::from_millis(1), attempt).await, Some(2));
    }

    #[tokio::test]
    async fn a_quick_first_way_is_the_only_one_tried() {
        let tried = AtomicUsize::new(0);
        let attempt = |way| {
            tried.fetch_add(1, Ordering::Relaxed);
            ready(Some(way))
        };
        assert_eq!(staggered(1..=2, LONG, attempt).await, Some(1));
        assert_eq!(tried.into_inner(), 1);
    }

    #[tokio::test]
    async fn nothing_comes_of_no_way_and_of_failures_only() {
        assert_eq!(staggered(0..0, LONG, |way| ready(Some(way))).await, None);
        assert_eq!(staggered(0..3, LONG, |_| ready(None::<()>)).await, None);
    }
}
