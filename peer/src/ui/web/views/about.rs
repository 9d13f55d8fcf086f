//! What a channel is and who is in it; for its owner and moderators, who may do what.

use common::id::{IdentityKind, Subject};
use common::name::ChannelName;
use common::proto::channel::{Banned, Info, Member, Role};
use common::proto::directory::{Post, Switches, View};
use common::proto::limits::MAX_RETENTION_DAYS;
use common::proto::status::{Code, Refusal};
use common::text::one_line;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::words::{channel_path, day_and_time, name, person, picture, why};
use crate::api::{BansOf, MembersOf};
use crate::ui::render::{kept_for, role};

/// More members are a number.
const SHOWN_MEMBERS: usize = 200;

/// What is known of a channel.
pub(in crate::ui::web) struct AboutView<'a> {
    pub channel: &'a ChannelName,
    pub info: &'a Result<Info, Refusal>,
    pub members: &'a Result<MembersOf, Refusal>,
    /// What only owner and moderators are told.
    pub orders: Option<&'a OrdersView>,
    /// How the last order has ended.
    pub said: Option<&'a Result<Option<String>, Refusal>>,
    pub me: Option<Subject>,
    pub zone: &'a TimeZone,
}

/// What owner and moderators are told besides.
pub(in crate::ui::web) struct OrdersView {
    pub granted: Option<MembersOf>,
    pub bans: Option<BansOf>,
    /// What was done, as the terminal shows it.
    pub audit: Option<String>,
}

/// Who orders, and where.
struct Desk {
    path: String,
    role: Role,
    me: Option<Subject>,
}

/// What a channel is and who is in it, or why that is not known.
pub(in crate::ui::web) fn about(view: &AboutView<'_>) -> Markup {
    let desk = view.info.as_ref().ok().map(|info| Desk {
        path: format!("{}/order", channel_path(view.channel)),
        role: info.role,
        me: view.me,
    });
    let desk = desk.filter(|desk| matches!(desk.role, Role::Owner | Role::Moderator));
    html! {
        p #order-said role="status" {
            @match view.said {
                Some(Err(refusal)) => span.error { (why(&refusal.reason)) },
                Some(Ok(Some(said))) => span.done { (one_line(said)) },
                _ => {}
            }
        }
        @if desk.is_some() { i data-moderates hidden {} }
        @match view.info {
            Ok(info) => (facts(info, desk.as_ref(), view.zone)),
            Err(refusal) => p.quiet { "What the channel is cannot be asked now: " (why(&refusal.reason)) },
        }
        @if let Some(info) = view.info.as_ref().ok().filter(|info| info.behind) { (lost(view.channel, info.role)) }
        @if let Ok(members) = view.members { (people(members, desk.as_ref())) }
        @if let Some((desk, orders)) = desk.as_ref().zip(view.orders) { (rest(desk, orders, view.members)) }
    }
}

fn facts(info: &Info, desk: Option<&Desk>, zone: &TimeZone) -> Markup {
    html! {
        h2 { "About" }
        dl.facts {
            div { dt { "Owner" } dd { (person(info.owner.name.as_str(), info.owner.kind)) } }
            div { dt { "You are" } dd { (role(info.role)) } }
            div { dt { "Since" } dd { (day_and_time(info.created, zone)) } }
            div { dt { "Messages" } dd { (info.head.seq) } }
            div { dt { "Texts are kept" } dd { (kept_for(info.retention_days)) } }
            @for (what, who) in rules(&info.policy) { div { dt { (what) } dd { (who) } } }
        }
        @if let Some(desk) = desk { (switches(desk, &info.policy)) }
        @if let Some(desk) = desk.filter(|desk| desk.role == Role::Owner) { (retention(desk, info.retention_days)) }
    }
}

/// What can be done about a log that has lost what members may still have.
fn lost(channel: &ChannelName, role: Role) -> Markup {
    let path = channel_path(channel);
    html! {
        p.warning { (why(Code::LogBehind.sentence())) "." }
        @if role == Role::Owner {
            div.ways {
                button type="button" hx-post=(format!("{path}/recover")) hx-swap="none" { "Get it from members" }
                button.danger type="button" hx-post=(format!("{path}/fork")) hx-swap="none"
                    hx-confirm="Go on without what is missing, in a new log? Ask members first: what they have comes back then. They keep what they have received, but it is not in the channel any more." { "Go on without it" }
            }
        }
    }
}

