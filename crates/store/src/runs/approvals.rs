//! What runs ask people to approve.
//!
//! Whoever changes a row holds the lock of its run: executors with their checkpoints, people with what they say
//! ([`answers`](super::answers)).

use super::inbox;
use crate::role::{Api, OneOf, Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ApprovalId, RunId, RunKey, TenantId, WorkflowId};
use automation_domain::interpreter::{Answer, Asked, InboxInput, Open, RunState, Verdict};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};
use std::collections::{BTreeMap, BTreeSet};

/// How an approval stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApprovalState {
    /// Nobody has said anything yet.
    Pending,
    /// Somebody approved.
    Approved,
    /// Somebody rejected.
    Rejected,
    /// Nobody said anything in time.
    TimedOut,
    /// The run ended, or its branch was given up.
    Cancelled,
}

impl ApprovalState {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Approved, Self::Rejected, Self::TimedOut, Self::Cancelled];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == key)
    }
}

/// Something that a run asks to be approved.
#[derive(Clone, PartialEq, Debug)]
pub struct Approval {
    /// Its id: of run, node and visit.
    pub approval_id: ApprovalId,
    /// The run.
    pub run_id: RunId,
    /// Key of its workflow.
    pub workflow: String,
    /// The node.
    pub node: String,
    /// Which visit of it.
    pub visit: i32,
    /// How it stands.
    pub state: ApprovalState,
    /// What is asked.
    pub question: String,
    /// Who is asked.
    pub approvers: Vec<String>,
    /// Since when.
    pub asked_at: DateTime<Utc>,
    /// When it is too late for an answer.
    pub due_at: Option<DateTime<Utc>>,
    /// Who said what is to be.
    pub decided_by: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// When it was decided, or came to nothing.
    pub closed_at: Option<DateTime<Utc>>,
}

/// How the approvals of a run changed from one checkpoint to the next.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changed {
    asked: Vec<NewApproval>,
    closed: Vec<(TenantId, ApprovalId, ApprovalState)>,
}

#[derive(Clone, PartialEq, Debug)]
struct NewApproval {
    tenant_id: TenantId,
    run_id: RunId,
    workflow_id: WorkflowId,
    node: String,
    visit: u32,
    question: String,
    approvers: Vec<String>,
    asked_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
}

impl Changed {
    /// Adds how a run's approvals changed: those that are asked for in `after` and were not `before`, and the other way round.
    /// `timed_out` says of those that are over whether their time was up.
    pub fn add(
        &mut self,
        (tenant_id, run_id): RunKey,
        workflow_id: WorkflowId,
        (before, after): (Option<&RunState>, &RunState),
        timed_out: impl Fn(&str, u32) -> bool,
    ) {
        let known: BTreeSet<_> = before.into_iter().flat_map(asked).map(|open| key(&open)).collect();
        let open: BTreeSet<_> = asked(after).map(|open| key(&open)).collect();
        for one in asked(after).filter(|open| !known.contains(&key(open))) {
            let Asked::Approval { question, approvers, .. } = one.asked else { continue };
            self.asked.push(NewApproval {
                tenant_id,
                run_id,
                workflow_id,
                node: one.node.to_owned(),
                visit: one.visit,
                question: question.clone(),
                approvers: approvers.clone(),
                asked_at: one.since,
                due_at: one.until,
            });
        }
        for (node, visit, _) in known.difference(&open) {
            let state =
                if timed_out(node, *visit) { ApprovalState::TimedOut } else { ApprovalState::Cancelled };
            self.closed.push((tenant_id, ApprovalId::derive(run_id, node, *visit), state));
        }
    }
}

/// The approvals among what a run asks.
fn asked(state: &RunState) -> impl Iterator<Item = Open<'_>> {
    state.asks().filter(|open| matches!(open.asked, Asked::Approval { .. }))
}

fn key<'s>(open: &Open<'s>) -> (&'s str, u32, DateTime<Utc>) {
    (open.node, open.visit, open.since)
}

/// Writes what changed, in the transaction of the checkpoints. One that was decided stays so.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn change(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    changed: &Changed,
) -> Result<(), Error> {
    close(connection, now, &changed.closed).await?;
    for one in &changed.asked {
        // A step that is tried again by a replay asks again.
        sqlx::query(
            "INSERT INTO approvals (tenant_id, approval_id, run_id, workflow_id, node, visit, question, approvers, asked_at, due_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (tenant_id, approval_id) DO UPDATE
                SET state = 'pending', question = excluded.question, approvers = excluded.approvers,
                    asked_at = excluded.asked_at, due_at = excluded.due_at,
                    decided_by = NULL, comment = NULL, closed_at = NULL",
        )
        .bind(one.tenant_id.0)
        .bind(ApprovalId::derive(one.run_id, &one.node, one.visit).0)
        .bind(one.run_id.0)
        .bind(one.workflow_id.0)
        .bind(&one.node)
        .bind(i32::try_from(one.visit).unwrap_or(i32::MAX))
        .bind(&one.question)
        .bind(&one.approvers)
        .bind(one.asked_at)
        .bind(one.due_at)
        .execute(connection.sql())
        .await?;
    }
    Ok(())
}

/// Closes what a run asks that ends by hand, or because another takes its place.
pub(super) async fn cancel_all(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    (tenant, run): RunKey,
    state: &RunState,
) -> Result<(), Error> {
    let closed = asked(state)
        .map(|open| (tenant, ApprovalId::derive(run, open.node, open.visit), ApprovalState::Cancelled));
    close(connection, now, &closed.collect::<Vec<_>>()).await
}

