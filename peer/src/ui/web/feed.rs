//! The one who takes the node's events: into the model, and on to the interface beside the page if there is one.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Timestamp;
use jiff::tz::TimeZone;

use super::files;
use super::page::Page;
use crate::api::{Command, Event, FileRow, FileState, Reply};
use crate::events::{EventQueue, Events};
use crate::ui::render::{Renderer, Style};

/// How often what was read is written down.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Takes events until there are no more. An event counts as shown when the interface beside has shown it, else when it
/// is in the model: from there a view shows it, or reads it in the archive.
pub(super) async fn run(page: Page, queue: Arc<EventQueue>, beside: Option<Events>) {
    let render = Renderer { style: Style::default(), zone: TimeZone::system() };
    while let Some(event) = queue.recv().await {
        if matches!(event, Event::Ready { .. }) {
            prime(&page).await;
        }
        let is_entry = matches!(event, Event::Session { .. });
        let said = render.event(&event, Timestamp::now());
        page.change(|model| model.apply(&event, said));
        if let Event::File(row) = &event
            && matches!(row.state, FileState::Rejected | FileState::Cancelled)
        {
            forget_copy(&page, row).await;
        }
        match &beside {
            Some(beside) => beside.tell(event).await,
            None => queue.shown().add(1),
        }
        if is_entry {
            see_identity(&page).await;
        }
    }
}

/// Learns who and where the user is at the start.
async fn prime(page: &Page) {
    see_identity(page).await;
    let (uploads, rows) = (page.uploads().clone(), files::all(page).await);
    if let Ok(rows) = rows {
        let _ = tokio::task::spawn_blocking(move || uploads.sweep(&rows)).await;
    }
    match page.channels().await {
        Ok(channels) => page.change(|model| model.see_channels(&channels)),
        Err(refusal) => tracing::warn!(reason = %refusal, "what is unread is not known"),
    }
}

/// A copy that was handed over by a browser goes when nobody can ask for it any more.
async fn forget_copy(page: &Page, row: &FileRow) {
    let (uploads, row) = (page.uploads().clone(), row.clone());
    // It is for the next start otherwise.
    let _ = tokio::task::spawn_blocking(move || uploads.see(&row)).await;
}

async fn see_identity(page: &Page) {
    if let Ok(Reply::Identity(identity)) = page.perform(Command::Whoami).await {
        page.change(|model| model.see_identity(&identity));
    }
}

/// Writes down what was read, now and then, as long as the page is served.
pub(super) async fn keep(page: Page) {
    let ending = page.ending();
    loop {
        tokio::select! {
            () = ending.requested() => return page.save(true).await,
            () = tokio::time::sleep(SAVE_EVERY) => page.save(false).await,
        }
    }
}
