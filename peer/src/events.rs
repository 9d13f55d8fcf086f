//! What user interfaces are told, in order, and how much of it they have shown.
//!
//! What is told is counted, and so is what was shown: whoever keeps how far something was read can tell an event that
//! somebody has seen from one that was only on its way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::api::Event;

/// How many events may wait for the user interface before the network is held back.
const WAITING_EVENTS: usize = 1024;

/// Where events for the user interface go, in the order in which they are told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    inner: Arc<Inner>,
    /// Its end says that nobody tells anything any more.
    _tellers: Arc<Tellers>,
}

/// The end that the user interface takes events from.
#[derive(Debug)]
pub struct EventQueue {
    inner: Arc<Inner>,
    /// Where it is kept how much was shown, and who is to be told of the end.
    source: Arc<Inner>,
}

/// Where an interface says how much it has shown. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whoever tells waits until there is room, which bounds it: one event a teller stands above the limit.
    waiting: VecDeque<Event>,
    told: u64,
    shown: u64,
    /// Nothing more is to come.
    is_ended: bool,
    /// Nobody takes anything any more.
    is_abandoned: bool,
}

#[derive(Debug)]
struct Tellers(Arc<Inner>);

impl Inner {
    // The state is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.state().is_ended = true;
        self.filled.notify_one();
    }
}

impl Drop for Tellers {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Events {
    /// A bounded queue of events, and the end that the user interface takes them from.
    pub fn new() -> (Self, EventQueue) {
        let inner = Arc::<Inner>::default();
        Self::over(inner.clone(), inner)
    }

    fn over(inner: Arc<Inner>, source: Arc<Inner>) -> (Self, EventQueue) {
        let tellers = Arc::new(Tellers(inner.clone()));
        (Self { inner: inner.clone(), _tellers: tellers }, EventQueue { inner, source })
    }

    /// Tells the user interface, at once; the future is for holding back whoever tells, until there is room. An
    /// interface that is gone hears nothing.
    pub fn tell(&self, event: Event) -> impl Future<Output = ()> + Send + use<> {
        {
            let mut state = self.inner.state();
            state.told += 1;
            if !state.is_abandoned {
                state.waiting.push_back(event);
            }
        }
        self.inner.filled.notify_one();
        let inner = self.inner.clone();
        async move {
            loop {
                // Asked for before looking, lest the news come in between.
                let mut emptied = std::pin::pin!(inner.emptied.notified());
                emptied.as_mut().enable();
                if inner.state().waiting.len() <= WAITING_EVENTS {
                    return;
                }
                emptied.await;
            }
        }
    }

    /// How many events were told so far.
    pub fn told(&self) -> u64 {
        self.inner.state().told
    }

    /// How many of the events that were told have been shown, the first of them first.
    pub fn taken(&self) -> u64 {
        self.inner.state().shown
    }
}

impl EventQueue {
    /// A queue for one more interface, to which whoever takes from this one passes everything on. What that interface
    /// has shown counts as shown here, and when it has enough, this one ends.
    pub fn beside(&self) -> (Events, Self) {
        Events::over(Arc::default(), self.source.clone())
    }

    /// Puts in line what an interface itself has to say to those beside it.
    pub fn put(&self, event: Event) {
        let mut state = self.inner.state();
        state.told += 1;
        state.waiting.push_back(event);
        drop(state);
        self.inner.filled.notify_one();
    }

    /// The next event; `None` when nothing more is to come. Whoever no longer waits has lost nothing.
    pub async fn recv(&self) -> Option<Event> {
        loop {
            {
                let mut state = self.inner.state();
                if let Some(event) = state.waiting.pop_front() {
                    if state.waiting.len() <= WAITING_EVENTS {
                        self.inner.emptied.notify_waiters();
                    }
                    return Some(event);
                }
                if state.is_ended {
                    return None;
                }
            }
            self.inner.filled.notified().await;
        }
    }

