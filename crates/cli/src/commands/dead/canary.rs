//! Waiting for the first few of many replays.

use crate::exit;
use crate::session::Session;
use automation_domain::id::DeadLetterId;
use automation_service_kit::clock;
use automation_store::dead_letters::{self, Trial};
use std::time::Duration;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once all of these got past the step that had failed; an error when one failed again, when it takes too long, or
/// on Ctrl-C.
pub async fn pass(session: &Session, ids: &[DeadLetterId], patience: Duration) -> anyhow::Result<()> {
    let begun = clock::now();
    // One that got past stays past, whatever becomes of its run.
    let mut left = ids.to_vec();
    loop {
        let trials = session
            .db
            .tx(session.scope(), async |connection| {
                dead_letters::trials(connection, session.tenant, &left).await
            })
            .await?;
        let count = |trial: Trial| trials.values().filter(|one| **one == trial).count();
        let (failed, pending) = (count(Trial::Failed), count(Trial::Pending));
        if failed > 0 {
            return Err(exit::wrong(
                format!("{failed} of the first {} failed again, so the rest was left alone", ids.len()),
                "automation dead list: the latest letters say why",
            ));
        }
        if pending == 0 {
            return Ok(());
        }
        left.retain(|id| trials.get(id) == Some(&Trial::Pending));
        if begun.elapsed() >= patience {
            return Err(exit::wrong(
                format!(
                    "{pending} of the first {} have not got past the step yet, so the rest was left alone",
                    ids.len()
                ),
                "automation run explain says what they wait for; repeat the command, with a longer --canary-wait",
            ));
        }
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                return Err(exit::wrong("stopped: the rest was left alone".to_owned(), "repeat the command"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
