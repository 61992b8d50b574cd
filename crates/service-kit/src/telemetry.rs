//! Logs: one line per event on standard error, as text for people or as JSON for machines.

use crate::config::LogFormat;
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging for the process; `filter` is a `RUST_LOG` directive such as `info,automation_ingest=debug`.
///
/// Standard output stays free for what commands print.
///
/// # Errors
///
/// When the filter cannot be read, or when the process logs already.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("RUST_LOG: cannot read \"{filter}\""))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging is set up already: {error}"))
}