/// For how long texts are kept: what the owner alone decides. To forget is asked for twice.
fn retention(desk: &Desk, days: Option<u32>) -> Markup {
    let path = &desk.path;
    html! {
        details.rest {
            summary { "For how long texts are kept" }
            p {
                "The host erases older texts from its disk, which is this one, for good. Members keep what they have received. Who wrote something, and when, stays."
            }
            form hx-post=(format!("{path}/retention"))
                hx-confirm="Erase the texts that are older than that, now and from now on? What was erased does not come back." {
                div.together {
                    input name="days" type="number" min="1" max=(MAX_RETENTION_DAYS) required value=[days] aria-label="How many days" placeholder="Days";
                    button { "Keep so long" }
                }
            }
            @if days.is_some() {
                button type="button" hx-post=(format!("{path}/forever")) { "Keep for ever" }
            }
        }
    }
}

fn rules(policy: &Switches) -> [(&'static str, &'static str); 2] {
    let view = match policy.view {
        View::Public => "everybody",
        View::Restricted => "only who is let in",
    };
    let post = match policy.post {
        Post::Everyone => "everybody inside",
        Post::Authorized => "only who is authorized",
    };
    [("May join", view), ("May write", post)]
}

fn switches(desk: &Desk, policy: &Switches) -> Markup {
    let path = &desk.path;
    html! {
        div.ways {
            @match policy.view {
                View::Public => button type="button" hx-post=(format!("{path}/restricted"))
                    hx-confirm="Let in only those whom you authorize? Who is not has to go at once, and to them the channel looks as if it did not exist." { "Restrict who may join" },
                View::Restricted => button type="button" hx-post=(format!("{path}/public"))
                    hx-confirm="Let everybody join, and read all that was said?" { "Let everybody join" },
            }
            @match policy.post {
                Post::Everyone => button type="button" hx-post=(format!("{path}/authorized")) { "Restrict who may write" },
                Post::Authorized => button type="button" hx-post=(format!("{path}/everyone")) { "Let everybody write" },
            }
        }
    }
}

fn people(members: &MembersOf, desk: Option<&Desk>) -> Markup {
    let shown = members.members.iter().take(SHOWN_MEMBERS);
    let more = members.total.saturating_sub(members.members.len().min(SHOWN_MEMBERS));
    html! {
        h2 { "Here now" span.quiet { " " (members.total) } }
        ul.people {
            @for member in shown { li { (one_member(member, desk)) } }
            @if more > 0 { li.quiet { "and " (more) " more" } }
        }
    }
}

fn one_member(member: &Member, desk: Option<&Desk>) -> Markup {
    let who = html! {
        (picture(&member.name, member.subject))
        span.whom { (person(&member.name, member.kind)) }
        @if !matches!(member.role, Role::Registered | Role::Guest) { span.tag.role { (role(member.role)) } }
    };
    match desk.filter(|desk| desk.reaches(member)) {
        Some(desk) => html! {
            details {
                summary title="What you can do" { (who) span.more aria-hidden="true" { "⋯" } }
                (desk.ways(member))
            }
        },
        None => html! { div.person { (who) } },
    }
}

impl Desk {
    /// Whether there is anything that can be done; the host has the last word.
    fn reaches(&self, member: &Member) -> bool {
        let is_peer = member.role == Role::Moderator && self.role != Role::Owner;
        self.me != Some(member.subject) && member.role != Role::Owner && !is_peer
    }

    fn ways(&self, member: &Member) -> Markup {
        let (who, shown) = (member.subject.to_string(), one_line(&member.name));
        // Who is given something is named, as the others are told.
        let named = &member.name;
        let is_account = member.kind == IdentityKind::Account;
        let has_role = matches!(member.role, Role::Authorized | Role::Moderator);
        html! {
            div.ways {
                @if is_account && !has_role { (self.button("authorize", named, "Authorize")) }
                @if is_account && self.role == Role::Owner && member.role != Role::Moderator {
                    (self.button("moderator", named, "Make moderator"))
                }
                @if has_role { (self.button("deauthorize", &who, "Take the role back")) }
                (self.hard("kick", &who, "Kick", &format!("Put {shown} out for a minute?")))
                (self.hard("ban", &who, "Ban", &format!("Put {shown} out for good?")))
            }
        }
    }

