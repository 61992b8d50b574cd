//! Dead letters: written once per claim, found by what people look for, archived and taken out again.

use crate::world::World;
use automation_domain::audit::Words;
use automation_domain::id::{ContactId, DeadLetterId};
use automation_store::dead_letters::{
    self, DeadAttempt, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterStatus, FailedStep,
    GroupChange, GroupState, NewDeadLetter,
};
use automation_store::events::receipts;
use automation_store::role::Scheduler;
use automation_store::{Error, Scope, audit};
use automation_test_support::builders::{self, Started};
use chrono::{DateTime, TimeDelta};
use serde_json::json;

/// A letter of a run at the node `call`, with two attempts.
pub fn letter(world: &World, started: Started, epoch: i32, message: &str) -> NewDeadLetter {
    let attempt = |minute: i64, status| DeadAttempt {
        at: DateTime::from_timestamp(1_790_000_000 + 60 * minute, 0).unwrap(),
        code: "http_status".to_owned(),
        message: message.to_owned(),
        status,
    };
    NewDeadLetter {
        tenant_id: world.tenant,
        run_id: started.run_id,
        epoch,
        workflow_id: world.workflow.workflow_id,
        version_id: world.workflow.version_id,
        step: Some(FailedStep { node: "call".to_owned(), visit: 1, action: Some("http_request".to_owned()) }),
        code: "http_status".to_owned(),
        message: message.to_owned(),
        attempts: vec![attempt(0, None), attempt(1, Some(503))],
        request: Some(json!({ "kind": "http", "url": "https://crm.example/orders", "credential": "crm" })),
        response: Some(json!({ "status": 503, "body": "busy" })),
        event_id: started.event_id,
        contact_id: Some(started.contact_id),
        run_key: "ada".to_owned(),
    }
}

async fn insert(world: &World, letters: &[NewDeadLetter]) -> Result<(), Error> {
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            dead_letters::insert(connection, now, letters).await
        })
        .await
}

async fn list(world: &World, filter: DeadLetterFilter) -> Vec<DeadLetter> {
    let listed = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::list(connection, world.tenant, &filter, None, 100).await
        })
        .await;
    listed.unwrap()
}

#[tokio::test]
async fn a_letter_tells_everything_about_the_failure() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("order-1").await?;
    let written = letter(&world, started, 3, "order 1 failed: \u{0} 503");
    insert(&world, std::slice::from_ref(&written)).await?;
    let found = list(&world, DeadLetterFilter::default()).await.remove(0);
    assert_eq!(
        (found.run_id, found.epoch, found.workflow.as_str(), found.version),
        (started.run_id, 3, "welcome", Some(1))
    );
    assert_eq!(
        (found.node.as_deref(), found.visit, found.action.as_deref()),
        (Some("call"), Some(1), Some("http_request"))
    );
    assert_eq!(
        (found.code.as_str(), found.message.as_str()),
        ("http_status", "order 1 failed: \u{fffd} 503")
    );
    assert_eq!(found.attempts.len(), 2);
    assert_eq!((found.attempts[0].at, found.attempts[1].status), (written.attempts[0].at, Some(503)));
    assert_eq!((found.request, found.response), (written.request, written.response));
    let event = found.event.unwrap();
    assert_eq!((event.0.as_str(), event.1.as_str(), event.2.as_str()), ("test", "order-1", "form.submitted"));
    assert_eq!((found.contact.as_deref(), found.run_key.as_str()), (Some("ada"), "ada"));
    assert_eq!((found.status, found.changed_by), (DeadLetterStatus::Open, None));
    Ok(())
}

