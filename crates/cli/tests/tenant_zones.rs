//! Whose clock counts where a contact has none: the tenant's, in ingest and executor alike, and from when on.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_store::Scope;
use automation_store::access::tenants;
use automation_store::role::Operator;
use engine::{Engine, event};
use serde_json::{Value, json};

/// Runs whose entry was decided in this zone, and whose first and last step were taken in these.
fn seen(at_entry: &str, at_first: &str, at_last: &str) -> String {
    // The date that the zone's clock shows at a moment; the two zones never show the same.
    let is_date = |zone: &str, date: &str, at: &str| {
        format!("{date} = to_char(({at})::timestamptz AT TIME ZONE '{zone}', 'YYYY-MM-DD')")
    };
    let var = |name: &str| format!("(s.v ->> '{name}')");
    format!(
        "SELECT count(*) FROM runs_finished r
          CROSS JOIN LATERAL (SELECT convert_from(r.state, 'UTF8')::jsonb -> 'vars' AS v) s
          WHERE {} AND {} AND {} AND r.status = 'completed'",
        is_date(at_entry, "split_part(run_key, '/', 1)", "split_part(run_key, '/', 2)"),
        is_date(at_first, &var("first"), &var("first_at")),
        is_date(at_last, &var("last"), &var("last_at")),
    )
}

async fn set_zone(engine: &Engine, zone: &str) -> anyhow::Result<()> {
    let operator = engine.database.store::<Operator>();
    let set = async |connection: &mut _| tenants::set_zone(connection, engine.tenant, zone).await;
    assert!(operator.tx(Scope::Unscoped, set).await?);
    Ok(())
}

fn at_work(pause: &str) -> Value {
    let vars = |name: &str| json!({ "vars": { name: "{{ now.date }}", (format!("{name}_at")): "{{ now.timestamp }}" } });
    json!({
        "apiVersion": "automation/v1", "key": "at-work", "name": "At work",
        "enrolment": {
            "key": "{{ now.date }}/{{ now.timestamp }}",
            "where": { "field": "tenant.timezone", "op": "equals", "value": "{{ event.data.zone }}" },
        },
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [
            { "id": "first", "action": "set_variables", "with": vars("first") },
            { "id": "pause", "action": "delay", "with": { "for": pause } },
            { "id": "last", "action": "set_variables", "with": vars("last") },
        ],
        "edges": [["form", "first"], ["first", "pause"], ["pause", "last"]],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_zone_counts_in_conditions_and_steps_and_a_change_of_it_from_the_next_ones_on()
-> anyhow::Result<()> {
    let (east, west) = ("Pacific/Kiritimati", "Pacific/Pago_Pago");
    let engine = Engine::start(1).await?;
    set_zone(&engine, east).await?;
    engine.apply(at_work("1s")).await?;
    let form = |id: &str, zone: &str| event("form.submitted", id, "ada", json!({ "zone": zone }));
    engine.publish(vec![form("1", east), form("2", west)]).await?;
    engine.until(&seen(east, east, east), 1).await?;

    // The clock changes while a run waits: what it decides later it decides by the new one.
    engine.apply(at_work("{{ event.data.pause }}")).await?;
    let mut slow = form("3", east);
    slow["data"]["pause"] = json!("2s");
    engine.publish(vec![slow]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 1).await?;
    set_zone(&engine, west).await?;
    engine.until(&seen(east, east, west), 1).await?;
    let mut quick = form("4", west);
    quick["data"]["pause"] = json!("0s");
    engine.publish(vec![quick]).await?;
    engine.until(&seen(west, west, west), 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 3, "one form named another zone");
    engine.stop().await
}
