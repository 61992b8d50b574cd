//! Cancelling, pausing and resuming runs by the command line: one, and many that are counted first.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod shell;

use serde_json::json;
use shell::Shell;

/// A shell with as many runs in each open state; ids of events are `<state>-<number>`.
async fn with_runs(of_each: usize) -> anyhow::Result<Shell> {
    let shell = Shell::with_a_workflow().await?;
    for (state, change) in [
        ("queued", ""),
        ("running", "status = 'running', lease_until = now() + interval '1 hour', epoch = 1"),
        ("waiting", "status = 'waiting', state = '{}'"),
        ("retrying", "status = 'waiting', state = '{}', epoch = 3"),
        ("paused", "status = 'paused', state = '{}'"),
    ] {
        for number in 0..of_each {
            let run = shell.queued(&format!("{state}-{number}")).await?.run_id;
            if !change.is_empty() {
                shell
                    .database
                    .execute(&format!("UPDATE runs_open SET {change} WHERE run_id = '{run}'"))
                    .await?;
            }
        }
    }
    Ok(shell)
}

#[tokio::test]
async fn the_count_that_is_shown_first_is_what_is_cancelled_whatever_the_runs_were_doing()
-> anyhow::Result<()> {
    let shell = with_runs(20).await?;
    let counted = shell.call(&["run", "cancel", "--workflow", "welcome", "--dry-run", "--json"]).json();
    assert_eq!(
        counted,
        json!({ "count": 100, "by_status": { "paused": 20, "queued": 20, "running": 20, "waiting": 40 } })
    );
    let told = shell.call(&["run", "cancel", "--workflow", "welcome", "--dry-run"]).out();
    assert_eq!(told, "100 runs: 20 paused, 20 queued, 20 running, 40 waiting\n");
    shell.call(&["run", "cancel", "--workflow", "welcome"]).fails(2, "this would cancel 100 at once");
    let done = shell
        .call(&[
            "run",
            "cancel",
            "--workflow",
            "welcome",
            "--yes",
            "--rate",
            "1000",
            "--reason",
            "enough",
            "--json",
        ])
        .json();
    let numbers =
        ["chosen", "done", "ended", "unchanged", "untouched"].map(|member| done[member].as_i64().unwrap());
    assert_eq!(numbers, [100, 100, 0, 0, 0]);
    assert_eq!(
        shell.database.count("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'").await?,
        100
    );
    for left in ["runs_open", "wakeups"] {
        assert_eq!(shell.database.count(&format!("SELECT count(*) FROM {left}")).await?, 0, "{left}");
    }
    assert_eq!(
        shell.database.count("SELECT count(*) FROM audit_links WHERE action = 'run.cancel'").await?,
        100
    );
    shell.call(&["run", "cancel", "--all", "--yes"]).fails(3, "no open run fits");
    Ok(())
}

#[tokio::test]
async fn filters_choose_open_runs_and_nothing_is_done_without_saying_which() -> anyhow::Result<()> {
    let shell = with_runs(2).await?;
    let count = |filter: &[&str]| {
        let called = shell.call(&[&["run", "cancel", "--dry-run", "--json"], filter].concat());
        called.json()["count"].as_i64().unwrap()
    };
    assert_eq!(count(&["--all"]), 10);
    assert_eq!(count(&["--status", "waiting"]), 4);
    assert_eq!(count(&["--contact", "ada", "--status", "queued"]), 2);
    assert_eq!(count(&["--event", "test/running-1"]), 1);
    assert_eq!(count(&["--all", "--limit", "3"]), 3);
    shell.call(&["run", "cancel", "--contact", "bob"]).fails(3, "no open run fits");
    shell.call(&["run", "cancel", "--status", "failed"]).fails(2, "have ended");
    shell.call(&["run", "cancel", "--workflow", "none"]).fails(3, "no workflow");
    shell.call(&["run", "cancel"]).fails(2, "it is not said which runs");
    let id = shell.queued("more").await?.run_id.to_string();
    shell.call(&["run", "cancel", &id, "--all"]).fails(2, "cannot be combined");
    Ok(())
}

#[tokio::test]
async fn runs_that_ended_meanwhile_are_told_and_are_no_failure() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let open = shell.queued("1").await?.run_id.to_string();
    let ended = shell.completed("2").await?.run_id.to_string();
    let done = shell.call(&["run", "cancel", &open, &ended, "--yes", "--json"]).json();
    assert_eq!((&done["chosen"], &done["done"], &done["ended"]), (&json!(2), &json!(1), &json!(1)));
    let rows = done["data"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == *ended).unwrap();
    assert_eq!((&row["result"], &row["status"]), (&json!("ended"), &json!("completed")));
    shell.call(&["run", "cancel", &ended]).fails(1, "had ended as completed");
    let nobody = uuid::Uuid::nil().to_string();
    shell.call(&["run", "cancel", &ended, &nobody, "--yes"]).fails(3, "1 of 2 do not exist");
    Ok(())
}

#[tokio::test]
async fn a_run_is_paused_and_resumed_once() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let id = shell.queued("1").await?.run_id.to_string();
    assert_eq!(shell.call(&["run", "pause", &id, "--json"]).json(), json!({ "id": id, "status": "paused" }));
    assert_eq!(shell.call(&["run", "show", &id, "--json"]).json()["status"], "paused");
    shell.call(&["run", "pause", &id]).fails(1, "is paused already");
    assert_eq!(shell.call(&["run", "resume", &id, "--json"]).json()["status"], "resumed");
    assert_eq!(shell.call(&["run", "show", &id, "--json"]).json()["status"], "queued");
    shell.call(&["run", "resume", &id]).fails(1, "is not paused by itself");
    let entries = shell.call(&["audit", "list", "--json"]).json();
    assert_eq!(entries["data"][0]["action"], "run.resume");
    let ended = shell.completed("2").await?.run_id.to_string();
    shell.call(&["run", "pause", &ended]).fails(1, "had ended as completed");
    shell.call(&["run", "pause", &uuid::Uuid::nil().to_string()]).fails(3, "no run");
    Ok(())
}

#[tokio::test]
async fn many_runs_are_paused_and_those_alone_are_resumed() -> anyhow::Result<()> {
    let shell = with_runs(2).await?;
    let pause = ["run", "pause", "--status", "waiting", "--yes", "--json"];
    assert_eq!(shell.call(&pause).json()["done"], 4);
    shell.call(&pause).fails(3, "no open run fits");
    // Those that are paused because their workflow was are none of them.
    let counted = shell.call(&["run", "resume", "--all", "--dry-run", "--json"]).json();
    assert_eq!(counted, json!({ "count": 4, "by_status": { "paused": 4 } }));
    assert_eq!(shell.call(&["run", "resume", "--all", "--yes", "--json"]).json()["done"], 4);
    assert_eq!(shell.database.count("SELECT count(*) FROM runs_open WHERE status = 'waiting'").await?, 4);
    Ok(())
}
