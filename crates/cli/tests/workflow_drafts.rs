//! Drafts by the command line: saved beside what is published, with problems, and never over what somebody else saved.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod shell;

use serde_json::{Value, json};
use shell::{Shell, WORKFLOW};

/// A file that sets another tag than the published version.
fn with_tag(shell: &Shell, tag: &str) -> anyhow::Result<String> {
    shell.file(&format!("{tag}.yaml"), &WORKFLOW.replace("tag: seen", &format!("tag: {tag}")))
}

fn save(shell: &Shell, file: &str, more: &[&str]) -> Value {
    shell.call(&[&["workflow", "draft", "save", file, "--json"], more].concat()).json()
}

async fn versions(shell: &Shell) -> anyhow::Result<i64> {
    shell.database.count("SELECT count(*) FROM workflow_versions").await
}

#[tokio::test]
async fn a_draft_stands_beside_what_is_published_until_it_is_published_itself() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let text = format!("# for sales\n{}", WORKFLOW.trim_start().replace("tag: seen", "tag: met"));
    let file = shell.file("draft.yaml", &text)?;
    let saved = save(&shell, &file, &[]);
    assert_eq!((&saved["base_version"], &saved["problems"]), (&json!(1), &json!([])));
    let shown = shell.call(&["workflow", "draft", "show", "welcome"]);
    assert_eq!(shown.out(), text, "with its comments");
    let listed = shell.call(&["workflow", "draft", "list", "--json"]).json();
    assert_eq!(
        (&listed["data"][0]["key"], &listed["data"][0]["revision"]),
        (&json!("welcome"), &saved["revision"])
    );
    assert!(shell.call(&["workflow", "show", "welcome"]).out().contains("seen"), "nothing is published yet");
    assert!(shell.call(&["workflow", "diff", "welcome", "--draft"]).out().contains("\"seen\" -> \"met\""));
    let published = shell.call(&["workflow", "publish", "welcome", "--json"]).json();
    assert_eq!((&published["result"], &published["version"]), (&json!("published"), &json!(2)));
    shell.call(&["workflow", "draft", "show", "welcome"]).fails(3, "no draft of workflow \"welcome\"");
    shell.call(&["workflow", "publish", "welcome"]).fails(3, "no draft");
    Ok(())
}

#[tokio::test]
async fn a_draft_may_begin_a_workflow() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("new.yaml", &WORKFLOW.replace("key: welcome", "key: second"))?;
    let saved = save(&shell, &file, &["--base", "nothing"]);
    assert_eq!((&saved["key"], &saved["base_version"]), (&json!("second"), &Value::Null));
    shell.call(&["workflow", "show", "second"]).fails(3, "no workflow");
    assert_eq!(shell.call(&["workflow", "publish", "second", "--json"]).json()["result"], "created");
    Ok(())
}

#[tokio::test]
async fn a_draft_with_problems_is_kept_and_shown_with_them_and_not_published() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("draft.yaml", &WORKFLOW.replace("add_tag", "add_tags"))?;
    let saved = shell.call(&["workflow", "draft", "save", &file]);
    assert_eq!(saved.code(), 0, "{}", saved.error());
    assert!(saved.error().contains("nodes[0].action: ") && saved.error().contains("[unknown_action]"));
    let shown = shell.call(&["workflow", "draft", "show", "welcome", "--json"]).json();
    assert_eq!(shown["problems"][0]["code"], "unknown_action");
    assert_eq!(shown["definition"]["nodes"][0]["action"], "add_tags");
    shell.call(&["workflow", "publish", "welcome"]).fails(1, "1 problem: nodes[0].action: ");
    assert_eq!(versions(&shell).await?, 1);
    // Without a key there is nothing to keep it under.
    for (text, code) in [("key: [", "bad_document"), ("name: x", "missing_key"), ("key: A B", "bad_name")] {
        let file = shell.file("none.yaml", text)?;
        let refused = shell.call(&["workflow", "draft", "save", &file]);
        refused.fails(1, &format!("[{code}]"));
    }
    assert_eq!(shell.database.count("SELECT count(*) FROM workflow_drafts").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_save_on_a_base_that_is_gone_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let (mine, theirs) = (with_tag(&shell, "mine")?, with_tag(&shell, "theirs")?);
    let refused = |file: &str, base: &str, found: &str| {
        let called = shell.call(&["workflow", "draft", "save", file, "--base", base]);
        called.fails(1, &format!("stands at {found}, not at {base}"));
    };
    refused(&mine, "nothing", "version/1");
    refused(&mine, "version/2", "version/1");
    let first = save(&shell, &mine, &["--base", "version/1"]);
    let first = first["revision"].as_str().unwrap();
    let second = save(&shell, &theirs, &["--base", first]);
    let second = second["revision"].as_str().unwrap();
    refused(&mine, first, second);
    refused(&mine, "version/1", second);
    assert!(shell.call(&["workflow", "draft", "show", "welcome"]).out().contains("theirs"));
    // A draft that was thrown away and begun again is another one.
    assert_eq!(shell.call(&["workflow", "draft", "discard", "welcome"]).code(), 0);
    let third = save(&shell, &theirs, &[]);
    refused(&mine, second, third["revision"].as_str().unwrap());
    let wrong = shell.call(&["workflow", "draft", "save", &mine, "--base", "3"]);
    assert!(
        wrong.code() == 2 && wrong.error().contains("a base is nothing, version/<number>"),
        "{}",
        wrong.error()
    );
    Ok(())
}

#[tokio::test]
async fn a_draft_is_not_published_over_a_version_it_was_not_begun_from_unless_told_to() -> anyhow::Result<()>
{
    let shell = Shell::with_a_workflow().await?;
    save(&shell, &with_tag(&shell, "mine")?, &[]);
    assert_eq!(shell.call(&["workflow", "apply", &with_tag(&shell, "theirs")?]).code(), 0);
    // Saving again does not hide it.
    save(&shell, &with_tag(&shell, "mine")?, &[]);
    shell.call(&["workflow", "publish", "welcome"]).fails(1, "was begun from version/1");
    assert_eq!(versions(&shell).await?, 2);
    assert_eq!(shell.call(&["workflow", "publish", "welcome", "--force"]).code(), 0);
    assert!(shell.call(&["workflow", "show", "welcome"]).out().contains("mine"));
    Ok(())
}

#[tokio::test]
async fn a_draft_that_says_what_is_published_makes_no_version() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("same.yaml", WORKFLOW)?;
    save(&shell, &file, &[]);
    shell.call(&["workflow", "publish", "welcome"]).fails(1, "published like this already");
    assert_eq!(versions(&shell).await?, 1);
    assert_eq!(shell.call(&["workflow", "draft", "discard", "welcome"]).code(), 0);
    shell.call(&["workflow", "draft", "discard", "welcome"]).fails(3, "no draft");
    Ok(())
}
