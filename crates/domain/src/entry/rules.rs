//! Entry rules over earlier runs: re-entry, and what happens while a run of the same key is open.

use crate::id::RunId;
use crate::workflow::{self, MostRuns, OnConflict, Reentry};
use chrono::{DateTime, Utc};

/// What is known of earlier runs of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Enrolment {
    /// The latest run.
    pub run_id: Option<RunId>,
    /// Whether it is open.
    pub open: bool,
    /// Runs so far.
    pub runs: i32,
    /// When the latest began.
    pub last_started_at: Option<DateTime<Utc>>,
    /// When one last ended.
    pub last_ended_at: Option<DateTime<Utc>>,
    /// When the latest began, as many as a rule counts, the earliest first; none before there is such a rule.
    pub starts: Vec<DateTime<Utc>>,
}

impl Enrolment {
    /// When no more than so many runs will have begun within a time that ends then, and another may begin.
    fn open_again_at(&self, most: MostRuns) -> Option<DateTime<Utc>> {
        let first = *self.starts.get(self.starts.len().checked_sub(most.runs)?)?;
        Some(first.checked_add_signed(most.per).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }
}

/// Why an entry rule lets a match not in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptOut {
    /// `reentry: once`: the key was in before.
    Once {
        /// When its latest run began.
        since: Option<DateTime<Utc>>,
    },
    /// A run of the key is open, and the workflow has at most one.
    StillIn,
    /// The last run of the key ended too short a while ago.
    Gap {
        /// When it may enter again.
        until: DateTime<Utc>,
    },
    /// As many runs of the key began within a time as may.
    Max {
        /// When it may enter again.
        until: DateTime<Utc>,
    },
}

impl Enrolment {
    /// Lets a run in, if the rules do, and remembers it; gives the open run whose place it takes.
    ///
    /// # Errors
    ///
    /// Which rule keeps it out; what is known stays as it is.
    pub fn enter(
        &mut self,
        run: RunId,
        rules: &workflow::Enrolment,
        now: DateTime<Utc>,
    ) -> Result<Option<RunId>, KeptOut> {
        if let Some(kept_out) = kept_out(self, rules, now) {
            return Err(kept_out);
        }
        let superseded = self.run_id.filter(|_| self.open && rules.on_conflict == OnConflict::Supersede);
        if let Some(most) = rules.max {
            let all = self.starts.len() + 1;
            self.starts.push(now);
            self.starts.drain(..all.saturating_sub(most.runs));
        }
        self.run_id = Some(run);
        self.open = true;
        self.runs += 1;
        self.last_started_at = Some(now);
        Ok(superseded)
    }

    /// Remembers that a run ended, if it is still the latest.
    pub fn leave(&mut self, run: RunId, now: DateTime<Utc>) {
        if self.run_id == Some(run) {
            self.open = false;
            self.last_ended_at = Some(now);
        }
    }
}

/// Which entry rule keeps a key out, given what is known of its earlier runs; `None` lets it in.
pub fn kept_out(known: &Enrolment, rules: &workflow::Enrolment, now: DateTime<Utc>) -> Option<KeptOut> {
    if known.open && rules.is_exclusive() && rules.on_conflict != OnConflict::Supersede {
        return Some(KeptOut::StillIn);
    }
    let max = rules.max.and_then(|most| known.open_again_at(most)).filter(|until| now < *until);
    match (kept_out_by_mode(known, rules.reentry, now), max) {
        // Of two times it is the later one that lets it in.
        (Some(KeptOut::Gap { until: gap }), Some(until)) if gap < until => Some(KeptOut::Max { until }),
        (None, Some(until)) => Some(KeptOut::Max { until }),
        (by_mode, _) => by_mode,
    }
}

fn kept_out_by_mode(known: &Enrolment, reentry: Reentry, now: DateTime<Utc>) -> Option<KeptOut> {
    match reentry {
        Reentry::Always => None,
        Reentry::Once => (known.runs > 0).then_some(KeptOut::Once { since: known.last_started_at }),
        Reentry::AfterExit { gap } => {
            let until = known.last_ended_at?.checked_add_signed(gap).unwrap_or(DateTime::<Utc>::MAX_UTC);
            (now < until).then_some(KeptOut::Gap { until })
        }
    }
}

/// What was known of earlier runs of a key at some moment, as far as its record tells today; `None` when runs that began
/// later have replaced it.
pub fn known_at(today: &Enrolment, at: DateTime<Utc>) -> Option<Enrolment> {
    match today.last_started_at {
        None => Some(Enrolment::default()),
        Some(started) if started > at => (today.runs == 1).then(Enrolment::default),
        Some(_) => {
            let was_open = today.open || today.last_ended_at.is_some_and(|ended| ended > at);
            Some(Enrolment { open: was_open, ..today.clone() })
        }
    }
}

#[cfg(test)]
#[path = "max_tests.rs"]
mod max_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn entry_follows_reentry_and_conflict_rules() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let hour_ago = now - TimeDelta::hours(1);
        let new = Enrolment::default();
        let open = Enrolment { open: true, runs: 1, ..Enrolment::default() };
        let ended = Enrolment { runs: 1, last_ended_at: Some(hour_ago), ..Enrolment::default() };
        let after = |hours| Reentry::AfterExit { gap: TimeDelta::hours(hours) };
        let until = hour_ago + TimeDelta::hours(2);
        for (known, reentry, on_conflict, expected) in [
            (&new, Reentry::Once, OnConflict::Start, None),
            (&ended, Reentry::Once, OnConflict::Start, Some(KeptOut::Once { since: None })),
            (&open, Reentry::Always, OnConflict::Start, None),
            (&open, Reentry::Always, OnConflict::Ignore, Some(KeptOut::StillIn)),
            (&ended, Reentry::Always, OnConflict::Ignore, None),
            (&open, after(0), OnConflict::Start, Some(KeptOut::StillIn)),
            (&open, Reentry::Always, OnConflict::Supersede, None),
            (&open, after(1), OnConflict::Supersede, None),
            (&open, Reentry::Once, OnConflict::Supersede, Some(KeptOut::Once { since: None })),
            (&ended, after(1), OnConflict::Start, None),
            (&ended, after(2), OnConflict::Start, Some(KeptOut::Gap { until })),
        ] {
            let rules = workflow::Enrolment { reentry, on_conflict, ..workflow::Enrolment::default() };
            assert_eq!(kept_out(known, &rules, now), expected, "{known:?} {reentry:?} {on_conflict:?}");
        }
    }

    #[test]
    fn what_was_known_is_told_from_the_latest_run_alone() {
        let at = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let (before, after) = (at - TimeDelta::hours(1), at + TimeDelta::hours(1));
        let record = |runs, open, started, ended| Enrolment {
            open,
            runs,
            last_started_at: started,
            last_ended_at: ended,
            ..Enrolment::default()
        };
        let known = |today: &Enrolment| known_at(today, at).map(|known| (known.runs, known.open));
        for (today, expected) in [
            (record(0, false, None, None), Some((0, false))),
            (record(1, true, Some(before), None), Some((1, true))),
            (record(1, false, Some(before), Some(after)), Some((1, true))),
            (record(2, false, Some(before), Some(before)), Some((2, false))),
            (record(1, true, Some(after), None), Some((0, false))),
            (record(2, true, Some(after), Some(before)), None),
        ] {
            assert_eq!(known(&today), expected, "{today:?}");
        }
    }
}
