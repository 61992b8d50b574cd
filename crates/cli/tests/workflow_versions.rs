//! Versions of workflows by the command line: listed, written as files, held against each other, and brought back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod shell;

use serde_json::json;
use shell::{Shell, WORKFLOW};

/// A shell in which `welcome` has two versions: the later one sets another tag.
async fn with_two_versions() -> anyhow::Result<Shell> {
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("next.yaml", &WORKFLOW.replace("tag: seen", "tag: met"))?;
    assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
    Ok(shell)
}

#[tokio::test]
async fn versions_are_listed_with_who_published_them_and_the_runs_that_are_open_on_each() -> anyhow::Result<()>
{
    let shell = Shell::with_a_workflow().await?;
    shell.queued("1").await?;
    shell.queued("2").await?;
    shell.completed("3").await?;
    let file = shell.file("next.yaml", &WORKFLOW.replace("tag: seen", "tag: met"))?;
    let variables =
        [("DATABASE_URL", shell.database.url()), ("AUTOMATION_TENANT", "shop"), ("USER", "grace")];
    assert_eq!(shell.call_with(&["workflow", "apply", &file], &variables).code(), 0);
    shell.queued("4").await?;
    let listed = shell.call(&["workflow", "versions", "welcome", "--json"]).json();
    let told = |index: usize| {
        let version = &listed["data"][index];
        assert_eq!(version["hash"].as_str().unwrap().len(), 64);
        json!([version["version"], version["published"], version["published_by"], version["open_runs"]])
    };
    assert_eq!(told(0), json!([2, true, "grace", 1]));
    assert_eq!(told(1), json!([1, false, "operator", 2]));
    assert_ne!(listed["data"][0]["hash"], listed["data"][1]["hash"]);

    let first = shell.call(&["workflow", "versions", "welcome", "--limit", "1", "--json"]).json();
    assert_eq!(first["next_cursor"], "2");
    let rest = shell.call(&["workflow", "versions", "welcome", "--cursor", "2", "--json"]).json();
    assert_eq!((&rest["data"][0]["version"], &rest["next_cursor"]), (&json!(1), &json!(null)));
    shell.call(&["workflow", "versions", "none"]).fails(3, "no workflow \"none\"");
    Ok(())
}

#[tokio::test]
async fn what_is_exported_makes_no_new_version_when_it_is_applied() -> anyhow::Result<()> {
    let shell = with_two_versions().await?;
    for format in ["yaml", "json"] {
        let text = shell.call(&["workflow", "export", "welcome", "--format", format]).out();
        let file = shell.file(&format!("exported.{format}"), &text)?;
        let applied = shell.call(&["workflow", "apply", &file, "--json"]).json();
        assert_eq!(applied["data"][0]["result"], "unchanged", "{format}");
    }
    let text = shell.call(&["workflow", "export", "welcome", "--version", "1"]).out();
    let place = |word: &str| text.find(word).unwrap();
    assert!(
        text.contains("tag: seen")
            && place("apiVersion") < place("key:")
            && place("nodes:") < place("edges:")
    );
    shell.call(&["workflow", "export", "welcome", "--version", "7"]).fails(3, "has no version 7");
    shell.call(&["workflow", "export", "none"]).fails(3, "no workflow \"none\"");
    Ok(())
}

#[tokio::test]
async fn a_diff_names_what_differs_between_versions_and_between_one_and_a_file() -> anyhow::Result<()> {
    let shell = with_two_versions().await?;
    let told = shell.call(&["workflow", "diff", "welcome"]).out();
    assert_eq!(
        told,
        "welcome: from version/1 to version/2\n  node tag changed\n    with.tag: \"seen\" -> \"met\"\n"
    );
    let file = shell.file("file.yaml", &WORKFLOW.replace("name: Welcome", "name: Hello"))?;
    let diff = shell.call(&["workflow", "diff", "welcome", &file, "--from", "1", "--json"]).json();
    assert_eq!(
        (&diff["from"], &diff["to"], &diff["runs_alike"]),
        (&json!("version/1"), &json!("file"), &json!(true))
    );
    let places = json!([{ "path": "", "before": "Welcome", "after": "Hello" }]);
    assert_eq!(
        diff["changes"],
        json!([{ "element": "setting", "key": "name", "change": "changed", "places": places, "for_people": true }])
    );
    let same = shell.call(&["workflow", "diff", "welcome", "--from", "2", "--to", "2"]).out();
    assert!(same.contains("nothing differs"), "{same}");
    shell.call(&["workflow", "diff", "welcome", "--from", "9"]).fails(3, "has no version 9");
    let broken = shell.file("broken.yaml", "key: [")?;
    shell.call(&["workflow", "diff", "welcome", &broken]).fails(1, "[bad_document]");
    Ok(())
}

#[tokio::test]
async fn an_earlier_version_is_restored_as_the_next_one_and_what_is_published_already_is_refused()
-> anyhow::Result<()> {
    let shell = with_two_versions().await?;
    shell.call(&["workflow", "restore", "welcome", "--version", "2"]).fails(1, "published like this already");
    let restored = shell.call(&["workflow", "restore", "welcome", "--version", "1", "--json"]).json();
    assert_eq!((&restored["result"], &restored["version"]), (&json!("published"), &json!(3)));
    let same = shell.call(&["workflow", "diff", "welcome", "--from", "1", "--to", "3", "--json"]).json();
    assert_eq!(same["changes"], json!([]));
    let entries = shell.call(&["audit", "list", "--json"]).json();
    assert_eq!(entries["data"][0]["action"], "workflow.restore");
    assert_eq!(entries["data"][0]["detail"], json!({ "version": 3, "restored": 1 }));
    shell.call(&["workflow", "restore", "welcome", "--version", "9"]).fails(3, "has no version 9");
    shell.call(&["workflow", "restore", "none", "--version", "1"]).fails(3, "no workflow \"none\"");
    Ok(())
}

/// It has a key that this version of the engine does not know.
#[tokio::test]
async fn a_version_that_could_not_run_is_not_restored() -> anyhow::Result<()> {
    let shell = with_two_versions().await?;
    let broken =
        "UPDATE workflow_versions SET definition = definition || '{\"of_later\": 1}' WHERE number = 1";
    shell.database.execute(broken).await?;
    let refused = shell.call(&["workflow", "restore", "welcome", "--version", "1"]);
    refused.fails(1, "1 problem: of_later: ");
    assert!(refused.error().contains("[unknown_key]"), "{}", refused.error());
    assert_eq!(shell.database.count("SELECT count(*) FROM workflow_versions").await?, 2);
    Ok(())
}
