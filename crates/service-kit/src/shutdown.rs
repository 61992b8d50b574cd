//! Stopping: a signal asks everything to drain, a deadline ends what does not.

use crate::clock;
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal, as a shell reports an interrupted command.
pub const INTERRUPTED: i32 = 130;

/// Tripped once: from then on the process drains.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

/// The named tasks of a process, each of which runs until the shutdown.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: BTreeMap<String, Id>,
}

impl Shutdown {
    /// Trips at SIGTERM or SIGINT; a second signal ends the process at once with code 130. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the signals cannot be listened to.
    pub fn install() -> anyhow::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening to SIGINT")?;
        let trip = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
            tracing::info!(signal = name, "draining; a second signal stops at once");
            trip.trip();
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::warn!("second signal: stopping without draining");
            #[expect(
                clippy::disallowed_methods,
                reason = "whoever asks twice does not wait for destructors"
            )]
            std::process::exit(INTERRUPTED);
        });
        Ok(shutdown)
    }

    /// A token that is cancelled when the process is to drain.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks the process to drain.
    pub fn trip(&self) {
        self.token.cancel();
    }

    /// Whether the process drains.
    pub fn is_draining(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Runs until the shutdown and until every task has ended; what still runs `deadline` after the trip is aborted.
    ///
    /// A task that ends before the shutdown trips it: a process without one of its parts is better restarted.
    ///
    /// # Errors
    ///
    /// The first task's failure, its panic, its end before the shutdown, or the names of the tasks that were aborted.
    pub async fn run_until_drained(&self, mut tasks: Tasks, deadline: Duration) -> anyhow::Result<()> {
        let mut failure = None;
        while !self.is_draining() {
            tokio::select! {
                () = self.token.cancelled() => {}
                ended = tasks.join_next() => match ended {
                    None => self.token.cancelled().await,
                    Some((name, outcome)) => {
                        let error = match outcome {
                            // It may have seen the token before this loop did.
                            Ok(()) if self.is_draining() => continue,
                            Ok(()) => anyhow!("task {name} ended while the process was running"),
                            Err(error) => error,
                        };
                        failure.get_or_insert(error);
                        self.trip();
                    }
                },
            }
        }
        let end = clock::timer_now() + deadline;
        loop {
            match tokio::time::timeout_at(end, tasks.join_next()).await {
                Ok(None) => break,
                Ok(Some((_, Ok(())))) => {}
                Ok(Some((_, Err(error)))) => {
                    failure.get_or_insert(error);
                }
                Err(_elapsed) => {
                    let late = tasks.names().join(", ");
                    tasks.set.shutdown().await;
                    failure.get_or_insert(anyhow!("aborted after {deadline:?}, not drained: {late}"));
                    break;
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Tasks {
    /// No tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task; a name that is taken gets a number.
    pub fn spawn(&mut self, name: &str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let mut unique = name.to_owned();
        let mut number = 2;
        while self.names.contains_key(&unique) {
            unique = format!("{name}-{number}");
            number += 1;
        }
        let handle = self.set.spawn(task);
        self.names.insert(unique, handle.id());
    }

    /// The names of the tasks that have not ended, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.names.keys().map(String::as_str).collect()
    }

    async fn join_next(&mut self) -> Option<(String, anyhow::Result<()>)> {
        let (id, outcome) = match self.set.join_next_with_id().await? {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err(describe(error))),
        };
        let name = self.names.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
        let name = name.expect("every task is spawned with a name");
        self.names.remove(&name);
        let outcome = outcome.with_context(|| format!("task {name} failed"));
        Some((name, outcome))
    }
}

fn describe(error: JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            anyhow!("panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
        }
        Err(_cancelled) => anyhow!("was aborted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn a_tripped_process_waits_for_its_tasks() {
        let (shutdown, mut tasks) = (Shutdown::default(), Tasks::new());
        let finished = Arc::new(AtomicBool::new(false));
        let (token, flag) = (shutdown.token(), finished.clone());
        tasks.spawn("worker", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            flag.store(true, Ordering::SeqCst);
            Ok(())
        });
        shutdown.trip();
        shutdown.run_until_drained(tasks, Duration::from_secs(5)).await.unwrap();
        assert!(finished.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_outlives_the_deadline_is_aborted_and_named() {
        let (shutdown, mut tasks) = (Shutdown::default(), Tasks::new());
        tasks.spawn("stuck", std::future::pending());
        tasks.spawn("stuck", std::future::pending());
        shutdown.trip();
        let error = shutdown.run_until_drained(tasks, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.to_string(), "aborted after 10ms, not drained: stuck, stuck-2");
    }

    #[tokio::test]
    async fn a_failing_task_drains_the_others() {
        let (shutdown, mut tasks) = (Shutdown::default(), Tasks::new());
        let token = shutdown.token();
        tasks.spawn("healthy", async move {
            token.cancelled().await;
            Ok(())
        });
        tasks.spawn("ill", async { Err(anyhow!("no database")) });
        let error = shutdown.run_until_drained(tasks, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task ill failed: no database");
        assert!(shutdown.is_draining());
    }

    #[tokio::test]
    async fn a_task_that_ends_early_is_a_failure() {
        let (shutdown, mut tasks) = (Shutdown::default(), Tasks::new());
        tasks.spawn("short", async { Ok(()) });
        let error = shutdown.run_until_drained(tasks, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "task short ended while the process was running");
    }

    #[tokio::test]
    async fn a_panic_is_reported_with_its_message() {
        let (shutdown, mut tasks) = (Shutdown::default(), Tasks::new());
        tasks.spawn("clumsy", async { panic!("dropped it") });
        let error = shutdown.run_until_drained(tasks, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task clumsy failed: panicked: dropped it");
    }
}
