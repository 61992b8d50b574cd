//! Entry rules over earlier runs: re-entry and what happens while a run of the same key is open.

use crate::matching::Match;
use automation_domain::entry::kept_out;
use automation_store::role::Worker;
use automation_store::runs::NewRun;
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::{Conn, Error};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Lets matches in, in their order, by what is known of earlier runs of their key, and remembers those let in.
pub(crate) async fn admit(
    connection: &mut Conn<Worker>,
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
