//! A folder of workflow files, as it stands in Git: planned, applied, and never over what somebody changed elsewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod shell;

use serde_json::{Value, json};
use shell::{Shell, WORKFLOW};

/// A shell whose tenant has no workflow, with a folder of two: `welcome` and, deeper, `second`.
async fn with_a_folder() -> anyhow::Result<(Shell, String)> {
    let shell = Shell::new().await?;
    assert_eq!(shell.call(&["tenant", "create", "shop"]).code(), 0);
    let folder = shell.folder.join("flows");
    std::fs::create_dir_all(folder.join("sales"))?;
    std::fs::create_dir_all(folder.join(".git"))?;
    shell.file("flows/welcome.yaml", WORKFLOW)?;
    shell.file("flows/sales/second.json", &as_json("second"))?;
    // None of these is a workflow.
    shell.file("flows/README.md", "about")?;
    shell.file("flows/welcome.test.yaml", "given: nothing")?;
    shell.file("flows/.git/config.yaml", "not: mine")?;
    Ok((shell, folder.to_str().unwrap().to_owned()))
}

fn as_json(key: &str) -> String {
    let definition = json!({
        "apiVersion": "automation/v1", "key": key, "triggers": [{ "id": "start", "event": "form.submitted" }],
        "nodes": [{ "id": "tag", "action": "add_tag", "with": { "tag": "seen" } }], "edges": [["start", "tag"]],
    });
    definition.to_string()
}

/// What happens to each key, by a plan or by applying it.
fn told(result: &Value, member: &str) -> Vec<(String, String)> {
    let rows = result[if member == "action" { "files" } else { "data" }].as_array().unwrap();
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "key"), text(row, member))).collect()
}

fn plan(shell: &Shell, folder: &str) -> Value {
    let called = shell.call(&["workflow", "plan", folder, "--json"]);
    serde_json::from_str(&called.out()).unwrap()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(key, word)| ((*key).to_owned(), (*word).to_owned())).collect()
}

async fn versions(shell: &Shell) -> anyhow::Result<i64> {
    shell.database.count("SELECT count(*) FROM workflow_versions").await
}

#[tokio::test]
async fn applying_a_folder_does_what_the_plan_says_and_the_second_time_nothing() -> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    assert_eq!(told(&plan(&shell, &folder), "action"), pairs(&[("second", "create"), ("welcome", "create")]));
    assert_eq!(versions(&shell).await?, 0, "a plan changes nothing");
    let apply = || shell.call(&["workflow", "apply", &folder, "--json"]).json();
    assert_eq!(told(&apply(), "result"), pairs(&[("second", "created"), ("welcome", "created")]));
    let entries = shell.database.count("SELECT count(*) FROM audit_links").await?;
    let file = format!("{folder}/welcome.yaml");
    let named_twice = shell.call(&["workflow", "plan", &folder, &file, "--json"]).json();
    assert_eq!(named_twice["files"].as_array().unwrap().len(), 2);
    assert_eq!(
        told(&plan(&shell, &folder), "action"),
        pairs(&[("second", "unchanged"), ("welcome", "unchanged")])
    );
    assert_eq!(told(&apply(), "result"), pairs(&[("second", "unchanged"), ("welcome", "unchanged")]));
    assert_eq!(versions(&shell).await?, 2);
    assert_eq!(shell.database.count("SELECT count(*) FROM audit_links").await?, entries);

    shell.file("flows/welcome.yaml", &WORKFLOW.replace("tag: seen", "tag: met"))?;
    let shown = shell.call(&["workflow", "plan", &folder]).out();
    assert!(shown.contains("change welcome: ") && shown.contains("with.tag: \"seen\" -> \"met\""), "{shown}");
    assert_eq!(told(&apply(), "result"), pairs(&[("second", "unchanged"), ("welcome", "published")]));
    Ok(())
}

#[tokio::test]
async fn the_same_folder_makes_the_same_workflows_for_another_tenant() -> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    assert_eq!(shell.call(&["tenant", "create", "rival"]).code(), 0);
    let theirs = shell.call(&["workflow", "apply", &folder, "--tenant", "rival", "--json"]).json();
    assert_eq!(told(&theirs, "result"), pairs(&[("second", "created"), ("welcome", "created")]));
    assert_eq!(
        told(&plan(&shell, &folder), "action"),
        pairs(&[("second", "unchanged"), ("welcome", "unchanged")])
    );
    Ok(())
}

#[tokio::test]
async fn a_plan_tells_ci_by_its_exit_code_whether_there_is_something_to_do() -> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    let detailed = ["workflow", "plan", &folder, "--detailed-exitcode"];
    let called = shell.call(&detailed);
    assert_eq!((called.code(), called.error().trim()), (5, "2 workflows would be changed"));
    assert_eq!(shell.call(&["workflow", "plan", &folder]).code(), 0);
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    assert_eq!(shell.call(&detailed).code(), 0);
    let file = shell.file("third.json", &as_json("third"))?;
    assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
    assert_eq!(shell.call(&detailed).code(), 0, "what no file is about is left alone");
    assert_eq!(shell.call(&[&detailed[..], &["--prune"]].concat()).code(), 5);
    Ok(())
}

