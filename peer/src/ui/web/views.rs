//! What the page looks like. Pure: what is known in, HTML out. All that others have written goes in as text.

mod about;
mod account;
mod channel;
mod door;
mod field;
mod files;
mod find;
mod frame;
mod here;
mod lines;
mod people;
mod private;
mod search;
mod status;
mod text;
mod words;

pub(super) use about::{AboutView, OrdersView, about};
pub(super) use account::{AccountView, account_card, account_page, enter_page};
pub(super) use channel::{
    ChannelView, channel_page, composer_said, my_picture, outbox, outbox_swap, people_swap, stale,
};
pub(super) use door::{door, link_card, stopped};
pub(super) use files::{open_swap, over_swap, path_form, shelf};
pub(super) use find::{FindView, find_page, found, host_form};
pub(super) use frame::{At, FrameView, PersonRow, Row, alerts_swap, frame_swap, page, toast, toast_swap};
pub(super) use here::{HereView, broadcast_form, here};
pub(super) use lines::{Chain, Lines, erased_swap, lines, log_swap, newer, no_newer, not_there, older, rows};
pub(super) use people::{ask_form, people_card, people_page};
pub(super) use private::{
    PrivateView, place, private_newer, private_older, private_page, private_rows, standing_swap, state_swap,
};
pub(super) use search::{SearchView, found_rows, place_of, search_page};
pub(super) use status::status_page;
pub(super) use words::{channel_path, private_path, why};
