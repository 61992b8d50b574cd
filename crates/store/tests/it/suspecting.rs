//! What processes died of: marks, charges, suspensions.

use crate::world::World;
use automation_domain::id::{VersionId, WorkflowId};
use automation_domain::part::{Part, PartKind, PartRef};
use automation_store::blame::suspects::{self, InHand, Suspect, UNREAD};
use automation_store::blame::suspended_parts;
use automation_store::role::{Api, Worker};
use automation_store::{Conn, Error, Scope};
use automation_test_support::builders;
use std::time::{Duration, Instant};
use uuid::Uuid;

const SUBJECT: Uuid = Uuid::from_u128(1);

fn node(id: &str) -> PartRef<'_> {
    PartRef {
        workflow_id: WorkflowId(Uuid::from_u128(2)),
        version_id: VersionId(Uuid::from_u128(3)),
        kind: PartKind::Node,
        id,
    }
}

async fn mark(world: &World, in_hand: InHand<'_>) -> Result<(), Error> {
    world
        .worker
        .tx(world.scope(), async |connection: &mut Conn<Worker>| {
            suspects::mark(connection, (world.tenant, SUBJECT), in_hand).await
        })
        .await
}

/// What is charged, as names and deaths, once the process that marked is taken for dead.
async fn charge(world: &World) -> Result<Vec<(String, i32)>, Error> {
    let charged = world
        .worker
        .tx(world.scope(), async |connection: &mut Conn<Worker>| {
            suspects::charge(connection, &[(world.tenant, SUBJECT)]).await
        })
        .await?;
    let name = |suspect: &Suspect| suspect.part.as_ref().map_or("itself".to_owned(), |part| part.id.clone());
    let mut charged: Vec<_> = charged.iter().map(|suspect| (name(suspect), suspect.deaths)).collect();
    charged.sort_unstable();
    Ok(charged)
}

#[tokio::test]
async fn what_was_in_hand_last_is_charged_with_each_death_and_what_was_survived_is_not() -> anyhow::Result<()>
{
    let world = World::new().await?;
    mark(&world, InHand::Event).await?;
    mark(&world, InHand::Part(node("a"))).await?;
    mark(&world, InHand::Part(node("b"))).await?;
    assert_eq!(charge(&world).await?, [("b".to_owned(), 1)]);
    assert_eq!(charge(&world).await?, [("b".to_owned(), 1)], "one death is charged once");
    mark(&world, InHand::Part(node("a"))).await?;
    mark(&world, InHand::Part(node("b"))).await?;
    assert_eq!(charge(&world).await?, [("b".to_owned(), 2)]);
    mark(&world, InHand::Part(node("b"))).await?;
    mark(&world, InHand::Event).await?;
    assert_eq!(charge(&world).await?, [("b".to_owned(), 2), ("itself".to_owned(), 1)], "it survived b");
    mark(&world, InHand::Event).await?;
    let subject = (world.tenant, SUBJECT);
    let put_down = async |connection: &mut Conn<Worker>| suspects::put_down(connection, subject).await;
    world.worker.tx::<_, Error>(world.scope(), put_down).await?;
    assert_eq!(charge(&world).await?, [("b".to_owned(), 2), ("itself".to_owned(), 1)]);
    let acquit = async |connection: &mut Conn<Worker>| suspects::acquit(connection, &[subject]).await;
    world.worker.tx::<_, Error>(world.scope(), acquit).await?;
    assert_eq!(charge(&world).await?, []);
    Ok(())
}

#[tokio::test]
async fn what_somebody_who_lives_has_in_hand_is_not_charged() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (other, both) = (Uuid::from_u128(5), [SUBJECT, Uuid::from_u128(5)]);
    let (hold, held) = suspects::hold(&world.worker, &[SUBJECT]).await?;
    assert!(held.contains(&SUBJECT));
    let (_second, held) = suspects::hold(&world.worker, &both).await?;
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [other], "the first lives, and has the other one");
    drop(hold);
    // The pool rolls back behind the drop.
    let begun = Instant::now();
    while !suspects::hold(&world.worker, &[SUBJECT]).await?.1.contains(&SUBJECT) {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "it is held by nobody who lives");
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn messages_are_marked_many_at_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let ids: Vec<Uuid> = (0..50).map(Uuid::from_u128).collect();
    let charged = world
        .worker
        .tx(Scope::Tenants(&[UNREAD]), async |connection: &mut Conn<Worker>| {
            suspects::mark_messages(connection, &ids).await?;
            suspects::mark_messages(connection, &ids).await?;
            suspects::charge(connection, &[(UNREAD, ids[7]), (UNREAD, ids[8]), (UNREAD, Uuid::from_u128(99))])
                .await
        })
        .await?;
    assert_eq!(charged.len(), 2);
    assert!(charged.iter().all(|suspect| suspect.part.is_none() && suspect.deaths == 1));
    Ok(())
}

#[tokio::test]
async fn a_part_is_suspended_once_by_the_deaths_held_against_it_until_it_is_lifted() -> anyhow::Result<()> {
    let world = World::new().await?;
    let part = Part {
        workflow_id: world.workflow.workflow_id,
        version_id: world.workflow.version_id,
        kind: PartKind::Node,
        id: "tag".to_owned(),
    };
    let suspect = Suspect { subject: (world.tenant, SUBJECT), part: Some(part.clone()), deaths: 3 };
    let suspend = async |connection: &mut Conn<Worker>| suspended_parts::suspend(connection, &suspect).await;
    let version = "SELECT catalogue_version FROM tenants WHERE key = 'shop'";
    let before = world.database.count(version).await?;
    assert!(!world.worker.tx(world.scope(), suspend).await?, "nothing is held against it");
    mark(&world, InHand::Part(part.as_ref())).await?;
    charge(&world).await?;
    assert!(world.worker.tx(world.scope(), suspend).await?);
    assert!(!world.worker.tx(world.scope(), suspend).await?, "it is suspended already");
    assert_eq!(world.database.count(version).await?, before + 1);
    let nodes = world.worker.tx(Scope::Tenants(&[]), suspended_parts::nodes).await?;
    assert!(nodes[&part.version_id].contains("tag"));

    let tenant = Scope::Tenant(world.tenant);
    let listed = world.api.tx(tenant, suspended_parts::list).await?;
    assert_eq!(listed.iter().map(|one| (&one.part, one.deaths)).collect::<Vec<_>>(), [(&part, 1)]);
    let lift = async |connection: &mut Conn<Api>| {
        suspended_parts::lift(connection, world.tenant, &part, builders::ada()).await
    };
    assert!(world.api.tx(tenant, lift).await?);
    assert!(!world.api.tx(tenant, lift).await?);
    assert_eq!(world.database.count(version).await?, before + 2);
    assert_eq!(charge(&world).await?, [], "nothing is held against it any more");
    assert!(world.worker.tx(Scope::Tenants(&[]), suspended_parts::nodes).await?.is_empty());
    Ok(())
}
