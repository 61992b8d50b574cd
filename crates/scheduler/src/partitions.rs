//! Partitions made ahead, retention, receipts past the dedupe window, dead letters and parked messages past theirs, and the
//! daily count of what tenants keep.

use crate::Shared;
use automation_store::blame::suspects;
use automation_store::events::of_contacts;
use automation_store::runs::{approvals, goals};
use automation_store::upkeep::{partitions, retention, usage};
use automation_store::workflows::lifecycle;
use automation_store::{Error, Scope, dead_letters, notices};
use std::sync::Arc;
use std::time::Duration;

/// How often to look; retention is a matter of days.
const INTERVAL: Duration = Duration::from_secs(600);
/// After a failure, or while there is more to do.
const SOON: Duration = Duration::from_secs(5);
/// Receipts forgotten at once, and rows of what happened to whom: tens of milliseconds.
const RECEIPTS_AT_ONCE: i32 = 20_000;
/// Rows deleted at once of what a tenant keeps no longer while others do.
const HISTORY_AT_ONCE: i32 = 5_000;
/// How often in a row, before the rest has its turn.
const HISTORY_ROUNDS: u32 = 20;
/// Parked messages forgotten at once: each may have 16 MiB.
const PARKED_AT_ONCE: i32 = 500;
/// Dead letters forgotten at once: each may have a request and a response.
const DEAD_LETTERS_AT_ONCE: i32 = 2_000;

pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match shared.note("looking after partitions", maintain(&shared).await) {
            Some(false) => INTERVAL,
            Some(true) | None => SOON,
        };
        if !shared.pause(wait).await {
            return;
        }
    }
}

/// One round, in small transactions; whether there is more to do.
async fn maintain(shared: &Shared) -> Result<bool, Error> {
    let config = &shared.config;
    let db = &shared.db;
    let made = db
        .tx(Scope::Unscoped, async |connection| partitions::ensure(connection, config.partitions_ahead).await)
        .await?;
    if made > 0 {
        tracing::info!(made, "made partitions ahead");
    }
    let dropped =
        db.tx(Scope::Unscoped, async |connection| partitions::drop_retired(connection).await).await?;
    if dropped > 0 {
        tracing::info!(dropped, "dropped partitions past their retention");
    }
    let retired = db.tx(Scope::Unscoped, async |connection| partitions::retire(connection).await).await?;
    if let Some(partition) = &retired {
        tracing::info!(partition, "retired a partition");
    }
    let (mut history, mut rounds) = (Some(0), 0);
    while history.is_some() && rounds < HISTORY_ROUNDS && !shared.drain.is_cancelled() {
        history = db
            .tx(Scope::Unscoped, async |connection| retention::expire(connection, HISTORY_AT_ONCE).await)
            .await?;
        rounds += 1;
    }
    // Without a pause: in a busy week, more fall out of the window than any pace but its own would catch up with.
    let mut expired = RECEIPTS_AT_ONCE;
    while expired == RECEIPTS_AT_ONCE && !shared.drain.is_cancelled() {
        expired = db
            .tx(Scope::Unscoped, async |connection| {
                partitions::expire_receipts(connection, config.dedupe_days, RECEIPTS_AT_ONCE).await
            })
            .await?;
    }
    let mut expired = RECEIPTS_AT_ONCE;
    while expired == RECEIPTS_AT_ONCE && !shared.drain.is_cancelled() {
        expired = db
            .tx(Scope::Unscoped, async |connection| of_contacts::expire(connection, RECEIPTS_AT_ONCE).await)
            .await?;
    }
    let mut expired = RECEIPTS_AT_ONCE;
    while expired == RECEIPTS_AT_ONCE && !shared.drain.is_cancelled() {
        expired = db
            .tx(Scope::Unscoped, async |connection| goals::expire(connection, RECEIPTS_AT_ONCE).await)
            .await?;
    }
    let mut expired = RECEIPTS_AT_ONCE;
    while expired == RECEIPTS_AT_ONCE && !shared.drain.is_cancelled() {
        expired = db
            .tx(Scope::Unscoped, async |connection| approvals::expire(connection, RECEIPTS_AT_ONCE).await)
            .await?;
    }
    let forgotten = db
        .tx(Scope::Unscoped, async |connection| {
            dead_letters::expire(connection, config.dead_letter_days, DEAD_LETTERS_AT_ONCE).await
        })
        .await?;
    if forgotten > 0 {
        tracing::info!(forgotten, "forgot dead letters past their retention");
    }
    db.tx(Scope::Unscoped, suspects::expire).await?;
    db.tx(Scope::Unscoped, notices::expire).await?;
    let removed = db.tx(Scope::Unscoped, lifecycle::expire).await?;
    if removed > 0 {
        tracing::info!(removed, "removed deleted workflows of which no run is kept");
    }
    let unparked = db
        .tx(Scope::Unscoped, async |connection| {
            usage::expire_parked(connection, config.parked_days, PARKED_AT_ONCE).await
        })
        .await?;
    if unparked > 0 {
        tracing::info!(unparked, "forgot parked messages past their retention");
    }
    // One table or day at a time: what is large takes a while, and others wait for nothing meanwhile.
    let counted =
        db.tx(Scope::Unscoped, async |connection| usage::count(connection, config.dedupe_days).await).await?;
    if let Some(table) = &counted {
        tracing::info!(table, "counted what tenants keep");
    }
    Ok(retired.is_some()
        || counted.is_some()
        || history.is_some()
        || forgotten == DEAD_LETTERS_AT_ONCE
        || unparked == PARKED_AT_ONCE)
}
