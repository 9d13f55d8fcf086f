//! The answers to commands.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::IdentityKind;
use common::proto::channel::{DebugReport, Info, Member};
use common::proto::directory::{Listed, Owner, Post, Switches};
use common::proto::status::Code;
use common::text::one_line;

use super::moderation::{role_word as role, view_word as view};
use super::table::{facts, table};
use super::{Renderer, fingerprint, short_key};
use crate::api::{
    ChannelStatus, Channels, ChatMessage, ClientReport, DeviceRow, EarlierLog, HistoryOf, Identity,
    LinkState, MembersOf, Reply, SessionState, StatusReport, Trust,
};
use crate::ui::parse::quoted;

impl Renderer {
    /// An answer as text, without a line end; `None` when there is nothing to say that is not seen anyhow.
    pub fn reply(&self, reply: &Reply, now: Timestamp) -> Option<String> {
        Some(match reply {
            Reply::Identity(identity) => facts(self.style, &identity_facts(identity)),
            Reply::Trust(trust) => self.trust_reply(trust),
            Reply::Devices(devices) => self.devices(&devices.devices, now),
            Reply::SignedOut(device) => {
                self.notice(&format!("the device {} is signed out", short_key(device.key)))
            }
            Reply::Channels(channels) => self.channels(channels),
            Reply::Users(list) => self.users(list),
            Reply::Watched(list) => self.watched(list),
            Reply::Visibility(state) => self.visibility(state),
            Reply::Connected(connected) => self.connected(&connected.channels),
            Reply::Members(members) => self.members(members),
            Reply::Info(info) => self.info(info, now),
            Reply::Moderated(moderated) => return self.moderated(moderated),
            Reply::Bans(list) => self.bans(list, now),
            Reply::Audit(audit) => self.audit(audit, now),
            Reply::Status(status) => self.status(status, now),
            Reply::Debug(report) => self.debug(report),
            Reply::Client(report) => self.client(report, now),
            Reply::Hosting(hosting) => {
                let (channel, head) = (&hosting.channel, hosting.head.seq);
                self.notice(&format!("hosting #{channel} at {}, {}", hosting.listen, messages(head)))
            }
            Reply::Offers(list) => self.offers(&list.offers, now),
            Reply::Joined(joined) => {
                let (channel, head) = (&joined.channel, joined.head.seq);
                self.notice(&format!("joined #{channel} as {}, {}", role(joined.role), messages(head)))
            }
            Reply::Queued(_) => return None,
            Reply::Outbox(list) => self.outbox(list, now),
            Reply::Changed(change) => return self.changed(change),
            Reply::Retried(retried) => self.retried(retried),
            Reply::History(history) => self.history(history, now),
            Reply::Found(found) => self.found(found, now),
            Reply::Reindexing(state) => self.reindexing(*state),
            Reply::Branch(branch) => self.branch(branch, now),
            Reply::Verified(verified) => self.verified(verified, now),
            Reply::Erased(done) => self.erased_entry(done),
            Reply::Exported(exported) => self.exported(exported),
            Reply::Imported(imported) => self.imported(imported),
            Reply::BackedUp(done) => self.backed_up(done),
            Reply::Recovered(recovered) => self.recovered(recovered),
            Reply::Checked(checked) => self.checked(checked),
            Reply::Started(started) => return self.started(started),
            // What was agreed to is told as it happens, and a message is shown.
            Reply::Contact(_) | Reply::Written(_) => return None,
            Reply::Contacts(list) => self.contacts(&list.contacts),
            Reply::Conversation(page) => self.conversation(page, now),
            Reply::Files(list) => self.files(list),
            // What becomes of it is told as it happens.
            Reply::File(_) => return None,
            Reply::Done {} => self.notice("done"),
        })
    }

    fn trust_reply(&self, trust: &Trust) -> String {
        let key = trust.key.map_or_else(|| "not known yet".into(), fingerprint);
        let confirmed = if trust.confirmed { "yes" } else { "no" };
        let tracker = one_line(&trust.tracker).into_owned();
        facts(self.style, &[("tracker", tracker), ("key", key), ("confirmed", confirmed.into())])
    }

    fn devices(&self, devices: &[DeviceRow], now: Timestamp) -> String {
        let row = |device: &DeviceRow| {
            let seen = match (device.this, device.online, device.pass_until, device.seen) {
                (true, ..) => "this one".to_owned(),
                (false, true, ..) => "now".to_owned(),
                (false, false, Some(until), _) => {
                    format!("signed out; a pass it kept counts until {}", self.time(until, now))
                }
                (false, false, None, Some(seen)) => self.time(seen, now),
                (false, false, None, None) => "not known".to_owned(),
            };
            [short_key(device.key), self.time(device.since, now), seen]
        };
        let rows = devices.iter().map(row).collect::<Vec<_>>();
        let shown = table(self.style, ["key", "since", "last seen"], &rows);
        let hint = self.notice("to sign one out, everywhere and at once: devices revoke KEY");
        format!("{shown}\n{hint}")
    }

