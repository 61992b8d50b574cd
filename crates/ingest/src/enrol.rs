//! Entry rules over earlier runs: re-entry and what happens while a run of the same key is open.

use crate::matching::Match;
use automation_store::role::Worker;
use automation_store::runs::NewRun;
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::runs::supersede::Superseded;
use automation_store::{Conn, Error};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What entry rules let in.
pub(crate) struct Admitted {
    pub(crate) runs: Vec<NewRun>,
    /// Those of earlier runs, or of runs among these, whose place others take.
    pub(crate) superseded: Vec<Superseded>,
}

/// Lets matches in, in their order, by what is known of earlier runs of their key, and remembers those let in.
pub(crate) async fn admit(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    matches: Vec<Match>,
) -> Result<Admitted, Error> {
    let mut keys: Vec<EnrolmentKey> = matches.iter().filter(|found| needs_record(found)).map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut known = enrolments::lock(connection, &keys).await?;
    let (mut changed, mut superseded) = (BTreeMap::new(), Vec::new());
    let mut admitted = Vec::with_capacity(matches.len());
    for found in matches {
        if needs_record(&found) {
            let key = key(&found);
            let enrolment = known.entry(key.clone()).or_default();
            let rules = &found.trigger.published.enrolment;
            let (tenant_id, by) = (found.run.tenant_id, found.run.run_id);
            let Ok(open) = enrolment.enter(by, rules, now) else { continue };
            superseded.extend(open.map(|run_id| Superseded { tenant_id, run_id, by }));
            changed.insert(key, enrolment.clone());
        }
        admitted.push(found.run);
    }
    enrolments::write(connection, &changed).await?;
    Ok(Admitted { runs: admitted, superseded })
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