#[tokio::test]
async fn a_claim_gives_up_once_and_a_later_claim_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    insert(&world, &[letter(&world, started, 1, "a")]).await?;
    insert(&world, &[letter(&world, started, 1, "b"), letter(&world, started, 2, "c")]).await?;
    let messages: Vec<_> = list(&world, DeadLetterFilter::default())
        .await
        .into_iter()
        .map(|one| (one.epoch, one.message))
        .collect();
    assert_eq!(messages, [(2, "c".to_owned()), (1, "a".to_owned())]);
    // Each of its branches may die, and the run as a whole.
    let other = |node: &str, visit| FailedStep { node: node.to_owned(), visit, action: None };
    let steps = [Some(other("call", 2)), Some(other("mail", 1)), None];
    let letters = steps.map(|step| NewDeadLetter { step, ..letter(&world, started, 2, "d") });
    insert(&world, &letters).await?;
    insert(&world, &letters).await?;
    assert_eq!(list(&world, DeadLetterFilter::default()).await.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_run_that_failed_without_a_step_has_a_letter_too() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    let bare = NewDeadLetter {
        step: None,
        attempts: Vec::new(),
        request: None,
        response: None,
        contact_id: None,
        code: "worker_lost".to_owned(),
        ..letter(&world, started, 1, "six workers died")
    };
    world.database.execute("DELETE FROM events").await?;
    insert(&world, &[bare]).await?;
    let found = list(&world, DeadLetterFilter::default()).await.remove(0);
    assert_eq!((found.node, found.event, found.contact, found.attempts.len()), (None, None, None, 0));
    Ok(())
}

#[tokio::test]
async fn every_part_of_a_filter_has_to_fit() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut events = Vec::new();
    for id in ["1", "2", "3"] {
        events.push(world.run(id).await?);
    }
    insert(&world, &[letter(&world, events[0], 1, "order 17 failed")]).await?;
    insert(&world, &[letter(&world, events[1], 1, "Order 99 failed")]).await?;
    let mut other = letter(&world, events[2], 1, "order 17 is unknown");
    other.code = "http_refused".to_owned();
    other.step = Some(FailedStep { node: "tag".to_owned(), visit: 1, action: Some("add_tag".to_owned()) });
    insert(&world, &[other]).await?;

    let all = list(&world, DeadLetterFilter::default()).await;
    let count = async |filter: DeadLetterFilter| {
        let listed = list(&world, filter.clone()).await.len();
        let counted = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::count(connection, world.tenant, &filter).await
            })
            .await;
        assert_eq!(usize::try_from(counted.unwrap()).unwrap(), listed);
        listed
    };
    let any = DeadLetterFilter::default;
    assert_eq!(count(any()).await, 3);
    assert_eq!(count(DeadLetterFilter { node: Some("call".to_owned()), ..any() }).await, 2);
    assert_eq!(count(DeadLetterFilter { code: Some("http_refused".to_owned()), ..any() }).await, 1);
    assert_eq!(count(DeadLetterFilter { signature: Some(all[2].signature.clone()), ..any() }).await, 2);
    assert_eq!(count(DeadLetterFilter { workflow: Some(world.workflow.workflow_id), ..any() }).await, 3);
    let eve = ContactId::derive(world.tenant, "eve");
    assert_eq!(count(DeadLetterFilter { contact: Some(eve), ..any() }).await, 0);
    assert_eq!(count(DeadLetterFilter { contact: Some(events[0].contact_id), ..any() }).await, 3);
    assert_eq!(count(DeadLetterFilter { status: Some(DeadLetterStatus::Discarded), ..any() }).await, 0);
    assert_eq!(count(DeadLetterFilter { since: Some(all[1].died_at), ..any() }).await, 2);
    assert_eq!(count(DeadLetterFilter { until: Some(all[1].died_at), ..any() }).await, 1);
    let future = all[0].died_at + TimeDelta::seconds(1);
    assert_eq!(count(DeadLetterFilter { since: Some(future), ..any() }).await, 0);
    let named = DeadLetterFilter { ids: Some(vec![all[0].dead_letter_id]), ..any() };
    assert_eq!(count(named).await, 1);
    Ok(())
}

