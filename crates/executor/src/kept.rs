//! What committed settlements add to what their tenants keep.

use crate::plan::Settlement;
use automation_domain::effect::Response;
use automation_domain::interpreter::{Command, EndStatus};
use automation_store::records;
use automation_store::runs::checkpoints::Next;
use automation_store::runs::effects::{EffectStatus, Tried};
use automation_store::upkeep::usage::{Metered, Sums};

pub(crate) fn sums(committed: &[Settlement]) -> Sums {
    let mut sums = Sums::new();
    for settlement in committed {
        let mut add = |table: Metered, bytes: usize| {
            *sums.entry((settlement.run.tenant_id, table)).or_default() += table.row_bytes() + bytes;
        };
        let checkpoint = &settlement.checkpoint;
        if !checkpoint.steps.is_empty() {
            add(Metered::WorkflowRunLogs, checkpoint.steps.len());
        }
        let mut deaths =
            settlement.commands.iter().filter(|command| matches!(command, Command::Bury { .. })).count();
        if let Next::Finished { status } = checkpoint.next {
            add(Metered::RunsFinished, checkpoint.state.len());
            deaths = deaths.max(usize::from(status == EndStatus::Failed));
        }
        // With the requests and the last responses of the steps.
        let tried = settlement.effects.tried.iter();
        let mut responses = tried.map(|tried| response_bytes(tried.response.as_ref())).sum();
        for _ in 0..deaths {
            add(Metered::DeadLetters, std::mem::take(&mut responses));
        }
        for effect in &settlement.effects.new {
            add(Metered::Effects, effect.request.bytes());
        }
        for Tried { response, status, .. } in &settlement.effects.tried {
            if *status != EffectStatus::Started {
                add(Metered::Effects, response_bytes(response.as_ref()));
            }
        }
        for change in settlement.changes() {
            add(records::metered(change.record()), change.bytes());
        }
    }
    sums
}

fn response_bytes(response: Option<&Response>) -> usize {
    response.map_or(0, Response::bytes)
}
