//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), names ([`name`]), keys and passes
//! ([`identity`]), and remote text on its way to a terminal ([`text`]).

pub mod clock;
pub mod id;
pub mod identity;
pub mod name;
pub mod text;
