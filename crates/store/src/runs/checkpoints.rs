//! Checkpoints: what a batch of claimed runs came to. Every write carries the epoch of its claim.

use crate::role::Worker;
use crate::runs::{Place, Places, inbox, moves};
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::interpreter::EndStatus;
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// How a claim ends.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// The run ended.
    Finished {
        /// How.
        status: EndStatus,
    },
    /// The run waits.
    Waiting {
        /// One per token.
        wakeups: Vec<Wakeup>,
    },
    /// The claim is kept, under the next epoch: requests are on their way, and their outcomes make another checkpoint.
    Sending {
        /// How long the claim is good for from here on.
        lease: Duration,
        /// Whether the run got anywhere since it was claimed. A request that is sent again because its sender vanished is
        /// no progress: else one that kills whoever sends it would do so for ever.
        progress: bool,
        /// One per token; those whose requests are on their way are looked at when the lease is over.
        wakeups: Vec<Wakeup>,
    },
    /// The run, or its workflow, is paused: nothing wakes the run but a resume.
    Paused,
}

/// What a token of an open run is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wakeup {
    /// Which token.
    pub token: u16,
    /// No claim before this; `None`: never, until somebody sets a time.
    pub ready_at: Option<DateTime<Utc>>,
    /// The sweep looks from here on; `None`: not at all.
    pub due_at: Option<DateTime<Utc>>,
    /// What for.
    pub reason: WakeReason,
}

/// What a token is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WakeReason {
    /// A delay is over.
    Timer,
    /// A step is tried again, or its sender vanished.
    Retry,
}

impl Wakeup {
    /// Of a delay that is over at `at`.
    pub fn timer(token: u16, at: DateTime<Utc>) -> Self {
        Self { token, ready_at: Some(at), due_at: Some(at), reason: WakeReason::Timer }
    }
}

impl WakeReason {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Retry => "retry",
        }
    }
}

/// What one claimed run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// The epoch of the claim.
    pub epoch: i32,
    /// Its queue.
    pub priority: Priority,
    /// How the claim ends.
    pub next: Next,
    /// The state as JSON; empty for a run that has none yet.
    pub state: Vec<u8>,
    /// The steps since the claim, as a JSON array; empty when there were none.
    pub steps: Vec<u8>,
}

/// Runs whose claim was still theirs.
pub type Held = BTreeSet<RunKey>;

/// Ends or parks the claims, writes one log row for each that made steps, by the name of `worker`, and says which were still
/// held. What belongs to the others must not be written.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn settle(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    checkpoints: &[Checkpoint],
) -> Result<Held, Error> {
    // In the order of their keys.
    let sorted = by_key(checkpoints);
    let rows = sqlx::query(
        "SELECT u.t AS tenant_id, u.i AS run_id, r.place::text AS place, o.places::text AS wakeups, o.is_called
           FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT c.tenant_id, c.run_id, c.ctid AS place FROM runs_open c
                               WHERE c.tenant_id = u.t AND c.run_id = u.i FOR UPDATE) AS r
          CROSS JOIN LATERAL (SELECT array_agg(k.place) AS places, bool_or(k.token = -1) AS is_called
                                FROM (SELECT w.token, w.ctid AS place FROM wakeups w
                                       WHERE w.tenant_id = r.tenant_id AND w.run_id = r.run_id FOR UPDATE) AS k) AS o",
    )
    .bind(sorted.iter().map(|checkpoint| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|checkpoint| checkpoint.run_id.0).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    let locked = Locked { places: &Places::read(&rows)?, have_claims: true };
    settle_locked(connection, now, worker, checkpoints, locked).await
}

/// [`settle`] for claims that this very transaction made by [`claim_here`](crate::runs::claim_here): their rows are locked,
/// and do not show the claims.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn settle_here(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    checkpoints: &[Checkpoint],
    places: &Places,
) -> Result<Held, Error> {
    settle_locked(connection, now, worker, checkpoints, Locked { places, have_claims: false }).await
}

/// The rows of claimed runs, which this transaction has locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked<'a> {
    places: &'a Places,
    /// Whether the rows have the epoch of the claim, as long as it holds; else they have the one before.
    have_claims: bool,
}