#[tokio::test]
async fn alike_failures_are_one_group_with_its_first_and_last_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    for (id, message) in [("1", "order 17 failed"), ("2", "order 99 failed"), ("3", "it is gone")] {
        let started = world.run(id).await?;
        insert(&world, &[letter(&world, started, 1, message)]).await?;
    }
    let groups: Vec<DeadLetterGroup> = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::groups(connection, world.tenant, &DeadLetterFilter::default(), 10).await
        })
        .await?;
    let letters = list(&world, DeadLetterFilter::default()).await;
    assert_eq!(groups.iter().map(|group| group.count).collect::<Vec<_>>(), [2, 1]);
    let first = &groups[0];
    assert_eq!((first.message.as_str(), first.workflows), ("order 99 failed", 1));
    assert_eq!((first.first_seen_at, first.last_seen_at), (letters[2].died_at, letters[1].died_at));
    assert_eq!((first.latest, &first.signature), (letters[1].dead_letter_id, &letters[2].signature));
    Ok(())
}

async fn group(world: &World) -> DeadLetterGroup {
    let groups = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::groups(connection, world.tenant, &DeadLetterFilter::default(), 10).await
        })
        .await;
    groups.unwrap().remove(0)
}

#[tokio::test]
async fn a_group_has_an_owner_and_a_note_and_says_when_it_is_back() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    insert(&world, &[letter(&world, started, 1, "order 17 failed")]).await?;
    let first = group(&world).await;
    assert_eq!((first.state, first.open, first.handled_at), (GroupState::Open, 1, None));
    let look_after = async |signature: &str, owner, note| {
        let change = GroupChange { owner, note };
        let changed = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::look_after(connection, world.tenant, signature, change, builders::ada()).await
            })
            .await;
        changed.unwrap()
    };
    assert!(look_after(&first.signature, Some("bob"), None).await);
    assert!(look_after(&first.signature, None, Some("the shop is told")).await);
    assert!(!look_after("0123456789abcdef", Some("bob"), None).await, "no letter has this signature");
    let known = group(&world).await;
    assert_eq!((known.owner.as_deref(), known.note.as_deref()), (Some("bob"), Some("the shop is told")));

    let discard = async |id| {
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::discard(connection, world.tenant, &[id], builders::ada(), None).await
            })
            .await
    };
    discard(known.latest).await?;
    let handled = group(&world).await;
    assert_eq!((handled.state, handled.open), (GroupState::Handled, 0));
    let again = world.run("2").await?;
    insert(&world, &[letter(&world, again, 1, "order 18 failed")]).await?;
    let back = group(&world).await;
    assert_eq!((back.state, back.open, back.count), (GroupState::Returned, 1, 2));
    assert_eq!(back.owner.as_deref(), Some("bob"), "whoever looked after it does so again");
    assert!(look_after(&back.signature, Some(""), None).await);
    assert_eq!(group(&world).await.owner, None);

    // What is known of a group goes with its last letter.
    let groups = "SELECT count(*) FROM dead_letter_groups";
    world
        .database
        .execute("UPDATE dead_letters SET died_at = now() - interval '8 days' WHERE status = 'open'")
        .await?;
    let expire = async || {
        let scheduler = world.database.store::<Scheduler>();
        let expired = scheduler
            .tx(Scope::Unscoped, async |connection| dead_letters::expire(connection, 7, 100).await)
            .await;
        scheduler.close().await;
        expired.unwrap()
    };
    assert_eq!((expire().await, world.database.count(groups).await?), (1, 1));
    world.database.execute("UPDATE dead_letters SET died_at = now() - interval '8 days'").await?;
    assert_eq!((expire().await, world.database.count(groups).await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn discarded_letters_are_kept_can_be_restored_and_both_are_audited() -> anyhow::Result<()> {
    let world = World::new().await?;
    for id in ["1", "2"] {
        let started = world.run(id).await?;
        insert(&world, &[letter(&world, started, 1, "failed")]).await?;
    }
    let ids: Vec<DeadLetterId> = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::snapshot(connection, world.tenant, &DeadLetterFilter::default(), 100).await
        })
        .await?;
    assert!(ids.len() == 2 && ids.is_sorted(), "the oldest first: {ids:?}");
    let discard = async |note| {
        let handled = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::discard(connection, world.tenant, &ids, builders::ada(), note).await
            })
            .await;
        handled.unwrap().changed
    };
    let restore = async |ids: &[DeadLetterId]| {
        let handled = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                dead_letters::restore(connection, world.tenant, ids, &builders::auditor("bob"), None).await
            })
            .await;
        handled.unwrap().changed
    };
    assert_eq!(restore(&ids).await, []);
    assert_eq!(discard(Some("a test order")).await, ids);
    assert_eq!(discard(None).await, []);
    assert_eq!(restore(&ids[..1]).await, ids[..1]);
    let found = list(&world, DeadLetterFilter::default()).await;
    assert_eq!(found.iter().map(|one| one.status.as_str()).collect::<Vec<_>>(), ["discarded", "open"]);
    assert_eq!(
        (found[0].changed_by.as_deref(), found[0].note.as_deref()),
        (Some("ada"), Some("a test order"))
    );
    assert_eq!(found[1].changed_by.as_deref(), Some("bob"));
    let (entries, head) = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            let entries = audit::list(connection, world.tenant, None, 10).await?;
            Ok::<_, Error>((entries, audit::verify(connection, world.tenant, builders::ada().keys()).await?))
        })
        .await?;
    let actor = |words: &Option<Words>| words.as_ref().map(|words| words.actor.clone()).unwrap_or_default();
    let actions: Vec<_> =
        entries.iter().map(|entry| (actor(&entry.words), entry.link.action.as_str())).collect();
    assert_eq!(
        actions,
        [("bob", "dead_letter.restore"), ("ada", "dead_letter.discard"), ("ada", "dead_letter.discard")]
            .map(|(actor, action)| (actor.to_owned(), action))
    );
    assert_eq!(head.unwrap().chain.head.seq, 3);
    Ok(())
}

