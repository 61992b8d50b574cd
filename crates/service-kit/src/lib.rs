//! What every role needs: configuration, logs, metrics, health, shutdown.
