//! A peer of Natter: one user's node, which hosts channels and joins the channels of others.
//!
//! In reading order: what a user may ask and is told ([`api`]), the root that routes it ([`node`]), who this peer is
//! ([`session`]), what it tells its user ([`events`]) and its link to the tracker ([`tracker_link`]), the part that is in
//! a channel ([`client`]), the part that owns one ([`host`], [`hosting`], [`listener`]), private conversations
//! ([`direct`]), files from one user to another ([`files`]), what is taken along of a channel ([`history`]), left aside when
//! it moves ([`branch`]), and given back to a host that has lost it ([`recovery`]), what is found ([`search`]), who of
//! those its user knows is there ([`presence`]), when what fails is tried again ([`reconnect`], [`pace`]), what is kept
//! ([`store`]), and what people see ([`ui`]).

pub mod alarm;
pub mod api;
pub mod branch;
pub mod client;
pub mod config;
pub mod direct;
pub mod doctor;
pub mod events;
pub mod files;
pub mod history;
pub mod host;
pub mod hosting;
pub mod listener;
pub mod node;
pub mod pace;
pub mod presence;
pub mod reconnect;
pub mod recovery;
pub mod revocations;
pub mod search;
pub mod session;
#[cfg(test)]
mod simulation;
mod start;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tracker_link;
pub mod ui;

pub use config::{Args, Config, ConfigError, Tool};
pub use start::{Peer, RunError, SCHEMA, StartError, open_store, run, start, start_on};

/// Name and version of the program, as it introduces itself.
pub const PROGRAM: &str = concat!("natter-peer/", env!("CARGO_PKG_VERSION"));
