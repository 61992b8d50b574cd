//! Doing something to open runs: to one, or to many that are chosen once and gone through one after the other.

use super::{Filter, resolve};
use crate::pace::Pace;
use crate::{Auditor, Bulk, Error, Progress, Refusal, Session};
use automation_domain::id::RunId;
use automation_store::Conn;
use automation_store::role::Api;
use automation_store::runs::cancel;
use automation_store::runs::hold::{self, Changed};
use automation_store::runs::lists::{self, OpenRun, RunFilter, RunStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is done to runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// They end.
    Cancel,
    /// They are held where they are.
    Pause,
    /// They go on.
    Resume,
}

/// Runs that something is to be done to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// These.
    Ids(Vec<RunId>),
    /// All open ones that fit.
    Fitting(Filter),
}

/// Runs that were chosen: others never join them.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    /// How many.
    pub count: usize,
    /// How many of them stand where; those that are not open stand nowhere.
    pub by_status: BTreeMap<&'static str, usize>,
    /// Their ids, the oldest first.
    #[serde(skip)]
    pub ids: Vec<RunId>,
}

/// A run that something was done to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Handled {
    /// The run.
    pub id: RunId,
    /// `cancelled`, `paused` or `resumed`; `ended` when it had ended before, `unchanged` when it was so already, `not_found`.
    pub result: &'static str,
    /// How a run ended that had ended before.
    pub status: Option<&'static str>,
}

/// A run that was cancelled, paused or resumed.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct StatusSet {
    /// The run.
    pub id: RunId,
    /// `cancelled`, `paused` or `resumed`.
    pub status: &'static str,
}

/// What came of runs that were chosen.
#[derive(Serialize, Debug)]
pub struct AllHandled {
    /// How many were chosen.
    pub chosen: usize,
    /// To so many it was done.
    pub done: usize,
    /// So many had ended meanwhile.
    pub ended: usize,
    /// So many were so already.
    pub unchanged: usize,
    /// So many do not exist.
    pub not_found: usize,
    /// So many were not looked at: it was stopped.
    pub untouched: usize,
    /// What came of each, as far as it went.
    pub data: Vec<Handled>,
    /// Why it went no further than that; somebody who stops it is no error.
    #[serde(skip)]
    pub over: Result<(), Error>,
}

/// The runs as they are now, at most `most`, the oldest first: what begins later never joins them.
///
/// Ids that are named are taken as they are, so that one which has ended is reported. To be resumed are those alone that
/// somebody paused, and to be paused those that nobody did.
///
/// # Errors
///
/// [`Refusal::EventName`], [`Refusal::NoWorkflow`], [`Refusal::EventGone`], [`Refusal::StatusEnded`], [`Refusal::NoRunFits`];
/// [`Error::Store`].
pub async fn choose(session: &Session, selection: Selection, act: Act, most: i64) -> Result<Chosen, Error> {
    let is_held = match act {
        Act::Cancel => None,
        Act::Pause => Some(false),
        Act::Resume => Some(true),
    };
    let (filter, named) = match selection {
        Selection::Ids(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            (Filter::default(), Some(ids))
        }
        Selection::Fitting(filter) => (filter, None),
    };
    if let Some(ended) = filter.status.filter(|status| !status.is_open()) {
        return Err(Refusal::StatusEnded(ended.as_str()).into());
    }
    let open: Vec<OpenRun> = session
        .read(async |connection| {
            let by = match resolve(connection, session.tenant, &filter).await? {
                Ok(by) => RunFilter { ids: named.clone().or(by.ids.clone()), ..by },
                Err(refusal) => return Ok(Err(refusal)),
            };
            let is_held = is_held.filter(|_| named.is_none());
            lists::open(connection, session.tenant, &by, is_held, most).await.map(Ok)
        })
        .await??;
    let mut by_status = BTreeMap::new();
    for run in &open {
        *by_status.entry(run.status.as_str()).or_default() += 1;
    }
    let ids = named.unwrap_or_else(|| open.iter().map(|run| run.run_id).collect());
    if ids.is_empty() {
        Err(Refusal::NoRunFits.into())
    } else {
        Ok(Chosen { count: ids.len(), by_status, ids })
    }
}

/// Ends an open run, and says why in its history.
///
/// # Errors
///
/// [`Refusal::NoRun`], [`Refusal::RunEnded`]; [`Error::Store`].
pub async fn cancel(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    reason: &str,
) -> Result<StatusSet, Error> {
    one(session, auditor, Act::Cancel, id, reason).await
}

