//! A peer of Natter: hosts channels, joins channels, talks to people.

pub mod api;
pub mod ui;