#[tokio::test]
async fn letters_of_other_tenants_can_be_neither_seen_nor_handled() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    insert(&world, &[letter(&world, started, 1, "failed")]).await?;
    let id = list(&world, DeadLetterFilter::default()).await[0].dead_letter_id;
    let other = builders::tenant(&world.operator, "rival").await?;
    let (seen, handled) = world
        .api
        .tx(Scope::Tenant(other), async |connection| {
            let seen = dead_letters::by_id(connection, world.tenant, id).await?;
            Ok::<_, Error>((
                seen,
                dead_letters::discard(connection, world.tenant, &[id], &builders::auditor("eve"), None)
                    .await?,
            ))
        })
        .await?;
    assert_eq!((seen, handled.changed), (None, Vec::new()));
    let foreign = world
        .worker
        .tx(Scope::Tenants(&[other]), async |connection| {
            let now = receipts::now(connection).await?;
            dead_letters::insert(connection, now, &[letter(&world, started, 2, "forged")]).await
        })
        .await;
    assert!(foreign.is_err(), "a worker writes for the tenants of its batch alone");
    Ok(())
}

#[tokio::test]
async fn letters_past_their_retention_are_forgotten_a_bounded_number_at_a_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    for id in ["1", "2", "3"] {
        let started = world.run(id).await?;
        insert(&world, &[letter(&world, started, 1, "failed")]).await?;
    }
    world.database.execute("UPDATE dead_letters SET died_at = now() - interval '91 days'").await?;
    let fresh = world.run("4").await?;
    insert(&world, &[letter(&world, fresh, 1, "failed")]).await?;
    let expire = async |days, most| {
        world
            .scheduler
            .tx(Scope::Unscoped, async |connection| dead_letters::expire(connection, days, most).await)
            .await
    };
    assert_eq!(expire(90, 2).await?, 2);
    assert_eq!(expire(90, 2).await?, 1);
    assert_eq!(expire(90, 2).await?, 0);
    assert_eq!(world.database.count("SELECT count(*) FROM dead_letters").await?, 1);
    assert!(expire(6, 2).await.is_err(), "a week at least");
    Ok(())
}