/// Holds an open run where it is: nothing of it begins until it is resumed.
///
/// # Errors
///
/// [`Refusal::NoRun`], [`Refusal::RunEnded`], [`Refusal::RunAlready`]; [`Error::Store`].
pub async fn pause(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    reason: &str,
) -> Result<StatusSet, Error> {
    one(session, auditor, Act::Pause, id, reason).await
}

/// Lets a run go on that was paused: at once, where its time came meanwhile.
///
/// # Errors
///
/// [`Refusal::NoRun`], [`Refusal::RunEnded`], [`Refusal::RunAlready`]; [`Error::Store`].
pub async fn resume(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    reason: &str,
) -> Result<StatusSet, Error> {
    one(session, auditor, Act::Resume, id, reason).await
}

/// Ends these runs, each in a transaction of its own.
pub async fn cancel_many(
    session: &Session,
    auditor: &Auditor,
    ids: &[RunId],
    reason: &str,
    bulk: Bulk<'_>,
) -> AllHandled {
    many(session, auditor, Act::Cancel, ids, reason, bulk).await
}

/// Holds these runs, each in a transaction of its own.
pub async fn pause_many(
    session: &Session,
    auditor: &Auditor,
    ids: &[RunId],
    reason: &str,
    bulk: Bulk<'_>,
) -> AllHandled {
    many(session, auditor, Act::Pause, ids, reason, bulk).await
}

/// Lets these runs go on, each in a transaction of its own: so no more begin in a second than the pace allows.
pub async fn resume_many(
    session: &Session,
    auditor: &Auditor,
    ids: &[RunId],
    reason: &str,
    bulk: Bulk<'_>,
) -> AllHandled {
    many(session, auditor, Act::Resume, ids, reason, bulk).await
}

async fn one(
    session: &Session,
    auditor: &Auditor,
    act: Act,
    id: RunId,
    reason: &str,
) -> Result<StatusSet, Error> {
    let handled = session
        .change_noted(async |connection| handle(connection, session, auditor, act, (id, reason)).await)
        .await?;
    match (handled.result, handled.status) {
        ("not_found", _) => Err(Refusal::NoRun(id).into()),
        (_, Some(status)) => Err(Refusal::RunEnded { id, status }.into()),
        ("unchanged", None) => Err(Refusal::RunAlready { id, is: act.in_vain() }.into()),
        (_, None) => Ok(StatusSet { id, status: handled.result }),
    }
}

async fn many(
    session: &Session,
    auditor: &Auditor,
    act: Act,
    ids: &[RunId],
    reason: &str,
    bulk: Bulk<'_>,
) -> AllHandled {
    let mut pace = Pace::new(&bulk);
    let (mut data, mut over) = (Vec::new(), Ok(()));
    for id in ids {
        if !pace.next().await {
            break;
        }
        let handled = session
            .change_noted(async |connection| handle(connection, session, auditor, act, (*id, reason)).await)
            .await;
        match handled {
            Ok(handled) => data.push(handled),
            Err(error) => {
                over = Err(error);
                break;
            }
        }
        (bulk.told)(Progress::Done { done: data.len(), of: ids.len() });
    }
    let count = |word: &str| data.iter().filter(|handled: &&Handled| handled.result == word).count();
    AllHandled {
        chosen: ids.len(),
        done: count(act.done()),
        ended: count("ended"),
        unchanged: count("unchanged"),
        not_found: count("not_found"),
        untouched: ids.len() - data.len(),
        data,
        over,
    }
}

async fn handle(
    connection: &mut Conn<Api>,
    session: &Session,
    auditor: &Auditor,
    act: Act,
    (id, reason): (RunId, &str),
) -> Result<Handled, automation_store::Error> {
    let run = (session.tenant, id);
    let changed = match act {
        Act::Cancel => match cancel::cancel(connection, session.tenant, id, auditor, reason).await? {
            cancel::Cancelled::Now => Changed::Now,
            cancel::Cancelled::AlreadyEnded(status) => Changed::Ended(status),
            cancel::Cancelled::NotFound => Changed::NotFound,
        },
        Act::Pause => hold::pause(connection, run, auditor, reason).await?,
        Act::Resume => hold::resume(connection, run, auditor, reason).await?,
    };
    let (result, status) = match changed {
        Changed::Now => (act.done(), None),
        Changed::Already => ("unchanged", None),
        Changed::Ended(status) => ("ended", Some(status.as_str())),
        Changed::NotFound => ("not_found", None),
    };
    Ok(Handled { id, result, status })
}

impl Act {
    fn done(self) -> &'static str {
        match self {
            Self::Cancel => RunStatus::Cancelled.as_str(),
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }

    /// What a run is to which it is done in vain.
    fn in_vain(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Pause => "paused already",
            Self::Resume => "not paused by itself",
        }
    }
}