impl Locked<'_> {
    /// How far the rows' epochs are behind those of the claims.
    pub(super) fn behind(self) -> i32 {
        i32::from(!self.have_claims)
    }

    /// The rows of these runs; none for a run that is gone.
    pub(super) fn runs(&self, of: &[&Checkpoint]) -> Vec<Option<&str>> {
        self.places(of).map(|place| Some(place?.run.as_str())).collect()
    }

    /// Their wakeups.
    pub(super) fn wakeups(&self, of: &[&Checkpoint]) -> Vec<Option<&str>> {
        self.places(of).map(|place| place?.wakeups.as_deref()).collect()
    }

    fn places(&self, of: &[&Checkpoint]) -> impl Iterator<Item = Option<&Place>> {
        of.iter().map(|checkpoint| self.places.get(&(checkpoint.tenant_id, checkpoint.run_id)))
    }
}

async fn settle_locked(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    checkpoints: &[Checkpoint],
    locked: Locked<'_>,
) -> Result<Held, Error> {
    let (finished, open): (Vec<&Checkpoint>, Vec<&Checkpoint>) = by_key(checkpoints)
        .into_iter()
        .partition(|checkpoint| matches!(checkpoint.next, Next::Finished { .. }));
    let mut held = moves::finish(connection, now, worker, locked, &finished).await?;
    held.extend(hold(connection, now, worker, locked, &open).await?);
    held.extend(keep(connection, now, worker, locked, &open).await?);
    move_wakeups(connection, &open, &held).await?;
    if locked.have_claims {
        // What came while the claim lasted was looked for in vain.
        let called: Vec<_> = locked.places.called().filter(|run| held.contains(run)).collect();
        inbox::look_now(connection, &called).await?;
    }
    Ok(held)
}

fn by_key(checkpoints: &[Checkpoint]) -> Vec<&Checkpoint> {
    let mut sorted: Vec<&Checkpoint> = checkpoints.iter().collect();
    sorted.sort_unstable_by_key(|checkpoint| (checkpoint.tenant_id, checkpoint.run_id));
    sorted
}

pub(super) fn run_ids(of: &[&Checkpoint]) -> Vec<Uuid> {
    of.iter().map(|checkpoint| checkpoint.run_id.0).collect()
}

/// Gives the lease back and saves the state of runs that go on later. One that a person holds since it was claimed is paused: it
/// keeps its wakeups, and is not claimed for them.
async fn hold(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    locked: Locked<'_>,
    open: &[&Checkpoint],
) -> Result<Held, Error> {
    let (mut columns, mut statuses) = (Columns::default(), Vec::new());
    for checkpoint in open {
        match checkpoint.next {
            Next::Paused => statuses.push("paused"),
            Next::Waiting { .. } => statuses.push("waiting"),
            Next::Sending { .. } | Next::Finished { .. } => continue,
        }
        columns.push(checkpoint);
    }
    if statuses.is_empty() {
        return Ok(Held::new());
    }
    let rows = sqlx::query(
        "WITH held AS (
             UPDATE runs_open r
                SET epoch = x.e, status = CASE WHEN r.is_held THEN 'paused' ELSE x.s END, state = nullif(x.d, ''), lease_until = NULL, abandoned = 0
               FROM unnest($1::text[]::tid[], $2::int4[], $3::bytea[], $4::bytea[], $7::text[], $9::uuid[])
                    AS x (place, e, d, steps, s, i)
              WHERE r.ctid = x.place AND r.run_id = x.i AND r.epoch = x.e - $8 AND (r.status = 'running' OR $8 > 0)
          RETURNING r.tenant_id, r.run_id, x.e, x.steps),
         logged AS (
             INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
             SELECT tenant_id, run_id, e, $5, $6, steps FROM held WHERE steps <> '')
         SELECT tenant_id, run_id FROM held",
    )
    .bind(locked.runs(&columns.of))
    .bind(columns.epochs)
    .bind(columns.states)
    .bind(columns.steps)
    .bind(now)
    .bind(worker)
    .bind(statuses)
    .bind(locked.behind())
    .bind(run_ids(&columns.of))
    .fetch_all(connection.sql())
    .await?;
    held(&rows)
}

