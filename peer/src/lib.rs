//! A peer of Natter.
pub mod host;
pub mod listener;
