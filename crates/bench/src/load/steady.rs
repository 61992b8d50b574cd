//! A steady rate, whatever the engine does with it.

use super::event::Renderer;
use super::{Load, Packing};
use crate::fleet::Fleet;
use automation_service_kit::clock::wall_clock;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// As many as the publisher has connections: what is due is not held up by confirms that are outstanding.
const PUBLISHERS: usize = 4;
/// Most events published and confirmed together, by a publisher that is late.
const MOST_AT_ONCE: u64 = 500;

/// How many events in a second, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    pub(crate) per_second: u32,
    pub(crate) duration: Duration,
}

impl Pace {
    fn events(self) -> u64 {
        u64::from(self.per_second) * self.duration.as_secs()
    }

    /// When an event is due, from the beginning on.
    fn due(self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / f64::from(self.per_second))
    }
}

/// Events that nobody has published yet.
struct Schedule {
    pace: Pace,
    packing: Packing,
    begun: Instant,
    next: u64,
}

impl Schedule {
    /// The next events to publish; else how long to wait, and in the end nothing.
    fn take(&mut self) -> Result<std::ops::Range<u64>, Option<Duration>> {
        let total = self.pace.events();
        if self.next >= total {
            return Err(None);
        }
        let passed = self.begun.elapsed();
        let due = ((passed.as_secs_f64() * f64::from(self.pace.per_second)) as u64 + 1).min(total);
        let (most, linger) = match self.packing {
            Packing::Single => (1, Duration::ZERO),
            Packing::Batches { most, linger } => (most as u64, linger),
        };
        let oldest_leaves_at = self.pace.due(self.next) + linger;
        let waiting = due.saturating_sub(self.next);
        if waiting >= most || (waiting > 0 && passed >= oldest_leaves_at) {
            let first = self.next;
            self.next += waiting.min(MOST_AT_ONCE);
            return Ok(first..self.next);
        }
        Err(Some(oldest_leaves_at.saturating_sub(passed).max(Duration::from_micros(500))))
    }
}

/// Publishes events at a steady rate; says how many.
///
/// An event's time is when it was due, so that the wait for others in its message counts, and so does a publisher that
/// is late.
pub(crate) async fn steady(fleet: &Fleet, load: &Load, pace: Pace) -> anyhow::Result<u64> {
    let started_at = wall_clock();
    let schedule =
        Arc::new(Mutex::new(Schedule { pace, packing: load.packing, begun: Instant::now(), next: 0 }));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (schedule, publisher, load) = (schedule.clone(), fleet.publisher.clone(), load.clone());
        publishers.spawn(async move {
            let mut renderer = Renderer::new();
            loop {
                let Some(numbers) = next(&schedule).await else { return anyhow::Ok(()) };
                let at = |number| moment(started_at, pace.due(number));
                publisher.publish_all(load.messages(&mut renderer, numbers, at)).await?;
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(pace.events())
}

/// The next events once they are due. One publisher waits for them, the others for it.
async fn next(schedule: &Mutex<Schedule>) -> Option<std::ops::Range<u64>> {
    let mut turn = schedule.lock().await;
    loop {
        match turn.take() {
            Ok(numbers) => return Some(numbers),
            Err(Some(wait)) => tokio::time::sleep(wait).await,
            Err(None) => return None,
        }
    }
}

fn moment(started_at: DateTime<Utc>, after: Duration) -> DateTime<Utc> {
    started_at + TimeDelta::from_std(after).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(packing: Packing, since: Duration) -> Schedule {
        let pace = Pace { per_second: 1_000, duration: Duration::from_secs(60) };
        Schedule { pace, packing, begun: Instant::now() - since, next: 0 }
    }

    #[test]
    fn events_one_by_one_leave_as_soon_as_they_are_due() {
        let mut schedule = schedule(Packing::Single, Duration::from_millis(10));
        assert!(schedule.take().unwrap().end >= 10);
    }

    #[test]
    fn a_batch_leaves_when_it_is_full_or_its_oldest_event_has_waited() {
        let linger = Duration::from_secs(1);
        let packing = Packing::Batches { most: 50, linger };
        assert!(schedule(packing, Duration::from_millis(10)).take().is_err());
        assert!(schedule(packing, Duration::from_millis(100)).take().unwrap().end >= 50);
        assert!(schedule(Packing::Batches { most: 5_000, linger }, Duration::from_secs(2)).take().is_ok());
    }

    #[test]
    fn nothing_is_due_beyond_the_end() {
        let mut schedule = schedule(Packing::Single, Duration::from_secs(120));
        let mut count = 0;
        while let Ok(numbers) = schedule.take() {
            count += numbers.end - numbers.start;
        }
        assert_eq!(count, 60_000);
        assert_eq!(schedule.take(), Err(None));
    }
}
