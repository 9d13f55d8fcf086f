//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), keys and what they sign ([`identity`], [`signed`]), the
//! entry of a log ([`entry`]), the protocol's words ([`proto`]), lines out of bytes ([`codec`]), and a connection over
//! which both sides ask, answer and push ([`link`]).

pub mod clock;
pub mod codec;
pub mod entry;
pub mod id;
pub mod identity;
pub mod link;
pub mod proto;
pub mod signed;
