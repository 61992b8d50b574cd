//! What every role needs: configuration, logs, metrics, traces, health, a watchdog, shutdown.
//!
//! A role's `main` is a list of these, in this order:
//!
//! ```no_run
//! use automation_service_kit::{bootstrap, config::CommonConfig, health, metrics::Metrics, shutdown, spans, telemetry, watchdog};
//! # async fn role() -> anyhow::Result<()> { Ok(()) }
//! # async fn run(config: CommonConfig) -> anyhow::Result<()> {
//! bootstrap();
//! telemetry::init(config.log_format, &config.log_filter)?;
//! let metrics = Metrics::install()?;
//! spans::Spans::install()?;
//! let shutdown = shutdown::Shutdown::install()?;
//! let health = health::Health::new(shutdown.token());
//! watchdog::start(std::time::Duration::from_secs(5), health.clone())?;
//! let admin = health::serve(config.admin_addr, health.clone(), metrics).await?;
//! let mut tasks = shutdown::Tasks::new();
//! tasks.spawn("role", role());
//! shutdown.run_until_drained(tasks, config.drain()).await?;
//! spans::spans().shutdown().await;
//! admin.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod config;
pub mod crash_point;
pub mod health;
pub mod ids;
pub mod in_hand;
pub mod metrics;
pub mod random;
pub mod shares;
pub mod shutdown;
pub mod spans;
pub mod telemetry;
pub mod terminal;
pub mod turns;
pub mod watchdog;

/// Installs the process's one TLS provider (rustls with ring). Call it first; calling it again changes nothing.
pub fn bootstrap() {
    // An error means that a provider is installed already, which is what was asked for.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn bootstrap_may_be_called_twice() {
        super::bootstrap();
        super::bootstrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
