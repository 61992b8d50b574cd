//! Entry rules over earlier runs: re-entry and what happens while a run of the same key is open.

use crate::matching::Match;
use automation_domain::workflow::{OnConflict, Reentry};
use automation_store::enrolments::{self, Enrolment, EnrolmentKey};
use automation_store::runs::NewRun;
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
            let rules = &found.trigger.published.workflow.enrolment;
            if !lets_in(enrolment, rules.reentry, rules.on_conflict, now) {
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

fn lets_in(known: &Enrolment, reentry: Reentry, on_conflict: OnConflict, now: DateTime<Utc>) -> bool {
    let past_conflict = match on_conflict {
        OnConflict::Start => true,
        OnConflict::Ignore => !known.open,
    };
    past_conflict
        && match reentry {
            Reentry::Always => true,
            Reentry::Once => known.runs == 0,
            Reentry::AfterExit { gap } => {
                !known.open && known.last_ended_at.is_none_or(|ended| now.signed_duration_since(ended) >= gap)
            }
        }
}

fn needs_record(found: &Match) -> bool {
    found.trigger.published.workflow.enrolment.needs_record()
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
        for (known, reentry, on_conflict, expected) in [
            (&new, Reentry::Once, OnConflict::Start, true),
            (&ended, Reentry::Once, OnConflict::Start, false),
            (&open, Reentry::Always, OnConflict::Start, true),
            (&open, Reentry::Always, OnConflict::Ignore, false),
            (&ended, Reentry::Always, OnConflict::Ignore, true),
            (&open, after(0), OnConflict::Start, false),
            (&ended, after(1), OnConflict::Start, true),
            (&ended, after(2), OnConflict::Start, false),
        ] {
            assert_eq!(
                lets_in(known, reentry, on_conflict, now),
                expected,
                "{known:?} {reentry:?} {on_conflict:?}"
            );
        }
    }
}
