//! What went wrong in the two older chats that talked straight from one peer to another, and does not here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod filing;
mod lying;
mod talking;
mod telling;
