//! Outcomes taken in the order in which they were asked for: of several futures that an actor has spawned and that are
//! ready at once, any may come first.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where futures are put in. They are polled one after the other: for those that do their work by themselves.
pub struct InOrder<T>(mpsc::Sender<Waiting<T>>);

/// There is no room for one more future.
#[derive(Debug)]
pub struct Full;

/// Room for so many futures, and the stream of their outcomes.
pub fn in_order<T: 'static>(room: usize) -> (InOrder<T>, impl Stream<Item = T> + 'static) {
    let (sender, receiver) = mpsc::channel::<Waiting<T>>(room);
    let waiting =
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    (InOrder(sender), waiting.then(|future| future))
}

impl<T> InOrder<T> {
    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.0.capacity() > 0
    }

    /// Puts a future in, behind the others.
    ///
    /// # Errors
    /// When there is no room; nothing becomes of it then.
    pub fn push(&self, future: impl Future<Output = T> + Send + 'static) -> Result<(), Full> {
        self.0.try_send(Box::pin(future)).map_err(|_| Full)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_first_in_is_the_first_out_whatever_is_ready_first() {
        let (waiting, outcomes) = in_order(2);
        let (first, later) = oneshot::channel();
        waiting.push(async move { later.await.unwrap() }).unwrap();
        waiting.push(async { 2 }).unwrap();
        assert!(!waiting.has_room() && waiting.push(async { 3 }).is_err());
        first.send(1).unwrap();
        drop(waiting);
        assert_eq!(outcomes.collect::<Vec<_>>().await, [1, 2]);
    }
}
