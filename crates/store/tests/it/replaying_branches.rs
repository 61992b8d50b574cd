//! Replays of runs with several branches: which of them an edited request is for, and whether the failed step was got past.

use crate::effects::new;
use crate::replaying::{failed, like};
use crate::world::World;
use automation_domain::effect::Request;
use automation_domain::id::DeadLetterId;
use automation_domain::interpreter::{ReplayKey, Waits};
use automation_store::dead_letters::{self, Obstacle, Replay, Replayed, Trial};
use automation_store::events::receipts;
use automation_store::runs::effects::{self, EffectKey};
use automation_store::{Error, Scope};
use serde_json::{Value, json};

fn retrying(node: &str, visit: u32) -> Value {
    let waits = json!({ "for": "retry", "until": "2026-01-01T00:00:00Z", "attempt": 6, "stored": true });
    json!({ "node": node, "visit": visit, "waits": waits })
}

/// The run that failed did so at this node, with branches that stand there.
async fn stood(world: &World, node: &str, branches: &[Value]) -> anyhow::Result<()> {
    let error = json!({ "code": "http_status", "message": "503" });
    let tokens: Vec<Value> =
        branches.iter().enumerate().map(|(number, branch)| json!([number, branch])).collect();
    let state = json!({
        "step_count": 3, "steps": { "call": { "visits": 2, "error": error } },
        "end": { "status": "failed", "node": node, "error": error, "tokens": tokens },
    });
    world.database.execute(&format!("UPDATE runs_finished SET state = convert_to('{state}', 'UTF8')")).await
}

async fn trial(world: &World, id: DeadLetterId) -> Result<Trial, Error> {
    let trials = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::trials(connection, world.tenant, &[id]).await
        })
        .await?;
    Ok(trials[&id])
}

#[tokio::test]
async fn a_run_that_fails_at_a_later_step_got_past_the_one_that_had_failed() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (_, id) = failed(&world, "1").await?;
    assert_eq!(trial(&world, id).await?, Trial::Failed, "it failed at the step itself");
    stood(&world, "later", &[retrying("later", 1)]).await?;
    assert_eq!(trial(&world, id).await?, Trial::Passed);
    stood(&world, "beside", &[retrying("call", 1), retrying("beside", 1)]).await?;
    assert_eq!(trial(&world, id).await?, Trial::Failed, "it ended before the step was done");
    Ok(())
}

#[tokio::test]
async fn an_edited_request_is_for_the_branch_whose_visit_failed() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (started, id) = failed(&world, "1").await?;
    stood(&world, "call", &[retrying("call", 2), retrying("call", 1)]).await?;
    let key =
        EffectKey { tenant_id: world.tenant, run_id: started.run_id, node: "call".to_owned(), visit: 1 };
    let stored = new(key, false);
    let Request::Http(mut http) = stored.request.clone();
    http.body = Some("mended".to_owned());
    let request = Request::Http(http);
    let edited = Replay { edited: Some(&request), ..like(ReplayKey::New) };
    let obstacle = async |replay: Replay<'_>| {
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::obstacle(connection, world.tenant, id, replay).await
            })
            .await
    };
    assert_eq!(obstacle(edited).await?, Some(Obstacle::NothingToEdit), "no request is stored");
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::insert(connection, now, &[&stored]).await
        })
        .await?;
    let same = Replay { key: ReplayKey::Same, ..edited };
    assert_eq!(obstacle(same).await?, Some(Obstacle::NothingToEdit), "the same key would mean two requests");
    assert_eq!(obstacle(edited).await?, None);

    let replayed = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::replay(connection, world.tenant, id, edited).await
        })
        .await?;
    assert!(matches!(replayed, Replayed::Now { .. }), "{replayed:?}");
    let state = world.claim(&[started.run_id]).await?.remove(0).state.unwrap();
    let is_stored = |branch: u16| matches!(state.tokens[&branch].waits, Waits::Retry { stored: true, .. });
    assert!(!is_stored(0) && is_stored(1), "{state:?}");
    let visit = state.tokens[&1].visit;
    let kept = format!(
        "SELECT count(*) FROM effects WHERE visit = {visit} AND convert_from(request, 'UTF8') LIKE '%mended%'"
    );
    assert_eq!(world.database.count(&kept).await?, 1);
    Ok(())
}
