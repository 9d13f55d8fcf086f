//! Entries that a log has lost, given back by members who have received them.
//!
//! In reading order: whether what is given is what the host has signed ([`tail`], pure), who is asked for what in which
//! order ([`order`], pure), whom to ask ([`source`]), what is given and not proven yet (`staging`), the gathering
//! that brings them together ([`mod@gather`]), and whether that is all ([`verdict`], pure). Where that is not
//! all, the log goes on in another ([`forking`]). It knows nothing of hosts: it extends a log on disk up to where a key has
//! signed it.

pub mod forking;
pub mod gather;
pub mod order;
pub mod source;
mod staging;
pub mod tail;
pub mod verdict;

pub use gather::{Gathered, Quest, Rejected, gather};
pub use source::{Member, Source};
