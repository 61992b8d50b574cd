//! The rungs of the retry ladder: how long a step waits after each failed attempt.

use crate::duration;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest time that the broker can keep a message for.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);
/// Most rungs: each distinct one is a queue.
const MOST: usize = 20;

/// How long a step waits after its first failed attempt, its second, and so on; one rung fewer than there are attempts,
/// since the first attempt is made at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rungs(Vec<Duration>);

/// Why delays are no ladder.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRungs {
    /// None, or too many.
    #[error("a ladder has 1 to {MOST} rungs, not {0}")]
    Count(usize),
    /// Not a delay.
    #[error("\"{0}\" is not a delay: write 500ms, 30s, 15m, 1h or 1h30m")]
    Unreadable(String),
    /// Shorter than a millisecond, no whole number of milliseconds, or longer than the broker keeps a message.
    #[error("a rung is a whole number of milliseconds from 1 to {}, not {} s", LONGEST.as_millis(), .0.as_secs_f64())]
    Range(Duration),
}

impl Rungs {
    /// A ladder of these delays, in the order of attempts.
    ///
    /// # Errors
    ///
    /// [`InvalidRungs`] when there are none or more than 20, or one of them cannot be kept by the broker.
    pub fn new(delays: Vec<Duration>) -> Result<Self, InvalidRungs> {
        if delays.is_empty() || delays.len() > MOST {
            return Err(InvalidRungs::Count(delays.len()));
        }
        let fits = |delay: &Duration| {
            !delay.is_zero() && *delay <= LONGEST && delay.subsec_nanos().is_multiple_of(1_000_000)
        };
        match delays.iter().find(|delay| !fits(delay)) {
            Some(delay) => Err(InvalidRungs::Range(*delay)),
            None => Ok(Self(delays)),
        }
    }

    /// The delays, in the order of attempts.
    pub fn delays(&self) -> &[Duration] {
        &self.0
    }

    /// The wait before attempt number `next` (2 is the first retry); `None` when the ladder ends before it.
    pub fn before_attempt(&self, next: u32) -> Option<Duration> {
        let rung = usize::try_from(next.checked_sub(2)?).ok()?;
        self.0.get(rung).copied()
    }

    /// The different delays, ascending: one wait queue each.
    pub fn distinct(&self) -> Vec<Duration> {
        let mut delays = self.0.clone();
        delays.sort_unstable();
        delays.dedup();
        delays
    }
}

impl Default for Rungs {
    /// 1 m, 5 m, 15 m, 1 h, 6 h.
    fn default() -> Self {
        Self([1, 5, 15, 60, 360].map(|minutes| Duration::from_secs(60 * minutes)).to_vec())
    }
}

impl FromStr for Rungs {
    type Err = InvalidRungs;

    /// Reads delays separated by commas: `1m,5m,15m`, and for tests `500ms`.
    fn from_str(text: &str) -> Result<Self, InvalidRungs> {
        let delay = |text: &str| {
            let text = text.trim();
            let read = match text.strip_suffix("ms") {
                Some(millis) => millis.parse().ok().map(Duration::from_millis),
                None => duration::parse(text).and_then(|delta| delta.to_std().ok()),
            };
            read.ok_or_else(|| InvalidRungs::Unreadable(text.to_owned()))
        };
        Self::new(text.split(',').map(delay).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for Rungs {
    /// What [`Rungs::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, delay) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let millis = delay.as_millis();
            match millis {
                _ if millis.is_multiple_of(3_600_000) => write!(f, "{comma}{}h", millis / 3_600_000)?,
                _ if millis.is_multiple_of(60_000) => write!(f, "{comma}{}m", millis / 60_000)?,
                _ if millis.is_multiple_of(1_000) => write!(f, "{comma}{}s", millis / 1_000)?,
                _ => write!(f, "{comma}{millis}ms")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_the_documentation_says() {
        assert_eq!(Rungs::default().to_string(), "1m,5m,15m,1h,6h");
        let before = |attempt| Rungs::default().before_attempt(attempt).map(|delay| delay.as_secs());
        assert_eq!(
            [0, 1, 2, 6, 7].map(before),
            [None, None, Some(60), Some(21_600), None],
            "the first attempt is made at once, and the sixth is the last"
        );
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["1m,5m,15m,1h,6h", "500ms", "2s,2s,1m", "90s,1h"] {
            assert_eq!(text.parse::<Rungs>().unwrap().to_string(), text);
        }
        let rungs: Rungs = "5m, 1m,5m,1h30m".parse().unwrap();
        assert_eq!(rungs.distinct().iter().map(Duration::as_secs).collect::<Vec<_>>(), [60, 300, 5_400]);
    }

    #[test]
    fn what_is_no_ladder_is_refused_by_its_reason() {
        let refused = |text: &str| text.parse::<Rungs>().unwrap_err();
        for text in ["", "1m,,5m", "soon", "1m;5m", "-1s", "1.5s"] {
            assert!(matches!(refused(text), InvalidRungs::Unreadable(_)), "{text}");
        }
        for text in ["0s", "0ms", "1m,60d"] {
            assert!(matches!(refused(text), InvalidRungs::Range(_)), "{text}");
        }
        assert_eq!(refused(&["1m"; 21].join(",")), InvalidRungs::Count(21));
        assert_eq!(Rungs::new(Vec::new()), Err(InvalidRungs::Count(0)));
        let uneven = Duration::from_micros(1_500);
        assert_eq!(Rungs::new(vec![uneven]), Err(InvalidRungs::Range(uneven)));
    }
}
