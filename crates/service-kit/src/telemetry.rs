//! Logs: one line per event on standard error, as text for people or as JSON for machines.

use crate::config::LogFormat;
use crate::terminal::Visible;
use anyhow::Context;
use std::io;
use tracing_subscriber::EnvFilter;

/// Starts logging for the process; `filter` is a `RUST_LOG` directive such as `info,automation_ingest=debug`.
///
/// Standard output stays free for what commands print. What is quoted in a line for people tells a terminal nothing.
///
/// # Errors
///
/// When the filter cannot be read, or when the process logs already.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("RUST_LOG: cannot read \"{filter}\""))?;
    #[expect(clippy::disallowed_methods, reason = "where logs go")]
    let standard_error = io::stderr;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Text => builder.with_ansi(false).with_writer(move || Visible(standard_error())).try_init(),
        LogFormat::Json => builder.with_writer(standard_error).json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging is set up already: {error}"))
}
