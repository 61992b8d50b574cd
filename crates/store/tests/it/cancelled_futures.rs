//! A caller that goes away at any moment leaves no connection behind with an open transaction.

use crate::world::World;
use automation_store::role::Worker;
use automation_store::{Conn, Error, Scope};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Polls a future for this long, to the microsecond, letting the connections' tasks run in between, and drops it.
/// Whether it was done by then.
async fn drop_after(life: Duration, future: impl Future) -> bool {
    let mut future = pin!(future);
    let end = Instant::now() + life;
    while Instant::now() < end {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

async fn tag(connection: &mut Conn<Worker>, tag: &str) -> Result<(), Error> {
    sqlx::query("SELECT 1").execute(connection.bare()).await?;
    sqlx::query("UPDATE contacts SET owner = $1").bind(tag).execute(connection.bare()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_dropped_transactions_poison_no_connection() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.run("1").await?;
    let other = automation_test_support::builders::tenant(&world.operator, "rival").await?;
    let db = world.database.store_of_size::<Worker>(3);
    let own = [world.tenant];
    // Lives up to twice as long as a transaction takes on this machine at this moment.
    let whole = Instant::now();
    for _ in 0..20 {
        db.tx(Scope::Tenants(&own), async |connection| tag(connection, "whole").await).await?;
    }
    let longest = whole.elapsed() / 10;
    let mut done = 0;
    let begun = AtomicUsize::new(0);
    for round in 0..5_000_usize {
        // Every moment is met again and again: before BEGIN, in it, in a statement, in COMMIT.
        let work = db.tx(Scope::Tenants(&own), async |connection| {
            begun.fetch_add(1, Ordering::Relaxed);
            tag(connection, &round.to_string()).await
        });
        let life = longest * u32::try_from(round % 499)? / 499;
        done += usize::from(drop_after(life, work).await);
        if round % 250 == 0 {
            // The next user of each connection starts from nothing: in another tenant's scope no contact is seen.
            let seen: i64 = db
                .tx(Scope::Tenants(&[other]), async |connection| {
                    Ok::<_, Error>(
                        sqlx::query_scalar("SELECT count(*) FROM contacts")
                            .fetch_one(connection.bare())
                            .await?,
                    )
                })
                .await?;
            assert_eq!(seen, 0);
        }
    }
    let begun = begun.into_inner();
    // Otherwise the lives would not reach from the beginning of a transaction to its end.
    assert!(done > 50 && begun > done && begun < 5_000, "{begun} began, {done} ended");
    // Three at once, so that every connection of the pool is asked.
    let free = async || {
        db.tx(Scope::Tenants(&own), async |connection| {
            sqlx::query("SELECT 1 FROM contacts FOR UPDATE SKIP LOCKED").execute(connection.bare()).await?;
            Ok::<_, Error>(())
        })
        .await
    };
    let (a, b, c) = tokio::join!(free(), free(), free());
    a.and(b).and(c)?;
    db.close().await;
    let left_open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state LIKE 'idle in transaction%'",
        world.database.name()
    );
    assert_eq!(world.database.count(&left_open).await?, 0);
    Ok(())
}
