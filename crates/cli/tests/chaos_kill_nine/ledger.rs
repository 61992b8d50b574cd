//! What the database says afterwards, asked past the engine's own code.

use anyhow::bail;
use automation_test_support::database::count;
use std::time::{Duration, Instant};

/// How long the engine may take to finish what is open.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// Runs that completed.
    pub completed: i64,
    /// Events without record, run, note, tag, or event of the tag.
    pub lost: i64,
    /// Records, runs, notes and events of tags beyond the first.
    pub twice: i64,
}

/// Waits until nothing is owed any more, and counts.
pub async fn settle_and_count(url: &str, events: i64) -> anyhow::Result<Count> {
    let owed = "SELECT (SELECT count(*) FROM runs_open) + (SELECT count(*) FROM wakeups) + (SELECT count(*) FROM outbox)";
    let recorded = "SELECT count(*) FROM events WHERE event_type NOT LIKE 'schedule.%'";
    let begun = Instant::now();
    // Each run's tag is told in an event, which comes back.
    while count(url, owed).await? != 0 || count(url, recorded).await? < 2 * events {
        if begun.elapsed() > PATIENCE {
            bail!(
                "{} runs, wakeups and outbox rows are still owed, {} of {} events recorded",
                count(url, owed).await?,
                count(url, recorded).await?,
                2 * events
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let shop = "events WHERE source = 'shop' AND id ~ '^e-[0-9]+$'";
    let tagged = "events WHERE source = 'automation' AND event_type = 'contact.tag_added'";
    // What there must be for each event, and how to tell one event's from another's.
    let facts = [
        (shop.to_owned(), "id"),
        ("runs_finished".to_owned(), "event_id"),
        ("runs_finished WHERE status = 'completed'".to_owned(), "event_id"),
        ("notes".to_owned(), "contact_id"),
        ("contacts WHERE tags = '{seen}'".to_owned(), "subject"),
        (tagged.to_owned(), "contact_id"),
    ];
    let (mut lost, mut twice) = (0, 0);
    for (of, key) in facts {
        let all = count(url, &format!("SELECT count(*) FROM {of}")).await?;
        let distinct = count(url, &format!("SELECT count(DISTINCT {key}) FROM {of}")).await?;
        if (all, distinct) != (events, events) {
            println!("{of}: {all}, of {distinct} different, for {events} events");
        }
        lost += events - distinct;
        twice += all - distinct;
    }
    let parked = count(url, "SELECT count(*) FROM parked_events").await?;
    if parked != 0 {
        bail!("{parked} events were parked");
    }
    let completed = count(url, "SELECT count(*) FROM runs_finished WHERE status = 'completed'").await?;
    Ok(Count { completed, lost, twice })
}
