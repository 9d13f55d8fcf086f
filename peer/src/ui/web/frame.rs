//! What the frame around each view shows, as it is now.

use std::collections::BTreeSet;

use common::name::ChannelName;
use common::proto::status::Refusal;

use super::page::Page;
use super::views::{At, FrameView, PersonRow, Row};
use crate::api::{Command, ContactRow, ContactState, OutboxCommand, OutgoingState, Reply};

/// Asks for what the frame shows.
pub(super) async fn frame(page: &Page, csrf: &str, at: At) -> Result<FrameView, Refusal> {
    let status = page.status().await?;
    let waiting = status.channels.iter().any(|channel| channel.queued > 0);
    let refused = if waiting { refused_in(page).await } else { BTreeSet::new() };
    let mine = status.channels.iter().filter(|channel| channel.joined || channel.hosted);
    let contacts = page.contacts().await.unwrap_or_default();
    let asking = contacts.iter().filter(|row| row.state == ContactState::Asks).count();
    let people = page.look(|model| {
        let known = contacts.into_iter().filter(|row| row.state == ContactState::Contact);
        let row =
            |contact: ContactRow| PersonRow { unread: model.privates.get(&contact.user).unread, contact };
        known.map(row).collect()
    });
    let (rows, unread) = page.look(|model| {
        let rows = mine.map(|channel| {
            let kept = model.talk(&channel.channel).map(|talk| talk.kept.clone()).unwrap_or_default();
            Row {
                status: channel.clone(),
                unread: kept.unread,
                mentions: kept.mentions,
                muted: kept.muted,
                refused: refused.contains(&channel.channel),
            }
        });
        (rows.collect(), model.unread())
    });
    Ok(FrameView { at, csrf: csrf.to_owned(), status, rows, people, asking, unread })
}

async fn refused_in(page: &Page) -> BTreeSet<ChannelName> {
    let list = page.perform(Command::Outbox(OutboxCommand::List { channel: None })).await;
    let Ok(Reply::Outbox(list)) = list else { return BTreeSet::new() };
    let refused = list.messages.into_iter().filter(|item| item.state == OutgoingState::Refused);
    refused.map(|item| item.channel).collect()
}
