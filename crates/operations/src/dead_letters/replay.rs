//! Bringing runs back to the step that failed.

use super::canary;
use crate::pace::Pace;
use crate::{Auditor, Bulk, Error, Gone, Page, Progress, Refusal, Session};
use automation_broker::nudge;
use automation_broker::publisher::Publisher;
use automation_domain::effect::Request;
use automation_domain::id::{DeadLetterId, RunId, TenantId};
use automation_domain::interpreter::ReplayKey;
use automation_domain::priority::Priority;
use automation_service_kit::{clock, ids};
use automation_store::dead_letters::{self, Replay, ReplayVersion, Replayed};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How many are replayed before the rest.
const CANARIES: usize = 3;

/// How long after a commit the sweep looks whether the nudge was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Longest time that a nudge waits for others to go with.
const FLUSH: Duration = Duration::from_secs(1);

/// How runs are to be brought back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct How<'a> {
    /// Under which idempotency key the failed step is sent again; to a receiver, a new one is another request.
    pub key: ReplayKey,
    /// On which version of the workflow a run goes on.
    pub version: ReplayVersion,
    /// What is sent in place of the stored request: of one letter, and under a new key.
    pub edited: Option<&'a Request>,
    /// Why, for the run's history and the audit log.
    pub note: Option<&'a str>,
    /// With it, three go first, and the rest only when these got past the step within this time.
    pub canary: Option<Duration>,
}

/// What came of one letter.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The letter.
    pub id: DeadLetterId,
    /// `replayed`, `would be replayed` or `refused`.
    pub result: &'static str,
    /// The run that is open again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why it was refused: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reads a request that a person corrected, and checks it by the rules for those of workflows.
///
/// # Errors
///
/// What is wrong with it.
pub fn edited(text: &str) -> Result<Request, String> {
    let request: Request = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Request::Http(http) = &request;
    automation_actions::check_edited(http).map_err(|error| error.message)?;
    Ok(request)
}

/// Brings runs back, one by one, each in a transaction of its own, and nudges them after it. Without a publisher, and where
/// a nudge is lost, the sweep wakes them some seconds later.
///
/// # Errors
///
/// [`Refusal::OneEdit`]. What ends it half-way stands beside the rows: [`Error::Store`], [`Refusal::CanaryFailed`],
/// [`Refusal::CanaryPending`], [`Refusal::CanaryStopped`].
pub async fn replay(
    session: &Session,
    auditor: &Auditor,
    publisher: Option<&Publisher>,
    ids: &[DeadLetterId],
    how: How<'_>,
    bulk: Bulk<'_>,
) -> Result<Gone<Outcome>, Error> {
    check(ids, how)?;
    let mut replaying =
        Replaying { session, auditor, how, publisher, bulk, waiting: Vec::new(), flushed_at: clock::now() };
    let mut rows = Vec::new();
    let ended = replaying.go_through(ids, &mut rows).await;
    replaying.flush().await;
    Ok(Gone { rows: Page::whole(rows), ended })
}

/// Says for each what would come of it, and does nothing. `auditor` is who would.
///
/// # Errors
///
/// [`Refusal::OneEdit`]; [`Error::Store`].
pub async fn would_replay(
    session: &Session,
    auditor: &Auditor,
    ids: &[DeadLetterId],
    how: How<'_>,
) -> Result<Page<Outcome>, Error> {
    check(ids, how)?;
    let mut rows = Vec::new();
    for id in ids {
        let replay = stored(auditor, how);
        let obstacle = session
            .read(async |connection| dead_letters::obstacle(connection, session.tenant, *id, replay).await)
            .await?;
        rows.push(match obstacle {
            None => Outcome { id: *id, result: "would be replayed", run: None, code: None, message: None },
            Some(refusal) => refused(*id, &refusal),
        });
    }
    Ok(Page::whole(rows))
}

fn check(ids: &[DeadLetterId], how: How<'_>) -> Result<(), Refusal> {
    if how.edited.is_some() && ids.len() != 1 { Err(Refusal::OneEdit) } else { Ok(()) }
}

fn stored<'a>(who: &'a Auditor, how: How<'a>) -> Replay<'a> {
    let How { key, version, edited, note, canary: _ } = how;
    Replay { key, version, edited, who, note, look_again: LOOK_AGAIN }
}

fn refused(id: DeadLetterId, refusal: &dead_letters::Obstacle) -> Outcome {
    let (code, message) = (Some(refusal.code()), Some(refusal.to_string()));
    Outcome { id, result: "refused", run: None, code, message }
}

/// Replays under way. Nudges are published after commits, some at once. One that does not arrive costs a few seconds: the
/// sweep makes up for it.
struct Replaying<'a, 'b> {
    session: &'a Session,
    auditor: &'a Auditor,
    how: How<'a>,
    publisher: Option<&'a Publisher>,
    bulk: Bulk<'b>,
    waiting: Vec<(Priority, TenantId, RunId)>,
    flushed_at: Instant,
}

impl Replaying<'_, '_> {
    async fn go_through(&mut self, ids: &[DeadLetterId], rows: &mut Vec<Outcome>) -> Result<(), Error> {
        let mut pace = Pace::new(&self.bulk);
        let (mut canaries, mut watched_for) = (Vec::new(), self.how.canary);
        for id in ids {
            if let Some(patience) = watched_for.filter(|_| canaries.len() == CANARIES) {
                self.flush().await;
                canary::pass(self.session, &canaries, patience, &self.bulk.stop).await?;
                (self.bulk.told)(Progress::CanariesPassed(CANARIES));
                watched_for = None;
            }
            if !pace.next().await {
                break;
            }
            let outcome = self.one(*id).await?;
            if outcome.run.is_some() {
                canaries.extend(watched_for.map(|_| *id));
            }
            rows.push(outcome);
            (self.bulk.told)(Progress::Done { done: rows.len(), of: ids.len() });
        }
        Ok(())
    }

    async fn one(&mut self, id: DeadLetterId) -> Result<Outcome, Error> {
        let (tenant, replay) = (self.session.tenant, stored(self.auditor, self.how));
        let replay = async |connection: &mut _| dead_letters::replay(connection, tenant, id, replay).await;
        Ok(match self.session.change_noted(replay).await? {
            Replayed::Now { run_id, priority } => {
                self.waiting.push((priority, tenant, run_id));
                if self.waiting.len() >= nudge::MAX_RUNS || self.flushed_at.elapsed() >= FLUSH {
                    self.flush().await;
                }
                Outcome { id, result: "replayed", run: Some(run_id), code: None, message: None }
            }
            Replayed::Refused(refusal) => refused(id, &refusal),
        })
    }

    async fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.flushed_at = clock::now();
        let Some(publisher) = self.publisher else { return };
        let messages = nudge::messages(waiting.iter().copied(), || ids::new_id().to_string());
        if let Err(error) = publisher.publish_all(messages).await {
            (self.bulk.told)(Progress::NotNudged(error.to_string()));
        }
    }
}
