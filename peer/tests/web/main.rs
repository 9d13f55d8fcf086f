//! The page, as people use it: real browsers, peers, a tracker and hosts, all on this machine.
//!
//! The browser is Chromium, driven over its `chromedriver`. Where these are not installed, and `NATTER_NO_BROWSER` says
//! so, the tests that need them pass without having tested anything and say it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod attacks;
mod browser;
mod entering;
mod erasing;
mod face;
mod files;
mod history;
mod light;
mod looks;
mod own;
mod people;
mod private;
mod process;
#[path = "../process_support/mod.rs"]
mod process_support;
mod reading;
mod recovering;
mod search;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