    fn button(&self, order: &str, who: &str, word: &str) -> Markup {
        html! { button type="button" hx-post=(format!("{}/{order}", self.path)) hx-vals=(vals(who)) { (word) } }
    }

    /// What hurts is asked for again, and why.
    fn hard(&self, order: &str, who: &str, word: &str, question: &str) -> Markup {
        html! {
            button.danger type="button" hx-post=(format!("{}/{order}", self.path)) hx-vals=(vals(who))
                hx-confirm=(question) data-why { (word) }
        }
    }
}

fn vals(who: &str) -> String {
    serde_json::json!({ "who": who }).to_string()
}

/// What concerns people who are not here.
fn rest(desk: &Desk, orders: &OrdersView, here: &Result<MembersOf, Refusal>) -> Markup {
    let is_here = |member: &Member| {
        here.as_ref().is_ok_and(|here| here.members.iter().any(|other| other.subject == member.subject))
    };
    let granted = orders.granted.iter().flat_map(|granted| &granted.members);
    let absent = granted.filter(|member| !is_here(member) && member.role != Role::Owner).collect::<Vec<_>>();
    let bans = orders.bans.iter().flat_map(|list| &list.bans).take(SHOWN_MEMBERS).collect::<Vec<_>>();
    html! {
        @if !absent.is_empty() {
            h2 { "With a role, not here" }
            ul.people { @for member in absent.iter().take(SHOWN_MEMBERS) { li { (one_member(member, Some(desk))) } } }
        }
        @if !bans.is_empty() {
            h2 { "Banned" }
            ul.people { @for banned in bans { (one_ban(desk, banned)) } }
        }
        details.rest.by-name {
            summary { "Authorize somebody by name" }
            form hx-post=(format!("{}/authorize", desk.path)) {
                div.together {
                    input name="who" required autocomplete="off" aria-label="The name of an account" placeholder="The name of an account";
                    button { "Authorize" }
                }
            }
        }
        @if let Some(audit) = &orders.audit {
            details.rest { summary { "What was done" } pre tabindex="0" { (audit) } }
        }
    }
}

fn one_ban(desk: &Desk, banned: &Banned) -> Markup {
    let who = banned.name.clone().unwrap_or_else(|| banned.subject.to_string());
    html! {
        li.person {
            span.whom {
                (name(&who))
                span.quiet { " by " (name(&banned.by)) @if let Some(why) = &banned.why { ": " (one_line(why)) } }
            }
            (desk.button("unban", &banned.subject.to_string(), "Let come again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fake::key;

    #[test]
    fn what_can_be_done_is_offered_and_nothing_else() {
        let member = |role, kind| Member { subject: Subject::Guest(key()), name: "ada".into(), kind, role };
        let ways = |mine, role, kind| {
            let desk = Desk { path: "/c/x/order".into(), role: mine, me: None };
            one_member(&member(role, kind), Some(&desk)).into_string()
        };
        let has = |html: &str, orders: &[&str]| {
            for order in ["authorize", "moderator", "deauthorize", "kick", "ban"] {
                let offered = html.contains(&format!("/order/{order}\""));
                assert_eq!(offered, orders.contains(&order), "{order} in {html}");
            }
        };
        has(
            &ways(Role::Owner, Role::Registered, IdentityKind::Account),
            &["authorize", "moderator", "kick", "ban"],
        );
        has(&ways(Role::Owner, Role::Moderator, IdentityKind::Account), &["deauthorize", "kick", "ban"]);
        has(&ways(Role::Owner, Role::Guest, IdentityKind::Guest), &["kick", "ban"]);
        has(&ways(Role::Moderator, Role::Authorized, IdentityKind::Account), &["deauthorize", "kick", "ban"]);
        has(&ways(Role::Moderator, Role::Moderator, IdentityKind::Account), &[]);
        has(&ways(Role::Moderator, Role::Owner, IdentityKind::Account), &[]);
        let me = Desk { path: "/c/x/order".into(), role: Role::Moderator, me: Some(Subject::Guest(key())) };
        has(&one_member(&member(Role::Registered, IdentityKind::Account), Some(&me)).into_string(), &[]);
        has(&one_member(&member(Role::Registered, IdentityKind::Account), None).into_string(), &[]);
    }
}
