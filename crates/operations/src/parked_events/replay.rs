//! Publishing parked events again.

use super::find;
use super::message::{Speakers, Unreplayable, message};
use crate::pace::Pace;
use crate::{Auditor, Bulk, Error, Gone, Page, Progress, transaction};
use automation_broker::publisher::Publisher;
use automation_store::events::parked::{self, Change, Parked, ParkedStatus};
use automation_store::role::Operator;
use automation_store::{Db, Scope, audit};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// What came of one event.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The parked event.
    pub id: Uuid,
    /// Its type, or routing key.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `replayed`, `would be published` or `refused`.
    pub result: &'static str,
    /// Why it was refused: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How events are published again.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Who publishes, and for whom.
    pub speakers: Speakers<'a>,
    /// Why, for the audit log.
    pub note: Option<&'a str>,
}

/// Publishes the original bytes again, one event after the other: confirmed first, then marked.
///
/// An event that is published and not marked, because this process ended in between, can be published again: ingest
/// knows it.
///
/// # Errors
///
/// [`crate::Refusal::NoParkedEvent`]; [`Error::Store`]. That the broker does not take one stands beside the rows.
pub async fn replay(
    operator: &Db<Operator>,
    auditor: &Auditor,
    publisher: &Publisher,
    ids: &[Uuid],
    how: How<'_>,
    bulk: Bulk<'_>,
) -> Result<Gone<Outcome>, Error> {
    let mut pace = Pace::new(&bulk);
    let (mut rows, mut ended) = (Vec::new(), Ok(()));
    for id in ids {
        if !pace.next().await {
            break;
        }
        let found = find(operator, *id).await?;
        let outcome = match message(&found, how.speakers) {
            Err(refusal) => Err(refusal),
            Ok((message, behalf)) => {
                // What is published cannot be taken back, so that it can be noted is made sure of first.
                let tenant = found.audited_under();
                let check = async |connection: &mut _| audit::check(connection, tenant, auditor).await;
                operator.read(Scope::Tenant(tenant), check).await?;
                if let Err(error) = publisher.publish_all(vec![message]).await {
                    ended = Err(error.into());
                    break;
                }
                let marked = mark(operator, &found, auditor, behalf, how.note).await?;
                marked.then_some("replayed").ok_or(Unreplayable::Again)
            }
        };
        rows.push(row(&found, outcome));
        (bulk.told)(Progress::Done { done: rows.len(), of: ids.len() });
    }
    Ok(Gone { rows: Page::whole(rows), ended })
}

/// Says for each what would come of it, and does nothing.
///
/// # Errors
///
/// [`crate::Refusal::NoParkedEvent`]; [`Error::Store`].
pub async fn would_replay(
    operator: &Db<Operator>,
    speakers: Speakers<'_>,
    ids: &[Uuid],
) -> Result<Page<Outcome>, Error> {
    let mut rows = Vec::new();
    for id in ids {
        let found = find(operator, *id).await?;
        let outcome = message(&found, speakers).map(|_| "would be published");
        rows.push(row(&found, outcome));
    }
    Ok(Page::whole(rows))
}

/// Whether it was still as it had been when it was read: one that was refused again meanwhile stays open.
async fn mark(
    operator: &Db<Operator>,
    found: &Parked,
    who: &Auditor,
    behalf: Option<String>,
    note: Option<&str>,
) -> Result<bool, Error> {
    let change = Change { from: ParkedStatus::Open, to: ParkedStatus::Replayed, who, note };
    let detail =
        json!({ "on_behalf_of": behalf, "type": found.routing_key, "reason": found.reason, "note": note });
    let mark = async |connection: &mut _| parked::change(connection, found, change, detail).await;
    transaction::change_noted(operator, found.audited_under(), mark).await
}

fn row(found: &Parked, outcome: Result<&'static str, Unreplayable>) -> Outcome {
    let (result, refusal) = match outcome {
        Ok(result) => (result, None),
        Err(refusal) => ("refused", Some(refusal)),
    };
    Outcome {
        id: found.parked_id,
        event_type: found.routing_key.clone(),
        result,
        code: refusal.as_ref().map(Unreplayable::code),
        message: refusal.map(|refusal| refusal.to_string()),
    }
}
