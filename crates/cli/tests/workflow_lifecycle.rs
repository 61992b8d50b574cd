//! Workflows that are archived, taken out again, deleted and duplicated by the command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod shell;

use automation_store::Scope;
use automation_store::role::{Scheduler, Worker};
use automation_store::workflows::{catalogue, lifecycle};
use serde_json::{Value, json};
use shell::{Shell, WORKFLOW};

const NIGHTLY: &str = "
apiVersion: automation/v1
key: nightly
triggers: [{ id: night, schedule: { cron: \"30 2 * * *\" } }]
nodes: [{ id: call, action: create_task, with: { title: Look } }]
edges: [[night, call]]
";

/// How many workflows ingest would start runs of.
async fn starting(shell: &Shell) -> anyhow::Result<usize> {
    let id: String = {
        let tenants = shell.call(&["tenant", "list", "--json"]).json();
        tenants["data"][0]["id"].as_str().unwrap().to_owned()
    };
    let tenant = id.parse().unwrap();
    let worker = shell.database.store::<Worker>();
    let (active, _) = worker.tx(Scope::Tenants(&[tenant]), catalogue::load).await?;
    Ok(active.len())
}

async fn catalogue_version(shell: &Shell) -> anyhow::Result<i64> {
    shell.database.count("SELECT catalogue_version FROM tenants").await
}

fn keys(listed: &Value) -> Vec<&str> {
    listed["data"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_archived_workflow_starts_nothing_its_open_runs_go_on_and_lists_leave_it_out() -> anyhow::Result<()>
{
    let shell = Shell::with_a_workflow().await?;
    shell.queued("1").await?;
    let before = catalogue_version(&shell).await?;
    let archived = shell.call(&["workflow", "archive", "welcome", "--json"]).json();
    assert_eq!(archived, json!({ "key": "welcome", "state": "archived", "changed": true, "open_runs": 1 }));
    assert!(catalogue_version(&shell).await? > before, "every ingest reads it anew");
    assert_eq!(starting(&shell).await?, 0);
    assert_eq!(shell.database.count("SELECT count(*) FROM runs_open WHERE status = 'queued'").await?, 1);
    assert_eq!(keys(&shell.call(&["workflow", "list", "--json"]).json()), Vec::<&str>::new());
    let all = shell.call(&["workflow", "list", "--archived", "--json"]).json();
    assert_eq!((keys(&all), &all["data"][0]["state"]), (vec!["welcome"], &json!("archived")));
    assert_eq!(shell.call(&["workflow", "archive", "welcome", "--json"]).json()["changed"], false);
    // What would change it is refused until it is taken out.
    let next = shell.file("next.yaml", &WORKFLOW.replace("tag: seen", "tag: met"))?;
    for arguments in [
        &["workflow", "pause", "welcome"][..],
        &["workflow", "resume", "welcome"],
        &["workflow", "apply", &next],
    ] {
        shell.call(arguments).fails(1, "workflow welcome is archived");
    }
    assert_eq!(shell.call(&["workflow", "unarchive", "welcome"]).code(), 0);
    assert_eq!(starting(&shell).await?, 1);
    shell.call(&["workflow", "unarchive", "welcome"]).fails(1, "is not archived");
    Ok(())
}

#[tokio::test]
async fn a_paused_workflow_with_open_runs_is_archived_only_with_their_end() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    for id in ["1", "2", "3"] {
        shell.queued(id).await?;
    }
    assert_eq!(shell.call(&["workflow", "pause", "welcome"]).code(), 0);
    shell
        .call(&["workflow", "archive", "welcome"])
        .fails(1, "holds runs, which would go on if it were archived: 3");
    let counted =
        shell.call(&["workflow", "archive", "welcome", "--cancel-runs", "--dry-run", "--json"]).json();
    assert_eq!(counted["open_runs"], 3);
    shell.call(&["workflow", "archive", "welcome", "--cancel-runs"]).fails(2, "this would cancel 3 at once");
    let done = shell.call(&["workflow", "archive", "welcome", "--cancel-runs", "--yes", "--json"]).json();
    assert_eq!((&done["chosen"], &done["done"], &done["untouched"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!(
        shell.database.count("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'").await?,
        3
    );
    assert_eq!(shell.database.count("SELECT count(*) FROM wakeups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn schedules_of_an_archived_workflow_are_gone_and_begin_anew_when_it_is_taken_out() -> anyhow::Result<()>
{
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("nightly.yaml", NIGHTLY)?;
    assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
    let due = "SELECT count(*) FROM workflow_schedules WHERE due_at < 'infinity'";
    assert_eq!(shell.database.count(due).await?, 1);
    assert_eq!(shell.call(&["workflow", "archive", "nightly"]).code(), 0);
    assert_eq!(shell.database.count("SELECT count(*) FROM workflow_schedules").await?, 0);
    assert_eq!(shell.call(&["workflow", "unarchive", "nightly"]).code(), 0);
    // Nights that passed meanwhile are not made up for.
    let to_come = format!("{due} AND next_slot_at > now() AND last_slot_at IS NULL");
    assert_eq!(shell.database.count(&to_come).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_workflow_leaves_its_history_and_its_key_may_be_used_again() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let run = shell.completed("1").await?.run_id.to_string();
    shell.call(&["workflow", "delete", "welcome"]).fails(1, "is not archived");
    let open = shell.queued("2").await?.run_id.to_string();
    assert_eq!(shell.call(&["workflow", "archive", "welcome"]).code(), 0);
    shell.call(&["workflow", "delete", "welcome"]).fails(1, "workflow welcome has open runs: 1");
    assert_eq!(shell.call(&["run", "cancel", &open]).code(), 0);
    let draft = shell.file("draft.yaml", WORKFLOW)?;
    assert_eq!(shell.call(&["workflow", "draft", "save", &draft]).code(), 0);
    assert_eq!(shell.call(&["workflow", "delete", "welcome"]).code(), 0);

    shell.call(&["workflow", "show", "welcome"]).fails(3, "no workflow");
    shell.call(&["workflow", "draft", "show", "welcome"]).fails(3, "no draft");
    let shown = shell.call(&["run", "show", &run, "--json"]).json();
    assert_eq!((&shown["workflow"], &shown["version"]), (&json!("welcome"), &json!(1)));
    assert_eq!(shell.call(&["run", "explain", &run]).code(), 0);

    let file = shell.file("again.yaml", WORKFLOW)?;
    let applied = shell.call(&["workflow", "apply", &file, "--json"]).json();
    assert_eq!(
        (&applied["data"][0]["result"], &applied["data"][0]["version"]),
        (&json!("created"), &json!(1))
    );
    shell.completed("3").await?;
    let by_key = shell.call(&["run", "list", "--workflow", "welcome", "--json"]).json();
    assert_eq!(by_key["data"].as_array().unwrap().len(), 3, "of both that had the key");
    Ok(())
}

#[tokio::test]
async fn what_was_deleted_is_removed_once_no_run_of_it_is_kept() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    shell.completed("1").await?;
    assert_eq!(shell.call(&["workflow", "archive", "welcome"]).code(), 0);
    assert_eq!(shell.call(&["workflow", "delete", "welcome"]).code(), 0);
    let scheduler = shell.database.store::<Scheduler>();
    let expire = async || scheduler.tx(Scope::Unscoped, lifecycle::expire).await;
    assert_eq!(expire().await?, 0, "90 days are not over");
    shell.database.execute("UPDATE workflows SET deleted_at = now() - interval '91 days'").await?;
    assert_eq!(expire().await?, 0, "a run of it is kept");
    shell.database.execute("DELETE FROM runs_finished").await?;
    assert_eq!(expire().await?, 1);
    for table in ["workflows", "workflow_versions", "workflow_nodes", "workflow_edges", "workflow_triggers"] {
        assert_eq!(shell.database.count(&format!("SELECT count(*) FROM {table}")).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn a_duplicate_is_a_draft_that_runs_nothing_until_it_is_published() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let duplicated = shell.call(&["workflow", "duplicate", "welcome", "second", "--json"]).json();
    assert_eq!(duplicated["key"], "second");
    assert_eq!(starting(&shell).await?, 1);
    let draft = shell.call(&["workflow", "draft", "show", "second", "--json"]).json();
    assert_eq!(draft["definition"]["name"], "Welcome (copy)");
    assert_eq!(draft["definition"]["nodes"][0]["with"]["tag"], "seen");
    for taken in ["welcome", "second"] {
        shell.call(&["workflow", "duplicate", "welcome", taken]).fails(1, "already");
    }
    shell.call(&["workflow", "duplicate", "welcome", "The Second"]).fails(2, "not a workflow's key");
    shell.call(&["workflow", "duplicate", "none", "third"]).fails(3, "no workflow");
    assert_eq!(shell.call(&["workflow", "duplicate", "welcome", "third", "--name", "Third"]).code(), 0);
    assert_eq!(shell.call(&["workflow", "publish", "third", "--json"]).json()["result"], "created");
    assert_eq!(starting(&shell).await?, 2);
    Ok(())
}
