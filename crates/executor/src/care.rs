//! Telling who is to blame when a process dies or hangs over a run: what node was in hand.
//!
//! Every walk says which node it evaluates, in memory, for the watchdog. The walk of a run whose worker vanished marks it in
//! the database besides, before the node is evaluated: a mark that is found when the run is claimed again was left behind by
//! a death. A node that processes died of [`MOST_DEATHS`](suspects::MOST_DEATHS) times with the same run is suspended; runs that come to it fail
//! that step as `part_suspended`. A run that kills with no node in hand is given up as `worker_lost` (docs/adr/0018).

use crate::Shared;
use crate::claim::Claimed;
use automation_domain::id::VersionId;
use automation_domain::interpreter::{StepError, Watch};
use automation_domain::part::{PartKind, PartRef};
use automation_domain::step_code::StepCode;
use automation_service_kit::in_hand::{self, Doing, Hand};
use automation_store::blame::suspects::{self, InHand, Subject, Suspect};
use automation_store::blame::suspended_parts::{self, Nodes};
use automation_store::role::Worker;
use automation_store::runs::ClaimedRun;
use automation_store::{Conn, Db, Error, Scope};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

/// How old what an executor knows of suspended nodes may be. One that is found out by this process is known at once.
const REFRESH: Duration = Duration::from_secs(2);

/// What marks are written with, and what is known of suspended nodes.
pub(crate) struct Care {
    db: Db<Worker>,
    suspended: RwLock<Nodes>,
}

/// Watches over the walk of one run.
pub(crate) struct Watcher<'a> {
    care: &'a Care,
    run: &'a ClaimedRun,
    /// The suspended nodes of its version.
    suspended: Option<Arc<BTreeSet<String>>>,
    is_careful: bool,
    hand: RefCell<Option<Hand>>,
}

impl Care {
    pub(crate) fn new(db: Db<Worker>) -> Self {
        Self { db, suspended: RwLock::default() }
    }

