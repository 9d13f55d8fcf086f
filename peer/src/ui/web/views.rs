//! What the page looks like. Pure: what is known in, HTML out. All that others have written goes in as text.

mod account;
mod channel;
mod door;
mod find;
mod frame;
mod lines;
mod status;
mod text;
mod words;

pub(super) use account::{AccountView, account_card, account_page, enter_page};
pub(super) use channel::{
    ChannelView, about, channel_page, composer_said, my_picture, outbox, outbox_swap, people_swap, stale,
};
pub(super) use door::{door, link_card, stopped};
pub(super) use find::{FindView, find_page, found, host_form};
pub(super) use frame::{At, FrameView, Row, alerts_swap, frame_swap, page, toast, toast_swap};
pub(super) use lines::{Chain, Lines, lines, log_swap, older, rows};
pub(super) use status::status_page;
pub(super) use words::channel_path;