#[tokio::test]
async fn what_was_changed_elsewhere_is_shown_with_the_files_change_and_nothing_is_applied_over_it()
-> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    let draft = shell.file("draft.yaml", &WORKFLOW.replace("tag: seen", "tag: theirs"))?;
    assert_eq!(shell.call(&["workflow", "draft", "save", &draft]).code(), 0);
    assert_eq!(shell.call(&["workflow", "publish", "welcome"]).code(), 0);
    shell.file("flows/welcome.yaml", &WORKFLOW.replace("tag: seen", "tag: mine"))?;
    shell.file("flows/sales/second.json", &as_json("second").replace("seen", "changed"))?;

    let shown = shell.call(&["workflow", "plan", &folder]);
    shown.fails(1, "changed elsewhere since a file was applied: welcome");
    let out = shown.out();
    assert!(
        out.contains("with.tag: \"seen\" -> \"theirs\"") && out.contains("with.tag: \"theirs\" -> \"mine\""),
        "{out}"
    );
    let before = versions(&shell).await?;
    shell
        .call(&["workflow", "apply", &folder])
        .fails(1, "changed elsewhere since a file was applied: welcome");
    assert_eq!(versions(&shell).await?, before, "not the other file either");
    // Taken into the file, it is no conflict any more.
    let exported = shell.call(&["workflow", "export", "welcome"]).out();
    shell.file("flows/welcome.yaml", &exported)?;
    let applied = shell.call(&["workflow", "apply", &folder, "--json"]).json();
    assert_eq!(told(&applied, "result"), pairs(&[("second", "published"), ("welcome", "unchanged")]));
    shell.file("flows/welcome.yaml", &exported.replace("tag: theirs", "tag: mine"))?;
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    // Or it is replaced, when that is asked for.
    assert_eq!(shell.call(&["workflow", "restore", "welcome", "--version", "1"]).code(), 0);
    shell.call(&["workflow", "apply", &folder]).fails(1, "changed elsewhere");
    assert_eq!(shell.call(&["workflow", "apply", &folder, "--force"]).code(), 0);
    assert!(shell.call(&["workflow", "show", "welcome"]).out().contains("tag: mine"));
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    Ok(())
}

#[tokio::test]
async fn a_workflow_that_never_came_from_a_file_is_not_replaced_by_one() -> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    let draft = shell.file("draft.yaml", &WORKFLOW.replace("tag: seen", "tag: theirs"))?;
    assert_eq!(shell.call(&["workflow", "draft", "save", &draft]).code(), 0);
    assert_eq!(shell.call(&["workflow", "publish", "welcome"]).code(), 0);
    let planned = plan(&shell, &folder);
    assert_eq!(told(&planned, "action"), pairs(&[("second", "create"), ("welcome", "conflict")]));
    shell.call(&["workflow", "apply", &folder]).fails(1, "changed elsewhere");
    Ok(())
}

#[tokio::test]
async fn what_is_not_in_the_folder_is_left_alone_unless_pruning_is_asked_for_and_confirmed()
-> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    shell.queued("1").await?;
    std::fs::remove_file(shell.folder.join("flows/welcome.yaml"))?;
    assert_eq!(shell.call(&["workflow", "apply", &folder]).code(), 0);
    let state =
        || shell.call(&["workflow", "list", "--archived", "--json"]).json()["data"][1]["state"].clone();
    assert_eq!(state(), "active");
    let planned = plan(&shell, &folder);
    assert_eq!(
        planned["others"],
        json!([{ "key": "welcome", "state": "active", "version": 1, "open_runs": 1 }])
    );
    let prune = ["workflow", "apply", &folder, "--prune"];
    shell.call(&prune).fails(2, "this would archive welcome (active, open runs: 1)");
    assert_eq!(state(), "active");
    let applied = shell.call(&[&prune[..], &["--yes", "--json"]].concat()).json();
    assert_eq!(told(&applied, "result"), pairs(&[("second", "unchanged"), ("welcome", "archived")]));
    assert_eq!(shell.database.count("SELECT count(*) FROM runs_open").await?, 1, "its runs go on");
    assert_eq!(shell.call(&prune).code(), 0, "there is nothing left to archive");
    // A file that comes back does not take it out of the archive by itself.
    shell.file("flows/welcome.yaml", WORKFLOW)?;
    shell.call(&["workflow", "plan", &folder]).fails(1, "archived: welcome");
    shell.call(&["workflow", "apply", &folder]).fails(1, "workflow welcome is archived");
    Ok(())
}

#[tokio::test]
async fn all_problems_of_all_files_are_told_before_anything_is_applied() -> anyhow::Result<()> {
    let (shell, folder) = with_a_folder().await?;
    shell.file("flows/a.yaml", &WORKFLOW.replace("add_tag", "add_tags").replace("key: welcome", "key: a"))?;
    shell.file("flows/b.yaml", "key: [")?;
    for command in ["validate", "plan", "apply"] {
        let called = shell.call(&["workflow", command, &folder]);
        called.fails(1, "2 problems");
        assert!(called.out().contains("a.yaml: nodes[0].action: ") && called.out().contains("b.yaml: "));
    }
    assert_eq!(versions(&shell).await?, 0);
    std::fs::remove_file(shell.folder.join("flows/a.yaml"))?;
    shell.file("flows/b.yaml", WORKFLOW)?;
    let called = shell.call(&["workflow", "apply", &folder]);
    called.fails(1, "1 problem");
    assert!(
        called.out().contains("[duplicate_workflow]") && called.out().contains("b.yaml is about"),
        "{}",
        called.out()
    );
    let empty = shell.folder.join("empty");
    std::fs::create_dir_all(&empty)?;
    shell.call(&["workflow", "apply", empty.to_str().unwrap()]).fails(2, "there is no workflow file in");
    Ok(())
}