    /// Reads which nodes are suspended, again and again until `closing`.
    pub(crate) async fn refresh(shared: Arc<Shared>, closing: CancellationToken) {
        loop {
            let read = shared.care.db.tx(Scope::Tenants(&[]), suspended_parts::nodes).await;
            if let Some(nodes) = told("reading what is suspended", read) {
                *shared.care.suspended.write().unwrap_or_else(PoisonError::into_inner) = nodes;
            }
            tokio::select! {
                () = closing.cancelled() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    /// Whoever watches over the walk of a run.
    pub(crate) fn watch<'a>(&'a self, run: &'a ClaimedRun) -> Watcher<'a> {
        let suspended = self.suspended.read().unwrap_or_else(PoisonError::into_inner);
        Watcher {
            care: self,
            run,
            suspended: suspended.get(&run.version_id).cloned(),
            is_careful: is_careful(run),
            hand: RefCell::new(None),
        }
    }

    fn suspend(&self, version: VersionId, node: &str) {
        let mut suspended = self.suspended.write().unwrap_or_else(PoisonError::into_inner);
        let nodes = suspended.entry(version).or_default();
        Arc::make_mut(nodes).insert(node.to_owned());
    }
}

/// The runs of a batch that are walked with care.
pub(crate) fn careful(claimed: &Claimed) -> Vec<Subject> {
    let careful = claimed.runs.iter().filter(|run| is_careful(run));
    careful.map(|run| subject(run)).collect()
}

/// Charges the deaths that left marks, and suspends the nodes that are to blame. For as long as it takes, or until `closing`:
/// without it, what killed would kill again unseen.
pub(crate) async fn charge(shared: &Shared, runs: &[Subject], closing: &CancellationToken) {
    while !runs.is_empty() && !charge_once(shared, runs).await {
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

/// Whether the database answered.
async fn charge_once(shared: &Shared, runs: &[Subject]) -> bool {
    let charged = scoped(shared, runs, async |connection: &mut Conn<Worker>| {
        let mut blamed = suspects::charge(connection, runs).await?;
        blamed.retain(Suspect::is_deadly);
        let fresh = suspended_parts::suspend_deadly(connection, &blamed).await?;
        Ok((blamed, fresh))
    });
    let Some((blamed, fresh)) = told("charging deaths", charged.await) else { return false };
    for part in blamed.iter().filter_map(|suspect| suspect.part.as_ref()) {
        shared.care.suspend(part.version_id, &part.id);
    }
    for suspect in &fresh {
        notice(suspect);
        shared.metrics.suspended();
    }
    true
}

/// Nothing is in hand for a run any more; what was charged stays until the run has been committed.
pub(crate) async fn put_down(shared: &Shared, run: &ClaimedRun) {
    let subject = subject(run);
    let work = async |connection: &mut Conn<Worker>| suspects::put_down(connection, subject).await;
    told("unmarking what was in hand", scoped(shared, &[subject], work).await);
}

/// These runs have been committed.
pub(crate) async fn acquit(shared: &Shared, runs: &[Subject]) {
    if runs.is_empty() {
        return;
    }
    let acquitted =
        scoped(shared, runs, async |connection: &mut Conn<Worker>| suspects::acquit(connection, runs).await);
    told("unmarking what is through", acquitted.await);
}

/// Whether a run is walked with care: its last worker died while it held it.
pub(crate) fn is_careful(run: &ClaimedRun) -> bool {
    run.abandoned > 0
}

impl Watch for Watcher<'_> {
    fn take(&self, node: &str) -> Result<(), StepError> {
        if self.suspended.as_ref().is_some_and(|nodes| nodes.contains(node)) {
            return Err(StepError {
                code: StepCode::PartSuspended.into(),
                message: format!(
                    "node \"{node}\" is suspended: processes died or hung while they evaluated it"
                ),
            });
        }
        let run = self.run;
        let part = PartRef {
            workflow_id: run.workflow_id,
            version_id: run.version_id,
            kind: PartKind::Node,
            id: node,
        };
        if self.is_careful {
            let marked = self.care.db.tx(
                Scope::Tenants(std::slice::from_ref(&run.tenant_id)),
                async |connection: &mut Conn<Worker>| {
                    suspects::mark(connection, subject(run), InHand::Part(part)).await
                },
            );
            // From the middle of a walk, which waits for nothing but this.
            told("marking what is in hand", block_in_place(|| Handle::current().block_on(marked)));
        }
        let hand = in_hand::take(Doing::Part { tenant_id: run.tenant_id, part, subject: run.run_id.0 });
        *self.hand.borrow_mut() = Some(hand);
        Ok(())
    }

    fn put_down(&self) {
        self.hand.borrow_mut().take();
    }
}

impl fmt::Debug for Watcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("run", &self.run.run_id).finish_non_exhaustive()
    }
}

fn subject(run: &ClaimedRun) -> Subject {
    (run.tenant_id, run.run_id.0)
}

async fn scoped<T>(
    shared: &Shared,
    runs: &[Subject],
    work: impl AsyncFnOnce(&mut Conn<Worker>) -> Result<T, Error>,
) -> Result<T, Error> {
    let tenants = crate::claim::tenants(runs.iter().map(|(tenant, _)| *tenant));
    shared.care.db.tx(Scope::Tenants(&tenants), work).await
}

fn notice(suspect: &Suspect) {
    let Some(part) = &suspect.part else { return };
    tracing::error!(
        tenant.id = %suspect.subject.0,
        workflow.id = %part.workflow_id,
        version.id = %part.version_id,
        run.id = %suspect.subject.1,
        deaths = suspect.deaths,
        "{part} is suspended: processes died or hung while they evaluated it; runs fail there as part_suspended"
    );
}

/// What the database answered. Where it does not, work goes on without marks.
fn told<T>(what: &str, answered: Result<T, Error>) -> Option<T> {
    answered.inspect_err(|error| tracing::warn!(%error, "{what} failed")).ok()
}
