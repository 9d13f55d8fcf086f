//! What was wrong with an earlier hybrid chat (a tracker, and peers that host channels), each fault as a test: none of
//! it happens here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod delivering;
mod joining;
mod pretending;
mod ruling;
#[path = "../support/mod.rs"]
mod support;
