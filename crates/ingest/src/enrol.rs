//! Entry rules over earlier runs: re-entry and what happens while a run of the same key is open.

use crate::matching::Match;
use automation_domain::workflow::{self, OnConflict, Reentry};
use automation_store::runs::NewRun;
use automation_store::runs::enrolments::{self, Enrolment, EnrolmentKey};
use automation_store::{Error, PgConnection};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Lets matches in, in their order, by what is known of earlier runs of their key, and remembers those let in.
pub(crate) async fn admit(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    matches: Vec<Match>,
) -> Result<Vec<NewRun>, Error> {
    let mut keys: Vec<EnrolmentKey> = matches.iter().filter(|found| needs_record(found)).map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut known = enrolments::lock(connection, &keys).await?;
    let mut changed = BTreeMap::new();
    let mut admitted = Vec::with_capacity(matches.len());
    for found in matches {
        if needs_record(&found) {
            let key = key(&found);
            let enrolment = known.entry(key.clone()).or_default();
            let rules = &found.trigger.published.enrolment;
            if kept_out(enrolment, rules, now).is_some() {
                continue;
            }
            enrolment.run_id = Some(found.run.run_id);
            enrolment.open = true;
            enrolment.runs += 1;
            enrolment.last_started_at = Some(now);
            changed.insert(key, enrolment.clone());
        }
        admitted.push(found.run);
    }
    enrolments::write(connection, &changed).await?;
    Ok(admitted)
}

/// Why an entry rule lets a match not in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptOut {
    /// `reentry: once`: the key was in before.
    Once,
    /// A run of the key is open, and the workflow has at most one.
    StillIn,
    /// The last run of the key ended too short a while ago.
    Gap {
        /// When it may enter again.
        until: DateTime<Utc>,
    },
}

/// Which entry rule keeps a key out, given what is known of its earlier runs; `None` lets it in.
pub fn kept_out(known: &Enrolment, rules: &workflow::Enrolment, now: DateTime<Utc>) -> Option<KeptOut> {
    if known.open && rules.on_conflict == OnConflict::Ignore {
        return Some(KeptOut::StillIn);
    }
    match rules.reentry {
        Reentry::Always => None,
        Reentry::Once => (known.runs > 0).then_some(KeptOut::Once),
        Reentry::AfterExit { .. } if known.open => Some(KeptOut::StillIn),
        Reentry::AfterExit { gap } => {
            let until = known.last_ended_at?.checked_add_signed(gap).unwrap_or(DateTime::<Utc>::MAX_UTC);
            (now < until).then_some(KeptOut::Gap { until })
        }
    }
}

fn needs_record(found: &Match) -> bool {
    found.trigger.published.enrolment.needs_record()
}

fn key(found: &Match) -> EnrolmentKey {
    EnrolmentKey {
        tenant_id: found.run.tenant_id,
        workflow_id: found.run.workflow_id,
        run_key: found.run.run_key.clone(),
    }
}

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
            (&ended, Reentry::Once, OnConflict::Start, Some(KeptOut::Once)),
            (&open, Reentry::Always, OnConflict::Start, None),
            (&open, Reentry::Always, OnConflict::Ignore, Some(KeptOut::StillIn)),
            (&ended, Reentry::Always, OnConflict::Ignore, None),
            (&open, after(0), OnConflict::Start, Some(KeptOut::StillIn)),
            (&ended, after(1), OnConflict::Start, None),
            (&ended, after(2), OnConflict::Start, Some(KeptOut::Gap { until })),
        ] {
            let rules = workflow::Enrolment { reentry, on_conflict, ..workflow::Enrolment::default() };
            assert_eq!(kept_out(known, &rules, now), expected, "{known:?} {reentry:?} {on_conflict:?}");
        }
    }
}
