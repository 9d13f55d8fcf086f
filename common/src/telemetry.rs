//! The log of a program: on stderr, for its operator.
//!
//! Text that came from elsewhere is logged as `?field`, never as `%field` or inside the message: `Debug`
//! escapes line breaks and terminal codes, so that nobody can write lines of our log.

use std::env::{self, VarError};
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("{variable} is no log filter: write it like `info` or `warn,tracker=debug`")]
    Filter {
        /// The environment variable it is read from.
        variable: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The environment variable is not UTF-8.
    #[error("{0} is not text: write it like `info` or `warn,tracker=debug`")]
    NotText(String),
    /// The process already has a log.
    #[error("the log is set up already: set it up once, at the start")]
    AlreadySet,
}

/// Sends what is traced to stderr, once per process, in colour only when that is a terminal.
///
/// The environment variable `filter_env` (`NATTER_LOG`) says what is logged; `default` does when it is unset
/// or empty. The form of both is that of [`EnvFilter`], such as `info` or `warn,tracker=debug`.
pub fn init(filter_env: &str, default: &str) -> Result<(), TelemetryError> {
    let filter = match env::var(filter_env) {
        Ok(given) if !given.is_empty() => filter(filter_env, &given)?,
        Ok(_) | Err(VarError::NotPresent) => filter(filter_env, default)?,
        Err(VarError::NotUnicode(_)) => return Err(TelemetryError::NotText(filter_env.to_owned())),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)
}

fn filter(variable: &str, text: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = |source| TelemetryError::Filter { variable: variable.to_owned(), source };
    EnvFilter::builder().parse(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_told_with_its_variable() {
        let error = filter("NATTER_LOG", "tracker=loudly").unwrap_err();
        assert!(error.to_string().starts_with("NATTER_LOG is no log filter"), "{error}");
        assert!(filter("NATTER_LOG", "warn,tracker=debug").is_ok());
    }

    #[test]
    fn the_log_is_set_up_once() {
        assert!(init("NATTER_LOG_OF_THIS_TEST", "off").is_ok());
        assert!(matches!(init("NATTER_LOG_OF_THIS_TEST", "off"), Err(TelemetryError::AlreadySet)));
    }
}
