//! Files, straight from one peer to another: offered, accepted, checked, gone on with.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod channels;
mod going_on;
mod scene;
mod sending;
