//! What was published, by type.

use automation_client::PublishError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts by event type.
#[derive(Clone, Debug, Default)]
pub struct Report {
    types: BTreeMap<String, Count>,
    first_error: Option<PublishError>,
    /// From the first event to the last confirm.
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Count {
    published: usize,
    confirmed: usize,
}

impl Report {
    /// Counts one event.
    pub fn count(&mut self, event_type: &str, outcome: Result<(), PublishError>) {
        let count = self.types.entry(event_type.to_owned()).or_default();
        count.published += 1;
        match outcome {
            Ok(()) => count.confirmed += 1,
            Err(error) => {
                self.first_error.get_or_insert(error);
            }
        }
    }

    /// How many events were published.
    pub fn published(&self) -> usize {
        self.types.values().map(|count| count.published).sum()
    }

    /// How many of them the broker confirmed.
    pub fn confirmed(&self) -> usize {
        self.types.values().map(|count| count.confirmed).sum()
    }

    /// For machines: totals, counts by type, seconds.
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "published": self.published(),
            "confirmed": self.confirmed(),
            "seconds": self.took.as_secs_f64(),
            "types": self.types,
            "first_error": self.first_error.as_ref().map(ToString::to_string),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<30} {:>9} {:>9}", "event type", "published", "confirmed")?;
        for (event_type, count) in &self.types {
            writeln!(f, "{event_type:<30} {:>9} {:>9}", count.published, count.confirmed)?;
        }
        writeln!(f, "{:<30} {:>9} {:>9}", "all", self.published(), self.confirmed())?;
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "in {seconds:.2} s, {:.0} events per second",
            self.published() as f64 / seconds.max(0.001)
        )?;
        self.first_error.as_ref().map_or(Ok(()), |error| writeln!(f, "first error: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_a_confirm_is_not_counted_as_confirmed() {
        let mut report = Report::default();
        report.count("order.created", Ok(()));
        report.count("order.created", Err(PublishError::Unconfirmed("no answer in time".to_owned())));
        assert_eq!((report.published(), report.confirmed()), (2, 1));
        assert!(
            report
                .to_string()
                .contains("first error: not confirmed, and perhaps published: no answer in time")
        );
        assert_eq!(report.as_json()["types"]["order.created"]["confirmed"], 1);
    }
}
