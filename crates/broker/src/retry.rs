//! Nudges that are due later: they wait in the queue of their rung, and come back to work with their priority.
//!
//! They are nudges like all others: the moment from which a run may go on stands in the database, and the sweep makes up
//! for one that is lost.

use crate::nudge::{CONTENT_TYPE, pack};
use crate::publisher::Message;
use crate::topology::RETRY;
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::priority::Priority;
use automation_domain::rungs::Rungs;
use std::collections::BTreeMap;
use std::time::Duration;

/// The header that chooses the wait queue: the rung in milliseconds, as text. Its name does not begin with `x-`, because
/// a headers exchange that compares all headers leaves those out.
pub const DELAY_HEADER: &str = "automation-delay-ms";

/// The messages that nudge these runs after their delays, packed by priority and rung, the most urgent and the shortest
/// first; `new_id` gives each its id.
///
/// A delay that is no rung has no queue and gives no message: the sweep wakes such a run when it is due.
pub fn messages(
    rungs: &Rungs,
    runs: &[(Priority, Duration, TenantId, RunId)],
    mut new_id: impl FnMut() -> String,
) -> Vec<Message> {
    let mut packs: BTreeMap<(Priority, Duration), Vec<RunKey>> = BTreeMap::new();
    for (priority, delay, tenant, run) in runs {
        if rungs.delays().contains(delay) {
            packs.entry((*priority, *delay)).or_default().push((*tenant, *run));
        }
    }
    let mut messages = Vec::new();
    for ((priority, delay), runs) in packs {
        messages.extend(pack(runs).into_iter().map(|body| Message {
            exchange: RETRY.to_owned(),
            routing_key: priority.as_str().to_owned(),
            body,
            content_type: CONTENT_TYPE.to_owned(),
            headers: BTreeMap::from([(DELAY_HEADER.to_owned(), delay.as_millis().to_string())]),
            message_id: new_id(),
            ..Message::default()
        }));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nudge::decode;
    use uuid::Uuid;

    fn run(priority: Priority, seconds: u64, number: u128) -> (Priority, Duration, TenantId, RunId) {
        let ids = (TenantId(Uuid::from_u128(7)), RunId(Uuid::from_u128(number)));
        (priority, Duration::from_secs(seconds), ids.0, ids.1)
    }

    #[test]
    fn runs_are_packed_by_priority_and_rung() {
        let rungs: Rungs = "1m,5m".parse().unwrap();
        let mut runs: Vec<_> = (0..120).map(|number| run(Priority::Low, 300, number)).collect();
        runs.push(run(Priority::High, 300, 200));
        runs.push(run(Priority::Low, 60, 201));
        runs.push(run(Priority::Low, 61, 202));
        let mut ids = 0..;
        let messages = messages(&rungs, &runs, || ids.next().unwrap().to_string());
        let packed: Vec<_> = messages
            .iter()
            .map(|message| {
                assert_eq!((message.exchange.as_str(), message.body.len() <= 4096), (RETRY, true));
                let delay = message.headers[DELAY_HEADER].as_str();
                (message.routing_key.as_str(), delay, decode(&message.body).unwrap().len())
            })
            .collect();
        assert_eq!(
            packed,
            [
                ("high", "300000", 1),
                ("low", "60000", 1),
                ("low", "300000", 50),
                ("low", "300000", 50),
                ("low", "300000", 20),
            ]
        );
        assert_eq!(messages.iter().map(|message| message.message_id.as_str()).collect::<String>(), "01234");
    }
}
