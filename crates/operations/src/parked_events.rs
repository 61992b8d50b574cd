//! Events that were refused, with their reasons and original bytes: those of all tenants, and of none.

mod message;
mod reasons;
mod replay;
mod shown;

pub use automation_store::events::parked::ParkedStatus;
pub use message::Speakers;
pub use reasons::{REASONS, reason};
pub use replay::{How, Outcome, replay, would_replay};
pub use shown::{Line, Shown};

use crate::{Auditor, Error, Page, Refusal, transaction};
pub use automation_domain::event::admission::BrokerUsers;
use automation_store::events::parked::{self, Change, Parked, ParkedFilter, Publisher};
use automation_store::role::Operator;
use automation_store::{Db, Scope};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// What parked events are looked for by; every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// The reason: a code.
    pub reason: Option<String>,
    /// The publisher.
    pub user: Option<String>,
    /// The type, or routing key.
    pub event_type: Option<String>,
    /// Only last parked since.
    pub since: Option<DateTime<Utc>>,
    /// Only last parked before.
    pub until: Option<DateTime<Utc>>,
}

/// Parked events that something is to be done to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// These.
    Ids(Vec<Uuid>),
    /// All that fit.
    Fitting(Filter),
}

/// What came of a parked event.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handled {
    /// The parked event.
    pub id: Uuid,
    /// The state that it is in now, or `unchanged`.
    pub result: &'static str,
    /// Whether it was changed.
    #[serde(skip)]
    pub changed: bool,
}

/// Up to `limit` parked events, the latest first, behind `cursor` if it is given. `users` are believed where they published
/// for somebody else.
///
/// # Errors
///
/// [`Refusal::Cursor`]; [`Error::Store`].
pub async fn list(
    operator: &Db<Operator>,
    users: &BrokerUsers,
    filter: &Filter,
    status: Option<ParkedStatus>,
    limit: u16,
    cursor: Option<&str>,
) -> Result<Page<Line>, Error> {
    let cursor = cursor.map(shown::decode).transpose()?;
    let (by, most) = (resolve(filter, users, status), i64::from(limit) + 1);
    let list = async |connection: &mut _| parked::list(connection, &by, cursor, most).await;
    let page = Page::cut(operator.read(Scope::Unscoped, list).await?, limit, shown::encode);
    Ok(page.map(|parked| Line::of(&parked, users)))
}

/// Everything about one.
///
/// # Errors
///
/// [`Refusal::NoParkedEvent`]; [`Error::Store`].
pub async fn show(operator: &Db<Operator>, users: &BrokerUsers, id: Uuid) -> Result<Shown, Error> {
    Ok(Shown::of(find(operator, id).await?, users))
}

/// The ids as they are now, at most `most`, the oldest first: what is parked later never joins them.
///
/// # Errors
///
/// [`Refusal::NoParkedEventFits`]; [`Error::Store`].
pub async fn choose(
    operator: &Db<Operator>,
    users: &BrokerUsers,
    selection: Selection,
    status: ParkedStatus,
    most: i64,
) -> Result<Vec<Uuid>, Error> {
    let filter = match selection {
        Selection::Ids(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
        Selection::Fitting(filter) => resolve(&filter, users, Some(status)),
    };
    let snapshot = async |connection: &mut _| parked::snapshot(connection, &filter, most).await;
    let ids = operator.read(Scope::Unscoped, snapshot).await?;
    if ids.is_empty() { Err(Refusal::NoParkedEventFits(status.as_str()).into()) } else { Ok(ids) }
}

/// Puts open parked events into the archive.
///
/// # Errors
///
/// [`Refusal::NoParkedEvent`]; [`Error::Store`]: then some may be there already.
pub async fn discard(
    operator: &Db<Operator>,
    auditor: &Auditor,
    ids: &[Uuid],
    note: Option<&str>,
) -> Result<Page<Handled>, Error> {
    let change = Change { from: ParkedStatus::Open, to: ParkedStatus::Discarded, who: auditor, note };
    handle(operator, ids, change).await
}

/// Takes parked events out of the archive.
///
/// # Errors
///
/// [`Refusal::NoParkedEvent`]; [`Error::Store`]: then some may be open already.
pub async fn restore(
    operator: &Db<Operator>,
    auditor: &Auditor,
    ids: &[Uuid],
    note: Option<&str>,
) -> Result<Page<Handled>, Error> {
    let change = Change { from: ParkedStatus::Discarded, to: ParkedStatus::Open, who: auditor, note };
    handle(operator, ids, change).await
}

async fn handle(operator: &Db<Operator>, ids: &[Uuid], change: Change<'_>) -> Result<Page<Handled>, Error> {
    let (mut rows, to) = (Vec::new(), change.to.as_str());
    for id in ids {
        let found = find(operator, *id).await?;
        let detail = json!({ "type": found.routing_key, "reason": found.reason, "note": change.note });
        let change = async |connection: &mut _| parked::change(connection, &found, change, detail).await;
        let changed = transaction::change_noted(operator, found.audited_under(), change).await?;
        let result = if changed { to } else { "unchanged" };
        rows.push(Handled { id: *id, result, changed });
    }
    Ok(Page::whole(rows))
}

async fn find(operator: &Db<Operator>, id: Uuid) -> Result<Parked, Error> {
    let by_id = async |connection: &mut _| parked::by_id(connection, id).await;
    Ok(operator.read(Scope::Unscoped, by_id).await?.ok_or(Refusal::NoParkedEvent(id))?)
}

fn resolve(filter: &Filter, users: &BrokerUsers, status: Option<ParkedStatus>) -> ParkedFilter {
    ParkedFilter {
        ids: None,
        reason: filter.reason.clone(),
        user: filter.user.clone().map(|name| Publisher { speakers: users.speaking_for(&name), name }),
        event_type: filter.event_type.clone(),
        status,
        since: filter.since,
        until: filter.until,
    }
}
