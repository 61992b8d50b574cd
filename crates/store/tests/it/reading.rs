//! Transactions that only read.

use crate::world::World;
use automation_store::records::contacts;
use automation_store::{Error, Scope};
use automation_test_support::builders;

#[tokio::test]
async fn what_only_reads_can_change_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    let key = [(world.tenant, started.contact_id)];
    let read = async |connection: &mut _| contacts::read(connection, &key).await;
    let found = world.api.read(Scope::Tenant(world.tenant), read).await?;
    assert_eq!(found.len(), 1);
    let sqlstate = |refused: Result<(), Error>| refused.unwrap_err().sqlstate();
    let lock = async |connection: &mut _| contacts::lock(connection, &key).await.map(drop);
    let refused = world.worker.read(world.scope(), lock).await;
    assert_eq!(sqlstate(refused).as_deref(), Some("25006"), "a lock is refused");
    let append = async |connection: &mut _| {
        let deed = automation_store::audit::Deed {
            action: "test.do",
            subject: "nothing".to_owned(),
            detail: serde_json::json!({}),
        };
        automation_store::audit::append(connection, world.tenant, builders::ada(), &[deed]).await
    };
    let refused = world.api.read(Scope::Tenant(world.tenant), append).await;
    assert_eq!(sqlstate(refused).as_deref(), Some("25006"), "a change is refused");
    Ok(())
}
