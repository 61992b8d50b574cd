//! Notices: one for each thing that is wrong, however often it happens.

use crate::world::World;
use automation_domain::id::NoticeId;
use automation_domain::notice::Notice;
use automation_store::notices::{self, Filter, Kept, MOST, NewNotice};
use automation_store::role::{Api, Worker};
use automation_store::{Conn, Scope};

fn stopped(world: &World, to: &str, times: i64) -> NewNotice {
    let notice = Notice::LoopStopped {
        from_workflow: Some("ping".to_owned()),
        from_node: Some("tag".to_owned()),
        event_type: "contact.tag_added".to_owned(),
        to_workflow: to.to_owned(),
        to_trigger: "tagged".to_owned(),
        depth: 6,
        event_id: "1".to_owned(),
        correlation_id: None,
    };
    NewNotice { tenant_id: world.tenant, notice, times }
}

async fn raise(world: &World, new: &[NewNotice]) -> anyhow::Result<()> {
    let raise = async |connection: &mut Conn<Worker>| notices::raise(connection, new).await;
    Ok(world.worker.tx(world.scope(), raise).await?)
}

async fn list(world: &World, filter: Filter) -> anyhow::Result<Vec<Kept>> {
    let list = async |connection: &mut Conn<Api>| notices::list(connection, world.tenant, &filter).await;
    Ok(world.api.tx(Scope::Tenant(world.tenant), list).await?)
}

async fn dismiss(world: &World, id: NoticeId) -> anyhow::Result<bool> {
    let dismiss =
        async |connection: &mut Conn<Api>| notices::dismiss(connection, world.tenant, id, "ada").await;
    Ok(world.api.tx(Scope::Tenant(world.tenant), dismiss).await?)
}

const RAISED: &str = "SELECT count(*) FROM outbox WHERE event_type = 'notice.raised'";

#[tokio::test]
async fn what_happens_again_is_counted_and_what_was_dismissed_is_told_anew() -> anyhow::Result<()> {
    let world = World::new().await?;
    raise(&world, &[stopped(&world, "welcome", 3), stopped(&world, "other", 1)]).await?;
    raise(&world, &[stopped(&world, "welcome", 2)]).await?;
    let all = list(&world, Filter::default()).await?;
    let counts = |all: &[Kept]| all.iter().map(|kept| kept.occurrences).collect::<Vec<_>>();
    assert_eq!((all.len(), counts(&all)[0]), (2, 5));
    assert_eq!(world.database.count(RAISED).await?, 2);
    assert!(all[0].first_at < all[0].last_at);

    let of_workflow = Filter { workflow: Some("welcome".to_owned()), ..Filter::default() };
    let found = list(&world, of_workflow.clone()).await?;
    assert_eq!(counts(&found), [5]);
    assert!(dismiss(&world, found[0].notice_id).await?);
    assert!(!dismiss(&world, found[0].notice_id).await?, "it is dismissed already");
    assert_eq!(list(&world, of_workflow.clone()).await?, []);
    assert_eq!(list(&world, Filter { all: true, ..Filter::default() }).await?.len(), 2);

    raise(&world, &[stopped(&world, "welcome", 1)]).await?;
    let again = list(&world, of_workflow).await?;
    assert_eq!(counts(&again), [1]);
    assert_eq!((again[0].notice_id, again[0].dismissed_at), (found[0].notice_id, None));
    assert_eq!(world.database.count(RAISED).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_tenant_has_no_more_notices_than_may_be_and_those_that_are_there_go_on_counting()
-> anyhow::Result<()> {
    let world = World::new().await?;
    raise(&world, &[stopped(&world, "welcome", 1)]).await?;
    let others = format!(
        "INSERT INTO notices SELECT tenant_id, gen_random_uuid(), 'loop_stopped', n::text, '{{x}}', '{{}}', 1, now(), now()
           FROM notices, generate_series(2, {MOST}) AS n"
    );
    world.database.execute(&others).await?;
    raise(&world, &[stopped(&world, "other", 1), stopped(&world, "welcome", 1)]).await?;
    let count = "SELECT count(*) FROM notices";
    assert_eq!(world.database.count(count).await?, MOST);
    assert_eq!(world.database.count("SELECT count(*) FROM notices WHERE occurrences = 2").await?, 1);
    world
        .database
        .execute("UPDATE notices SET last_at = now() - interval '91 days' WHERE occurrences = 1")
        .await?;
    world.database.execute("SELECT notices_expire()").await?;
    assert_eq!(world.database.count(count).await?, 1);
    Ok(())
}
