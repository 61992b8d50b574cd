//! As much as the engine takes.

use super::Load;
use super::event::Renderer;
use crate::fleet::Fleet;
use automation_service_kit::clock::wall_clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How much there may be of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    /// Most events published and not yet recorded, and most runs made by them and not yet finished.
    pub(crate) in_flight: u64,
    /// Events that are published and confirmed together.
    pub(crate) chunk: u64,
    /// Events that each run publishes itself: they are in flight too, until they are taken in again.
    pub(crate) own: u64,
}

impl Bounds {
    /// As many as keep every worker busy.
    pub(crate) const SATURATED: Self = Self { in_flight: 10_000, chunk: 500, own: 0 };
}

const PUBLISHERS: usize = 2;

/// A load that goes on until it is stopped.
pub(crate) struct ClosedLoop {
    stop: CancellationToken,
    publishers: JoinSet<anyhow::Result<()>>,
    published: Arc<AtomicU64>,
}

impl ClosedLoop {
    /// Keeps as many events in flight as the bounds let it, or as many runs, whichever is reached first.
    pub(crate) fn start(fleet: &Fleet, load: &Load, bounds: Bounds) -> Self {
        let Bounds { in_flight, chunk, own } = bounds;
        let (stop, published) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let before = (fleet.progress.recorded(), fleet.progress.finished());
        let mut publishers = JoinSet::new();
        for _ in 0..PUBLISHERS {
            let (stop, published, progress) = (stop.clone(), published.clone(), fleet.progress.clone());
            let (publisher, load) = (fleet.publisher.clone(), load.clone());
            publishers.spawn(async move {
                let mut renderer = Renderer::new();
                while !stop.is_cancelled() {
                    let recorded = progress.recorded().saturating_sub(before.0);
                    let finished = progress.finished().saturating_sub(before.1);
                    let reserved = published.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                        let next = count + chunk;
                        let runs = load.matching.runs(next);
                        let has_room = next + own * runs <= recorded + (1 + own) * in_flight
                            && runs <= finished + in_flight;
                        has_room.then_some(next)
                    });
                    match reserved {
                        Ok(first) => {
                            let now = wall_clock();
                            let messages = load.messages(&mut renderer, first..first + chunk, |_| now);
                            publisher.publish_all(messages).await?;
                        }
                        Err(_full) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                Ok(())
            });
        }
        Self { stop, publishers, published }
    }

    /// Stops, and says how many events were published and confirmed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<u64> {
        self.stop.cancel();
        while let Some(ended) = self.publishers.join_next().await {
            ended??;
        }
        Ok(self.published.load(Ordering::Relaxed))
    }
}
