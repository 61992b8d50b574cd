//! What it takes to find the triggers that an event matches, when very many are active.

use super::latency::percentile;
use crate::effort::Effort;
use crate::load::{Ids, Load, Matching, Packing, Renderer};
use crate::prepared::{Prepared, TENANTS, tenant_key};
use crate::workload::Workload;
use automation_domain::event::RecordedEvent;
use automation_domain::event::envelope::{Envelope, read};
use automation_domain::id::EventId;
use automation_domain::limits::Limits;
use automation_ingest::evaluation::Evaluation;
use automation_service_kit::clock::wall_clock;
use automation_store::role::Worker;
use automation_test_support::database::TestDatabase;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// Of so many triggers, one asks for nothing that tells it from others, where not all are selective.
const UNSELECTIVE: usize = 10;

/// What finding an event's triggers takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evaluated {
    pub(crate) triggers: &'static str,
    /// Active triggers of all tenants.
    pub(crate) active: usize,
    /// Seconds to load them from the database, compile and index them.
    pub(crate) load_seconds: f64,
    /// Triggers that an event matched, on average.
    pub(crate) matches_per_event: f64,
    /// Microseconds per event.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Measures with triggers that an equality tells apart, and with one in ten that nothing does.
pub(crate) async fn measure(prepared: &Prepared, effort: Effort) -> anyhow::Result<Vec<Evaluated>> {
    let mut measured = Vec::new();
    for (name, unselective) in [("all selective", false), ("one in ten unselective", true)] {
        let database = prepared.copy().await?;
        activate(&database, effort.triggers, unselective).await?;
        let figures = evaluate(&database, name, effort.triggers, unselective).await?;
        eprintln!("    {}", figures.line());
        measured.push(figures);
    }
    Ok(measured)
}

/// Publishes one workflow for each trigger, tenants taking turns. The trigger with a number wants the order with that
/// number; an unselective one wants orders above a sum.
async fn activate(database: &TestDatabase, triggers: usize, unselective: bool) -> anyhow::Result<()> {
    let definition = Workload::Note.compile()?.definition;
    let mut connection = database.superuser().await?;
    sqlx::query(
        "WITH made AS MATERIALIZED (
             SELECT i, t.tenant_id, gen_random_uuid() AS workflow_id, gen_random_uuid() AS version_id,
                    CASE WHEN $3 AND i / $4 % $5 = 0
                         THEN jsonb_build_object('field', 'event.data.total', 'op', 'greater_than', 'value', 51 + i % 1000)
                         ELSE jsonb_build_object('field', 'event.data.order_id', 'op', 'equals', 'value', 'order-' || i)
                    END AS condition
               FROM generate_series(0, $1 - 1) AS i JOIN tenants t ON t.key = 'tenant-' || i % $4),
         published AS (
             INSERT INTO workflows (tenant_id, workflow_id, key, name, version_id)
             SELECT tenant_id, workflow_id, 'workflow-' || i, 'workflow-' || i, version_id FROM made)
         INSERT INTO workflow_versions (tenant_id, version_id, workflow_id, number, definition)
         SELECT tenant_id, version_id, workflow_id, 1,
                jsonb_set(jsonb_set($2, '{triggers,0,where}', condition), '{key}', to_jsonb('workflow-' || i))
           FROM made",
    )
    .bind(i32::try_from(triggers)?)
    .bind(&definition)
    .bind(unselective)
    .bind(i32::try_from(TENANTS)?)
    .bind(i32::try_from(UNSELECTIVE)?)
    .execute(&mut connection)
    .await?;
    sqlx::query("UPDATE tenants SET catalogue_version = catalogue_version + 1")
        .execute(&mut connection)
        .await?;
    Ok(())
}

async fn evaluate(
    database: &TestDatabase,
    name: &'static str,
    triggers: usize,
    unselective: bool,
) -> anyhow::Result<Evaluated> {
    let keys: Vec<String> = (0..TENANTS).map(tenant_key).collect();
    let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let db = database.store::<Worker>();
    let begun = Instant::now();
    let evaluation = Evaluation::load(&db, &keys, &Limits::default()).await?;
    let load_seconds = begun.elapsed().as_secs_f64();
    db.close().await;

    // One event for each trigger, so that each selective one matches exactly once.
    let events = events(triggers)?;
    let (mut matched, mut micros) = (0, Vec::with_capacity(events.len()));
    for event in &events {
        let begun = Instant::now();
        matched += evaluation.matches(event, None);
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let expected = expected(triggers, unselective, &events);
    anyhow::ensure!(matched == expected, "{matched} triggers matched, and not {expected}");
    micros.sort_unstable_by(f64::total_cmp);
    Ok(Evaluated {
        triggers: name,
        active: triggers,
        load_seconds,
        matches_per_event: matched as f64 / events.len() as f64,
        p50_us: percentile(&micros, 0.5),
        p99_us: percentile(&micros, 0.99),
    })
}

/// The first `count` events of the load, as ingest reads them.
fn events(count: usize) -> anyhow::Result<Vec<RecordedEvent>> {
    let load = Load {
        packing: Packing::Single,
        ids: Ids::Ordered,
        matching: Matching::All,
        contacts: 20_000,
        user: String::new(),
        source: "shop",
    };
    let now = wall_clock();
    let mut recorded = Vec::with_capacity(count);
    for message in load.messages(&mut Renderer::new(), 0..count as u64, |_| now) {
        let envelope = Envelope {
            content_type: Some(&message.content_type),
            routing_key: &message.routing_key,
            body: &message.body,
            ..Envelope::default()
        };
        let members = read(&envelope, &Limits::default());
        let members = members.map_err(|refusal| anyhow::anyhow!("an event of the load: {refusal:?}"))?;
        for member in members {
            let event =
                member.outcome.map_err(|refusal| anyhow::anyhow!("an event of the load: {refusal:?}"))?;
            recorded.push(RecordedEvent {
                event_id: EventId::derive(now, event.key),
                received_at: now,
                event,
            });
        }
    }
    Ok(recorded)
}

/// How many triggers all events match, counted without any index.
fn expected(triggers: usize, unselective: bool, events: &[RecordedEvent]) -> usize {
    let is_unselective = |trigger: usize| unselective && (trigger / TENANTS).is_multiple_of(UNSELECTIVE);
    let selective = (0..triggers).filter(|trigger| !is_unselective(*trigger)).count();
    let sums_of = |tenant: usize| {
        (tenant..triggers)
            .step_by(TENANTS)
            .filter(|trigger| is_unselective(*trigger))
            .map(|trigger| 51 + trigger % 1_000)
    };
    let sums: Vec<Vec<usize>> = (0..TENANTS).map(|tenant| sums_of(tenant).collect()).collect();
    let above = |(number, event): (usize, &RecordedEvent)| {
        let total = event.event.data["total"].as_u64().unwrap_or_default();
        sums[number % TENANTS].iter().filter(|sum| total > **sum as u64).count()
    };
    selective + events.iter().enumerate().map(above).sum::<usize>()
}
