//! The files that an open page shows, and what of them has changed.

use crate::api::FileTo;
use crate::ui::web::files;
use crate::ui::web::page::Page;
use crate::ui::web::views;

/// The files of a conversation or a channel, on an open page.
pub(super) struct FileNews {
    page: Page,
    place: FileTo,
    /// How often there was news of files when it was told last.
    version: Option<u64>,
    /// What it shows: what is open, what is over.
    shelf: [String; 2],
}

impl FileNews {
    pub fn new(page: Page, place: FileTo) -> Self {
        Self { page, place, version: None, shelf: Default::default() }
    }

    /// Only what is another part than before: what its user has opened there stays so.
    pub async fn news(&mut self) -> String {
        let now = self.page.look(|model| model.files);
        if self.version.replace(now) == Some(now) {
            return String::new();
        }
        let shelf = views::shelf(&self.place, &files::at(&self.page, &self.place).await);
        let parts = [shelf.open.into_string(), shelf.over.into_string()];
        let before = std::mem::replace(&mut self.shelf, parts);
        let [open, over] = &self.shelf;
        let mut news = String::new();
        if before[0] != *open {
            news.push_str(&views::open_swap(open).into_string());
        }
        if before[1] != *over {
            news.push_str(&views::over_swap(over).into_string());
        }
        news
    }
}