/// Saves the state of runs whose requests are on their way, and renews their claims under the next epoch.
async fn keep(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    locked: Locked<'_>,
    open: &[&Checkpoint],
) -> Result<Held, Error> {
    let (mut columns, mut leases, mut progress) = (Columns::default(), Vec::new(), Vec::new());
    for checkpoint in open {
        if let Next::Sending { lease, progress: got_on, .. } = checkpoint.next {
            leases.push(lease.as_secs_f64());
            progress.push(got_on);
            columns.push(checkpoint);
        }
    }
    if leases.is_empty() {
        return Ok(Held::new());
    }
    let rows = sqlx::query(
        "WITH kept AS (
             UPDATE runs_open r
                SET epoch = x.e + 1, status = 'running', state = x.d, lease_until = now() + make_interval(secs => x.l),
                    abandoned = CASE WHEN x.p THEN 0
                                     ELSE r.abandoned + (r.lease_until IS NOT NULL AND $9 > 0)::int::int2 END
               FROM unnest($1::text[]::tid[], $2::int4[], $3::bytea[], $4::bytea[], $7::float8[], $8::bool[], $10::uuid[])
                    AS x (place, e, d, steps, l, p, i)
              WHERE r.ctid = x.place AND r.run_id = x.i AND r.epoch = x.e - $9 AND (r.status = 'running' OR $9 > 0)
          RETURNING r.tenant_id, r.run_id, x.e, x.steps),
         logged AS (
             INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
             SELECT tenant_id, run_id, e, $5, $6, steps FROM kept WHERE steps <> '')
         SELECT tenant_id, run_id FROM kept",
    )
    .bind(locked.runs(&columns.of))
    .bind(columns.epochs)
    .bind(columns.states)
    .bind(columns.steps)
    .bind(now)
    .bind(worker)
    .bind(leases)
    .bind(progress)
    .bind(locked.behind())
    .bind(run_ids(&columns.of))
    .fetch_all(connection.sql())
    .await?;
    held(&rows)
}

/// Checkpoints, and their epochs, states and steps as columns.
#[derive(Default)]
struct Columns<'a> {
    of: Vec<&'a Checkpoint>,
    epochs: Vec<i32>,
    states: Vec<&'a [u8]>,
    steps: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, checkpoint: &'a Checkpoint) {
        self.of.push(checkpoint);
        self.epochs.push(checkpoint.epoch);
        self.states.push(&checkpoint.state);
        self.steps.push(&checkpoint.steps);
    }
}

/// Replaces the wakeups of open runs by one per token that waits; that of the inbox stays. A paused run keeps one that is never due.
async fn move_wakeups(connection: &mut Conn<Worker>, open: &[&Checkpoint], held: &Held) -> Result<(), Error> {
    const PAUSED: [Wakeup; 1] =
        [Wakeup { token: 0, ready_at: None, due_at: None, reason: WakeReason::Timer }];
    let (mut tenants, mut runs, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ready, mut due, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    let (mut priorities, mut kept) = (Vec::new(), Vec::new());
    for checkpoint in open {
        if !held.contains(&(checkpoint.tenant_id, checkpoint.run_id)) {
            continue;
        }
        let wakeups: &[Wakeup] = match &checkpoint.next {
            Next::Waiting { wakeups } | Next::Sending { wakeups, .. } => wakeups,
            Next::Paused => &PAUSED,
            Next::Finished { .. } => &[],
        };
        kept.push((
            checkpoint,
            wakeups.iter().map(|wakeup| wakeup.token.to_string()).collect::<Vec<_>>().join(","),
        ));
        for wakeup in wakeups {
            tenants.push(checkpoint.tenant_id.0);
            runs.push(checkpoint.run_id.0);
            tokens.push(i16::try_from(wakeup.token).unwrap_or(i16::MAX));
            ready.push(wakeup.ready_at);
            due.push(wakeup.due_at);
            reasons.push(wakeup.reason.as_str());
            priorities.push(checkpoint.priority.as_i16());
        }
    }
    if tenants.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM wakeups w
          USING (SELECT l.place FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, i, kept)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i
                                         AND k.token >= 0
                                         AND k.token <> ALL (string_to_array(u.kept, ',')::int2[]) OFFSET 0) AS l) AS x
          WHERE w.ctid = x.place",
    )
    .bind(kept.iter().map(|(checkpoint, _)| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(kept.iter().map(|(checkpoint, _)| checkpoint.run_id.0).collect::<Vec<_>>())
    .bind(kept.iter().map(|(_, tokens)| tokens.as_str()).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    sqlx::query(
        "INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
         SELECT u.t, u.i, u.k, coalesce(u.a, 'infinity'), coalesce(u.d, 'infinity'), u.p, u.w
           FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::timestamptz[], $5::int2[], $6::timestamptz[], $7::text[])
                AS u (t, i, k, a, p, d, w)
         ON CONFLICT (tenant_id, run_id, token) DO UPDATE
            SET ready_at = excluded.ready_at, due_at = excluded.due_at, sweeps = 0, reason = excluded.reason",
    )
    .bind(&tenants)
    .bind(&runs)
    .bind(&tokens)
    .bind(&ready)
    .bind(&priorities)
    .bind(&due)
    .bind(&reasons)
    .execute(connection.sql())
    .await?;
    Ok(())
}

pub(super) fn held(rows: &[sqlx::postgres::PgRow]) -> Result<Held, Error> {
    rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))).collect()
}
