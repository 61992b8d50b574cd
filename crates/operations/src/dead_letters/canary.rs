//! Waiting for the first few of many replays.

use crate::{Error, Refusal, Session};
use automation_domain::id::DeadLetterId;
use automation_service_kit::clock;
use automation_store::dead_letters::{self, Trial};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once all of these got past the step that had failed; an error when one failed again, when it takes too long, or
/// when somebody wants no more.
pub(super) async fn pass(
    session: &Session,
    ids: &[DeadLetterId],
    patience: Duration,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let begun = clock::now();
    let of = ids.len();
    // One that got past stays past, whatever becomes of its run.
    let mut left = ids.to_vec();
    loop {
        let look = async |connection: &mut _| dead_letters::trials(connection, session.tenant, &left).await;
        let trials = session.read(look).await?;
        let count = |trial: Trial| trials.values().filter(|one| **one == trial).count();
        let (failed, pending) = (count(Trial::Failed), count(Trial::Pending));
        if failed > 0 {
            return Err(Refusal::CanaryFailed { failed, of }.into());
        }
        if pending == 0 {
            return Ok(());
        }
        left.retain(|id| trials.get(id) == Some(&Trial::Pending));
        if begun.elapsed() >= patience {
            return Err(Refusal::CanaryPending { pending, of }.into());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Refusal::CanaryStopped.into()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
