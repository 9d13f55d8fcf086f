//! What the programs of Natter say to each other, and how.
//!
//! In reading order: identifiers and time ([`id`], [`clock`]), names ([`name`]), keys and passes
//! ([`identity`]), passwords ([`secret`]), remote text on its way to a terminal ([`text`]), when to try again
//! ([`backoff`]), and what every program needs around its work ([`telemetry`], [`shutdown`]).

pub mod backoff;
pub mod clock;
pub mod id;
pub mod identity;
pub mod name;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
pub mod text;
