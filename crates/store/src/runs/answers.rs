//! What people answer to what runs ask: whether something is approved, and that a run goes on.
//!
//! An answer is taken in under the lock of its run, while there is time for it by the database's clock. A claim that could see the
//! time up began later, and finds the answer in the inbox: so what is accepted is heard.

use super::approvals::{Approval, ApprovalState, by_id};
use super::cancel::ended_as;
use super::inbox;
use super::lists::RunStatus;
use crate::audit::{self, Auditor, Deed};
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{ApprovalId, RunKey, TenantId};
use automation_domain::interpreter::{Answer, Asked, InboxInput, Open, Verdict};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Row;
use std::collections::BTreeSet;

/// What a decision came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Decided {
    /// It is decided so.
    Now,
    /// Nothing is decided: it stands like this.
    Stands(Box<Approval>),
    /// Nothing is decided: the time for it was up at this moment.
    TooLate(DateTime<Utc>),
    /// There is no such approval.
    NotFound,
}

/// Approves or rejects what a run asks, with a comment that later steps can read.
///
/// Of several at once one wins, and the others are told who. What is accepted the run hears, also where its time is up by then.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn decide(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: ApprovalId,
    verdict: Verdict,
    (who, comment): (&Auditor, Option<&str>),
) -> Result<Decided, Error> {
    let Some(asked) = by_id(connection, tenant, id).await? else { return Ok(Decided::NotFound) };
    let run = (tenant, asked.run_id);
    // The run before its approval, as its executor does.
    let is_open = touch(connection, run).await?;
    let now: DateTime<Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection.sql()).await?;
    let Some(asked) = by_id(connection, tenant, id).await? else { return Ok(Decided::NotFound) };
    if asked.state != ApprovalState::Pending || !is_open {
        return Ok(Decided::Stands(Box::new(asked)));
    }
    if let Some(due) = asked.due_at.filter(|due| *due <= now) {
        return Ok(Decided::TooLate(due));
    }
    sqlx::query(
        "UPDATE approvals SET state = $3, decided_by = $4, comment = $5, closed_at = $6
          WHERE tenant_id = $1 AND approval_id = $2",
    )
    .bind(tenant.0)
    .bind(id.0)
    .bind(verdict.as_str())
    .bind(who.actor())
    .bind(comment)
    .bind(now)
    .execute(connection.sql())
    .await?;
    let comment = comment.map(str::to_owned);
    let answer = Answer { verdict, by: who.actor().to_owned(), at: now, comment: comment.clone() };
    let visit = u32::try_from(asked.visit).unwrap_or_default();
    let input = InboxInput::Answered { node: asked.node.clone(), visit, answer };
    inbox::put(connection, &[(tenant, asked.run_id, input)]).await?;
    let action = if verdict == Verdict::Approved { "approval.approve" } else { "approval.reject" };
    let detail = json!({ "run": asked.run_id, "node": asked.node, "visit": visit, "comment": comment });
    audit::append(connection, tenant, who, &[Deed { action, subject: format!("approval {id}"), detail }])
        .await?;
    Ok(Decided::Now)
}

/// Locks an open run, so that a claim that was made before does not miss what is put into its inbox meanwhile; whether it is open.
///
/// A claim looks for the inbox's wakeup in the snapshot in which it began, and leaves a run alone whose row has moved since.
async fn touch(connection: &mut Conn<Api>, (tenant, run): RunKey) -> Result<bool, Error> {
    let touched = sqlx::query("UPDATE runs_open SET epoch = epoch WHERE tenant_id = $1 AND run_id = $2")
        .bind(tenant.0)
        .bind(run.0)
        .execute(connection.sql())
        .await?;
    Ok(touched.rows_affected() == 1)
}

/// What letting a run go on came to that stands at a pause of its workflow.
#[derive(Clone, PartialEq, Debug)]
pub enum WentOn {
    /// It goes on at these nodes.
    Now(Vec<String>),
    /// It stands at no such node, or somebody let it go on already.
    NotPaused,
    /// The time that it waited for was up at this moment.
    TooLate(DateTime<Utc>),
    /// The run had ended before, like this.
    Ended(RunStatus),
    /// There is no such run.
    NotFound,
}

/// Lets a run go on at the pauses of its workflow that it stands at, or at that of one node.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn go_on(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    node: Option<&str>,
    (who, comment): (&Auditor, Option<&str>),
) -> Result<WentOn, Error> {
    if !touch(connection, (tenant, run)).await? {
        return Ok(ended_as(connection, tenant, run).await?.map_or(WentOn::NotFound, WentOn::Ended));
    }
    let row = sqlx::query(
        "SELECT state, clock_timestamp() AS now FROM runs_open WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_one(connection.sql())
    .await?;
    let now: DateTime<Utc> = row.try_get("now")?;
    let state = row.try_get::<Option<Vec<u8>>, _>("state")?;
    let state = state.map(|bytes| super::decode_state(&bytes, run)).transpose()?.unwrap_or_default();
    let said = said(connection, (tenant, run)).await?;
    let stands: Vec<Open<'_>> = state
        .asks()
        .filter(|open| open.asked == &Asked::GoOn && node.is_none_or(|node| node == open.node))
        .filter(|open| !said.contains(&(open.node.to_owned(), open.visit)))
        .collect();
    let in_time = |open: &&Open<'_>| open.until.is_none_or(|until| until > now);
    let goes_on: Vec<_> = stands.iter().filter(in_time).collect();
    if goes_on.is_empty() {
        let late = stands.iter().filter_map(|open| open.until).min();
        return Ok(late.map_or(WentOn::NotPaused, WentOn::TooLate));
    }
    let answer = Answer {
        verdict: Verdict::GoOn,
        by: who.actor().to_owned(),
        at: now,
        comment: comment.map(str::to_owned),
    };
    let input = |open: &&Open<'_>| {
        let (node, visit, answer) = (open.node.to_owned(), open.visit, answer.clone());
        (tenant, run, InboxInput::Answered { node, visit, answer })
    };
    inbox::put(connection, &goes_on.iter().map(input).collect::<Vec<_>>()).await?;
    let nodes: Vec<String> = goes_on.iter().map(|open| open.node.to_owned()).collect();
    let detail = json!({ "nodes": nodes, "comment": comment });
    let deed = Deed { action: "run.continue", subject: format!("run {run}"), detail };
    audit::append(connection, tenant, who, &[deed]).await?;
    Ok(WentOn::Now(nodes))
}

/// What was answered and the run has not heard yet: nodes and visits.
async fn said(connection: &mut Conn<Api>, (tenant, run): RunKey) -> Result<BTreeSet<(String, u32)>, Error> {
    let inputs: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT input FROM run_inbox WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant.0)
            .bind(run.0)
            .fetch_all(connection.sql())
            .await?;
    let read = |input: Vec<u8>| match serde_json::from_slice(&input) {
        Ok(InboxInput::Answered { node, visit, .. }) => Some((node, visit)),
        Ok(InboxInput::Cancel { .. } | InboxInput::Goal(_) | InboxInput::Event { .. }) | Err(_) => None,
    };
    Ok(inputs.into_iter().filter_map(read).collect())
}
