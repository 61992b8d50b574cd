//! How much a caller may send: a bucket of tokens for each, which fills up steadily.
//!
//! Each process counts for itself: with several, a caller may send as many times more.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers whose buckets are remembered; beyond it, full ones are forgotten.
const REMEMBERED: usize = 10_000;

/// The buckets of all callers.
#[derive(Debug)]
pub struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Rates {
    /// Buckets of `burst` tokens, of which each gets `per_second`.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Self { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes `tokens` of a caller's bucket; more than a whole bucket counts as a whole bucket.
    ///
    /// # Errors
    ///
    /// How long it takes until there are as many; none is taken.
    pub fn take(&self, caller: &str, tokens: usize, now: Instant) -> Result<(), Duration> {
        let wanted = (tokens as f64).min(self.burst);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| self.filled(*bucket, now).tokens < self.burst);
        }
        let full = Bucket { tokens: self.burst, filled_at: now };
        let bucket = buckets.entry(caller.to_owned()).or_insert(full);
        *bucket = self.filled(*bucket, now);
        if bucket.tokens >= wanted {
            bucket.tokens -= wanted;
            return Ok(());
        }
        Err(Duration::from_secs_f64((wanted - bucket.tokens) / self.per_second))
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let passed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        Bucket { tokens: (bucket.tokens + passed * self.per_second).min(self.burst), filled_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_service_kit::clock;

    #[test]
    fn a_burst_is_let_through_and_then_the_steady_rate() {
        let (rates, begin) = (Rates::new(10, 20), clock::now());
        assert_eq!(rates.take("a", 20, begin), Ok(()));
        assert_eq!(rates.take("a", 5, begin), Err(Duration::from_millis(500)));
        assert_eq!(rates.take("b", 20, begin), Ok(()), "others have buckets of their own");
        assert_eq!(rates.take("a", 5, begin + Duration::from_millis(500)), Ok(()));
        assert_eq!(rates.take("a", 1, begin + Duration::from_millis(500)), Err(Duration::from_millis(100)));
        // A bucket never holds more than a burst, however long nobody came.
        let late = begin + Duration::from_secs(3_600);
        assert_eq!(rates.take("a", 20, late), Ok(()));
        assert!(rates.take("a", 1, late).is_err());
    }

    #[test]
    fn a_batch_larger_than_the_bucket_takes_all_of_it() {
        let (rates, begin) = (Rates::new(10, 20), clock::now());
        assert_eq!(rates.take("a", 500, begin), Ok(()));
        assert_eq!(rates.take("a", 500, begin), Err(Duration::from_secs(2)));
    }

    #[test]
    fn callers_that_come_seldom_are_forgotten() {
        let (rates, begin) = (Rates::new(10, 20), clock::now());
        for number in 0..REMEMBERED {
            rates.take(&number.to_string(), 1, begin).unwrap();
        }
        rates.take("one more", 1, begin + Duration::from_secs(10)).unwrap();
        assert_eq!(rates.buckets.lock().unwrap().len(), 1);
    }
}
