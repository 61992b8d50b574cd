//! Simulating what is kept on a server: it is read, and nothing of it changes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod shell;

use serde_json::Value;
use shell::Shell;

const WORKFLOW: &str = "
apiVersion: automation/v1
key: welcome
enrolment: { reentry: { mode: once } }
triggers: [ { id: start, event: form.submitted } ]
nodes:
  - { id: each, action: for_each, with: { list: [ 1, 2 ], body: call } }
  - { id: call, action: http_request, with: { url: 'https://example.com/' }, on_error: tag }
  - { id: tag, action: add_tag, with: { tag: seen } }
  - { id: size, action: branch, with: { cases: [ { name: seen, where: { field: contact.tags, op: contains, value: seen } } ] } }
  - { id: note, action: add_note, with: { text: hello } }
edges:
  - [start, each]
  - [call, tag]
  - [each, size]
  - { from: size, case: seen, to: note }
  - { from: size, case: else, to: note }
";

/// How much there is in every table, and what is known of the contact.
async fn all_there_is(shell: &Shell) -> anyhow::Result<Vec<i64>> {
    let mut counts = Vec::new();
    for table in [
        "events",
        "event_receipts",
        "enrolments",
        "runs_open",
        "runs_finished",
        "workflow_run_logs",
        "effects",
        "outbox",
        "notes",
        "tasks",
        "contacts",
        "dead_letters",
        "wakeups",
        "workflow_versions",
        "audit_links",
    ] {
        counts.push(shell.database.count(&format!("SELECT count(*) FROM {table}")).await?);
    }
    let tags = "SELECT coalesce(sum(cardinality(tags)), 0)::int8 FROM contacts";
    counts.push(shell.database.count(tags).await?);
    Ok(counts)
}

#[tokio::test]
async fn simulating_what_is_kept_sends_and_changes_nothing_and_whoever_may_enter_once_still_may()
-> anyhow::Result<()> {
    let shell = Shell::new().await?;
    assert_eq!(shell.call(&["tenant", "create", "shop", "--json"]).code(), 0);
    let file = shell.file("welcome.yaml", WORKFLOW)?;
    assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
    let draft = shell.file("draft.yaml", &WORKFLOW.replace("text: hello", "text: draft"))?;
    assert_eq!(shell.call(&["workflow", "draft", "save", &draft]).code(), 0);
    let keys = ["shop".to_owned()];
    let operator = shell.database.store::<automation_store::role::Operator>();
    let tenant = operator
        .tx(automation_store::Scope::Unscoped, async |connection| {
            automation_store::access::tenants::by_keys(connection, &keys).await
        })
        .await?[0]
        .tenant_id;
    let contact = automation_domain::id::ContactId::derive(tenant, "ada");
    shell
        .database
        .execute(&format!(
            "INSERT INTO contacts (tenant_id, contact_id, subject, first_name) VALUES ('{tenant}', '{contact}', 'ada', 'Ada')"
        ))
        .await?;
    let before = all_there_is(&shell).await?;
    let simulate = |more: &[&str]| -> Value {
        let arguments =
            ["workflow", "simulate", "welcome", "--type", "form.submitted", "--contact", "ada", "--json"];
        shell.call(&[&arguments[..], more].concat()).json()
    };
    // As often as one likes, also where it fails.
    for _ in 0..3 {
        let played = simulate(&["--answer", "call=404"]);
        let run = &played["runs"][0];
        assert_eq!(
            (&run["end"], &run["steps"]["size"]["case"]),
            (&"completed".into(), &"seen".into()),
            "{run}"
        );
        assert_eq!(played["contacts"][0]["first_name"], "Ada");
    }
    let drafted = simulate(&["--draft"]);
    let note = drafted["effects"].as_array().unwrap().iter().find(|effect| effect["effect"] == "note");
    assert_eq!((&note.unwrap()["text"], &drafted["version"]), (&"draft".into(), &2.into()));
    assert_eq!(simulate(&["--version", "1"])["version"], 1);
    shell
        .call(&["workflow", "simulate", "welcome", "--version", "7", "--type", "form.submitted"])
        .fails(3, "has no version 7");
    shell
        .call(&["workflow", "simulate", "welcome", "--contact", "nobody", "--type", "form.submitted"])
        .fails(3, "nobody");
    assert_eq!(all_there_is(&shell).await?, before);
    Ok(())
}
