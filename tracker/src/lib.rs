//! The tracker of Natter: accounts, the list of channels, introductions.
//!
//! In reading order: what an operator can decide ([`config`]) and a tracker from start to end ([`server`]); one
//! connection ([`session`]); the [`tracker`] itself, with passwords ([`password`]) and passes ([`signer`]); how much is too
//! much ([`quotas`], [`attempts`]); what is on disk ([`store`]); what its operator can do ([`admin`]); and what can go
//! wrong ([`error`]). Numbers are in [`limits`].

pub mod admin;
pub mod attempts;
pub mod config;
pub mod doctor;
pub mod error;
pub mod limits;
pub mod password;
pub mod quotas;
pub mod server;
pub mod session;
pub mod signer;
pub mod store;
pub mod tracker;

use common::shutdown::Shutdown;

pub use config::Config;
pub use error::{RunError, StartError};
pub use server::{Ready, Server};

/// Runs a tracker until `shutdown`; `on_ready` is told where it listens and under which key.
///
/// Has to be called within an actix system; connections are served on the tokio runtime under it.
///
/// # Errors
/// When it does not start, or something that all depends on has died.
pub async fn run(config: Config, shutdown: Shutdown, on_ready: impl FnOnce(Ready)) -> Result<(), RunError> {
    let server = Server::open(config).await?;
    on_ready(server.ready());
    server.run(shutdown).await
}
