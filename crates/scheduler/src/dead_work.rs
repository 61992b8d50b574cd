//! The inbox of dead nudges. A dead work message is only a lost nudge: its runs are looked at again, and none is failed.

use crate::Shared;
use crate::parking_recorder::row;
use automation_broker::consumer::{Acker, Batch, Deliveries, Delivery};
use automation_broker::nudge;
use automation_domain::id::RunKey;
use automation_store::events::parked::{self, Parked};
use automation_store::events::receipts;
use automation_store::runs::wakeups;
use automation_store::{Error, Scope};
use std::sync::Arc;
use std::time::Duration;

/// Most messages in a transaction.
const MOST_MESSAGES: usize = 50;

/// The reason of a message that no version of the engine can read.
const REASON: &str = "dead_letter";

/// Empties the inbox until the process drains: commit, then acknowledge.
///
/// The runs are brought to the sweep's attention, not nudged from here: what dies again and again is nudged at the pace
/// of the sweep, which slows down with every look.
pub(crate) async fn run(shared: Arc<Shared>, mut input: Deliveries) {
    while let Some(deliveries) = Batch::collect(&mut input, MOST_MESSAGES, Duration::ZERO).await {
        let deaths = deliveries.iter().filter_map(|delivery| delivery.deaths.first());
        let reasons: std::collections::BTreeSet<_> = deaths.map(|death| death.reason.as_str()).collect();
        tracing::warn!(messages = deliveries.len(), ?reasons, "the broker gave up on work messages");
        while shared.note("recording dead work messages", record(&shared, &deliveries).await).is_none() {
            if !shared.pause(Duration::from_millis(500)).await {
                return;
            }
        }
        shared.metrics.dead_nudges.add(deliveries.len() as u64, &[]);
        Acker::ack_all(deliveries).await;
    }
}

async fn record(shared: &Shared, deliveries: &[Delivery]) -> Result<(), Error> {
    let mut runs: Vec<RunKey> = Vec::new();
    let mut unreadable: Vec<(&Delivery, String)> = Vec::new();
    for delivery in deliveries {
        match nudge::decode(&delivery.body) {
            Ok(named) => runs.extend(named),
            Err(error) => unreadable.push((delivery, error.to_string())),
        }
    }
    shared
        .db
        .tx(Scope::Unscoped, async |connection| {
            let now = receipts::now(connection).await?;
            if !runs.is_empty() {
                wakeups::look_now(connection, &runs).await?;
            }
            let rows: Vec<Parked> =
                unreadable.iter().map(|(delivery, why)| row(delivery, Some((REASON, why)), now)).collect();
            if !rows.is_empty() {
                parked::record(connection, &rows).await?;
            }
            Ok(())
        })
        .await
}
