//! What of a transfer is shown while it is under way.

use std::time::Instant;

use common::id::FileId;
use common::proto::file::{FetchState, FileProgress};
use common::proto::status::Refusal;

use super::Files;
use super::book::{Place, Transfer};
use super::progress::{Pace, seconds_left};
use crate::api::{FileRow, FileState};

/// What is under way.
#[derive(Debug)]
pub(super) struct Live {
    state: FileState,
    have: u64,
    rate: u64,
    refusal: Option<Refusal>,
    /// At whoever hands it out: which news are worth a line.
    pace: Option<Pace>,
    is_step: bool,
}

impl Live {
    /// It waits, and why.
    pub fn waiting(refusal: Refusal) -> Self {
        let (have, rate, pace) = (0, 0, None);
        Self { state: FileState::Waiting, have, rate, refusal: Some(refusal), pace, is_step: true }
    }

    /// It goes on. `is_step` is for who fetches to say; whoever hands out finds out.
    pub fn running(known: Option<Self>, progress: &FileProgress, size: u64, is_step: Option<bool>) -> Self {
        let (now, have) = (Instant::now(), progress.have);
        let is_first = known.as_ref().is_none_or(|known| known.state != FileState::Running);
        let mut pace = known.and_then(|known| known.pace).unwrap_or_else(|| Pace::new(now, have));
        let is_step = is_step.unwrap_or_else(|| pace.is_step(now, have, size)) || is_first;
        let state = if progress.state == FetchState::Paused { FileState::Paused } else { FileState::Running };
        Self { state, have, rate: progress.rate, refusal: None, pace: Some(pace), is_step }
    }

    /// Whether another one waits for the same reason.
    pub fn waits_like(&self, other: Option<&Self>) -> bool {
        let code = |live: &Self| live.refusal.as_ref().map(|refusal| refusal.code.clone());
        other.is_some_and(|other| self.state == other.state && code(self) == code(other))
    }
}

impl Files {
    /// One of them, as it is shown.
    pub(super) fn row(&self, id: FileId) -> Option<FileRow> {
        let transfer = self.book.get(id)?;
        let Transfer { offer, place, user, path, have, refusal, .. } = transfer;
        let mut row = FileRow {
            id,
            direction: transfer.direction(),
            user: user.clone(),
            channel: match place {
                Place::Contact(_) => None,
                Place::Channel { name, .. } => Some(name.clone()),
            },
            name: offer.name.clone(),
            size: offer.size,
            files: offer.folder.map(|folder| folder.files),
            state: transfer.shown_state(),
            have: *have,
            rate: None,
            seconds_left: None,
            path: path.as_ref().map(|path| path.to_string_lossy().into_owned()),
            code: refusal.as_ref().map(|refusal| refusal.code.clone()),
            reason: refusal.as_ref().map(|refusal| refusal.reason.clone()),
            is_step: true,
        };
        let is_live = matches!(row.state, FileState::Waiting | FileState::Offered);
        if let Some(live) = self.live.get(&id).filter(|_| is_live) {
            row.state = live.state;
            row.is_step = live.is_step;
            row.code = live.refusal.as_ref().map(|refusal| refusal.code.clone());
            row.reason = live.refusal.as_ref().map(|refusal| refusal.reason.clone());
            if live.state == FileState::Running {
                row.have = live.have;
                row.rate = Some(live.rate);
                row.seconds_left = seconds_left(live.have, offer.size, live.rate);
            }
        }
        Some(row)
    }
}
