//! Who may do what in a channel: what owner and moderators are answered, and what all are told.

use common::clock::Timestamp;
use common::proto::channel::{Act, Banned, Role, Someone};
use common::proto::directory::{Post, View};
use common::text::one_line;

use super::Renderer;
use super::table::table;
use crate::api::{AuditOf, BansOf, Done, DoorState, Moderated, Who};
use crate::ui::parse::quoted;

impl Renderer {
    /// What an order has come to; `None` when its author is told like everybody in the channel.
    pub(super) fn moderated(&self, moderated: &Moderated) -> Option<String> {
        let Moderated { channel, changed, done, .. } = moderated;
        let text = match (done, changed) {
            (Done::View { .. } | Done::Post { .. } | Done::Role { .. }, true) => return None,
            (Done::View { view }, false) => format!("it is {} already", view_word(*view)),
            (Done::Post { post }, false) => format!("post is {} already", post_word(*post)),
            (Done::Retention { retention }, true) => match retention.as_str() {
                "forever" => "texts are kept for ever from now on".to_owned(),
                days => format!(
                    "texts older than {days} are erased at the host from now on; members keep what they have received"
                ),
            },
            (Done::Retention { .. }, false) => "it is so already".to_owned(),
            (Done::Role { who, role: Role::Registered }, false) => {
                format!("{} was given nothing, so there is nothing to take back", name(who))
            }
            (Done::Role { who, role }, false) => format!("{} is {} already", name(who), role_word(*role)),
            (Done::Door { who, state }, changed) => door(who, *state, *changed),
        };
        Some(self.notice(&format!("#{channel}: {text}")))
    }

    pub(super) fn bans(&self, list: &BansOf, now: Timestamp) -> String {
        let BansOf { channel, bans, total } = list;
        if bans.is_empty() {
            return self.notice(&format!("#{channel}: nobody is banned"));
        }
        let row = |ban: &Banned| {
            let name = ban.name.as_deref().map(|name| one_line(name).into_owned());
            let why = ban.why.as_deref().map(|why| one_line(why).into_owned());
            [
                name.unwrap_or_default(),
                one_line(&ban.by).into_owned(),
                self.time(ban.at, now),
                ban.subject.to_string(),
                why.unwrap_or_default(),
            ]
        };
        let rows = bans.iter().map(row).collect::<Vec<_>>();
        let shown = table(self.style, ["banned", "by", "when", "account or key", "why"], &rows);
        format!("{shown}\n{}", self.notice(&format!("#{channel}: {total} in all")))
    }

    pub(super) fn audit(&self, audit: &AuditOf, now: Timestamp) -> String {
        if audit.acts.is_empty() {
            return self.notice(&format!("#{}: owner and moderators have done nothing yet", audit.channel));
        }
        let row = |act: &Act| {
            let text = |text: &Option<String>| text.as_deref().map(|text| one_line(text).into_owned());
            [
                self.time(act.at, now),
                someone(&act.by),
                one_line(&act.what).into_owned(),
                act.whom.as_ref().map(someone).unwrap_or_default(),
                text(&act.to).unwrap_or_default(),
                text(&act.why).unwrap_or_default(),
            ]
        };
        let rows = audit.acts.iter().map(row).collect::<Vec<_>>();
        table(self.style, ["when", "who", "did", "to", "set to", "why"], &rows)
    }

    pub(super) fn view_changed(&self, channel: &str, view: View, by: &str) -> String {
        let means = match view {
            View::Public => "everybody may join and read",
            View::Restricted => "only those whom the owner or a moderator has authorized may join and read",
        };
        let (word, by) = (view_word(view), one_line(by));
        self.notice(&format!("#{channel}: {by} made it {word}: {means}"))
    }

    pub(super) fn post_changed(&self, channel: &str, post: Post, by: &str) -> String {
        let may = match post {
            Post::Everyone => "everyone who is here may send now",
            Post::Authorized => "only those who are authorized may send now",
        };
        self.notice(&format!("#{channel}: {may} ({})", one_line(by)))
    }

    pub(super) fn role_changed(&self, channel: &str, whom: Option<&str>, role: Role, by: &str) -> String {
        let by = one_line(by);
        let name = whom.map(one_line);
        let (whom, whose) = match &name {
            Some(name) => (name.as_ref(), format!("{name}'s")),
            None => ("you", "your".to_owned()),
        };
        self.notice(&match role {
            Role::Registered | Role::Guest => format!("#{channel}: {by} has taken back {whose} role"),
            Role::Authorized => format!("#{channel}: {by} has authorized {whom}"),
            Role::Moderator => format!("#{channel}: {by} has made {whom} a moderator"),
            Role::Owner => format!("#{channel}: it belongs to {whom} now"),
        })
    }

    pub(super) fn kicked(&self, channel: &str, by: &str, why: Option<&str>, retry: Option<u64>) -> String {
        let by = one_line(by);
        let why =
            why.map(|why| format!(" Why: {}.", one_line(why).trim_end_matches('.'))).unwrap_or_default();
        let text = match retry {
            Some(millis) => format!(
                "{by} has put you out.{why} You can come back in {} s: join {}",
                millis.div_ceil(1000),
                quoted(channel)
            ),
            None => format!(
                "{by} has banned you.{why} What is here of the channel stays: history {}",
                quoted(channel)
            ),
        };
        self.style.red(&format!("! #{channel}: {text}"))
    }
}

fn door(who: &Who, state: DoorState, changed: bool) -> String {
    let name = name(who);
    match (state, changed) {
        (DoorState::Kicked, true) => format!("{name} was put out, and is refused for a minute"),
        (DoorState::Kicked, false) => format!("{name} was not there, and is refused for a minute"),
        (DoorState::Banned, true) => format!("{name} is banned"),
        (DoorState::Banned, false) => format!("{name} is banned already"),
        (DoorState::Unbanned, true) => format!("{name} may come again"),
        (DoorState::Unbanned, false) => format!("{name} is not banned"),
    }
}

fn name(who: &Who) -> String {
    who.name.as_deref().map_or_else(|| who.subject.to_string(), |name| one_line(name).into_owned())
}

fn someone(who: &Someone) -> String {
    who.name.as_deref().map_or_else(|| who.subject.to_string(), |name| one_line(name).into_owned())
}

pub(in crate::ui) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Moderator => "moderator",
        Role::Authorized => "authorized",
        Role::Registered => "registered",
        Role::Guest => "guest",
    }
}

pub(super) fn view_word(view: View) -> &'static str {
    match view {
        View::Public => "public",
        View::Restricted => "restricted",
    }
}

fn post_word(post: Post) -> &'static str {
    match post {
        Post::Everyone => "everyone",
        Post::Authorized => "authorized",
    }
}
