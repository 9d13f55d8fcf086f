//! Who is at the tracker, and who of those watched comes and goes.

use common::id::IdentityKind;
use common::proto::presence::User;
use common::text::one_line;

use super::table::table;
use super::{NAMES_SHOWN, Renderer};
use crate::api::{UserRow, UsersOf, Visibility, WatchList, WatchedUser};

impl Renderer {
    /// Some have come or gone.
    pub(super) fn presence(&self, how: &str, users: &[User]) -> String {
        let names = users.iter().take(NAMES_SHOWN).map(|user| name(user.name.as_str(), user.kind));
        let names = names.collect::<Vec<_>>().join(", ");
        self.notice(&match users.len().saturating_sub(NAMES_SHOWN) {
            0 => format!("{how}: {names}"),
            more => format!("{how}: {names} and {more} more"),
        })
    }

    pub(super) fn users(&self, list: &UsersOf) -> String {
        if list.users.is_empty() {
            return self.notice("nobody is there");
        }
        let row = |user: &UserRow| {
            let watched = if user.watched { "yes" } else { "" };
            [name(user.name.as_str(), user.kind), presence(Some(user.online)).into(), watched.into()]
        };
        let rows = list.users.iter().map(row).collect::<Vec<_>>();
        let shown = table(self.style, ["user", "presence", "watched"], &rows);
        if list.more { format!("{shown}\n{}", self.notice("and more")) } else { shown }
    }

    pub(super) fn visibility(&self, state: &Visibility) -> String {
        if !state.invisible {
            return self.notice("others see you again");
        }
        let text = "others see you as away, until you type: invisible off. Whatever you write shows that you are there";
        if state.hosted.is_empty() {
            return self.notice(text);
        }
        let hosted = state.hosted.iter().map(|channel| format!("#{channel}")).collect::<Vec<_>>().join(", ");
        let warning = format!("! you host {hosted}: who may join there sees that this machine is up");
        format!("{}\n{}", self.notice(text), self.style.red(&warning))
    }

    pub(super) fn watched(&self, list: &WatchList) -> String {
        if list.watched.is_empty() {
            return self.notice("you watch nobody; to be told when somebody comes and goes: watch NAME");
        }
        let row = |user: &WatchedUser| [name(user.name.as_str(), user.kind), presence(user.online).into()];
        let rows = list.watched.iter().map(row).collect::<Vec<_>>();
        table(self.style, ["watched", "presence"], &rows)
    }
}

fn presence(online: Option<bool>) -> &'static str {
    match online {
        Some(true) => "online",
        Some(false) => "offline",
        None => "not known",
    }
}

fn name(name: &str, kind: IdentityKind) -> String {
    let guest = if kind == IdentityKind::Guest { " (guest)" } else { "" };
    format!("{}{guest}", one_line(name))
}
