//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), keys and passes ([`identity`]),
//! what is kept on disk ([`files`], [`storage`]).

pub mod clock;
pub mod files;
pub mod id;
pub mod identity;
pub mod storage;