async fn close(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    closed: &[(TenantId, ApprovalId, ApprovalState)],
) -> Result<(), Error> {
    if closed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE approvals a SET state = u.s, closed_at = $4
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, i, s)
          WHERE a.tenant_id = u.t AND a.approval_id = u.i AND a.state = 'pending'",
    )
    .bind(closed.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(closed.iter().map(|(_, approval, _)| approval.0).collect::<Vec<_>>())
    .bind(closed.iter().map(|(_, _, state)| state.as_str()).collect::<Vec<_>>())
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// What a run that was brought back asks is asked again, and it hears again what was said already.
pub(crate) async fn resume(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    state: &RunState,
) -> Result<(), Error> {
    let open: BTreeMap<_, _> = asked(state)
        .map(|open| (ApprovalId::derive(run, open.node, open.visit), (open.node, open.visit)))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "UPDATE approvals SET state = CASE WHEN state = 'cancelled' THEN 'pending' ELSE state END,
                              closed_at = CASE WHEN state = 'cancelled' THEN NULL ELSE closed_at END
          WHERE tenant_id = $1 AND approval_id = ANY ($2)
      RETURNING approval_id, state, decided_by, comment, closed_at",
    )
    .bind(tenant.0)
    .bind(open.keys().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    let mut said = Vec::new();
    for row in &rows {
        let id = ApprovalId(row.try_get("approval_id")?);
        let verdict = match read_state(row, id)? {
            ApprovalState::Approved => Verdict::Approved,
            ApprovalState::Rejected => Verdict::Rejected,
            ApprovalState::Pending | ApprovalState::TimedOut | ApprovalState::Cancelled => continue,
        };
        let Some((node, visit)) = open.get(&id) else { continue };
        let (by, at) = (row.try_get("decided_by")?, row.try_get("closed_at")?);
        let answer = Answer { verdict, by, at, comment: row.try_get("comment")? };
        said.push((tenant, run, InboxInput::Answered { node: (*node).to_owned(), visit: *visit, answer }));
    }
    if !said.is_empty() {
        inbox::put(connection, &said).await?;
    }
    Ok(())
}

/// Which approvals are listed. Every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApprovalFilter {
    /// How they stand.
    pub state: Option<ApprovalState>,
    /// Asked by this run.
    pub run: Option<RunId>,
    /// Older than this one: the page after it.
    pub before: Option<ApprovalId>,
}

const COLUMNS: &str = "SELECT a.*, w.key AS workflow FROM approvals a
      LEFT JOIN workflows w ON w.tenant_id = a.tenant_id AND w.workflow_id = a.workflow_id";

/// Up to `limit` approvals, those of the latest runs first.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &ApprovalFilter,
    limit: i64,
) -> Result<Vec<Approval>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(COLUMNS);
    query.push(" WHERE a.tenant_id = ").push_bind(tenant.0);
    match filter.state {
        // As the index has it.
        Some(ApprovalState::Pending) => {
            query.push(" AND a.state = 'pending'");
        }
        Some(state) => {
            query.push(" AND a.state = ").push_bind(state.as_str());
        }
        None => {}
    }
    if let Some(run) = filter.run {
        query.push(" AND a.run_id = ").push_bind(run.0);
        let (low, high) = automation_domain::id::id_bounds(run.0);
        query.push(" AND a.approval_id >= ").push_bind(low).push(" AND a.approval_id < ").push_bind(high);
    }
    if let Some(before) = filter.before {
        query.push(" AND a.approval_id < ").push_bind(before.0);
    }
    query.push(" ORDER BY a.approval_id DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(connection.sql()).await?.iter().map(read).collect()
}

/// The approval with this id.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn by_id(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: ApprovalId,
) -> Result<Option<Approval>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(COLUMNS);
    query.push(" WHERE a.tenant_id = ").push_bind(tenant.0).push(" AND a.approval_id = ").push_bind(id.0);
    query.build().fetch_optional(connection.sql()).await?.as_ref().map(read).transpose()
}

/// Forgets up to `most` that were closed longer ago than runs are kept; returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>, most: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT approvals_expire($1)").bind(most).fetch_one(connection.sql()).await?)
}

fn read(row: &PgRow) -> Result<Approval, Error> {
    let approval_id = ApprovalId(row.try_get("approval_id")?);
    Ok(Approval {
        approval_id,
        run_id: RunId(row.try_get("run_id")?),
        workflow: row.try_get::<Option<String>, _>("workflow")?.unwrap_or_default(),
        node: row.try_get("node")?,
        visit: row.try_get("visit")?,
        state: read_state(row, approval_id)?,
        question: row.try_get("question")?,
        approvers: row.try_get("approvers")?,
        asked_at: row.try_get("asked_at")?,
        due_at: row.try_get("due_at")?,
        decided_by: row.try_get("decided_by")?,
        comment: row.try_get("comment")?,
        closed_at: row.try_get("closed_at")?,
    })
}

fn read_state(row: &PgRow, id: ApprovalId) -> Result<ApprovalState, Error> {
    let word: String = row.try_get("state")?;
    ApprovalState::from_key(&word).ok_or_else(|| Error::Unreadable {
        table: "approvals",
        column: "state",
        id: id.to_string(),
        reason: format!("{word} is not a state"),
    })
}
