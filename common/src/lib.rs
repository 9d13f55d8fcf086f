//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), names ([`name`]), keys and what they sign ([`identity`],
//! [`signed`], [`pass`]), authenticated byte streams ([`transport`]), the entry of a log ([`entry`]), the protocol's
//! words ([`proto`]), lines out of bytes ([`codec`]), a connection over which both sides ask, answer and push
//! ([`link`]), taking in those who connect ([`listener`], [`admission`]), and what is kept on disk ([`storage`], [`files`]). Beside them: passwords
//! ([`secret`]), remote text on its way to a terminal ([`text`]), when to try again ([`backoff`]), how often is too often
//! ([`meter`]), and what every program needs around its work ([`telemetry`], [`shutdown`],
//! [`process`]); and where tests may end them ([`crash`]).

pub mod admission;
pub mod backoff;
pub mod clock;
pub mod codec;
pub mod crash;
pub mod doctor;
pub mod entry;
pub mod files;
mod hex_bytes;
pub mod id;
pub mod identity;
pub mod link;
pub mod listener;
pub mod meter;
pub mod name;
pub mod pass;
pub mod process;
pub mod proto;
pub mod secret;
pub mod shutdown;
pub mod signed;
pub mod storage;
pub mod telemetry;
pub mod text;
pub mod transport;
