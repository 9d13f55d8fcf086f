//! A write job on its way: from the caller to the committer, and its answer back.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::error::{Abort, StoreError};
use super::transaction::Transaction;

/// A job, whatever it answers.
pub(super) trait Job: Send {
    /// Runs it; answers whether its writes are to be kept.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Tells the caller; once what it saw is on disk, or will not be.
    fn answer(self: Box<Self>, verdict: &Verdict);
}

/// What became of a group of jobs.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// On disk: each job's own outcome counts.
    Settled,
    Full {
        free_bytes: u64,
    },
    /// None was run.
    Failed(String),
    /// All were run, and the disk failed.
    Unknown(String),
}

struct Task<F, T, R> {
    work: Option<F>,
    outcome: Result<T, StoreError<R>>,
    reply: oneshot::Sender<Result<T, StoreError<R>>>,
}

/// A job and where its answer comes.
pub(super) fn job<F, T, R>(work: F) -> (Box<dyn Job>, Submitted<T, R>)
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let not_run = Err(StoreError::Failed { reason: "the job was not run".to_owned() });
    (Box::new(Task { work: Some(work), outcome: not_run, reply }), Submitted { answer })
}

impl<F, T, R> Job for Task<F, T, R>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Abort<R>> + Send,
    T: Send,
    R: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // Unwind safety: all that the job could leave half done is the transaction, which is then taken back.
        self.outcome = match catch_unwind(AssertUnwindSafe(|| work(transaction))) {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(panic) => {
                let reason = format!("the job panicked: {}", panic_text(&*panic));
                tracing::error!(reason, "a write job of the store panicked");
                Err(StoreError::Failed { reason })
            }
        };
        if let Some(large) = transaction.too_large() {
            self.outcome = Err(StoreError::TooLarge { bytes: large.bytes, limit: large.limit });
        }
        self.outcome.is_ok()
    }

    fn answer(self: Box<Self>, verdict: &Verdict) {
        let answer = match verdict.clone() {
            Verdict::Settled => self.outcome,
            Verdict::Full { free_bytes } => Err(StoreError::Full { free_bytes }),
            Verdict::Failed(reason) => Err(StoreError::Failed { reason }),
            Verdict::Unknown(reason) => Err(StoreError::Unknown { reason }),
        };
        // A caller that no longer waits has given up its answer, not its write.
        let _ = self.reply.send(answer);
    }
}

/// The answer to a submitted job: it comes when the job's writes are on disk. Dropping it does not withdraw
/// the job.
#[must_use = "the write counts only once it is answered"]
pub struct Submitted<T, R> {
    answer: oneshot::Receiver<Result<T, StoreError<R>>>,
}

impl<T, R> Future for Submitted<T, R> {
    type Output = Result<T, StoreError<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| {
            // The committer always answers; if it died, it may have done so after writing.
            answer.unwrap_or_else(|_| {
                Err(StoreError::Unknown { reason: "the store ended before it answered".to_owned() })
            })
        })
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