    /// The next event, if there is one already.
    pub fn try_recv(&self) -> Option<Event> {
        use futures_util::FutureExt;
        self.recv().now_or_never().flatten()
    }

    /// From now on, having taken everything is the end: nothing more is waited for.
    pub fn finish(&self) {
        self.source.end();
    }

    /// Where to say how much was shown.
    pub fn shown(&self) -> Shown {
        Shown(self.source.clone())
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.is_abandoned = true;
        state.waiting.clear();
        drop(state);
        self.inner.emptied.notify_waiters();
    }
}

impl Shown {
    /// So many more events, in the order in which they were taken, have been shown.
    pub fn add(&self, count: u64) {
        self.0.state().shown += count;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;
    use crate::api::LinkState;

    fn event(number: usize) -> Event {
        Event::Connection { to: number.to_string(), state: LinkState::Up, reason: None, since: None }
    }

    fn number(event: Option<Event>) -> Option<usize> {
        let Event::Connection { to, .. } = event? else { panic!("another event") };
        to.parse().ok()
    }

    #[tokio::test]
    async fn events_keep_their_order_and_hold_back_who_tells_when_nobody_takes_them() {
        let (events, queue) = Events::new();
        let told: Vec<_> = (0..WAITING_EVENTS + 50).map(|number| events.tell(event(number))).collect();
        assert!(pin!(events.tell(event(WAITING_EVENTS + 50))).now_or_never().is_none());
        let tellers = tokio::spawn(async move {
            // The other way round: the order is that of the calls.
            for teller in told.into_iter().rev() {
                teller.await;
            }
        });
        for expected in 0..=WAITING_EVENTS + 50 {
            assert_eq!(number(queue.recv().await), Some(expected));
        }
        tellers.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_stops_waiting_loses_nothing_and_the_end_comes_behind_everything() {
        let (events, queue) = Events::new();
        for round in 0..3 {
            assert!(queue.recv().now_or_never().is_none());
            events.tell(event(round)).await;
            assert_eq!(number(queue.recv().await), Some(round));
        }
        events.tell(event(3)).await;
        queue.finish();
        events.tell(event(4)).await;
        assert_eq!(number(queue.recv().await), Some(3));
        assert_eq!(number(queue.recv().await), Some(4));
        assert_eq!(number(queue.recv().await), None);
    }

    #[tokio::test]
    async fn the_end_of_all_who_tell_is_the_end() {
        let (events, queue) = Events::new();
        let other = events.clone();
        other.tell(event(0)).await;
        drop(events);
        assert_eq!(number(queue.recv().await), Some(0));
        let waiting = tokio::spawn(async move { queue.recv().await.is_none() });
        drop(other);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn what_one_more_interface_shows_counts_and_it_ends_the_queue_it_is_fed_from() {
        let (events, queue) = Events::new();
        let (passing, beside) = queue.beside();
        let passing = tokio::spawn(async move {
            while let Some(event) = queue.recv().await {
                passing.tell(event).await;
            }
        });
        for number in 0..3 {
            events.tell(event(number)).await;
        }
        assert_eq!(number(beside.recv().await), Some(0));
        beside.shown().add(1);
        assert_eq!((events.told(), events.taken()), (3, 1));
        beside.finish();
        assert_eq!(number(beside.recv().await), Some(1));
        assert_eq!(number(beside.recv().await), Some(2));
        assert_eq!(number(beside.recv().await), None);
        passing.await.unwrap();
    }

    #[tokio::test]
    async fn only_what_was_shown_counts_as_taken() {
        let (events, queue) = Events::new();
        for number in 0..3 {
            events.tell(event(number)).await;
        }
        queue.recv().await;
        assert_eq!((events.told(), events.taken()), (3, 0));
        queue.shown().add(1);
        drop(queue);
        // Nobody is there: nobody is waited for, and nothing more counts.
        for number in 0..2 * WAITING_EVENTS {
            events.tell(event(number)).await;
        }
        assert_eq!(events.taken(), 1);
    }
}
