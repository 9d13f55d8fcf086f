//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), keys and passes ([`identity`], [`pass`]), the
//! byte streams between two keys ([`transport`]).

pub mod clock;
pub mod id;
pub mod identity;
pub mod pass;
pub mod transport;