    fn channels(&self, page: &Channels) -> String {
        if page.channels.is_empty() {
            return self.notice("no channels");
        }
        let row = |listed: &Listed| {
            let online = if listed.online { "up" } else { "away" };
            // Its host is an older one that does not say it.
            let members = listed.members.map(|members| members.to_string()).unwrap_or_default();
            [listed.name.to_string(), owner(&listed.owner), view(listed.view).into(), online.into(), members]
        };
        let rows = page.channels.iter().map(row).collect::<Vec<_>>();
        let mut text = table(self.style, ["channel", "owner", "view", "host", "members"], &rows);
        if let Some(next) = &page.next {
            text.push('\n');
            text.push_str(&self.notice(&format!("there are more: list --after {}", quoted(&one_line(next)))));
        }
        text
    }

    fn connected(&self, channels: &[ChannelStatus]) -> String {
        if channels.is_empty() {
            return self.notice("no channels joined or hosted; list shows which there are, join enters one");
        }
        let row = |channel: &ChannelStatus| {
            let part = match (channel.hosted, channel.joined) {
                (true, true) => "host, member",
                (true, false) => "host",
                (false, _) => "member",
            };
            [
                channel.channel.to_string(),
                part.into(),
                state(channel.state, None),
                channel.seq.to_string(),
                channel.queued.to_string(),
            ]
        };
        let rows = channels.iter().map(row).collect::<Vec<_>>();
        let mut text = table(self.style, ["channel", "as", "connection", "seq", "to send"], &rows);
        for channel in channels {
            for reason in channel.reason.iter().chain(&channel.behind) {
                text.push('\n');
                text.push_str(&self.notice(&format!("#{}: {}", channel.channel, one_line(reason))));
            }
        }
        text
    }

    fn members(&self, members: &MembersOf) -> String {
        let row = |member: &Member| [person(&member.name, member.kind), role(member.role).into()];
        let rows = members.members.iter().map(row).collect::<Vec<_>>();
        let shown = table(self.style, ["member", "role"], &rows);
        let total = self.notice(&format!("#{}: {} in all", members.channel, members.total));
        if rows.is_empty() { total } else { format!("{shown}\n{total}") }
    }

    fn info(&self, info: &Info, now: Timestamp) -> String {
        let mut rows = vec![
            ("channel", format!("#{}", info.name)),
            ("owner", owner(&info.owner)),
            ("created", self.time(info.created, now)),
            ("messages", info.head.seq.to_string()),
            ("members", info.members.to_string()),
            ("who may", policy(&info.policy)),
            ("texts are kept", kept_for(info.retention_days)),
            ("you are", role(info.role).into()),
            ("id", info.id.to_string()),
        ];
        if let Some(before) = &info.before {
            let Position { epoch, seq, .. } = before.end;
            let what = if before.anew { "it was begun anew after" } else { "it goes on behind" };
            rows.push(("its log", format!("{what} entry {seq} of an earlier one ({epoch})")));
        }
        let text = facts(self.style, &rows);
        if !info.behind {
            return text;
        }
        format!("{text}\n{}", self.notice(Code::LogBehind.sentence()))
    }

    fn status(&self, status: &StatusReport, now: Timestamp) -> String {
        let mut rows = identity_facts(&status.identity);
        let tracker = &status.tracker;
        let connection = match tracker.since {
            Some(since) => {
                let why = tracker.reason.as_deref().map(|why| format!(" ({})", one_line(why)));
                let since = self.time(since, now);
                format!("away since {since}, tried again by itself{}", why.unwrap_or_default())
            }
            None => state(tracker.state, tracker.reason.as_deref()),
        };
        rows.push(("tracker", format!("{}, {connection}", one_line(&tracker.address))));
        if let Some(key) = tracker.key {
            rows.push(("its key", fingerprint(key)));
        }
        let listen = status.listen.map_or_else(|| "no (nothing is hosted)".into(), |at| at.to_string());
        rows.push(("listening", listen));
        format!("{}\n{}", facts(self.style, &rows), self.connected(&status.channels))
    }

    fn client(&self, report: &ClientReport, now: Timestamp) -> String {
        let rows = [
            ("program", one_line(&report.program).into_owned()),
            ("data", one_line(&report.data).into_owned()),
        ];
        format!("{}\n{}", facts(self.style, &rows), self.status(&report.status, now))
    }

    fn debug(&self, report: &DebugReport) -> String {
        let head = self
            .notice(&format!("log at {}, {} entries wait for the disk", report.head.seq, report.unflushed));
        let rows = report.connections.iter().map(|connection| {
            [
                one_line(&connection.name).into_owned(),
                one_line(&connection.path).into_owned(),
                if connection.live { "live" } else { "catching up" }.into(),
                connection.waiting_bytes.to_string(),
                connection.unanswered.to_string(),
            ]
        });
        let rows = rows.collect::<Vec<_>>();
        if rows.is_empty() {
            return format!("{head}\n{}", self.notice("nobody is connected"));
        }
        let heading = ["member", "path", "stream", "bytes waiting", "unanswered"];
        format!("{head}\n{}", table(self.style, heading, &rows))
    }

    fn history(&self, history: &HistoryOf, now: Timestamp) -> String {
        let before = history.earlier.iter().flat_map(|log| &log.messages);
        if history.messages.is_empty() && history.earlier.is_empty() {
            return self.notice(&format!("#{}: no messages there", history.channel));
        }
        let last = before.chain(&history.messages).map(|message| message.seq).max();
        let digits = last.map_or(0, |last| last.to_string().len());
        // With its number, by which a message is named in commands.
        let line = |message: &ChatMessage| {
            let number = self.style.dim(&format!("{:>digits$}", message.seq));
            format!("{number} {}", self.message(message, now))
        };
        let mut lines = Vec::new();
        for log in &history.earlier {
            lines.extend(log.messages.iter().map(line));
            lines.push(self.notice(&end_of(log)));
        }
        lines.extend(history.messages.iter().map(line));
        let Some(first) = history.messages.first().filter(|_| history.earlier.is_empty()) else {
            return lines.join("\n");
        };
        if let Some(missing) = &history.missing {
            lines.push(self.notice(&format!("older ones are not kept here: {}", one_line(&missing.reason))));
        } else if first.seq > 1 {
            let channel = quoted(history.channel.as_str());
            lines.push(self.notice(&format!("older ones: history {channel} --before {}", first.seq)));
        }
        lines.join("\n")
    }
}

/// What stands between a log of before and what came after it.
fn end_of(log: &EarlierLog) -> String {
    match log.kept {
        0 => {
            "up to here an earlier log, as it was received; then the channel's log was begun anew".to_owned()
        }
        kept => format!(
            "up to here an earlier log, as it was received; its entries up to {kept} are in the one that the host went on with"
        ),
    }
}

/// For how long texts are kept, in words.
pub(in crate::ui) fn kept_for(days: Option<u32>) -> String {
    match days {
        None => "for ever".to_owned(),
        Some(1) => "for a day, at the host".to_owned(),
        Some(days) => format!("for {days} days, at the host"),
    }
}

fn identity_facts(identity: &Identity) -> Vec<(&'static str, String)> {
    let state = match identity.state {
        SessionState::Account => "signed in",
        SessionState::Guest => "guest",
        // Hosts that know this peer let it in by its last pass.
        SessionState::None if identity.subject.is_some() => {
            "not let in by the tracker now; hosts still know you"
        }
        SessionState::None => "not signed in",
    };
    let state = if identity.invisible { format!("{state}, invisible") } else { state.to_owned() };
    vec![("name", identity.username.to_string()), ("as", state), ("key", fingerprint(identity.key))]
}

fn person(name: &str, kind: IdentityKind) -> String {
    let guest = if kind == IdentityKind::Guest { " (guest)" } else { "" };
    format!("{}{guest}", one_line(name))
}

fn owner(owner: &Owner) -> String {
    person(owner.name.as_str(), owner.kind)
}

fn policy(policy: &Switches) -> String {
    let post = match policy.post {
        Post::Everyone => "everyone inside",
        Post::Authorized => "authorized",
    };
    format!("join: {}, send: {post}", view(policy.view))
}

fn state(state: LinkState, reason: Option<&str>) -> String {
    let word = match state {
        LinkState::Up => "up",
        LinkState::Down => "down",
        LinkState::Retrying => "retrying",
    };
    reason.map_or_else(|| word.to_owned(), |reason| format!("{word} ({})", one_line(reason)))
}

fn messages(count: u64) -> String {
    match count {
        0 => "no messages yet".into(),
        1 => "1 message".into(),
        _ => format!("{count} messages"),
    }
}
